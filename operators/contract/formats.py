"""How a disk's data lies on a pool, and what can be done with it there.

What a type of pool makes of each format is said by the driver that serves it (in the storage agents): it stands in
`HostReport.status.storage.pools[].formats` and `StoragePool.status.formats`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DiskFormat(StrEnum):
    """The layout of a disk's data."""

    QCOW2 = "qcow2"
    RAW = "raw"


class Ability(StrEnum):
    """What can be done with disks of a format on a pool."""

    LINKED_CLONES = "LinkedClones"
    """A disk of an image is there at once, and holds only what differs from it. Else the image is copied."""
    THIN = "Thin"
    """A disk takes only what was written to it, where its offering does not ask for all."""
    COPIES = "Copies"
    """Another Volume, or an Image, can be made of it, and it moves to another pool while no guest runs on it."""
    SNAPSHOTS = "Snapshots"
    """It can be copied as of a moment, under a guest too, and be brought back to that."""
    BACKUPS = "Backups"
    """Its snapshots can be backed up to an ImageStore, and it can be restored from there."""
    GROW_ONLINE = "GrowOnline"
    MOVE_LIVE = "MoveLive"
    """It moves to another pool under its guest."""
    MIGRATE_INCREMENTS = "MigrateIncrements"
    """When its guest migrates, what the image has is not copied. Else all of it is."""
    ADOPTION = "Adoption"
    """A file that was put into the pool can become a Volume's."""


@dataclass(frozen=True, slots=True)
class FormatReport:
    """One format that a pool holds."""

    format: str
    abilities: frozenset[str] = frozenset()


def disk_path(uid: str, format_: str) -> str:
    """Where a Volume's file is, beneath its pool's folder."""
    return f"volumes/{uid}.{format_}"
