"""Who holds how much of which host: the Instances in the cache, and those whose creation is still on its way.

What counts is a guest that runs or is to run, and one whose Instance is not gone yet. A stopped guest keeps its disks
but no processor and no memory, as in CloudStack once `capacity.skipcounting.hours` has passed; it is checked again when
it is started.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from operators.compute.model import Instance, Volume
from operators.compute.scheduler import DiskNeed
from operators.contract.compute import Power
from operators.contract.instances import INSTANCE, InstanceSpec
from operators.contract.meta import Key
from operators.contract.storage import VOLUME
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
    disks: tuple[DiskNeed, ...] = ()
    """Those of its disks that are not on a pool yet."""

    @classmethod
    def of(cls, namespace: str, spec: InstanceSpec, *, active: bool, disks: tuple[DiskNeed, ...] = ()) -> Claim:
        """The claim of an Instance; only its disks while it is not active."""
        return cls(
            vm=Key(namespace, spec.virtual_machine.name),
            vm_uid=spec.virtual_machine.uid,
            host=spec.host_name,
            cpus=spec.cpus if active else 0,
            memory=spec.most_memory if active else 0,
            volumes=tuple(disk.volume for disk in spec.disks),
            disks=disks,
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """What is held of one host."""

    cpus: int = 0
    memory: int = 0
    neighbours: int = 0
    """Virtual machines of one namespace."""
    disks: tuple[DiskNeed, ...] = ()
    """Disks of its guests that no pool has been chosen for yet."""

    def plus(self, claim: Claim, namespace: str) -> Taken:
        """The same with one claim more."""
        near = claim.vm.namespace == namespace
        return Taken(
            self.cpus + claim.cpus,
            self.memory + claim.memory,
            self.neighbours + int(near),
            (*self.disks, *claim.disks),
        )

    def minus(self, claim: Claim, namespace: str) -> Taken:
        """The same without one claim."""
        near = claim.vm.namespace == namespace
        gone = {(disk.namespace, disk.volume) for disk in claim.disks}
        return Taken(
            self.cpus - claim.cpus,
            self.memory - claim.memory,
            self.neighbours - int(near),
            tuple(disk for disk in self.disks if (disk.namespace, disk.volume) not in gone),
        )


@dataclass(frozen=True, slots=True)
class _Total:
    """Sums over the Instances of one host."""

    cpus: int
    memory: int
    spaces: Counter[str]
    volumes: int
    disks: tuple[DiskNeed, ...]

    def less_than(self, other: _Total) -> bool:
        """Whether some guest may fit now that did not then."""
        return (
            self.cpus < other.cpus
            or self.memory < other.memory
            or self.volumes < other.volumes
            or len(self.disks) < len(other.disks)
            or self.spaces.total() < other.spaces.total()
        )


class Ledger:
    """The claims. Reads and writes never wait, so that a plan made of them and its claim are one step.

    A run reads the ledger, decides, and enters its claim before it first awaits anything; a run of another key that
    comes in while the Instance is being written then sees the claim. Once the write was answered, the Instance is in
    the cache and the entry goes; if the answer was lost, it stays until the key runs again.
    """

    def __init__(self, cache: Cache, disk_need: Callable[[Volume], DiskNeed]) -> None:
        self._cache = cache
        self._disk_need = disk_need
        self._pending: dict[Key, Claim] = {}
        self._totals: dict[str, _Total] = {}
        """Sums over the Instances of each host, without which placing one among ten thousand would count them all."""
        self._expected: dict[Key, tuple[DiskNeed, ...]] = {}
        """Disks of Instances that are written, whose Volumes Orchestration has still to make."""
        self._outdated: set[str] = set()
        """Hosts to be counted anew when they are next asked for."""
        self._promised: dict[str, int] = {}
        """Bytes given out of each pool, in the same way."""
        cache.index(INSTANCE, "host", lambda instance: (instance.spec.host_name,))
        cache.index(INSTANCE, "vm-uid", lambda instance: (instance.spec.virtual_machine.uid,))
        cache.index(VOLUME, "pool", lambda volume: (volume.status.pool,) if volume.status.pool else ())

    def enter(self, claim: Claim) -> None:
        """Claim what is about to be written."""
        self._pending[claim.vm] = claim
        self._expected[claim.vm] = claim.disks

    def settle(self, vm: Key) -> None:
        """What was claimed is written, or never will be."""
        self._pending.pop(vm, None)

    def forget(self, vm: Key) -> None:
        """A virtual machine is gone."""
        self.settle(vm)
        self._expected.pop(vm, None)

    def claims(self) -> Collection[Claim]:
        """All claims whose Instances are still being written."""
        return self._pending.values()

    def pending(self, vm: Key) -> Claim | None:
        """A claim of which nobody knows whether it was written."""
        return self._pending.get(vm)

    def taken(self, hosts: Iterable[str], namespace: str, *, without: str) -> Mapping[str, Taken]:
        """What is held of each of the hosts by every VirtualMachine but one, by uid."""
        # A pending claim says more than the Instance of the same virtual machine in the cache.
        pending = [claim for claim in self._pending.values() if claim.vm_uid != without]
        sums: dict[str, Taken] = {}
        for host in hosts:
            total = self._count(host) if host in self._outdated or host not in self._totals else self._totals[host]
            sums[host] = Taken(total.cpus, total.memory, total.spaces[namespace], total.disks)
        for uid in (without, *(claim.vm_uid for claim in pending)):
            for instance in self._cache.by(INSTANCE, "vm-uid", uid):
                claim = self._claim(instance)
                if claim.host in sums:
                    sums[claim.host] = sums[claim.host].minus(claim, namespace)
        for claim in pending:
            if claim.host in sums:
                sums[claim.host] = sums[claim.host].plus(claim, namespace)
        return sums

    def promised(self, pool: str) -> int:
        """Bytes of a pool that are given out to Volumes, written or not."""
        if pool not in self._promised:
            sizes = (volume.status.size or volume.spec.size for volume in self._cache.by(VOLUME, "pool", pool))
            self._promised[pool] = sum(int(size or 0) for size in sizes)
        return self._promised[pool]

    def changed(self, host: str) -> bool:
        """An Instance on a host came, went or changed: count that host anew; whether it has more room than before."""
        before = self._totals.get(host)
        return before is None or self._count(host).less_than(before)

    def volume_changed(self, volume: Volume) -> bool:
        """A Volume came, went, grew or was placed; whether its pool has more room than before."""
        for instance in self._cache.by(INSTANCE, "volume", str(volume.key)):
            self._outdated.add(instance.spec.host_name)
        before = self._promised.pop(volume.status.pool, None)
        return before is not None and self.promised(volume.status.pool) < before

    def _count(self, host: str) -> _Total:
        cpus = memory = volumes = 0
        spaces: Counter[str] = Counter()
        disks: list[DiskNeed] = []
        for instance in self._cache.by(INSTANCE, "host", host):
            spaces[instance.meta.namespace] += 1
            volumes += len(held(instance))
            disks.extend(self._unplaced(instance))
            if active(instance):
                cpus += instance.spec.cpus
                memory += instance.spec.most_memory
        self._outdated.discard(host)
        total = self._totals[host] = _Total(cpus, memory, spaces, volumes, tuple(disks))
        return total

    def _claim(self, instance: Instance) -> Claim:
        disks = tuple(self._unplaced(instance))
        return Claim.of(instance.meta.namespace, instance.spec, active=active(instance), disks=disks)

    def _unplaced(self, instance: Instance) -> Iterator[DiskNeed]:
        """The disks of an Instance that no pool was chosen for yet."""
        vm = Key(instance.meta.namespace, instance.spec.virtual_machine.name)
        for disk in instance.spec.disks:
            volume = self._cache.get(VOLUME, Key(vm.namespace, disk.volume))
            if volume is None:
                yield from (need for need in self._expected.get(vm, ()) if need.volume == disk.volume)
            elif not volume.status.pool:
                yield self._disk_need(volume)

    def users(self, volume: Key, listing: Iterable[Instance], *, without: str) -> Iterator[str]:
        """The other VirtualMachines that have a Volume; `listing` are the Instances that list it."""
        for instance in listing:
            if instance.spec.virtual_machine.uid != without:
                yield instance.spec.virtual_machine.name
        for claim in self._pending.values():
            if claim.vm_uid != without and claim.vm.namespace == volume.namespace and volume.name in claim.volumes:
                yield claim.vm.name


def held(instance: Instance) -> frozenset[str]:
    """The Volumes that an Instance lists, or whose disks its guest has yet to let go of."""
    return frozenset(disk.volume for part in (instance.spec, instance.status) for disk in part.disks)


def active(instance: Instance) -> bool:
    """Whether an Instance holds processors and memory: until it is certain that it does not."""
    return (
        instance.spec.power is Power.RUNNING
        or instance.meta.deleting
        or instance.status.power in (Power.RUNNING, Power.PAUSED)
    )
