"""The port behind which pools of a type are served.

A driver knows where a pool's disks, snapshots and images are and what can be done with them; the rooms above it decide
what is to be done. `directories/` serves folders. To add another type (RBD, LVM): give StoragePool its name, write the
parts of a `Driver`, and enter it in `handlers.drivers`. What it cannot do it leaves out: of `formats`, so that Storage
does not ask for it and tells its user, and of its parts, which this agent then refuses (`Unsupported`).

All methods but those that only look may be cut off anywhere and done again, and what they make is there only when it is
whole. All raise PoolOffline, Strange (something is there that is not ours), Failed, OSError and QemuImgError.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from agents.storage.failure import Failed
from agents.storage.folders import Place, PoolFolder, PoolOffline
from agents.storage.formats import Layout
from agents.storage.jobs import Told
from agents.storage.pools.model import Probe
from agents.storage.qcow2 import Header
from operators.contract.formats import FormatReport
from operators.contract.reasons import Reason

T = TypeVar("T")


class PoolPart(Protocol):
    """A pool as a whole."""

    async def probe(self, pool: PoolFolder) -> Probe:
        """How full it is, and what is in it."""

    async def sweep(self, pool: PoolFolder, path: str) -> None:
        """Remove what a killed agent left of work for an object that is gone."""


class DiskPart(Protocol):
    """Its disks."""

    def path(self, place: Place) -> str:
        """What the hypervisor opens."""

    async def look(self, place: Place) -> Header | None:
        """How large a disk, snapshot or image is and what it is made from; None when there is none."""

    async def in_use(self, disk: Place) -> bool:
        """Whether a guest has it open for writing; a disk that is not there it has not."""

    async def create(self, disk: Place, uid: str, size: int, layout: Layout, base: str) -> None:
        """Make a disk, blank or on a base that is told relative to it."""

    async def copy(self, origin: Place, disk: Place, uid: str, size: int, layout: Layout) -> None:
        """Make a disk that stands on its own from another one on which no guest runs, a snapshot or an image."""

    async def adopt(self, origin: Place, disk: Place) -> None:
        """Make what somebody put into the pool a disk, once it was found harmless."""

    async def take(self, origin: Place, former: str, disk: Place, uid: str, size: int, layout: Layout) -> None:
        """Bring the data of a disk (of the uid `former`) on another pool here, and set that one aside."""

    async def was_taken(self, origin: Place, former: str) -> bool:
        """Whether a disk was set aside."""

    async def give_back(self, origin: Place, former: str) -> None:
        """Have a disk that was set aside be there again."""

    async def resize(self, disk: Place, size: int, layout: Layout) -> None:
        """Grow a disk that no guest has open. Raises QemuImgError that is `locked` when one has."""

    async def remove(self, disk: Place, uid: str) -> None:
        """Remove a disk, and what is left of attempts to make it."""


class SnapshotPart(Protocol):
    """Snapshots of its disks; `uid` is that of the object that one is taken for."""

    def landing(self, snapshot: Place, uid: str) -> str:
        """How the path begins that a hypervisor is to copy a running guest's disk into."""

    async def prepare(self, snapshot: Place) -> None:
        """Have a hypervisor be able to copy there."""

    async def land(self, snapshot: Place, file: str) -> None:
        """Make what a hypervisor copied the snapshot, once it was looked at."""

    async def land_memory(self, snapshot: Place, file: str) -> None:
        """The same of a guest's memory, before its disk; fine if that was done. It is removed with the snapshot."""

    async def memory(self, snapshot: Place) -> int | None:
        """Bytes that it takes; None without one."""

    def memory_path(self, snapshot: Place) -> str:
        """Where a hypervisor finds it."""

    async def take(self, disk: Place, snapshot: Place, uid: str) -> None:
        """Copy a disk on which no guest runs. Fails as `Capturing` when one was started."""

    async def stored(self, snapshot: Place) -> int:
        """Bytes that it takes."""

    async def bring_back(self, snapshot: Place, disk: Place, uid: str, request: int) -> None:
        """Replace a disk's content, once for each request, while no guest runs on it."""

    async def leftovers(self, snapshot: Place, disk: Place, uid: str) -> tuple[str, ...]:
        """The names of what is there of it beside itself: what was copied for it, is in the making, or is spent."""

    async def tidy(self, place: Place, names: tuple[str, ...]) -> None:
        """Remove such things."""

    async def remove(self, snapshot: Place, disk: Place, uid: str) -> None:
        """Remove it, and all that there is of it."""


class Reader(Protocol):
    """The content of a snapshot that is open."""

    @property
    def size(self) -> int:
        """In bytes."""

    @property
    def data(self) -> tuple[tuple[int, int], ...]:
        """Where there may be anything but zeros: start and end, in order."""

    async def read(self, start: int, length: int) -> bytes:
        """Bytes of it."""


class Writer(Protocol):
    """A disk in the making."""

    async def write(self, start: int, data: bytes) -> None:
        """Bytes of it; what is never written is zeros."""

    async def publish(self) -> None:
        """Have it be there."""


class ContentPart(Protocol):
    """What backups need."""

    def reading(self, snapshot: Place) -> AbstractAsyncContextManager[Reader]:
        """Open a snapshot."""

    def writing(self, disk: Place, uid: str, size: int, coming: int) -> AbstractAsyncContextManager[Writer]:
        """Make a disk of `size` bytes, of which `coming` will be written. Without `publish` nothing is left of it."""


class Draft(Protocol):
    """A file in the making, which is fetched into and looked at before it becomes an image. All of it blocks."""

    fd: int

    def publish(self, mode: int) -> None:
        """Have the image be there."""

    def discard(self) -> None:
        """Throw it away."""

    def close(self) -> None:
        """What was neither published nor thrown away is continued by the next draft of that name."""


class ImagePart(Protocol):
    """Images on its pools."""

    async def draft(self, image: Place, name: str, *, keep: bool = False) -> Draft:
        """Begin to make one, or go on where `keep` says so."""

    async def export(self, source: Place, image: Place, uid: str) -> None:
        """Copy a disk on which no guest runs, or a snapshot, into an image that stands on its own."""

    async def duplicate(self, source: Place, image: Place, uid: str, checksum: str, told: Told) -> None:
        """Copy an image from another pool, byte by byte, if it adds up to `checksum`."""

    async def checksum(self, image: Place, told: Told) -> str:
        """What its bytes add up to, in the words of an Image."""

    async def dependants(self, image: Place) -> tuple[str, ...]:
        """The paths of disks on its pool that rest on it."""

    async def leftovers(self, image: Place, uid: str) -> tuple[str, ...]:
        """The names of drafts that nobody goes on with."""

    async def tidy(self, image: Place, names: tuple[str, ...]) -> None:
        """Remove such drafts."""

    async def remove(self, image: Place, uid: str) -> None:
        """Remove it, and its drafts."""


@dataclass(frozen=True, slots=True)
class Driver:
    """Serves one type of pool, with all parts or some."""

    type: str
    formats: tuple[FormatReport, ...]
    """What it holds, and what can be done with that; it must fit the parts that are there."""
    pool: PoolPart
    disks: DiskPart
    snapshots: SnapshotPart | None = None
    contents: ContentPart | None = None
    images: ImagePart | None = None


@dataclass(frozen=True, slots=True)
class Drivers:
    """The drivers of this process, by the type of pool."""

    of_type: Mapping[str, Driver]

    def of(self, pool: PoolFolder) -> Driver:
        """The driver of a pool. Raises PoolOffline."""
        try:
            return self.of_type[pool.type]
        except KeyError:
            message = f"this agent serves no pools of the type {pool.type}; upgrade it"
            raise PoolOffline(message) from None

    def disks(self, pool: PoolFolder, *origins: PoolFolder) -> DiskPart:
        """What serves disks on a pool, made from what is on other ones. Raises PoolOffline and Failed."""
        return self._alike(pool, origins).disks

    def snapshots(self, pool: PoolFolder) -> SnapshotPart:
        """What serves snapshots on a pool. Raises PoolOffline and Failed."""
        return _part(self.of(pool).snapshots, pool, "keep snapshots")

    def contents(self, pool: PoolFolder) -> ContentPart:
        """What reads and writes content on a pool. Raises PoolOffline and Failed."""
        return _part(self.of(pool).contents, pool, "be backed up, nor restored to")

    def images(self, pool: PoolFolder, *origins: PoolFolder) -> ImagePart:
        """What serves images on a pool, copied from what is on other ones. Raises PoolOffline and Failed."""
        return _part(self._alike(pool, origins).images, pool, "keep images")

    def _alike(self, pool: PoolFolder, origins: tuple[PoolFolder, ...]) -> Driver:
        """The driver of a pool if it serves the others, too: a driver knows none of another one's disks."""
        driver = self.of(pool)
        for origin in origins:
            if self.of(origin) is not driver:
                message = (
                    f"nothing can be copied from pool {origin.name} ({origin.type}) to pool {pool.name} ({pool.type}); "
                    "take a VolumeBackup, and make a Volume from that"
                )
                raise Failed(Reason.UNSUPPORTED, message)
        return driver


def _part(part: T | None, pool: PoolFolder, what: str) -> T:
    if part is None:
        raise Failed(Reason.UNSUPPORTED, f"pool {pool.name} is of the type {pool.type}, which cannot {what}")
    return part
