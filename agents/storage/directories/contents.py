"""The content of disks and snapshots in folders, for backups."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agents.storage.directories import chains
from agents.storage.directories.copying import check_room
from agents.storage.folders import Draft, Place, in_thread, off_loop
from agents.storage.naming import temporary
from agents.storage.qemuimg import Extent, Limits, QemuImg
from operators.contract.formats import DiskFormat

MODE = 0o600


@dataclass(frozen=True, slots=True)
class Contents:
    """See `ContentPart`."""

    qemu: QemuImg

    @asynccontextmanager
    async def reading(self, snapshot: Place) -> AsyncIterator[Content]:
        """Snapshots stand on their own, so that one file has all of it."""
        with chains.opened(snapshot) as layers:
            yield Content(layers[0], tuple(await self.qemu.extents(layers[0])))

    @asynccontextmanager
    async def writing(self, disk: Place, uid: str, size: int, coming: int) -> AsyncIterator[Making]:
        """Written raw, since that takes any order; what is to be qcow2 is converted at the end."""
        raw = await off_loop(Draft, disk, f".{uid}.conv")
        try:
            await in_thread(os.ftruncate, raw.fd, size)
            check_room(raw.fd, (1 if disk.form == DiskFormat.RAW else 2) * coming, disk.pool.name)
            yield Making(self.qemu, disk, uid, size, raw)
        finally:
            raw.discard()
            raw.close()


@dataclass(frozen=True, slots=True)
class Content:
    """See `Reader`."""

    fd: int
    extents: tuple[Extent, ...]

    @property
    def size(self) -> int:
        """Where the last extent ends."""
        return self.extents[-1].end if self.extents else 0

    @property
    def data(self) -> tuple[tuple[int, int], ...]:
        """As qemu-img maps it."""
        return tuple((each.start, each.end) for each in self.extents if each.data)

    async def read(self, start: int, length: int) -> bytes:
        """Straight out of the file."""
        return await in_thread(self._read, start, length)

    def _read(self, start: int, length: int) -> bytes:
        out = bytearray(length)
        for extent in self._within(start, start + length):
            low, high = max(extent.start, start), min(extent.end, start + length)
            at = extent.offset + low - extent.start
            while low < high:
                data = os.pread(self.fd, high - low, at)
                if not data:
                    break  # the file ends within a cluster; what is missing there is zeros
                out[low - start : low - start + len(data)] = data
                low, at = low + len(data), at + len(data)
        return bytes(out)

    def _within(self, low: int, high: int) -> Iterator[Extent]:
        return (each for each in self.extents if each.data and each.start < high and each.end > low)


@dataclass(frozen=True, slots=True)
class Making:
    """See `Writer`."""

    qemu: QemuImg
    disk: Place
    uid: str
    size: int
    raw: Draft

    async def write(self, start: int, data: bytes) -> None:
        """Into the raw file."""
        if start + len(data) > self.size:
            raise OSError("the backup's list names a piece beyond its end")
        await in_thread(_write, self.raw.fd, data, start)

    async def publish(self) -> None:
        """Convert it where it is to be so, and give it its name."""
        if self.disk.form == DiskFormat.RAW:
            await in_thread(self.raw.publish, MODE)
            return
        draft = await off_loop(Draft, self.disk, temporary(self.uid))
        try:
            limits = Limits(cpu=24 * 3600, output=self.size + (1 << 30))
            await self.qemu.convert(self.raw.fd, draft.fd, limits)
            await in_thread(draft.publish, MODE)
        except BaseException:
            draft.discard()
            raise
        finally:
            draft.close()


def _write(fd: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, at)
        view, at = view[written:], at + written
