"""Ports end to end against a store in memory: addresses, bindings, what is written and what is said."""

from __future__ import annotations

import asyncio

import pytest

from operators.contract import names
from operators.contract.instances import INSTANCE
from operators.contract.meta import Condition, Key
from operators.contract.networking import HOST_NETWORK, NETWORK, PORT, PORT_BINDING, ROUTER
from tests.support.virtual_time import virtual
from tests.unit.networking.world import NS, World, world


def segments(cloud: World) -> dict[str, tuple[str, ...]]:
    return {each.spec.host_name: each.spec.peers for each in cloud.all(HOST_NETWORK)}


@virtual
async def test_a_guest_gets_addresses_and_a_binding_on_its_host() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.guest("web", "h2")
        await cloud.settle()
        port = cloud.must(PORT, "web-nic0")
        binding = cloud.must(PORT_BINDING, names.port_binding("web-nic0", "h2"))
        assert cloud.ready(PORT, "web-nic0") == ("True", "AsSpecified", "")
        assert (port.status.ip, port.status.gateway, port.status.phase) == ("10.1.1.2", "10.1.1.1", "Bound")
        assert port.status.mac.startswith("06:")
        assert (port.status.host_name, port.status.binding) == ("h2", binding.meta.name)
        spec = binding.spec
        assert (spec.ip, spec.mac, spec.host_name) == (port.status.ip, port.status.mac, "h2")
        assert (spec.tap, spec.bridge) == (
            names.tap(port.meta.uid),
            names.bridge(cloud.must(NETWORK, "net").status.segment_id),
        )
        assert segments(cloud) == {"h1": ("172.30.0.12",), "h2": ("172.30.0.11",)}
        (reservation,) = cloud.must(ROUTER, "net-router").spec.reservations
        assert (reservation.port.uid, reservation.hostname) == (port.meta.uid, "web")


@virtual
async def test_on_a_host_in_use_a_guest_costs_three_writes() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.guest("a", "h2")
        await cloud.settle()
        before = cloud.writes()
        await cloud.guest("b", "h2")
        await cloud.settle()
        assert cloud.writes() - before == {
            "apply Router/net-router": 1,
            f"apply PortBinding/{names.port_binding('b-nic0', 'h2')}": 1,
            "apply_status Port/b-nic0": 1,
        }


@virtual
async def test_the_number_of_ports_is_told_in_time_and_not_for_each() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.settle()
        for index in range(10):
            await cloud.guest(f"vm{index}", "h1")
            await cloud.settle(1)
        await cloud.settle(60)
        assert cloud.must(NETWORK, "net").status.ports == 10
        assert cloud.writes()["apply_status Network/net"] <= 4


@virtual
async def test_a_burst_shares_the_writes_of_the_ledger() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.settle()
        before = cloud.writes()["apply Router/net-router"]
        await asyncio.gather(*(cloud.guest(f"vm{index}", f"h{index % 3 + 1}") for index in range(100)))
        await cloud.settle(30)
        ports = cloud.all(PORT)
        assert all(cloud.ready(PORT, port.meta.name)[0] == "True" for port in ports)
        assert len({port.status.ip for port in ports}) == len({port.status.mac for port in ports}) == 100
        assert cloud.writes()["apply Router/net-router"] - before <= 20


@virtual
async def test_a_trouble_that_is_over_is_said_no_longer() -> None:
    """Even when what comes next is not worth a word of its own (seed 2045)."""
    async with world() as cloud:
        await cloud.port("web-nic0", vm="web")
        await cloud.settle()
        assert cloud.ready(PORT, "web-nic0")[1] == "NetworkNotFound"
        await cloud.network()
        await cloud.settle()
        assert cloud.ready(PORT, "web-nic0")[:2] == ("False", "WaitingForHost")


@virtual
async def test_nothing_is_left_of_a_guest() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.guest("web", "h2")
        await cloud.settle()
        cloud.delete(INSTANCE, names.instance("web"))
        await cloud.settle()
        assert cloud.all(PORT_BINDING) == []
        assert cloud.ready(PORT, "web-nic0")[:2] == ("False", "WaitingForHost")
        assert cloud.must(PORT, "web-nic0").status.ip == "10.1.1.2"
        assert segments(cloud) == {"h1": ()}
        cloud.delete(PORT, "web-nic0")
        await cloud.settle()
        assert cloud.get(PORT, "web-nic0") is None
        assert cloud.must(ROUTER, "net-router").spec.reservations == ()


@virtual
async def test_a_port_stays_as_long_as_an_instance_has_it_and_its_address_until_the_agent_let_go() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.guest("web", "h2")
        await cloud.settle()
        cloud.delete(PORT, "web-nic0")
        await cloud.settle()
        assert cloud.ready(PORT, "web-nic0")[1] == "StillInUse"
        cloud.deaf.add("h2")
        cloud.delete(INSTANCE, names.instance("web"))
        await cloud.port("other", ip="10.1.1.2")
        await cloud.settle()
        assert cloud.ready(PORT, "other")[1] == "AddressInUse"
        cloud.deaf.clear()
        cloud._seen.set()
        await cloud.settle()
        assert cloud.get(PORT, "web-nic0") is None
        assert cloud.ready(PORT, "other") == (
            "True",
            "Held",
            "its addresses are reserved; no virtual machine uses them yet",
        )


@virtual
async def test_a_user_may_reserve_an_address() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.port("printer", ip="10.1.1.77", mac="06:00:00:00:00:01")
        await cloud.settle()
        status = cloud.must(PORT, "printer").status
        assert (status.ip, status.mac, status.phase) == ("10.1.1.77", "06:00:00:00:00:01", "Reserved")
        cloud.delete(PORT, "printer")
        await cloud.settle()
        assert cloud.get(PORT, "printer") is None


@virtual
@pytest.mark.parametrize(
    ("spec", "reason", "text"),
    [
        ({"ip": "10.2.0.5"}, "Invalid", "10.2.0.5 is not in 10.1.1.0/24"),
        ({"ip": "10.1.1.1"}, "Invalid", "is the gateway"),
        ({"ip": "10.1.1.255"}, "Invalid", "first or last address"),
        ({"ip": "10.1.1.9"}, "AddressInUse", "10.1.1.9 belongs to Port first"),
        ({"mac": "06:00:00:00:00:09"}, "AddressInUse", "06:00:00:00:00:09 belongs to Port first"),
        ({"network": "nowhere"}, "NetworkNotFound", "there is no Network nowhere"),
    ],
)
async def test_what_a_port_is_refused_for(spec: dict[str, str], reason: str, text: str) -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.port("first", ip="10.1.1.9", mac="06:00:00:00:00:09")
        await cloud.settle()
        await cloud.guest("web", "h1", **spec)
        await cloud.settle()
        status, said, message = cloud.ready(PORT, "web-nic0")
        assert (status, said) == ("False", reason)
        assert text in message


@virtual
async def test_when_addresses_run_out_the_next_one_waits_for_one() -> None:
    async with world() as cloud:
        await cloud.network(dhcpRange={"start": "10.1.1.1", "end": "10.1.1.3"})
        for name in ("a", "b", "c"):
            await cloud.port(name)
            await cloud.settle()
        assert [cloud.must(PORT, name).status.ip for name in ("a", "b")] == ["10.1.1.2", "10.1.1.3"]
        assert cloud.ready(PORT, "c")[1] == "NoAddressLeft"
        cloud.delete(PORT, "a")
        await cloud.settle()
        assert cloud.must(PORT, "c").status.ip == "10.1.1.2"


@virtual
async def test_a_port_tells_why_its_network_is_not_ready() -> None:
    async with world() as cloud:
        await cloud.network("old", "10.1.0.0/16")
        await cloud.settle()
        await cloud.network("net", "10.1.1.0/24")
        await cloud.guest("web", "h1")
        await cloud.settle()
        _, reason, message = cloud.ready(PORT, "web-nic0")
        assert reason == "CIDROverlap"
        assert message.startswith("Network net is not ready: 10.1.1.0/24 overlaps")


@virtual
async def test_a_silent_agent_is_named() -> None:
    async with world() as cloud:
        await cloud.host("h9", "")
        await cloud.network()
        await cloud.guest("web", "h9")
        cloud.deaf.add("h9")
        await cloud.settle()
        _, reason, message = cloud.ready(PORT, "web-nic0")
        assert reason == "AgentSilent"
        assert "h9" in message
        cloud.deaf.clear()
        await cloud.host("h9", "172.30.0.19")
        await cloud.settle()
        assert cloud.ready(PORT, "web-nic0")[0] == "True"


@virtual
async def test_what_the_agent_says_is_what_the_port_says_until_it_heals() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.settle()
        name = names.port_binding("web-nic0", "h1")
        cloud.broken[f"PortBinding/{name}"] = Condition("Programmed", "False", "NetworkError", "nft said no")
        await cloud.guest("web", "h1")
        await cloud.settle()
        assert cloud.ready(PORT, "web-nic0") == ("False", "NetworkError", "host h1: nft said no")
        cloud.broken.clear()
        cloud._seen.set()
        await cloud.settle()
        assert cloud.ready(PORT, "web-nic0")[0] == "True"


@virtual
async def test_an_instance_of_an_earlier_machine_does_not_count() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.instance("web", "h1", "web-nic0")
        owner = {"apiVersion": "v1", "kind": "VirtualMachine", "name": "web", "uid": "another-web"}
        await cloud.user.create(
            PORT,
            PORT.body(Key(NS, "web-nic0"), spec={"network": "net", "virtualMachine": "web"}, ownerReferences=[owner]),
        )
        await cloud.settle()
        assert cloud.all(PORT_BINDING) == []


@virtual
async def test_the_peers_of_every_host_are_kept_true() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.guest("a", "h2")
        await cloud.guest("b", "h3")
        await cloud.settle()
        assert segments(cloud) == {
            "h1": ("172.30.0.12", "172.30.0.13"),
            "h2": ("172.30.0.11", "172.30.0.13"),
            "h3": ("172.30.0.11", "172.30.0.12"),
        }
        cloud.delete(INSTANCE, names.instance("a"))
        await cloud.settle()
        assert segments(cloud) == {"h1": ("172.30.0.13",), "h3": ("172.30.0.11",)}


@virtual
@pytest.mark.parametrize("after", range(1, 14))
async def test_killed_after_any_write_guests_come_and_go_all_the_same(after: int) -> None:
    async with world() as cloud:
        await cloud.kill()
        await cloud.network()
        await cloud.guest("a", "h2")
        await cloud.guest("b", "h3", ip="10.1.1.2")
        await cloud.start(axe=after)
        await cloud.settle(30)
        assert cloud.ready(PORT, "a-nic0")[0] == cloud.ready(PORT, "b-nic0")[0] == "True"
        assert cloud.must(PORT, "b-nic0").status.ip == "10.1.1.2"
        assert cloud.must(PORT, "a-nic0").status.ip == "10.1.1.3"
        assert len(cloud.all(PORT_BINDING)) == 2
        await cloud.kill()
        for vm in ("a", "b"):
            cloud.delete(INSTANCE, names.instance(vm))
            cloud.delete(PORT, f"{vm}-nic0")
        cloud.delete(NETWORK, "net")
        await cloud.start(axe=after)
        await cloud.settle(60)
        assert cloud.leftovers() == []
        assert cloud.all(PORT) == []
        assert cloud.get(NETWORK, "net") is None


@virtual
async def test_two_leaders_never_give_one_address_twice() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.settle()
        # A second operator that believes it leads as well.
        other = World.__new__(World)
        other.server, other.clock, other.user, other._tasks, other._operator = (
            cloud.server,
            cloud.clock,
            cloud.user,
            [],
            None,
        )
        await other.start()
        await asyncio.gather(*(cloud.guest(f"vm{index}", f"h{index % 3 + 1}") for index in range(40)))
        await cloud.settle(120)
        await other.kill()
        ports = cloud.all(PORT)
        assert all(cloud.ready(PORT, port.meta.name)[0] == "True" for port in ports)
        assert len({port.status.ip for port in ports}) == 40
        ledger = {each.port.uid: each.ip for each in cloud.must(ROUTER, "net-router").spec.reservations}
        assert ledger == {port.meta.uid: port.status.ip for port in ports}
