"""Who holds how much of which host: the Instances in the cache, and those whose creation is still on its way.

What counts is a guest that runs or is to run, and one whose Instance is not gone yet. A stopped guest keeps its disks
but no processor and no memory, as in CloudStack once `capacity.skipcounting.hours` has passed; it is checked again when
it is started.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from operators.compute.model import Instance
from operators.contract.compute import INSTANCE, InstanceSpec, Power
from operators.contract.meta import Key
from operators.kernel.cache import Cache


@dataclass(frozen=True, slots=True)
class Claim:
    """What one virtual machine holds."""

    vm: Key
    vm_uid: str
    host: str
    cpus: int
    memory: int
    volumes: tuple[str, ...]

    @classmethod
    def of(cls, namespace: str, spec: InstanceSpec, *, active: bool) -> Claim:
        """The claim of an Instance; only its disks while it is not active."""
        return cls(
            vm=Key(namespace, spec.virtual_machine.name),
            vm_uid=spec.virtual_machine.uid,
            host=spec.host_name,
            cpus=spec.cpus if active else 0,
            memory=int(spec.memory) if active else 0,
            volumes=tuple(disk.volume for disk in spec.disks),
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """What is held of one host."""

    cpus: int = 0
    memory: int = 0
    neighbours: int = 0
    """Virtual machines of one namespace."""

    def plus(self, claim: Claim, namespace: str, sign: int) -> Taken:
        """The same with one claim more (1) or less (-1)."""
        near = claim.vm.namespace == namespace
        return Taken(
            self.cpus + sign * claim.cpus, self.memory + sign * claim.memory, self.neighbours + sign * int(near)
        )


class Ledger:
    """The claims. Reads and writes never wait, so that a plan made of them and its claim are one step.

    A run reads the ledger, decides, and enters its claim before it first awaits anything; a run of another key that
    comes in while the Instance is being written then sees the claim. Once the write was answered, the Instance is in
    the cache and the entry goes; if the answer was lost, it stays until the key runs again.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._pending: dict[Key, Claim] = {}
        self._totals: dict[str, tuple[int, int, Counter[str]]] = {}
        """Sums over the Instances of each host, without which placing one among ten thousand would count them all."""
        cache.index(INSTANCE, "host", lambda instance: (instance.spec.host_name,))
        cache.index(INSTANCE, "vm-uid", lambda instance: (instance.spec.virtual_machine.uid,))

    def enter(self, claim: Claim) -> None:
        """Claim what is about to be written."""
        self._pending[claim.vm] = claim

    def settle(self, vm: Key) -> None:
        """What was claimed is written, or never will be."""
        self._pending.pop(vm, None)

    def pending(self, vm: Key) -> Claim | None:
        """A claim of which nobody knows whether it was written."""
        return self._pending.get(vm)

    def taken(self, hosts: Iterable[str], namespace: str, *, without: str) -> Mapping[str, Taken]:
        """What is held of each of the hosts by every VirtualMachine but one, by uid."""
        # A pending claim says more than the Instance of the same virtual machine in the cache.
        pending = [claim for claim in self._pending.values() if claim.vm_uid != without]
        sums: dict[str, Taken] = {}
        for host in hosts:
            if host not in self._totals:
                self._totals[host] = self._total(host)
            cpus, memory, spaces = self._totals[host]
            sums[host] = Taken(cpus, memory, spaces[namespace])
        for uid in (without, *(claim.vm_uid for claim in pending)):
            for instance in self._cache.by(INSTANCE, "vm-uid", uid):
                claim = Claim.of(instance.meta.namespace, instance.spec, active=active(instance))
                if claim.host in sums:
                    sums[claim.host] = sums[claim.host].plus(claim, namespace, -1)
        for claim in pending:
            if claim.host in sums:
                sums[claim.host] = sums[claim.host].plus(claim, namespace, 1)
        return sums

    def changed(self, host: str) -> None:
        """An Instance on a host came, went or changed: count that host anew when it is next asked for."""
        self._totals.pop(host, None)

    def _total(self, host: str) -> tuple[int, int, Counter[str]]:
        cpus = memory = 0
        spaces: Counter[str] = Counter()
        for instance in self._cache.by(INSTANCE, "host", host):
            spaces[instance.meta.namespace] += 1
            if active(instance):
                cpus += instance.spec.cpus
                memory += instance.spec.memory
        return cpus, memory, spaces

    def users(self, volume: Key, listing: Iterable[Instance], *, without: str) -> Iterator[str]:
        """The other VirtualMachines that have a Volume; `listing` are the Instances that list it."""
        for instance in listing:
            if instance.spec.virtual_machine.uid != without:
                yield instance.spec.virtual_machine.name
        for claim in self._pending.values():
            if claim.vm_uid != without and claim.vm.namespace == volume.namespace and volume.name in claim.volumes:
                yield claim.vm.name


def active(instance: Instance) -> bool:
    """Whether an Instance holds processors and memory: until it is certain that it does not."""
    return (
        instance.spec.power is Power.RUNNING
        or instance.meta.deleting
        or instance.status.power in (Power.RUNNING, Power.PAUSED)
    )
