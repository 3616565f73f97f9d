"""Read a StoragePool and what lies on it from the cache."""

from __future__ import annotations

from operators.contract import names
from operators.contract.fabric import STORAGE_POOL, ZONE
from operators.contract.meta import Key
from operators.contract.storage import DISK
from operators.fabric_admin.pools.model import Seen, Wanted
from operators.kernel.cache import Cache


def observe(cache: Cache, key: Key, shared_path: str) -> tuple[Wanted, Seen]:
    """What is stated of a pool, and what concerns it."""
    pool = cache.get(STORAGE_POOL, key)
    wanted = Wanted(pool, shared_path if key.name == names.SHARED_POOL else "")
    if pool is None:
        return wanted, Seen()
    disks = cache.by(DISK, "pool", key.name) if pool.meta.deleting else ()
    return wanted, Seen(
        zone=cache.get(ZONE, Key("", pool.spec.zone)) is not None,
        disks=tuple(f"Disk {disk.key}" for disk in disks),
    )
