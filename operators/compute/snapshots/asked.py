"""What the rest of Compute asks about the snapshots of a virtual machine."""

from __future__ import annotations

from collections.abc import Iterator

from operators.compute import turns
from operators.compute.model import VM, Instance, Reverting
from operators.compute.snapshots.back import taking, under_way
from operators.compute.snapshots.model import SnapshotObj
from operators.contract import names
from operators.contract.vmsnapshots import VIRTUAL_MACHINE_SNAPSHOT
from operators.kernel.cache import Cache

BY_VM = "vm"
"""Index of VirtualMachineSnapshots and Instances: `namespace/name` of the VirtualMachine."""


def brought_back(vm: VM, instance: Instance | None, cache: Cache) -> Reverting | None:
    """The VirtualMachineSnapshot whose content comes back into its disks, or whose turn it is to do so."""
    turn = turns.of(instance)
    mine = turn.uid if turn is not None and turn.purpose is turns.Purpose.REVERT else ""
    for each in _of(vm, cache):
        if under_way(each) or each.meta.uid == mine:
            return _reverting(each)
    return Reverting(mine) if mine else None


def _reverting(snapshot: SnapshotObj) -> Reverting:
    status, memory = snapshot.status, snapshot.spec.memory and under_way(snapshot)
    beside = names.disk_snapshot(status.parts[0].volume_snapshot) if status.parts else ""
    return Reverting(snapshot.meta.name, memory, status.resume_start if memory else 0, beside, status.guest)


def being_taken(vm: VM, instance: Instance | None, cache: Cache) -> str:
    """The VirtualMachineSnapshot that is at work on its disks just now; empty without one."""
    turn = turns.of(instance)
    mine = turn.uid if turn is not None else ""
    found = (each.meta.name for each in _of(vm, cache) if taking(each) or each.meta.uid == mine)
    return next(found, mine)


def _of(vm: VM, cache: Cache) -> Iterator[SnapshotObj]:
    for each in cache.by(VIRTUAL_MACHINE_SNAPSHOT, BY_VM, str(vm.key)):
        if each.status.virtual_machine_uid in ("", vm.meta.uid):
            yield each
