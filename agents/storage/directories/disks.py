"""Disks in folders: a file for each."""

from __future__ import annotations

import os
from dataclasses import dataclass

from agents.storage import folders, formats, locks, places, qcow2
from agents.storage.directories import taking
from agents.storage.directories.copying import check_room, copy
from agents.storage.failure import Failed
from agents.storage.fetching.inspection import inspect
from agents.storage.folders import Draft, Missing, Place, Strange, in_thread, off_loop
from agents.storage.formats import Layout
from agents.storage.naming import set_aside, temporary
from agents.storage.qcow2 import Header
from agents.storage.qemuimg import QemuImg, QemuImgError
from operators.contract.reasons import Reason

MODE = 0o600


@dataclass(frozen=True, slots=True)
class Disks:
    """See `DiskPart`."""

    qemu: QemuImg
    most: int
    """Bytes that a file to adopt may unfold to."""

    def path(self, place: Place) -> str:
        """The file's."""
        return place.absolute

    async def look(self, place: Place) -> Header | None:
        """By the file's header."""
        return await off_loop(places.header_at, place)

    async def in_use(self, disk: Place) -> bool:
        """By QEMU's own lock."""
        fd = await off_loop(_opened, disk, os.O_RDONLY)
        if fd is None:
            return False
        try:
            return await in_thread(locks.written, fd)
        finally:
            os.close(fd)

    async def create(self, disk: Place, uid: str, size: int, layout: Layout, base: str) -> None:
        """Make the file under a temporary name, look at it, and only then give it its own."""
        draft = await off_loop(Draft, disk, temporary(uid))
        try:
            if layout.preallocated:
                check_room(draft.fd, size, disk.pool.name)
            await self.qemu.create(draft.fd, size, base, layout)
            made = formats.header(draft.fd, layout.form)
            if (made.virtual_size, made.backing) != (size, base):
                raise QemuImgError(f"qemu-img made {made} and not what it was told")
            await in_thread(draft.publish, MODE)
        except qcow2.NotQcow2 as error:
            raise QemuImgError(f"qemu-img made something else: {error}") from error
        except BaseException:
            draft.discard()
            raise
        finally:
            draft.close()

    async def copy(self, origin: Place, disk: Place, uid: str, size: int, layout: Layout) -> None:
        """Copy it whole."""
        try:
            await copy(origin, disk, temporary(uid), self.qemu, MODE, size=size, fat=layout.preallocated)
        except QemuImgError as error:
            if not error.locked:
                raise
            message = f"a guest runs on {origin.folder}/{origin.file}, which it is to be copied from"
            raise Failed(Reason.STILL_ATTACHED, message) from None

    async def adopt(self, origin: Place, disk: Place) -> None:
        """Give a file its Disk's name, once it was looked at as closely as an image: it may have come from anywhere."""
        fd = await off_loop(_opened, origin, os.O_RDWR)
        if fd is None:
            raise FileNotFoundError(origin.absolute)
        try:
            await inspect(fd, disk.form, self.most, self.qemu)
            await in_thread(folders.take, origin, disk, fd, MODE)
        finally:
            os.close(fd)

    async def take(self, origin: Place, former: str, disk: Place, uid: str, size: int, layout: Layout) -> None:
        """See `taking`."""
        await taking.take(origin, former, disk, uid, size, self.qemu, fat=layout.preallocated)

    async def was_taken(self, origin: Place, former: str) -> bool:
        """Whether the file has the name that such files get, and no longer its own."""
        aside = set_aside(former)
        return await off_loop(places.present, origin, origin.file, aside) == (aside,)

    async def give_back(self, origin: Place, former: str) -> None:
        """See `taking`."""
        await off_loop(taking.give_back, origin, set_aside(former))

    async def resize(self, disk: Place, size: int, layout: Layout) -> None:
        """Grow the file; QEMU's own lock refuses it while a guest runs on it."""
        fd = await off_loop(_opened, disk, os.O_RDWR)
        if fd is None:
            raise Strange(f"{disk.file} is gone")
        try:
            await self.qemu.resize(fd, size, layout)
            await in_thread(os.fsync, fd)
        finally:
            os.close(fd)

    async def remove(self, disk: Place, uid: str) -> None:
        """Remove the file, and others that have the Disk's uid in their names."""
        await off_loop(folders.remove, disk, disk.file, temporary(uid), set_aside(uid))


def _opened(place: Place, flags: int) -> int | None:
    try:
        with folders.inner_folder(place, make=False) as folder:
            return folders.open_file(folder, place.file, flags)
    except Missing:
        return None
