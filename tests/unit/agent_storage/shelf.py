"""A driver of the storage agent's port that has no files: disks, snapshots and images are bytes in memory."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agents.storage import driver
from agents.storage.failure import Failed
from agents.storage.folders import Place, PoolFolder
from agents.storage.formats import Layout
from agents.storage.jobs import Told
from agents.storage.pools.model import Probe
from agents.storage.qcow2 import Header
from operators.contract.formats import Ability, DiskFormat, FormatReport
from operators.contract.reasons import Reason

EVERY = (FormatReport(DiskFormat.QCOW2, frozenset(Ability)),)


@dataclass
class Shelf:
    """All parts of the port at once. What is on it is known by `pool/folder/file`."""

    things: dict[str, bytearray] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    """Disks that a guest has open."""
    reverted: set[tuple[str, int]] = field(default_factory=set)

    def serve(self, type_: str = "Directory", *, more: bool = True) -> driver.Driver:
        """As the driver of a type of pools, with all parts or with disks alone."""
        formats = EVERY if more else (FormatReport(DiskFormat.QCOW2, frozenset({Ability.THIN})),)
        part = self if more else None
        disks = Disks(self)
        snapshots = Snapshots(self) if part else None
        return driver.Driver(
            type_, formats, Pools(self), disks, snapshots, part and Contents(self), part and Images(self)
        )

    @staticmethod
    def at(place: Place) -> str:
        return f"{place.pool.name}/{place.folder}/{place.file}"

    def get(self, place: Place) -> bytearray:
        if self.at(place) not in self.things:
            raise Failed(Reason.STORAGE_ERROR, f"{place.file} is not there")
        return self.things[self.at(place)]

    def quiet(self, place: Place, reason: str) -> None:
        if self.at(place) in self.open:
            raise Failed(reason, "a guest runs on it")


@dataclass
class Pools:
    shelf: Shelf

    async def probe(self, pool: PoolFolder) -> Probe:
        files = tuple(name.split("/", 1)[1] for name in self.shelf.things if name.startswith(f"{pool.name}/"))
        return Probe(pool.name, capacity=100 << 30, free=50 << 30, files=files)

    async def sweep(self, pool: PoolFolder, path: str) -> None:
        self.shelf.things.pop(f"{pool.name}/{path}", None)


@dataclass
class Disks:
    shelf: Shelf

    def path(self, place: Place) -> str:
        return f"shelf:{self.shelf.at(place)}"

    async def look(self, place: Place) -> Header | None:
        there = self.shelf.things.get(self.shelf.at(place))
        return None if there is None else Header(len(there))

    async def in_use(self, disk: Place) -> bool:
        return self.shelf.at(disk) in self.shelf.open

    async def create(self, disk: Place, uid: str, size: int, layout: Layout, base: str) -> None:
        start = self.shelf.things[f"{disk.pool.name}/{base.removeprefix('../')}"] if base else b""
        self.shelf.things[self.shelf.at(disk)] = bytearray(start).ljust(size, b"\0")

    async def copy(self, origin: Place, disk: Place, uid: str, size: int, layout: Layout) -> None:
        self.shelf.quiet(origin, Reason.STILL_ATTACHED)
        self.shelf.things[self.shelf.at(disk)] = bytearray(self.shelf.get(origin)).ljust(size, b"\0")

    async def adopt(self, origin: Place, disk: Place) -> None:
        self.shelf.things[self.shelf.at(disk)] = self.shelf.things.pop(self.shelf.at(origin))

    async def take(self, origin: Place, former: str, disk: Place, uid: str, size: int, layout: Layout) -> None:
        await self.copy(origin, disk, uid, size, layout)
        self.shelf.things[f"{origin.pool.name}/aside/{former}"] = self.shelf.things.pop(self.shelf.at(origin))

    async def was_taken(self, origin: Place, former: str) -> bool:
        return f"{origin.pool.name}/aside/{former}" in self.shelf.things

    async def give_back(self, origin: Place, former: str) -> None:
        aside = self.shelf.things.pop(f"{origin.pool.name}/aside/{former}", None)
        if aside is not None:
            self.shelf.things[self.shelf.at(origin)] = aside

    async def resize(self, disk: Place, size: int, layout: Layout) -> None:
        self.shelf.get(disk).extend(bytes(size - len(self.shelf.get(disk))))

    async def remove(self, disk: Place, uid: str) -> None:
        self.shelf.things.pop(self.shelf.at(disk), None)
        self.shelf.things.pop(f"{disk.pool.name}/aside/{uid}", None)


@dataclass
class Snapshots:
    shelf: Shelf

    def landing(self, snapshot: Place, uid: str) -> str:
        return f"{snapshot.pool.name}/landing/{uid}."

    async def prepare(self, snapshot: Place) -> None:
        """There is nothing to prepare."""

    async def land(self, snapshot: Place, file: str) -> None:
        landed = self.shelf.things.pop(f"{snapshot.pool.name}/landing/{file}")
        self.shelf.things[self.shelf.at(snapshot)] = landed

    async def land_memory(self, snapshot: Place, file: str) -> None:
        landed = self.shelf.things.pop(f"{snapshot.pool.name}/landing/{file}")
        self.shelf.things[self.memory_path(snapshot)] = landed

    async def memory(self, snapshot: Place) -> int | None:
        found = self.shelf.things.get(self.memory_path(snapshot))
        return len(found) if found is not None else None

    def memory_path(self, snapshot: Place) -> str:
        return f"{self.shelf.at(snapshot)}.memory"

    async def take(self, disk: Place, snapshot: Place, uid: str) -> None:
        self.shelf.quiet(disk, Reason.CAPTURING)
        self.shelf.things[self.shelf.at(snapshot)] = bytearray(self.shelf.get(disk))

    async def stored(self, snapshot: Place) -> int:
        return len(self.shelf.get(snapshot))

    async def bring_back(self, snapshot: Place, disk: Place, uid: str, request: int) -> None:
        self.shelf.quiet(disk, Reason.STILL_ATTACHED)
        if (uid, request) not in self.reverted:
            self.shelf.get(disk)[:] = self.shelf.get(snapshot)
            self.shelf.reverted.add((uid, request))

    @property
    def reverted(self) -> set[tuple[str, int]]:
        return self.shelf.reverted

    async def leftovers(self, snapshot: Place, disk: Place, uid: str) -> tuple[str, ...]:
        start = self.landing(snapshot, uid)
        return tuple(name.rpartition("/")[2] for name in self.shelf.things if name.startswith(start))

    async def tidy(self, place: Place, names: tuple[str, ...]) -> None:
        for name in names:
            self.shelf.things.pop(f"{place.pool.name}/landing/{name}", None)

    async def remove(self, snapshot: Place, disk: Place, uid: str) -> None:
        self.shelf.things.pop(self.shelf.at(snapshot), None)
        self.shelf.things.pop(self.memory_path(snapshot), None)
        await self.tidy(snapshot, await self.leftovers(snapshot, disk, uid))


@dataclass
class Content:
    bytes: bytearray

    @property
    def size(self) -> int:
        return len(self.bytes)

    @property
    def data(self) -> tuple[tuple[int, int], ...]:
        return ((0, len(self.bytes)),)

    async def read(self, start: int, length: int) -> bytes:
        return bytes(self.bytes[start : start + length])


@dataclass
class Making:
    shelf: Shelf
    disk: Place
    bytes: bytearray

    async def write(self, start: int, data: bytes) -> None:
        self.bytes[start : start + len(data)] = data

    async def publish(self) -> None:
        self.shelf.things[self.shelf.at(self.disk)] = self.bytes


@dataclass
class Contents:
    shelf: Shelf

    @asynccontextmanager
    async def reading(self, snapshot: Place) -> AsyncIterator[Content]:
        yield Content(self.shelf.get(snapshot))

    @asynccontextmanager
    async def writing(self, disk: Place, uid: str, size: int, coming: int) -> AsyncIterator[Making]:
        yield Making(self.shelf, disk, bytearray(size))


@dataclass
class Images:
    shelf: Shelf

    async def draft(self, image: Place, name: str, *, keep: bool = False) -> driver.Draft:
        raise Failed(Reason.UNSUPPORTED, "nothing is fetched to a shelf")

    async def export(self, source: Place, image: Place, uid: str) -> None:
        self.shelf.quiet(source, Reason.STILL_ATTACHED)
        self.shelf.things.setdefault(self.shelf.at(image), bytearray(self.shelf.get(source)))

    async def duplicate(self, source: Place, image: Place, uid: str, checksum: str, told: Told) -> None:
        if await self.checksum(source, told) != checksum:
            raise Failed(Reason.CHECKSUM_MISMATCH, "it is another image by now")
        self.shelf.things[self.shelf.at(image)] = bytearray(self.shelf.get(source))

    async def checksum(self, image: Place, told: Told) -> str:
        return f"sha256:{hashlib.sha256(self.shelf.get(image)).hexdigest()}"

    async def dependants(self, image: Place) -> tuple[str, ...]:
        return ()

    async def leftovers(self, image: Place, uid: str) -> tuple[str, ...]:
        return ()

    async def tidy(self, image: Place, names: tuple[str, ...]) -> None:
        """There are none."""

    async def remove(self, image: Place, uid: str) -> None:
        self.shelf.things.pop(self.shelf.at(image), None)
