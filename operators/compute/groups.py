"""Affinity groups, read from the cache: who else is in them, and on which hosts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from operators.compute.capacity import Ledger
from operators.compute.model import VM
from operators.compute.scheduler import GroupNeed
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key
from operators.contract.placement import AFFINITY_GROUP, AffinityPolicy, AffinityType
from operators.kernel.cache import Cache

BY_GROUP = "affinity"
"""Index of VirtualMachines: `namespace/group` of each group that they list."""


def add_index(cache: Cache) -> None:
    """Keep the index that `group_needs` looks members up in."""
    cache.index(
        VIRTUAL_MACHINE, BY_GROUP, lambda vm: (f"{vm.meta.namespace}/{group}" for group in vm.spec.affinity_groups)
    )


def unknown_group(vm: VM, cache: Cache) -> str:
    """The first group that it lists and that there is none of; empty when there are all."""
    found = (
        name for name in vm.spec.affinity_groups if cache.get(AFFINITY_GROUP, Key(vm.meta.namespace, name)) is None
    )
    return next(found, "")


def group_needs(vm: VM, cache: Cache, ledger: Ledger) -> Iterator[GroupNeed]:
    """What each of its groups asks of a host. Like the claims of capacity, this sees placements still on their way."""
    for name in vm.spec.affinity_groups:
        group = cache.get(AFFINITY_GROUP, Key(vm.meta.namespace, name))
        if group is not None:
            members = {
                host: other.meta.name for other in _others(vm, name, cache) for host in _hosts(other, cache, ledger)
            }
            together = group.spec.type is AffinityType.AFFINITY
            yield GroupNeed(name, together, group.spec.policy is AffinityPolicy.STRICT, members)


def _others(vm: VM, group: str, cache: Cache) -> Iterable[VM]:
    members = cache.by(VIRTUAL_MACHINE, BY_GROUP, f"{vm.meta.namespace}/{group}")
    return (each for each in members if each.meta.uid != vm.meta.uid)


def _hosts(vm: VM, cache: Cache, ledger: Ledger) -> Iterator[str]:
    """Where a virtual machine is, or is about to be; a stopped one has its disks there, and comes back."""
    for instance in cache.by(INSTANCE, "vm", str(vm.key)):
        if instance.spec.virtual_machine.uid == vm.meta.uid:
            yield instance.spec.host_name
    claim = ledger.pending(vm.key)
    if claim is not None and claim.vm_uid == vm.meta.uid:
        yield claim.host
