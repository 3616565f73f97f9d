"""Makes a Disk's file from a snapshot or from a backup: a job, since it takes as long as there is data in it."""

from __future__ import annotations

from agents.storage.backups.transfer import restore
from agents.storage.copying import copy
from agents.storage.disks.act import MODE
from agents.storage.disks.model import Copy, temporary
from agents.storage.jobs import Told
from agents.storage.qemuimg import QemuImg
from agents.storage.stores import Stores


async def make(action: Copy, qemu: QemuImg, stores: Stores, told: Told) -> None:
    """Make the file whole. Raises Failed and QemuImgError."""
    disk, place = action.disk, action.place
    if action.origin is not None:
        await copy(action.origin, place, temporary(disk.meta.uid), qemu, MODE, size=disk.spec.size)
        return
    ref = disk.spec.backup
    assert ref is not None
    store = stores.open(ref.image_store)
    await restore(store, ref.volume_uid, ref.backup_uid, place, disk.meta.uid, disk.spec.size, qemu, told)
