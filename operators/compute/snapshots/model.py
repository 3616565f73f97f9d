"""What a VirtualMachineSnapshot's plan decides from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from operators.compute import turns
from operators.compute.model import VM, Instance, Volume
from operators.compute.turns import Purpose, Turn
from operators.contract.compute import Power
from operators.contract.meta import Condition, Obj
from operators.contract.snapshots import VolumeSnapshotSpec, VolumeSnapshotStatus
from operators.contract.vmsnapshots import SnapshotPart, VirtualMachineSnapshotSpec, VirtualMachineSnapshotStatus
from operators.kernel.outcome import Outcome

SnapshotObj: TypeAlias = Obj[VirtualMachineSnapshotSpec, VirtualMachineSnapshotStatus]
DiskObj: TypeAlias = Obj[VolumeSnapshotSpec, VolumeSnapshotStatus]
"""The snapshot of one disk."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there around one VirtualMachineSnapshot."""

    vm: VM | None = None
    """What has the VirtualMachine's name now."""
    instance: Instance | None = None
    """That VirtualMachine's."""
    moving: bool = False
    """Whether its guest moves to another host."""
    starting: bool = False
    """Whether a start of its guest is on its way to the API server."""
    wanted: tuple[str, ...] = ()
    """Names of the Volumes that the VirtualMachine lists, its root disk first."""
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    """Those, and those of the snapshot, by name, as far as they are there."""
    made: Mapping[str, DiskObj] = field(default_factory=dict)
    """The VolumeSnapshots made for it, by name."""
    others: tuple[SnapshotObj, ...] = ()
    """Of the same VirtualMachine."""
    now: str = ""

    @property
    def turn(self) -> Turn | None:
        """Whose turn it is."""
        return turns.of(self.instance)

    @property
    def stopped(self) -> bool:
        """Whether no guest runs, nor is to."""
        it = self.instance
        if it is None:
            return True
        # Its host has heard that it is to be off: else what it says of it may be older than a start that is on its way.
        heard = it.status.observed_generation >= it.meta.generation
        return heard and it.spec.power is Power.STOPPED and it.status.power in (Power.STOPPED, Power.CRASHED)


@dataclass(frozen=True, slots=True)
class Protect:
    """Put our finalizer on the VirtualMachineSnapshot."""

    snapshot: SnapshotObj

    def __str__(self) -> str:
        return str(self.snapshot.key)


@dataclass(frozen=True, slots=True)
class TakeTurn:
    """Write on the Instance that it is this one's turn, whoever else decides the same at this moment."""

    snapshot: SnapshotObj
    vm: VM
    instance: Instance
    purpose: Purpose
    over: str = ""
    """uid of one that is not known, whose turn it was."""

    def __str__(self) -> str:
        return f"{self.snapshot.key}: {self.purpose}"


@dataclass(frozen=True, slots=True)
class EndTurn:
    """Take that away again."""

    vm: VM
    instance: Instance

    def __str__(self) -> str:
        return str(self.instance.key)


@dataclass(frozen=True, slots=True)
class Take:
    """Have one disk taken."""

    snapshot: SnapshotObj
    part: SnapshotPart

    def __str__(self) -> str:
        return f"{self.snapshot.key}: {self.part.volume} as {self.part.volume_snapshot}"


@dataclass(frozen=True, slots=True)
class BringBack:
    """Have one disk's content brought back."""

    disk: DiskObj
    request: int

    def __str__(self) -> str:
        return f"{self.disk.key}, request {self.request}"


@dataclass(frozen=True, slots=True)
class Drop:
    """Have the snapshot of one disk removed."""

    disk: DiskObj

    def __str__(self) -> str:
        return str(self.disk.key)


@dataclass(frozen=True, slots=True)
class Unprotect:
    """Take our finalizer off: nothing of it is left."""

    snapshot: SnapshotObj

    def __str__(self) -> str:
        return str(self.snapshot.key)


Action: TypeAlias = Protect | TakeTurn | EndTurn | Take | BringBack | Drop | Unprotect


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, and what is to be said once that is done."""

    actions: tuple[Action, ...]
    outcome: Outcome
    status: VirtualMachineSnapshotStatus
    reverted: Condition | None = None
