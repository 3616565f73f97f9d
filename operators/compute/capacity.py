"""Who holds how much of which host: the Instances in the cache, and those whose creation is still on its way.

What counts is a guest that runs or is to run, and one whose Instance is not gone yet. A stopped guest keeps its disks
but no processor and no memory, as in CloudStack once `capacity.skipcounting.hours` has passed; it is checked again when
it is started.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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


class Ledger:
    """The claims. Reads and writes never wait, so that a plan made of them and its claim are one step.

    A run reads the ledger, decides, and enters its claim before it first awaits anything; a run of another key that
    comes in while the Instance is being written then sees the claim. Once the write was answered, the Instance is in
    the cache and the entry goes; if the answer was lost, it stays until the key runs again.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._pending: dict[Key, Claim] = {}

    def enter(self, claim: Claim) -> None:
        """Claim what is about to be written."""
        self._pending[claim.vm] = claim

    def settle(self, vm: Key) -> None:
        """What was claimed is written, or never will be."""
        self._pending.pop(vm, None)

    def pending(self, vm: Key) -> Claim | None:
        """A claim of which nobody knows whether it was written."""
        return self._pending.get(vm)

    def claims(self, *, without: str) -> Iterator[Claim]:
        """Every claim but that of one VirtualMachine, by uid."""
        for claim in self._pending.values():
            if claim.vm_uid != without:
                yield claim
        for instance in self._cache.all(INSTANCE):
            uid = instance.spec.virtual_machine.uid
            if uid != without and not self._overtaken(instance):
                yield Claim.of(instance.meta.namespace, instance.spec, active=active(instance))

    def users(self, volume: Key, listing: Iterable[Instance], *, without: str) -> Iterator[str]:
        """The other VirtualMachines that have a Volume; `listing` are the Instances that list it."""
        for instance in listing:
            if instance.spec.virtual_machine.uid != without:
                yield instance.spec.virtual_machine.name
        for claim in self._pending.values():
            if claim.vm_uid != without and claim.vm.namespace == volume.namespace and volume.name in claim.volumes:
                yield claim.vm.name

    def _overtaken(self, instance: Instance) -> bool:
        """Whether a pending claim says more of the same virtual machine."""
        pending = self._pending.get(Key(instance.meta.namespace, instance.spec.virtual_machine.name))
        return pending is not None and pending.vm_uid == instance.spec.virtual_machine.uid


def active(instance: Instance) -> bool:
    """Whether an Instance holds processors and memory: until it is certain that it does not."""
    return (
        instance.spec.power is Power.RUNNING
        or instance.meta.deleting
        or instance.status.power in (Power.RUNNING, Power.PAUSED)
    )
