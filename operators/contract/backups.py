"""Backups of volumes in an image store, as users state them and as agents make them."""

from __future__ import annotations

from dataclasses import dataclass

from operators.contract import names
from operators.contract.meta import Condition, Kind, ObjectRef
from operators.contract.quantity import Quantity


@dataclass(frozen=True, slots=True)
class VolumeBackupSpec:
    """A VolumeSnapshot copied to an ImageStore: only what no earlier backup of the Volume has brought there."""

    snapshot: str
    """In the same namespace. Once the backup is there, the snapshot may go."""
    image_store: str


@dataclass(frozen=True, slots=True)
class VolumeBackupStatus:
    """Written by Storage."""

    observed_generation: int = 0
    phase: str = ""
    volume: str = ""
    volume_uid: str = ""
    size: Quantity | None = None
    """What a Volume made from it must have at least."""
    stored: Quantity | None = None
    """What it holds, shared with other backups of the Volume or not."""
    transferred: Quantity | None = None
    """What was new, and so was copied."""
    progress: int = 0
    finished_at: str = ""
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class DiskBackupSpec:
    """A DiskSnapshot to be copied to an ImageStore by the storage agent of `host_name`. Written by Storage."""

    host_name: str
    pool: str
    source: str
    """The snapshot's path beneath the pool's folder: `snapshots/<uid>.qcow2`."""
    image_store: str
    backup: ObjectRef
    volume_uid: str
    """Backups of one Volume share what they have in common."""


@dataclass(frozen=True, slots=True)
class DiskBackupStatus:
    """Written by the storage agent of `spec.hostName`."""

    observed_generation: int = 0
    virtual_size: Quantity | None = None
    stored: Quantity | None = None
    transferred: Quantity | None = None
    progress: int = 0
    finished_at: str = ""
    conditions: tuple[Condition, ...] = ()
    """`Provisioned`, `Released`."""


VOLUME_BACKUP = Kind(names.STORAGE, "VolumeBackup", "volumebackups", VolumeBackupSpec, VolumeBackupStatus)
DISK_BACKUP = Kind(names.STORAGE, "DiskBackup", "diskbackups", DiskBackupSpec, DiskBackupStatus, host_side=True)

KINDS: tuple[Kind[object, object], ...] = (VOLUME_BACKUP, DISK_BACKUP)
