"""CloudStack's own client gives a running machine an interface and takes it away, and has its networks' routers made anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cs import CloudStack

from dev.guest import Guest
from dev.target import Target
from tests.cluster.test_cloudstack_clients import account, admin
from tests.support import cloudstack
from tests.support.cloudstack import found

__all__ = ["account", "admin"]

HAS = "until ip -4 -o addr show eth1 2>/dev/null | grep -q 'inet {address}/'; do usleep 200000; done; echo yes"

LEASE = "udhcpc -i eth0 -n -q -f -t 30 -T 1 -s /bin/true >/dev/null 2>&1 && echo leased"


@pytest.fixture
def own(admin: tuple[CloudStack, str], account: dict[str, Any]) -> Iterator[CloudStack]:
    """A new tenant's client."""
    cs, url = admin
    key = cs.registerUserKeys(id=account["user"][0]["id"])["userkeys"]
    with cloudstack.client(url, key["apikey"], key["secretkey"]) as made:
        yield made


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_interfaces_and_networks_made_anew(
    where: Target,
    account: dict[str, Any],
    own: CloudStack,
) -> None:
    zone = found(own.listZones(name="default"), "zone")["id"]
    kind = found(own.listNetworkOfferings(guestiptype="Isolated", supportedservices="SourceNat"), "networkoffering")[
        "id"
    ]
    about = {"zoneid": zone, "networkofferingid": kind}
    front = own.createNetwork(name="front", displaytext="Front", **about)["network"]["id"]
    back = own.createNetwork(name="back", displaytext="Back", gateway="10.7.7.1", netmask="255.255.255.0", **about)
    size = found(own.listServiceOfferings(name="Tiny Instance"), "serviceoffering")["id"]
    image = found(own.listTemplates(templatefilter="featured", name="tiny"), "template")["id"]
    asked = {"zoneid": zone, "serviceofferingid": size, "templateid": image, "networkids": front, "name": "web"}
    vm = own.deployVirtualMachine(**asked, fetch_result=True)["virtualmachine"]["id"]
    path = f'jsonpath={{.items[?(@.metadata.uid=="{vm}")].metadata.namespace}}'
    web = Guest(where, where.kubectl("get", "virtualmachines", "-A", "-o", path).strip(), "web")
    web.wait_booted()

    of = {"virtualmachineid": vm, "networkid": back["network"]["id"], "ipaddress": "10.7.7.77"}
    nics = own.addNicToVirtualMachine(**of, fetch_result=True)["virtualmachine"]["nic"]
    assert [(nic["ipaddress"], nic["isdefault"]) for nic in nics[1:]] == [("10.7.7.77", False)]
    assert web.sh(HAS.format(address="10.7.7.77")) == "yes"
    listed = own.listNics(virtualmachineid=vm)["nic"]
    assert [nic["id"] for nic in listed] == [nic["id"] for nic in nics]

    # The routers of a network that works are made anew, guests go on meanwhile, and get an answer from the new one.
    for cleanup in (False, True):
        assert own.restartNetwork(id=front, cleanup=cleanup, fetch_result=True) == {"success": True}
        assert web.sh(LEASE) == "leased"
        assert own.listVirtualMachines(id=vm)["virtualmachine"][0]["nic"][0]["ipaddress"] == nics[0]["ipaddress"]

    own.updateDefaultNicForVirtualMachine(virtualmachineid=vm, nicid=nics[1]["id"], fetch_result=True)
    left = own.removeNicFromVirtualMachine(virtualmachineid=vm, nicid=nics[0]["id"], fetch_result=True)
    assert [nic["id"] for nic in left["virtualmachine"]["nic"]] == [nics[1]["id"]]
    own.destroyVirtualMachine(id=vm, expunge=True, fetch_result=True)
