"""One Migration: what is asked for, what is seen of it, and what can be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from operators.compute.model import VM, HostNow, Instance
from operators.compute.scheduler import HostView, Need, Policy
from operators.contract.instances import InstanceSpec
from operators.contract.meta import Obj
from operators.contract.migrations import Arrival, Departure, MigrationSpec, MigrationStatus, Outgoing

Migration: TypeAlias = Obj[MigrationSpec, MigrationStatus]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the cache shows."""

    vm: VM | None = None
    source: Instance | None = None
    """Where the guest is until it has moved."""
    target: Instance | None = None
    """That of this very Migration."""
    source_host: HostNow | None = None
    target_host: HostNow | None = None
    snapshot: str = ""
    """A VirtualMachineSnapshot that the guest's disks are copied for just now."""
    ahead: str = ""
    """Another Migration of the same virtual machine that was first."""
    flow_cancelled: bool = False
    """Whether its Flow was cancelled."""
    need: Need | None = None
    """Only where the scheduler is asked."""
    hosts: tuple[HostView, ...] = ()
    unfit: Mapping[str, str] = field(default_factory=dict)
    """Hosts that cannot be moved to now, and why."""
    source_full: bool = False
    """Whether as many guests leave or enter the source as may at a time."""
    disks: Mapping[str, str] = field(default_factory=dict)
    """The Disk of each Volume as the chosen host would name it, `{host}/{volume}`."""
    policy: Policy = Policy.SPREAD
    now: str = ""
    age: float = 0.0
    """Seconds since the Migration was made."""

    def arrival(self, uid: str) -> Arrival | None:
        """What the target's agent says of this Migration."""
        said = self.target.status.arrival if self.target else None
        return said if said is not None and said.migration == uid else None

    def departure(self, uid: str) -> Departure | None:
        """What the source's agent says of this Migration, if it knows what it was last told."""
        source = self.source
        if source is None or source.status.observed_generation < source.meta.generation:
            return None
        said = source.status.departure
        return said if said is not None and said.migration == uid else None

    @property
    def asked(self) -> bool:
        """Whether the target's agent has spoken since it was told that the source has nothing any more."""
        target = self.target
        if target is None or target.spec.incoming is None or not target.spec.incoming.source_lost:
            return False
        return target.status.observed_generation >= target.meta.generation

    def leaving(self, uid: str) -> Outgoing | None:
        """What the source's agent was told of this Migration."""
        out = self.source.spec.outgoing if self.source else None
        return out if out is not None and out.migration.uid == uid else None


@dataclass(frozen=True, slots=True)
class Protect:
    """Put our finalizer on the Migration, so that it is not gone before what it made."""

    migration: Migration


@dataclass(frozen=True, slots=True)
class Unprotect:
    """Take it off."""

    migration: Migration


@dataclass(frozen=True, slots=True)
class Put:
    """Make an Instance, or change it to this spec."""

    vm: VM
    spec: InstanceSpec
    like: Instance
    """The Instance itself, or the source that a new target takes after."""
    new: bool = False

    def __str__(self) -> str:
        spec = self.spec
        return f"{spec.domain} on {spec.host_name}: incoming {spec.incoming}, outgoing {spec.outgoing}"


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the target."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class LetGo:
    """Take our finalizer off a target of which nothing is left on its host."""

    instance: Instance


Action: TypeAlias = Protect | Unprotect | Put | Remove | LetGo
