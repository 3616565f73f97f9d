"""Guests outlive everything around them but their own host."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.support import leftovers
from tests.support.cluster import Body, Cloud, network, vm, volume
from tests.support.faults import AGENTS, OPERATORS, Breaker
from tests.support.guest import Pinging, address, boot_id, guest

pytestmark = pytest.mark.alone


@pytest.fixture
def pair(cloud: Cloud, breaker: Breaker) -> Iterator[Cloud]:
    """Two running guests on two hosts."""
    one, other, *_ = leftovers.hosts(cloud)
    cloud.apply(
        network(),
        volume(),
        vm("web", volumes=["ledger"], placement={"host": one}),
        vm("db", placement={"host": other}),
    )
    cloud.ready("vm/web", "vm/db")
    return cloud


def boots(cloud: Cloud) -> dict[str, str]:
    """What stays the same while the guests run."""
    return {name: boot_id(cloud, name) for name in ("web", "db")}


def test_components_killed(pair: Cloud, breaker: Breaker) -> None:
    """Every operator and every agent of a guest's host, one after the other."""
    host, before = guest(pair, "web").host, boots(pair)
    with Pinging(pair, "web", address(pair, "db")) as pinging:
        for name in OPERATORS:
            assert breaker.kill_component(name) > 0
        for name in AGENTS:
            assert breaker.kill_component(name, host) > 0
        breaker.settle()
    assert boots(pair) == before
    assert pinging.lost <= 5
    pair.ready("vm/web", "vm/db")


def test_libvirtd_killed(pair: Cloud, breaker: Breaker) -> None:
    """libvirtd finds its guests again, and the agent finds libvirtd."""
    host, before = guest(pair, "web").host, boots(pair)
    with Pinging(pair, "web", address(pair, "db")) as pinging:
        breaker.kill_libvirtd(host)
    assert boots(pair) == before
    assert pinging.lost <= 2
    pair.patch("VirtualMachine", "web", {"spec": {"runPolicy": "Stopped"}})
    instance = pair.need("VirtualMachine", "web")["status"]["instance"]
    pair.wait("Instance", instance, "Stopped", lambda body: power(body) == "Stopped")


def power(instance: Body | None) -> str:
    """What the hypervisor last said."""
    return str((instance or {}).get("status", {}).get("power", ""))


def test_qemu_killed(pair: Cloud, breaker: Breaker) -> None:
    """A guest whose QEMU died is started again, once, with its data; the other one is not touched."""
    before = boots(pair)
    machine = pair.need("VirtualMachine", "web")
    uid, host = machine["metadata"]["uid"], machine["status"]["hostName"]
    assert breaker.kill_guest(uid, host) == 1
    pair.wait("VirtualMachine", "web", "started again", lambda body: bool(body) and body["status"].get("restarts") == 1)
    pair.ready("vm/web")
    now = boots(pair)
    assert now["web"] != before["web"]
    assert now["db"] == before["db"]
    assert leftovers.domains_of(pair, uid) == [host]
    guest(pair, "web").sh(f"ping -c 2 -W 2 {address(pair, 'db')}")


@pytest.mark.slow
def test_api_server_away_for_a_minute(pair: Cloud, breaker: Breaker) -> None:
    """Guests and their network go on; afterwards the cloud does too, and nobody was started anew."""
    before = boots(pair)
    with Pinging(pair, "web", address(pair, "db")) as pinging:
        with breaker.no_api_server():
            threading.Event().wait(60)
        breaker.settle()
    assert boots(pair) == before
    assert pinging.lost <= 5
    pair.apply(vm("third"))
    pair.ready("vm/third")


@pytest.mark.slow
def test_node_without_power(pair: Cloud, breaker: Breaker) -> None:
    """Its machines say so and stay its own; the others go on; when it is back, they run again with their data."""
    host = guest(pair, "web").host
    before = boots(pair)
    uid = pair.need("VirtualMachine", "web")["metadata"]["uid"]
    with breaker.no_power(host):
        # Components of that node come back on others once Kubernetes has given it up: some 60 s.
        pair.condition("VirtualMachine", "web", "Ready", "False", "HostDown")
        assert boot_id(pair, "db") == before["db"]
        assert pair.need("VirtualMachine", "web")["status"]["hostName"] == host
    breaker.settle()
    pair.ready("vm/web")
    now = boots(pair)
    assert now["web"] != before["web"]
    assert now["db"] == before["db"]
    assert leftovers.domains_of(pair, uid) == [host]
    guest(pair, "web").sh(f"ping -c 2 -W 2 {address(pair, 'db')}")
