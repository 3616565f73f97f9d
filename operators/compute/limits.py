"""What tenants may have of processors and memory, and what is taken of it, stopped guests included."""

from __future__ import annotations

from collections.abc import Mapping

from operators.compute.capacity import Ledger
from operators.compute.model import VM
from operators.compute.sizes import size_of
from operators.contract.compute import ComputeOfferingSpec
from operators.contract.identity import Resource
from operators.contract.instances import INSTANCE
from operators.contract.tenancy import Room, excess, limits_on, mib
from operators.kernel.cache import Cache

BY_NAMESPACE = "namespace"
"""Index of Instances."""
LIMITED = (Resource.CPUS, Resource.MEMORY)


def add_index(cache: Cache) -> None:
    """Keep the index that `rooms` looks things up in."""
    cache.index(INSTANCE, BY_NAMESPACE, lambda each: (each.meta.namespace,))


def rooms(vm: VM, cache: Cache, ledger: Ledger) -> tuple[Room, ...]:
    """What all other virtual machines take of each limit that holds for one, claims on their way included."""
    limits = limits_on(cache, vm.meta.namespace, LIMITED)
    return tuple(
        Room(limit, sum(_taken(vm, namespace, cache, ledger)[limit.resource] for namespace in limit.namespaces))
        for limit in limits
    )


def _taken(vm: VM, namespace: str, cache: Cache, ledger: Ledger) -> Mapping[Resource, int]:
    claims = {claim.vm_uid: claim for claim in ledger.claims() if claim.vm.namespace == namespace}
    cpus = sum(claim.cpus for uid, claim in claims.items() if uid != vm.meta.uid)
    memory = sum(mib(claim.memory) for uid, claim in claims.items() if uid != vm.meta.uid)
    counted = {vm.meta.uid, *claims}
    for instance in cache.by(INSTANCE, BY_NAMESPACE, namespace):
        uid = instance.spec.virtual_machine.uid
        if uid not in counted:
            counted.add(uid)  # a guest that moves has two
            cpus += instance.spec.cpus
            memory += mib(int(instance.spec.memory))
    return {Resource.CPUS: cpus, Resource.MEMORY: memory}


def over(vm: VM, offering: ComputeOfferingSpec, found: tuple[Room, ...]) -> str:
    """Which limit the virtual machine would pass, in a sentence; empty when none."""
    size = size_of(vm, offering)
    return excess(found, {Resource.CPUS: size.cpus, Resource.MEMORY: mib(int(size.memory))})
