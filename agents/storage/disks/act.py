"""What a Disk's plan can do. Each may be cut off anywhere and done again."""

from __future__ import annotations

import os

from agents.storage import folders, qcow2
from agents.storage.disks import taking
from agents.storage.disks.model import Adopt, Create, GiveBack, Remove, Resize, set_aside, temporary
from agents.storage.failure import Failed
from agents.storage.fetching.inspection import inspect
from agents.storage.folders import Draft, Missing, Place, PoolOffline, Strange, in_thread, off_loop
from agents.storage.qemuimg import QemuImg, QemuImgError, trouble
from operators.contract.reasons import Reason
from operators.kernel import Problem, Retry

MODE = 0o600
BUSY = 5.0
"""Seconds between looks at a file that QEMU has open; that it was closed, nothing tells."""


async def act(action: Create | Adopt | GiveBack | Resize | Remove, qemu: QemuImg, most: int) -> None:
    """Do one action. Raises Problem."""
    place = action.source if isinstance(action, GiveBack) else action.place
    try:
        match action:
            case Create():
                await create(action, qemu)
            case Adopt():
                await adopt(action, qemu, most)
            case GiveBack():
                await off_loop(taking.give_back, action.source, set_aside(action.disk.spec.replaces))
            case Resize():
                await resize(action, qemu)
            case Remove():
                await remove(action, qemu)
    except PoolOffline as error:
        raise Problem(Retry(Reason.POOL_OFFLINE, f"pool {place.pool.name}: {error}", after=BUSY)) from error
    except Strange as error:
        raise Problem(Retry(Reason.STORAGE_ERROR, f"{error}. It was left alone; move it away", after=60)) from error
    except (QemuImgError, OSError) as error:
        raise trouble(error, place.pool.name) from error


async def create(action: Create, qemu: QemuImg) -> None:
    """Make the file under a temporary name, look at it, and only then give it its own."""
    draft = await off_loop(Draft, action.place, temporary(action.uid))
    try:
        await qemu.create(draft.fd, action.size, action.backing)
        made = qcow2.read_header(draft.fd)
        if (made.virtual_size, made.backing) != (action.size, action.backing):
            raise QemuImgError(f"qemu-img made {made} and not what it was told")
        await in_thread(draft.publish, MODE)
    except qcow2.NotQcow2 as error:
        raise QemuImgError(f"qemu-img made something else: {error}") from error
    except BaseException:
        draft.discard()
        raise
    finally:
        draft.close()


async def adopt(action: Adopt, qemu: QemuImg, most: int) -> None:
    """Give a file its Disk's name, once it was looked at as closely as an image: it may have come from anywhere."""
    try:
        origin = Place.to_adopt(action.place.pool, action.origin.file)
        fd = await off_loop(_opened, origin, os.O_RDWR)
        if fd is None:
            message = f"{origin.absolute} is not there; put it there, or delete the Volume"
            raise Problem(Retry(Reason.SOURCE_UNREACHABLE, message, after=15))
        try:
            await inspect(fd, "qcow2", most, qemu)
            await in_thread(folders.take, origin, action.place, fd, MODE)
        finally:
            os.close(fd)
    except Failed as error:
        raise Problem(Retry(error.reason, f"{action.origin.file}: {error}", after=60)) from error


async def resize(action: Resize, qemu: QemuImg) -> None:
    """Grow the file; QEMU's own lock refuses it while a guest runs on it."""
    fd = await off_loop(_opened, action.place, os.O_RDWR)
    if fd is None:
        raise Strange(f"{action.place.file} is gone")
    try:
        await qemu.resize(fd, action.size)
        await in_thread(os.fsync, fd)
    except QemuImgError as error:
        if error.locked:
            # Started meanwhile: the next look leaves it to the hypervisor.
            raise Problem(Retry(Reason.GROWING, "a guest has just been started on it", after=1.0)) from error
        raise
    finally:
        os.close(fd)


async def remove(action: Remove, qemu: QemuImg) -> None:
    """Remove the file unless QEMU has it open."""
    if await in_use(action.place, qemu):
        message = f"{action.place.absolute} is open in a running guest, so it is not removed"
        raise Problem(Retry(Reason.STILL_ATTACHED, message, after=BUSY))
    files = action.place.file, temporary(action.uid), set_aside(action.uid)
    await off_loop(folders.remove, action.place, *files)


async def in_use(place: Place, qemu: QemuImg) -> bool:
    """Whether QEMU has the file open for writing; a file that is not there it has not."""
    fd = await off_loop(_opened, place, os.O_RDONLY)
    if fd is None:
        return False
    try:
        await qemu.check_unused(fd)
    except QemuImgError as error:
        if not error.locked:
            raise
        return True
    finally:
        os.close(fd)
    return False


def _opened(place: Place, flags: int) -> int | None:
    try:
        with folders.inner_folder(place, make=False) as folder:
            return folders.open_file(folder, place.file, flags)
    except Missing:
        return None
