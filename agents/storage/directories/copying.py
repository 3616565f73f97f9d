"""Copying whole disks from file to file."""

from __future__ import annotations

import os

from agents.storage import formats, locks
from agents.storage.directories import chains
from agents.storage.failure import Failed
from agents.storage.folders import Draft, Place, in_thread, off_loop
from agents.storage.formats import Layout
from agents.storage.qemuimg import QemuImg, QemuImgError
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason

RESERVE = 1 << 30
"""Bytes of a pool that a copy leaves free (at most a twentieth of the pool), for the disks on it to grow into."""


async def copy(
    source: Place, target: Place, temporary: str, qemu: QemuImg, mode: int, *, size: int = 0, fat: bool = False
) -> None:
    """Copy a disk with all behind it into a file that stands on its own, and is there only when it is whole.

    It has `size` bytes, or as many as the source. Raises Failed, QemuImgError that is `locked` while a guest runs."""
    draft = await copied(source, target, temporary, qemu, size=size, fat=fat)
    try:
        await in_thread(draft.publish, mode)
    finally:
        draft.close()


async def copied(
    source: Place, target: Place, temporary: str, qemu: QemuImg, *, size: int = 0, fat: bool = False
) -> Draft:
    """As `copy`, but it has its temporary name still; the caller closes it."""
    layout = Layout(target.form, fat)
    draft = await off_loop(Draft, target, temporary)
    try:
        with chains.opened(source) as layers:
            _keep_guests_off(layers[0])
            wanted = max(size, formats.header(layers[0], source.form).virtual_size)
            check_room(draft.fd, wanted if fat else chains.stored(layers), target.pool.name)
            await qemu.copy(layers, draft.fd, source.form, layout)
        made = formats.header(draft.fd, layout.form)
        if made.virtual_size < wanted:
            await qemu.resize(draft.fd, wanted, layout)
            made = formats.header(draft.fd, layout.form)
        if (made.virtual_size, made.backing) != (wanted, ""):
            raise QemuImgError(f"qemu-img made {made} and not what it was told")
    except BaseException:
        draft.discard()
        draft.close()
        raise
    return draft


def _keep_guests_off(fd: int) -> None:
    """qemu-img itself does it only for formats with metadata of their own."""
    try:
        locks.keep_writers_out(fd)
    except locks.InUse:
        raise QemuImgError('Failed to get shared "write" lock: a guest runs on it') from None


def check_room(fd: int, coming: int, pool: str) -> None:
    """Raise Failed when a pool has no room for so many bytes more."""
    there = os.fstatvfs(fd)
    reserve = min(RESERVE, there.f_blocks * there.f_frsize // 20)
    if there.f_bavail * there.f_frsize - coming < reserve:
        message = f"pool {pool} has no room for {Quantity(coming)} more; free space or add a pool"
        raise Failed(Reason.POOL_FULL, message)
