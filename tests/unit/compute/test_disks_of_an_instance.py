"""Which Disk an Instance names, by where it is and by what Storage says of the Volume."""

from __future__ import annotations

from dataclasses import replace

import pytest

from operators.compute.model import Put, Seen, VolumeView, Wanted
from operators.compute.plan import plan
from operators.compute.resolve import live_disks
from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.compute import VIRTUAL_MACHINE, ComputeOfferingSpec, Power, RunPolicy, VirtualMachineSpec
from operators.contract.instances import INSTANCE, InstanceDisk, InstanceSpec, InstanceStatus
from operators.contract.meta import Key, ObjectRef
from operators.contract.migrations import Incoming
from operators.contract.quantity import Quantity

ROOT = VolumeView("root", root=True, disk="root-d0", bound=True, pool="shared", disk_host="a")
DATA = replace(ROOT, name="data", root=False, disk="data-d0")
HAS = InstanceDisk("root-d0", "root", "root")


def instance(*disks: InstanceDisk, host: str = "a") -> InstanceSpec:
    return InstanceSpec(host, ObjectRef("web", "u"), "web", 1, Quantity(1 << 27), disks=disks or (HAS,))


@pytest.mark.parametrize(
    ("volume", "host", "disk", "move_to"),
    [
        (DATA, "a", "data-d0", ""),
        (replace(DATA, disk_host=""), "a", "data-d0", ""),
        (DATA, "b", names.disk_on("data", "b"), ""),
        (replace(DATA, move_to="data-to-x"), "a", "data-d0", "data-to-x"),
        (replace(DATA, move_to="data-to-x"), "b", names.disk_on("data", "b"), ""),
        (replace(DATA, disk="data-to-x"), "a", "data-to-x", ""),
    ],
)
def test_the_disk_of_a_volume_on_a_host(volume: VolumeView, host: str, disk: str, move_to: str) -> None:
    *_, found = live_disks(Seen(volumes=(ROOT, volume)), instance(host=host))
    assert (found.disk, found.volume, found.move_to) == (disk, "data", move_to)


def test_what_the_guest_has_keeps_its_order_and_what_comes_is_last() -> None:
    has = (HAS, InstanceDisk("data-d0", "data", "data"))
    more = replace(ROOT, name="more", root=False, disk="more-d0")
    found = live_disks(Seen(volumes=(ROOT, more, DATA)), instance(*has))
    assert [disk.volume for disk in found] == ["root", "data", "more"]
    assert [disk.volume for disk in live_disks(Seen(volumes=(ROOT,)), instance(*has))] == ["root"]


@pytest.mark.parametrize(
    "lacks", [{"exists": False}, {"deleting": True}, {"used_by": "rival"}, {"host": "b"}, {"offering": "gold"}]
)
def test_what_cannot_be_had_does_not_come_and_is_not_taken_away(lacks: dict[str, object]) -> None:
    gone = replace(DATA, **lacks)  # type: ignore[arg-type]
    has = InstanceDisk("data-d0", "data", "data")
    assert live_disks(Seen(volumes=(ROOT, gone)), instance()) == (HAS,)
    assert live_disks(Seen(volumes=(ROOT, gone)), instance(HAS, has)) == (HAS, has)


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("said", [True, False])
def test_nothing_is_taken_from_a_guest_that_came_until_its_host_has_said_what_it_has(running: bool, said: bool) -> None:
    """Seed 106 of the simulation: Storage would take the Volume for free, and delete its Disk."""
    power = Power.RUNNING if running else Power.STOPPED
    came = Incoming(ObjectRef("move", "m"), "b", committed=True)
    spec = replace(instance(HAS, InstanceDisk("data-d0", "data", "data")), incoming=came, power=power, start_request=1)
    status = InstanceStatus(power=power if said else "", start_observed=1)
    there = replace(INSTANCE.parse(INSTANCE.body(Key("team", "web-a"), spec=to_wire(spec))), status=status)
    machine = VirtualMachineSpec(offering="tiny", image="tiny", run_policy=RunPolicy(power.value))
    vm = VIRTUAL_MACHINE.parse(VIRTUAL_MACHINE.body(Key("team", "web"), spec=to_wire(machine)))
    seen = Seen(offering=ComputeOfferingSpec(1, Quantity(1 << 27)), volumes=(ROOT,), instances=(there,))
    actions, _ = plan(Wanted(vm.key, vm), seen)
    puts = [action.spec.disks for action in actions if isinstance(action, Put)]
    assert puts == ([(HAS,)] if said else [])
