"""Brings a disk's data from one pool to another while no guest runs on it.

Copied, verified, given its name here; then the first file is set aside under another name, all under a lock that keeps
QEMU from opening it for writing. That last rename is the moment from which the data is here: as long as the first file
has its name, it holds the data, and whatever is here is made anew. So whenever the agent is killed, one of them counts.
"""

from __future__ import annotations

import contextlib
import os

from agents.storage import locks
from agents.storage.directories import chains
from agents.storage.directories.copying import copied
from agents.storage.failure import Failed
from agents.storage.folders import Missing, Place, Strange, in_thread, inner_folder
from agents.storage.naming import set_aside, temporary
from agents.storage.qemuimg import QemuImg
from operators.contract.reasons import Reason

MODE = 0o600


async def take(
    source: Place, former: str, place: Place, uid: str, size: int, qemu: QemuImg, *, fat: bool = False
) -> None:
    """Bring it here whole. Raises Failed, Strange and QemuImgError."""
    with chains.opened(source) as layers:
        try:
            locks.keep_writers_out(layers[0])
        except locks.InUse:
            raise Failed(Reason.STILL_ATTACHED, "a guest runs on it; it is copied once that is stopped") from None
        draft = await copied(source, place, temporary(uid), qemu, size=size, fat=fat)
        try:
            await qemu.compare(layers, draft.fd, place.form)
            await in_thread(draft.publish, MODE)
        except BaseException:
            draft.discard()
            raise
        finally:
            draft.close()
        await in_thread(_set_aside, source, set_aside(former), layers[0])


def _set_aside(source: Place, aside: str, fd: int) -> None:
    """Take its name from the open file. Raises Strange when another one has that name by now."""
    with inner_folder(source, make=False) as folder:
        _same(source.file, folder, fd)
        # A second name of the same file, left by `give_back`: a rename onto it would do nothing.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside, dir_fd=folder)
        os.rename(source.file, aside, src_dir_fd=folder, dst_dir_fd=folder)
        try:
            _same(aside, folder, fd)
        except Strange:
            os.link(aside, source.file, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            raise
        os.fsync(folder)


def _same(file: str, folder: int, fd: int) -> None:
    if not os.path.samestat(os.stat(file, dir_fd=folder, follow_symlinks=False), os.fstat(fd)):
        raise Strange("it was replaced while it was copied; it is copied again")


def give_back(source: Place, aside: str) -> None:
    """Give a file that was set aside its name again. One that has not been, or has it, is left as it is."""
    with contextlib.suppress(Missing), inner_folder(source, make=False) as folder:
        try:
            os.link(aside, source.file, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, FileExistsError):
            return
        os.unlink(aside, dir_fd=folder)
        os.fsync(folder)
