"""Makes an image of a disk, and brings it to other pools of the host: what no url leads to.

The first one is copied from the disk with all behind it. What its bytes add up to is said only once it has its name;
all others are copies of that very file, so they are the same bytes on every pool.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator

from agents.storage import places, qcow2
from agents.storage.directories.copying import check_room, copy
from agents.storage.failure import Failed
from agents.storage.folders import Draft, Missing, Place, Strange, in_thread, inner_folder, off_loop, open_file
from agents.storage.jobs import Told
from agents.storage.qemuimg import QemuImg, QemuImgError
from operators.contract.reasons import Reason

PIECE = 4 << 20
"""Bytes at a time; an import that is given up waits for no more than that."""


async def export(source: Place, target: Place, temporary: str, qemu: QemuImg, mode: int) -> None:
    """Copy a disk on which no guest runs into an image that stands on its own, unless there is one already.

    Raises Failed, PoolOffline, Strange and QemuImgError."""
    if await off_loop(places.header_at, target) is not None:
        return  # An earlier agent made it whole, and ended before it could say so.
    try:
        await copy(source, target, temporary, qemu, mode)
    except QemuImgError as error:
        if not error.locked:
            raise
        message = "a guest runs on what it is made of; stop that, or make it of a VolumeSnapshot"
        raise Failed(Reason.STILL_ATTACHED, message) from None


async def duplicate(source: Place, target: Place, temporary: str, checksum: str, mode: int, told: Told) -> None:
    """Copy an image to another pool, byte by byte. Raises Failed, PoolOffline, Strange and OSError."""
    with _opened(source) as fd:
        draft = await off_loop(Draft, target, temporary)
        try:
            check_room(draft.fd, os.fstat(fd).st_blocks * 512, target.pool.name)

            async def write(piece: bytes) -> None:
                await in_thread(_write, draft.fd, piece)

            if (found := await _digest(fd, told, write)) != checksum:
                where = f"{source.folder}/{source.file} on pool {source.pool.name}"
                raise Failed(Reason.CHECKSUM_MISMATCH, f"{where} adds up to {found} by now; make a new Image")
            _stands_alone(draft.fd)
            await in_thread(draft.publish, mode)
        except BaseException:
            draft.discard()
            raise
        finally:
            draft.close()


async def checksum(place: Place, told: Told) -> str:
    """What the bytes of a file add up to, in the words of an Image. Raises PoolOffline and Strange."""
    with _opened(place) as fd:
        return await _digest(fd, told)


async def _digest(fd: int, told: Told, then: Callable[[bytes], Awaitable[None]] | None = None) -> str:
    """Read a file from its beginning to its end, and hand each piece on."""
    total, done, sum_ = os.fstat(fd).st_size, 0, hashlib.sha256()
    while piece := await in_thread(os.pread, fd, PIECE, done):
        await in_thread(sum_.update, piece)
        if then is not None:
            await then(piece)
        done += len(piece)
        told(min(99, done * 100 // max(1, total)))
    return f"sha256:{sum_.hexdigest()}"


def _write(fd: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(fd, view) :]


def _stands_alone(fd: int) -> None:
    """Raise Strange unless an open file is a disk with nothing behind it."""
    try:
        backing = qcow2.read_header(fd).backing
    except qcow2.NotQcow2 as error:
        raise Strange(f"it is no disk: {error}") from error
    if backing:
        raise Strange(f"it is made from {backing}, and does not stand on its own")


@contextlib.contextmanager
def _opened(place: Place) -> Iterator[int]:
    """A descriptor of a file. Raises PoolOffline and Strange."""
    try:
        with inner_folder(place, make=False) as folder:
            fd = open_file(folder, place.file)
    except Missing:
        fd = None
    if fd is None:
        raise Strange(f"{place.folder}/{place.file} is gone")
    try:
        yield fd
    finally:
        os.close(fd)
