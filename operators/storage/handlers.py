"""Declares the component: what it watches and which controllers it runs."""

from __future__ import annotations

from collections.abc import Sequence

from operators.contract.backups import DISK_BACKUP
from operators.contract.backups import KINDS as BACKUP_KINDS
from operators.contract.fabric import HOST, HOST_REPORT, IMAGE_STORE, STORAGE_POOL
from operators.contract.instances import INSTANCE
from operators.contract.snapshots import DISK_SNAPSHOT
from operators.contract.snapshots import KINDS as SNAPSHOT_KINDS
from operators.contract.storage import DISK, DISK_OFFERING, IMAGE, IMAGE_COPY, VOLUME
from operators.contract.tenancy import KINDS as TENANCY
from operators.kernel import Watch
from operators.kernel.component import Component
from operators.kernel.manager import AnyController, Context
from operators.storage.backups.controller import Backups
from operators.storage.images.controller import Images
from operators.storage.releases import Releases
from operators.storage.schedules.controller import Schedules
from operators.storage.snapshots.controller import Snapshots
from operators.storage.volumes.controller import Volumes

WATCHED = (
    VOLUME,
    DISK,
    IMAGE,
    IMAGE_COPY,
    *SNAPSHOT_KINDS,
    *BACKUP_KINDS,
    IMAGE_STORE,
    DISK_OFFERING,
    INSTANCE,
    STORAGE_POOL,
    HOST_REPORT,
    HOST,
    *TENANCY,
)


def build(context: Context) -> Sequence[AnyController]:
    """The controllers of one process."""
    released = (Releases(context, kind) for kind in (DISK, IMAGE_COPY, DISK_SNAPSHOT, DISK_BACKUP))
    return (Volumes(context), Images(context), Snapshots(context), Schedules(context), Backups(context), *released)


COMPONENT = Component(
    name="storage",
    watches=lambda env: tuple(Watch(kind) for kind in WATCHED),
    build=build,
)
