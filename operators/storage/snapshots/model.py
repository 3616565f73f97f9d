"""What a VolumeSnapshot's plan decides from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from operators.contract.formats import FormatReport
from operators.contract.meta import Obj
from operators.contract.snapshots import (
    DiskSnapshotSpec,
    DiskSnapshotStatus,
    VolumeSnapshotSpec,
    VolumeSnapshotStatus,
)
from operators.storage.volumes.model import DiskObj, Holder, VolumeObj

SnapshotObj: TypeAlias = Obj[VolumeSnapshotSpec, VolumeSnapshotStatus]
DiskSnapshotObj: TypeAlias = Obj[DiskSnapshotSpec, DiskSnapshotStatus]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there around one VolumeSnapshot."""

    volume: VolumeObj | None = None
    """What has the Volume's name now."""
    disk: DiskObj | None = None
    """That Volume's Disk."""
    holders: tuple[Holder, ...] = ()
    """The Instances that list it."""
    reached: frozenset[str] = frozenset()
    """The holders' hosts that reach the Disk's file."""
    mine: DiskSnapshotObj | None = None
    told: tuple[FormatReport, ...] = ()
    """What the Disk's pool can do; see `abilities`."""
    name_taken: bool = False
    """Whether a DiskSnapshot of an earlier VolumeSnapshot of the same name is still there."""
    lost: tuple[str, ...] = ()
    """The DiskSnapshot's host, when it does not answer although its agent has something to do."""
    readers: tuple[str, ...] = ()
    """Disks that are being made from it; looked up only while it is being deleted."""


@dataclass(frozen=True, slots=True)
class Protect:
    """Put our finalizer on the VolumeSnapshot."""

    snapshot: SnapshotObj

    def __str__(self) -> str:
        return str(self.snapshot.key)


@dataclass(frozen=True, slots=True)
class Take:
    """Have the DiskSnapshot taken."""

    snapshot: SnapshotObj
    spec: DiskSnapshotSpec

    def __str__(self) -> str:
        return f"{self.snapshot.key} of {self.spec.source} on pool {self.spec.pool} by host {self.spec.host_name}"


@dataclass(frozen=True, slots=True)
class BringBack:
    """Have its content brought back into the Disk."""

    mine: DiskSnapshotObj
    request: int

    def __str__(self) -> str:
        return f"{self.mine.key}, request {self.request}"


@dataclass(frozen=True, slots=True)
class Drop:
    """Have the DiskSnapshot removed."""

    mine: DiskSnapshotObj

    def __str__(self) -> str:
        return str(self.mine.key)


@dataclass(frozen=True, slots=True)
class Unprotect:
    """Take our finalizer off: nothing of it is left."""

    snapshot: SnapshotObj

    def __str__(self) -> str:
        return str(self.snapshot.key)


Action: TypeAlias = Protect | Take | BringBack | Drop | Unprotect
