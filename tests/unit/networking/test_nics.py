"""Ports of NICs that come and go: an address has one owner, and only the default NIC is told of a router."""

from __future__ import annotations

from typing import Any

from operators.contract import names
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key
from operators.contract.networking import PORT, PORT_BINDING, ROUTER
from tests.support.virtual_time import virtual
from tests.unit.networking.world import FINALIZER, NS, World, world

OWNER = {"apiVersion": "compute.cloudstack.dev/v1alpha1", "kind": "VirtualMachine", "name": "web", "uid": "uid-web"}


async def nic(cloud: World, name: str, **spec: Any) -> None:
    spec = {"network": "net", "virtualMachine": "web"} | spec
    body = PORT.body(Key(NS, f"web-{name}"), spec=spec, finalizers=[FINALIZER], ownerReferences=[OWNER])
    await cloud.user.create(PORT, body)


async def instance(cloud: World, *listed: str, default: str = "nic0") -> None:
    nics = [
        {
            "port": f"web-{each}",
            "portBinding": names.port_binding(f"web-{each}", "h1"),
            "rate": 0,
            "defaultRoute": each == default,
        }
        for each in listed
    ]
    machine = {"name": "web", "uid": "uid-web"}
    spec = {"hostName": "h1", "virtualMachine": machine, "domain": "web", "cpus": 1, "memory": "128Mi", "nics": nics}
    await cloud.user.apply(INSTANCE, INSTANCE.body(Key(NS, names.instance("web")), spec=spec))


async def says(cloud: World, *has: str, heard: bool = True) -> None:
    """What its agent says that the guest has, and whether it has seen what is asked for."""
    generation = cloud.must(INSTANCE, names.instance("web")).meta.generation
    nics = [{"port": f"web-{each}", "mac": "06:00:00:00:00:01", "device": "t"} for each in has]
    status = {"observedGeneration": generation - (not heard), "power": "Running", "nics": nics}
    store = cloud.user.as_manager("agent-hypervisor")
    await store.apply_status(INSTANCE, Key(NS, names.instance("web")), status, resource_version="")


def bound(cloud: World) -> list[str]:
    return sorted(each.spec.port.name for each in cloud.all(PORT_BINDING))


def ledger(cloud: World) -> dict[str, bool]:
    return {each.port.name: each.default_route for each in cloud.must(ROUTER, "net-router").spec.reservations}


async def two(cloud: World) -> None:
    await cloud.network()
    await nic(cloud, "nic0")
    await nic(cloud, "db", ip="10.1.1.77")
    await instance(cloud, "nic0", "db")
    await says(cloud, "nic0", "db")
    await cloud.settle()


@virtual
async def test_only_the_default_nic_is_told_of_the_router_and_that_changes_in_the_ledger_alone() -> None:
    async with world() as cloud:
        await two(cloud)
        assert ledger(cloud) == {"web-nic0": True, "web-db": False}
        before = cloud.writes()
        await instance(cloud, "nic0", "db", default="db")
        await cloud.settle()
        assert ledger(cloud) == {"web-nic0": False, "web-db": True}
        assert set(cloud.writes() - before) == {"apply Router/net-router"}


@virtual
async def test_an_address_is_free_only_when_the_guest_has_let_go_of_it() -> None:
    async with world() as cloud:
        await two(cloud)
        await instance(cloud, "nic0")
        await cloud.settle()
        assert bound(cloud) == ["web-db", "web-nic0"], "the agent has not seen that it goes"
        await says(cloud, "nic0", "db")
        await cloud.settle()
        assert bound(cloud) == ["web-db", "web-nic0"], "the guest has it"
        cloud.delete(PORT, "web-db")
        await cloud.port("rival", ip="10.1.1.77")
        await cloud.settle()
        assert cloud.ready(PORT, "web-db")[1] == "StillInUse"
        assert cloud.ready(PORT, "rival")[1] == "AddressInUse"
        await says(cloud, "nic0")
        await cloud.settle()
        assert bound(cloud) == ["web-nic0"] and cloud.get(PORT, "web-db") is None
        assert cloud.must(PORT, "rival").status.ip == "10.1.1.77"


@virtual
async def test_what_was_plugged_in_without_a_word_counts_until_the_agent_has_heard() -> None:
    """The agent may have plugged it in and not yet said so when it is taken out of the Instance."""
    async with world() as cloud:
        await two(cloud)
        await says(cloud, "nic0", heard=False)
        await instance(cloud, "nic0")
        await cloud.settle()
        assert bound(cloud) == ["web-db", "web-nic0"]
        await says(cloud, "nic0")
        await cloud.settle()
        assert bound(cloud) == ["web-nic0"]
        assert ledger(cloud).keys() == {"web-nic0", "web-db"}, "its addresses stay with the Port"


@virtual
async def test_a_port_that_goes_before_anybody_had_it_makes_room_for_the_next_of_its_name() -> None:
    async with world() as cloud:
        await cloud.network()
        cloud.deaf = {"h1", "h2", "h3"}
        await nic(cloud, "nic0")
        cloud.delete(PORT, "web-nic0")
        await instance(cloud, "nic0")
        await cloud.settle()
        assert cloud.get(PORT, "web-nic0") is None
