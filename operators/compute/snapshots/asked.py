"""What the rest of Compute asks about the snapshots of a virtual machine."""

from __future__ import annotations

from collections.abc import Iterator

from operators.compute.model import VM
from operators.compute.snapshots.back import taking, under_way
from operators.compute.snapshots.model import SnapshotObj
from operators.contract.vmsnapshots import VIRTUAL_MACHINE_SNAPSHOT
from operators.kernel.cache import Cache

BY_VM = "vm"
"""Index of VirtualMachineSnapshots and Instances: `namespace/name` of the VirtualMachine."""


def brought_back(vm: VM, cache: Cache) -> str:
    """The VirtualMachineSnapshot whose content comes back into its disks; empty without one."""
    return next((each.meta.name for each in _of(vm, cache) if under_way(each)), "")


def being_taken(vm: VM, cache: Cache) -> str:
    """The VirtualMachineSnapshot that its disks are copied for just now; empty without one."""
    return next((each.meta.name for each in _of(vm, cache) if taking(each)), "")


def _of(vm: VM, cache: Cache) -> Iterator[SnapshotObj]:
    for each in cache.by(VIRTUAL_MACHINE_SNAPSHOT, BY_VM, str(vm.key)):
        if each.status.virtual_machine_uid == vm.meta.uid:
            yield each
