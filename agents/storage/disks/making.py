"""Makes a Disk's file from other data: a job, since it takes as long as there is data in it."""

from __future__ import annotations

from agents.storage.backups.transfer import restore
from agents.storage.disks.model import Copy, Take
from agents.storage.driver import Drivers
from agents.storage.formats import Layout
from agents.storage.jobs import Told
from agents.storage.stores import Stores


async def make(action: Copy | Take, drivers: Drivers, stores: Stores, told: Told) -> None:
    """Make the file whole. Raises Failed, PoolOffline, Strange and QemuImgError."""
    disk, place = action.disk, action.place
    uid, size, layout = disk.meta.uid, disk.spec.size, Layout(disk.spec.format, disk.spec.preallocated)
    if isinstance(action, Take):
        driver = drivers.disks(place.pool, action.source.pool)
        await driver.take(action.source, disk.spec.replaces, place, uid, size, layout)
    elif action.origin is not None:
        await drivers.disks(place.pool, action.origin.pool).copy(action.origin, place, uid, size, layout)
    else:
        ref = disk.spec.backup
        assert ref is not None
        await restore(stores.open(ref.image_store), ref, drivers.contents(place.pool), place, uid, size, told)
