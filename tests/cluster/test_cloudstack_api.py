"""PyPI's `cs` drives real virtual machines through the API's Service, on the very objects that kubectl shows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cs import CloudStack

from dev.target import Target
from operators.contract.identity import ACCOUNT
from operators.contract.meta import Key
from tests.support import cloudstack
from tests.support.cloudstack import found, seen, unknown, until
from tests.support.cluster import Cloud, vm


@pytest.fixture
def cs(where: Target, cloud: Cloud) -> Iterator[CloudStack]:
    """The first admin's client; the tenant's namespace is an account, which it may act for."""
    cloud.create(ACCOUNT.body(Key("", cloud.namespace), spec={"domain": "root"}))
    with cloudstack.reached(where) as url, cloudstack.client(url, *cloudstack.keys(where)) as made:
        yield made


def test_a_life_by_both(cs: CloudStack, cloud: Cloud) -> None:
    """What the API makes, kubectl sees and changes, and the other way round."""
    zone = found(cs.listZones(name="default"), "zone")["id"]
    offering = found(cs.listServiceOfferings(name="Tiny Instance"), "serviceoffering")["id"]
    template = found(cs.listTemplates(templatefilter="featured", name="tiny"), "template")["id"]
    kind = found(cs.listNetworkOfferings(guestiptype="Isolated", supportedservices="SourceNat"), "networkoffering")
    domain = found(cs.listDomains(name="ROOT"), "domain")["id"]
    mine = {"account": cloud.namespace, "domainid": domain}
    made = cs.createNetwork(name="front", displaytext="Front", zoneid=zone, networkofferingid=kind["id"], **mine)
    wanted = {"zoneid": zone, "serviceofferingid": offering, "templateid": template}
    machine = cs.deployVirtualMachine(
        name="web", networkids=made["network"]["id"], fetch_result=True, **wanted, **mine
    )["virtualmachine"]

    body = cloud.need("VirtualMachine", "web")
    assert machine["state"] == "Running"
    assert (machine["id"], machine["hostname"]) == (body["metadata"]["uid"], body["status"]["hostName"])
    assert machine["nic"][0]["ipaddress"] == body["status"]["addresses"][0]

    stopped = cs.stopVirtualMachine(id=machine["id"], fetch_result=True)["virtualmachine"]
    assert (stopped["state"], cloud.need("VirtualMachine", "web")["spec"]["runPolicy"]) == ("Stopped", "Stopped")
    cloud.patch("VirtualMachine", "web", {"spec": {"runPolicy": "Running"}})
    cloud.ready("vm/web")
    seen(cs, "Running", id=machine["id"])

    cloud.apply(vm("db", nets=("front",)))
    cloud.ready("vm/db")
    by_kubectl = seen(cs, "Running", name="db", **mine)
    assert by_kubectl["nic"][0]["networkid"] == made["network"]["id"]
    cs.destroyVirtualMachine(id=by_kubectl["id"], expunge=True, fetch_result=True)
    cloud.gone("VirtualMachine", "db")

    cloud.delete("VirtualMachine", "web")
    until(lambda: unknown(cs, machine["id"]))
    assert cs.deleteNetwork(id=made["network"]["id"], fetch_result=True) == {"success": True}
