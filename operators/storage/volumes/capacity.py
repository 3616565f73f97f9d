"""What of each pool is given out: the Disks in the cache, and those whose creation is still on its way."""

from __future__ import annotations

from collections.abc import Iterator

from operators.contract.meta import Key
from operators.contract.storage import DISK
from operators.kernel import Cache
from operators.storage.volumes.model import DiskObj

BY_POOL = "pool"
"""Index of Disks: `spec.pool`."""


class Promises:
    """The sums of disks' sizes by pool. Reads and writes never wait, so a plan made of them and its claim are one step.

    Volumes are placed side by side: a run that chose a pool enters what it takes before it first awaits anything.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._pending: dict[Key, tuple[str, int]] = {}
        """By Volume, until its Disk is in the cache."""
        self._sums: dict[str, int] = {}
        """Without which placing one among ten thousand on a shared pool would count them all."""
        cache.index(DISK, BY_POOL, lambda disk: (disk.spec.pool,))

    def of(self, pool: str) -> int:
        """Bytes of a pool that are given out, written or not. What another host sees a file by takes nothing."""
        if pool not in self._sums:
            disks = self._cache.by(DISK, BY_POOL, pool)
            self._sums[pool] = sum(disk.spec.size for disk in disks if not disk.spec.file_of)
        return self._sums[pool] + sum(size for name, size in self._pending.values() if name == pool)

    def pending(self) -> Iterator[tuple[Key, int]]:
        """The Volumes whose Disks are on their way, and their sizes."""
        return ((key, size) for key, (_, size) in self._pending.items())

    def enter(self, volume: Key, pool: str, size: int) -> None:
        """A Disk of a Volume is about to be made."""
        self._pending[volume] = pool, size

    def settle(self, volume: Key) -> None:
        """It is made, and in the cache; or it is planned anew."""
        self._pending.pop(volume, None)

    def changed(self, disk: DiskObj) -> None:
        """A Disk came, went or grew."""
        self._sums.pop(disk.spec.pool, None)
