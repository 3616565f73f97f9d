"""NICs that come to a guest and go from it, with the real agent over a simulated hypervisor."""

from __future__ import annotations

import pytest

from agents.hypervisor.simulated import Faults
from operators.contract.codec import to_wire
from operators.contract.compute import Nic, VirtualMachineSpec
from operators.contract.meta import Key
from operators.contract.networking import PORT
from tests.support.virtual_time import virtual
from tests.unit.compute.world import NS, World, world

FRONT, BACK = {"network": "front"}, {"network": "back", "name": "back"}


def has(cloud: World) -> list[str]:
    return [nic.port for nic in cloud.instance().status.nics]


@pytest.mark.parametrize(
    ("nics", "names", "default"),
    [
        ((), [], None),
        ((Nic("a"), Nic("b")), ["nic0", "nic1"], "nic0"),
        ((Nic("a"), Nic("b", default=True)), ["nic0", "nic1"], "nic1"),
        ((Nic("b", name="nic1"), Nic("c", name="db")), ["nic1", "db"], "nic1"),
    ],
)
def test_each_nic_has_a_name_and_one_is_the_default(nics: tuple[Nic, ...], names: list[str], default: str) -> None:
    interfaces = VirtualMachineSpec("tiny", nics=nics).interfaces
    assert [nic.name for nic in interfaces] == names
    assert [nic.name for nic in interfaces if nic.default] == ([default] if default else [])


@virtual
async def test_nics_come_to_a_running_guest_and_go_from_it() -> None:
    async with world() as cloud:
        await cloud.apply(nics=[FRONT])
        await cloud.settle(5)
        host, uuid = cloud.sim()
        (first,) = host.nics[uuid]
        await cloud.apply(nics=[FRONT, BACK])
        await cloud.settle(5)
        assert has(cloud) == ["web-nic0", "web-back"]
        assert host.nics[uuid][0] == first and cloud.ready().true
        told = cloud.vm().status.nics
        assert [(nic.name, nic.network, nic.port, nic.default) for nic in told] == [
            ("nic0", "front", "web-nic0", True),
            ("back", "back", "web-back", False),
        ]
        assert [nic.device for nic in told] == [nic.tap for nic in host.nics[uuid]]
        assert all(nic.mac and nic.addresses for nic in told)
        await cloud.apply(nics=[BACK])
        await cloud.settle(5)
        assert has(cloud) == ["web-back"] and cloud.ready().true
        assert [nic.default for nic in cloud.vm().status.nics] == [True]
        assert cloud.server.read(PORT, Key(NS, "web-nic0")) is None
        assert len(host.starts) == 1


@virtual
async def test_a_guest_that_keeps_a_nic_is_told_of_and_its_port_stays() -> None:
    async with world() as cloud:
        await cloud.apply(nics=[FRONT, BACK])
        await cloud.settle(5)
        host, uuid = cloud.sim()
        host.faults = Faults(keeps_disks=1.0)
        await cloud.apply(nics=[FRONT])
        await cloud.settle(60)
        assert (cloud.ready().status, cloud.ready().reason) == ("False", "DetachRefused")
        assert "Port web-back" in cloud.ready().message and cloud.vm().status.phase == "Running"
        assert cloud.server.read(PORT, Key(NS, "web-back")) is not None
        assert [(nic.name, nic.port) for nic in cloud.vm().status.nics] == [("nic0", "web-nic0"), ("", "web-back")]
        host.faults = Faults()
        await cloud.settle(30)
        assert cloud.ready().true and len(host.nics[uuid]) == 1
        assert cloud.server.read(PORT, Key(NS, "web-back")) is None


@virtual
async def test_a_stopped_machine_changes_its_nics_and_starts_with_them() -> None:
    async with world() as cloud:
        await cloud.apply(nics=[FRONT])
        await cloud.settle(5)
        await cloud.apply(nics=[FRONT], runPolicy="Stopped")
        await cloud.settle(5)
        await cloud.apply(nics=[BACK], runPolicy="Stopped")
        await cloud.settle(5)
        assert [nic.port for nic in cloud.instance().spec.nics] == ["web-back"]
        assert cloud.server.read(PORT, Key(NS, "web-nic0")) is None
        await cloud.apply(nics=[BACK])
        await cloud.settle(5)
        assert has(cloud) == ["web-back"] and cloud.ready().true


@virtual
async def test_a_nic_whose_port_comes_late_is_attached_as_soon_as_it_is_there() -> None:
    async with world() as cloud:
        await cloud.apply(nics=[FRONT])
        await cloud.settle(5)
        cloud.orchestrates = False
        await cloud.apply(nics=[FRONT, BACK])
        await cloud.settle(30)
        assert cloud.ready().reason == "Attaching" and "Port web-back" in cloud.ready().message
        cloud.orchestrates = True
        owner = to_wire(cloud.vm().owner)
        spec = {"network": "back", "virtualMachine": "web"}
        await cloud.put(PORT, "web-back", spec, NS, ownerReferences=[owner])
        await cloud.settle(1)
        assert has(cloud) == ["web-nic0", "web-back"]


@virtual
async def test_the_default_nic_changes_under_the_guest() -> None:
    async with world() as cloud:
        await cloud.apply(nics=[FRONT, BACK])
        await cloud.settle(5)
        assert [nic.default_route for nic in cloud.instance().spec.nics] == [True, False]
        await cloud.apply(nics=[FRONT, BACK | {"default": True}])
        await cloud.settle(5)
        assert [nic.default_route for nic in cloud.instance().spec.nics] == [False, True]
        host, _ = cloud.sim()
        assert cloud.ready().true and len(host.starts) == 1


@virtual
async def test_a_nic_whose_port_was_deleted_gets_another_one() -> None:
    async with world() as cloud:
        await cloud.apply(nics=[FRONT, BACK])
        await cloud.settle(5)
        host, uuid = cloud.sim()
        before = host.nics[uuid][1]
        cloud.server.delete("kubectl", PORT, Key(NS, "web-back"))
        await cloud.settle(20)
        assert has(cloud) == ["web-nic0", "web-back"] and cloud.ready().true
        assert host.nics[uuid][1].tap != before.tap


@pytest.mark.parametrize("writes", range(1, 6))
@pytest.mark.parametrize("fatal", [True, False], ids=["killed", "unanswered"])
@virtual
async def test_cut_off_at_every_write_the_guest_has_what_its_spec_says(writes: int, fatal: bool) -> None:
    async with world() as cloud:
        await cloud.apply(nics=[FRONT])
        await cloud.settle(5)
        await cloud.kill("compute")
        cloud.start_compute(writes, fatal=fatal)
        await cloud.apply(nics=[FRONT, BACK])
        await cloud.settle(10)
        await cloud.apply(nics=[BACK, {"network": "front", "name": "third"}])
        await cloud.settle(20)
        assert sorted(has(cloud)) == ["web-back", "web-third"]
        assert cloud.ready().true and len(cloud.sim()[0].starts) == 1
