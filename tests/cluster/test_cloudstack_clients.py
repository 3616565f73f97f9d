"""apache-libcloud as a new tenant drives a whole life on real guests, and what is then told of it: events and usage."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from cs import CloudStack
from libcloud.compute.providers import get_driver
from libcloud.compute.types import NodeState, Provider

from dev.target import Target
from tests.support import cloudstack
from tests.support.cloudstack import found

PATIENCE = 60.0
HAPPENED = {"VM.CREATE", "VM.STOP", "VM.START", "VM.REBOOT", "VM.DESTROY", "VOLUME.CREATE", "NETWORK.CREATE"}
RUNNING_VM = 1
"""CloudStack's number of that usage."""


@pytest.fixture
def admin(where: Target) -> Iterator[tuple[CloudStack, str]]:
    """The first admin's client, and the address that it is of."""
    with cloudstack.reached(where) as url, cloudstack.client(url, *cloudstack.keys(where)) as made:
        yield made, url


@pytest.fixture
def account(admin: tuple[CloudStack, str]) -> Iterator[dict[str, Any]]:
    """A tenant that the API made, and that it ends."""
    cs, _ = admin
    person = {"email": "e@example.org", "firstname": "E", "lastname": "Example"}
    name = f"c-{secrets.token_hex(3)}"
    made = cs.createAccount(username=name, password=secrets.token_hex(8), accounttype=0, **person)["account"]
    yield made
    assert cs.deleteAccount(id=made["id"], fetch_result=True) == {"success": True}


def eventually(look: Callable[[], Any], what: str) -> Any:
    """What a look gives, once it gives something; history is written a moment after what it tells of."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if got := look():
            return got
        time.sleep(0.5)
    raise AssertionError(f"not within {PATIENCE} s: {what}")


@pytest.mark.filterwarnings("ignore")
def test_a_new_tenants_life(admin: tuple[CloudStack, str], account: dict[str, Any]) -> None:
    cs, url = admin
    key = cs.registerUserKeys(id=account["user"][0]["id"])["userkeys"]
    with cloudstack.client(url, key["apikey"], key["secretkey"]) as own:
        zone = found(own.listZones(name="default"), "zone")["id"]
        kind = found(own.listNetworkOfferings(guestiptype="Isolated", supportedservices="SourceNat"), "networkoffering")
        # At once: the account is made when its namespace can be used.
        front = own.createNetwork(name="front", displaytext="Front", zoneid=zone, networkofferingid=kind["id"])
    parts = urlsplit(url)
    driver = get_driver(Provider.CLOUDSTACK)(
        key=key["apikey"],
        secret=key["secretkey"],
        secure=False,
        host=parts.hostname,
        port=parts.port,
        path="/client/api",
    )
    location = next(each for each in driver.list_locations() if each.id == zone)
    size = next(each for each in driver.list_sizes() if each.name == "Tiny Instance")
    image = next(each for each in driver.list_images() if each.name == "tiny")
    network = next(each for each in driver.ex_list_networks() if each.id == front["network"]["id"])
    node = driver.create_node(
        name="web", size=size, image=image, location=location, networks=[network], ex_start_vm=True
    )
    (listed,) = driver.list_nodes()
    assert (listed.id, listed.state, len(listed.private_ips)) == (node.id, NodeState.RUNNING, 1)
    volume = driver.create_volume(1, "ledger", location=location)
    assert driver.attach_volume(node, volume)
    assert driver.detach_volume(volume)
    assert driver.destroy_volume(volume)
    driver.ex_create_tags([node.id], "UserVm", {"tier": "front"})
    assert driver.reboot_node(listed)
    assert driver.ex_stop(listed) == "Stopped"
    assert driver.ex_start(listed) == "Running"
    assert driver.destroy_node(listed, ex_expunge=True)
    assert driver.list_nodes() == []
    assert driver.ex_delete_network(network)
    _told(cs, account, node.id)


def _told(cs: CloudStack, account: dict[str, Any], machine: str) -> None:
    """What the API's pods learn from the Data service's: every operation, and the time that the guest ran."""
    whose = {"account": account["name"], "domainid": account["domainid"]}

    def happened() -> bool:
        events = cs.listEvents(pagesize=200, page=1, **whose).get("event", ())
        return {each["type"] for each in events} >= HAPPENED

    eventually(happened, "every operation is an event")
    now = datetime.now(UTC)
    days = {"startdate": f"{now - timedelta(days=1):%Y-%m-%d}", "enddate": f"{now + timedelta(days=1):%Y-%m-%d}"}

    def used() -> list[dict[str, Any]]:
        records = cs.listUsageRecords(type=RUNNING_VM, **days, **whose).get("usagerecord", ())
        return [each for each in records if each["usageid"] == machine]

    for record in eventually(used, "the running guest is in the usage"):
        assert float(record["rawusage"]) > 0, record
