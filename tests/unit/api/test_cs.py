"""PyPI's `cs` client, unchanged, over a real socket."""

from __future__ import annotations

import asyncio

import pytest
from cs import CloudStack, CloudStackApiException

from tests.unit.api.world import World, api_key, secret_key


@pytest.mark.parametrize("method", ["get", "post"])
async def test_the_whole_life(world: World, method: str) -> None:
    cs = CloudStack(world.url, api_key("alice"), secret_key("alice"), method=method, poll_interval=0.02)

    def life() -> None:
        zone = cs.listZones(fetch_list=True)[0]
        offering = cs.listServiceOfferings(name="Tiny Instance")["serviceoffering"][0]
        template = cs.listTemplates(templatefilter="executable", zoneid=zone["id"])["template"][0]
        of = cs.listNetworkOfferings(name="DefaultIsolatedNetworkOfferingWithSourceNatService")["networkoffering"][0]
        network = cs.createNetwork(name="a b+c~d", displaytext="*", zoneid=zone["id"], networkofferingid=of["id"])[
            "network"
        ]
        machine = cs.deployVirtualMachine(
            zoneid=zone["id"],
            serviceofferingid=offering["id"],
            templateid=template["id"],
            iptonetworklist=[{"networkid": network["id"], "ip": "10.1.1.5"}],
            name="web",
            fetch_result=True,
        )["virtualmachine"]
        assert machine["state"] == "Running"
        assert machine["nic"][0]["networkname"] == "a b+c~d"
        assert [each["id"] for each in cs.listVirtualMachines(fetch_list=True)] == [machine["id"]]
        assert cs.stopVirtualMachine(id=machine["id"], fetch_result=True)["virtualmachine"]["state"] == "Stopped"
        assert cs.listVirtualMachines(state="Running") == {}
        cs.destroyVirtualMachine(id=machine["id"], expunge=True, fetch_result=True)
        assert cs.deleteNetwork(id=network["id"], fetch_result=True) == {"success": True}
        with pytest.raises(CloudStackApiException) as caught:
            cs.listVirtualMachines(id=machine["id"])
        assert caught.value.error["errorcode"] == 431
        cs.session.close()

    await asyncio.to_thread(life)
