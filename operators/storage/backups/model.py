"""What a VolumeBackup's plan decides from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from operators.contract.backups import DiskBackupSpec, DiskBackupStatus, VolumeBackupSpec, VolumeBackupStatus
from operators.contract.formats import FormatReport
from operators.contract.meta import Obj
from operators.storage.snapshots.model import SnapshotObj

BackupObj: TypeAlias = Obj[VolumeBackupSpec, VolumeBackupStatus]
DiskBackupObj: TypeAlias = Obj[DiskBackupSpec, DiskBackupStatus]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there around one VolumeBackup."""

    snapshot: SnapshotObj | None = None
    store: bool = True
    """Whether there is an ImageStore of that name."""
    mine: DiskBackupObj | None = None
    told: tuple[FormatReport, ...] = ()
    """What the snapshot's pool can do; see `abilities`."""
    name_taken: bool = False
    busy: str = ""
    """Another DiskBackup of the same Volume that is under way, or is being removed."""
    readers: tuple[str, ...] = ()
    """Disks that are being made from it; looked up only while it is being deleted."""


@dataclass(frozen=True, slots=True)
class Protect:
    """Put our finalizer on the VolumeBackup."""

    backup: BackupObj

    def __str__(self) -> str:
        return str(self.backup.key)


@dataclass(frozen=True, slots=True)
class Make:
    """Have it copied."""

    backup: BackupObj
    spec: DiskBackupSpec

    def __str__(self) -> str:
        return f"{self.backup.key} of {self.spec.source} by host {self.spec.host_name}"


@dataclass(frozen=True, slots=True)
class Drop:
    """Have it removed from the store."""

    mine: DiskBackupObj

    def __str__(self) -> str:
        return str(self.mine.key)


@dataclass(frozen=True, slots=True)
class Unprotect:
    """Take our finalizer off: nothing of it is left."""

    backup: BackupObj

    def __str__(self) -> str:
        return str(self.backup.key)


Action: TypeAlias = Protect | Make | Drop | Unprotect
