"""What the guests of this host hold of it: the last word on whether one more may start.

Compute claims capacity before it places a guest. Yet two of its replicas may overlap for a moment, and a write may
arrive late; only one process starts guests on this host, so here each start is counted against all before it. The
kubelet admits pods in the same way, whatever schedulers there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agents.hypervisor.model import Instance
from operators.contract.fabric import HypervisorReport, Overcommit
from operators.contract.quantity import Quantity, factor

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What the host gives out, overcommitment included."""

    cpus: int
    memory: int
    """Bytes."""

    @classmethod
    def of(cls, has: HypervisorReport, overcommit: Overcommit) -> Limits:
        """The same figures as Compute's, from what this agent itself reported."""
        return cls(int(has.cpus * factor(overcommit.cpu)), int(has.memory * factor(overcommit.memory)))


class Room:
    """The guests that run or are being started, by uid of their VirtualMachine. Never waits."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[int, int]] = {}
        self.seeded = False
        """Whether the guests that an earlier agent started are counted."""

    def seed(self, running: Iterable[Instance]) -> None:
        """Count what runs already, before anything more is started."""
        for instance in running:
            self.hold(instance)
        self.seeded = True

    def hold(self, instance: Instance) -> None:
        """A guest runs, or is about to be started."""
        self._held[instance.spec.virtual_machine.uid] = instance.spec.cpus, instance.spec.most_memory

    def leave(self, uuid: str) -> bool:
        """A guest is off; whether that made room."""
        return self._held.pop(uuid, None) is not None

    def refusal(self, instance: Instance, limits: Limits | None) -> str:
        """Why one more guest cannot start; empty when it can, or when nobody knows yet what the host has."""
        if limits is None:
            return ""
        spec, uuid = instance.spec, instance.spec.virtual_machine.uid
        others = [held for each, held in self._held.items() if each != uuid]
        cpus = limits.cpus - sum(held[0] for held in others)
        memory = limits.memory - sum(held[1] for held in others)
        if spec.cpus > cpus:
            return f"{spec.cpus} CPUs needed, {max(0, cpus)} of {limits.cpus} free"
        if spec.memory > memory:
            return f"{spec.memory} of memory needed, {_rough(memory)} of {_rough(limits.memory)} free"
        return ""


def _rough(size: int) -> str:
    return str(Quantity(max(0, size) // MIB * MIB))
