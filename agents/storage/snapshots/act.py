"""What a DiskSnapshot's plan can do. Each may be cut off anywhere and done again."""

from __future__ import annotations

import contextlib
import os

from agents.storage import chains, folders, locks, places, qcow2
from agents.storage.copying import copied, copy
from agents.storage.failure import Failed
from agents.storage.folders import Place, Strange, in_thread, inner_folder, off_loop, open_file
from agents.storage.locks import InUse, keep_writers_out
from agents.storage.qemuimg import QemuImg, QemuImgError
from agents.storage.snapshots.model import Publish, beginning, part, revert, swap
from operators.contract.reasons import Reason

MODE = 0o400
DISK_MODE = 0o600


async def take(uid: str, source: Place, place: Place, qemu: QemuImg) -> None:
    """Copy a Disk that no guest uses; no guest can start on it meanwhile, by QEMU's own lock. Raises Failed."""
    try:
        await copy(source, place, part(uid), qemu, MODE)
    except QemuImgError as error:
        if error.locked:
            raise Failed(Reason.CAPTURING, "a guest has been started on it") from error
        raise


async def in_use(source: Place) -> bool:
    """Whether a guest has a Disk's file open. Raises Strange when there is none."""
    with chains.opened(source) as layers:
        return await in_thread(locks.written, layers[0])


def prepare(place: Place) -> None:
    """Make the folder that a hypervisor is to copy into."""
    with inner_folder(place, make=True):
        pass


async def publish(action: Publish) -> None:
    """Give what the hypervisor copied its name, once it is looked at and on the disk."""
    await off_loop(_publish, action.place, action.file)


def _publish(place: Place, captured: str) -> None:
    with inner_folder(place, make=False) as folder:
        fd = open_file(folder, captured, os.O_RDWR)
        if fd is None:
            raise Strange(f"{captured} is gone")
        try:
            try:
                header = qcow2.read_header(fd)
            except qcow2.NotQcow2 as error:
                raise Strange(f"{captured}: {error}") from error
            if header.backing or header.incompatible & qcow2.DATA_FILE:
                raise Strange(f"{captured} does not stand on its own")
            os.fchmod(fd, MODE)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(captured, place.file, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


async def bring_back(uid: str, request: int, source: Place, place: Place, qemu: QemuImg) -> None:
    """Replace a Disk's content by a snapshot's, once for each request, while no guest runs on it. Raises Failed.

    The new content is prepared beside the Disk's file under a name that holds the request, and takes its place by
    a second name: so whoever comes after a kill sees by the file's identity whether it was done already.
    """
    prepared = Place(place.pool, place.folder, revert(uid, request), place.form)
    if not await off_loop(places.present, place, prepared.file):
        now = await off_loop(places.header_at, place)
        size = now.virtual_size if now is not None else 0
        draft = await copied(source, prepared, part(uid), qemu, size=size)
        try:
            await in_thread(draft.publish, DISK_MODE)
        finally:
            draft.close()
    try:
        await off_loop(_swap, place, prepared.file, swap(uid))
    except InUse:
        message = "a guest runs on it; it is brought back once that is stopped"
        raise Failed(Reason.STILL_ATTACHED, message) from None


def _swap(place: Place, prepared: str, second: str) -> None:
    with inner_folder(place, make=False) as folder, contextlib.ExitStack() as stack:
        old = open_file(folder, place.file)
        if old is None:
            raise Strange(f"{place.file} is gone")
        stack.callback(os.close, old)
        new = os.stat(prepared, dir_fd=folder, follow_symlinks=False)
        if os.path.samestat(new, os.fstat(old)):
            return
        keep_writers_out(old)
        owner = os.fstat(old)
        os.chown(prepared, owner.st_uid, owner.st_gid, dir_fd=folder, follow_symlinks=False)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(second, dir_fd=folder)
        os.link(prepared, second, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        os.rename(second, place.file, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def leftovers(place: Place, source: Place, uid: str) -> tuple[str, ...]:
    """What there is of a DiskSnapshot beside the file itself, in both folders."""
    return (*places.beginning(place, beginning(uid)), *places.beginning(source, beginning(uid)))


def clear(place: Place, source: Place, uid: str) -> None:
    """Remove the snapshot's file and everything in the making."""
    folders.remove(place, place.file, *places.beginning(place, beginning(uid)))
    folders.remove(source, *places.beginning(source, beginning(uid)))
