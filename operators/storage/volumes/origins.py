"""What is copied from which file of a pool, and where an image can be brought to that has no url."""

from __future__ import annotations

from collections.abc import Iterable

from operators.contract.fabric import HOST, STORAGE_POOL
from operators.contract.meta import Key, holds
from operators.contract.pools import reached
from operators.contract.reasons import Type
from operators.contract.storage import DISK, IMAGE_COPY
from operators.kernel import Cache
from operators.storage.volumes.model import CopyObj, DiskObj, ImageObj

BY_ORIGIN = "origin"
"""Index of Disks and ImageCopies: pool and path of the file that they are copied from."""


def add_indexes(cache: Cache) -> None:
    """Keep the index that all here is looked up in."""
    cache.index(DISK, BY_ORIGIN, lambda disk: (f"{disk.spec.pool}/{disk.spec.snapshot}",) if disk.spec.snapshot else ())
    cache.index(IMAGE_COPY, BY_ORIGIN, _source)


def disks(cache: Cache, pool: str, path: str) -> tuple[str, ...]:
    """The Volumes whose Disks are still being copied from a file."""
    return tuple(
        f"Volume {each.spec.volume.name}"
        for each in cache.by(DISK, BY_ORIGIN, f"{pool}/{path}")
        if not each.meta.deleting and not holds(each.status.conditions, Type.PROVISIONED)
    )


def images(cache: Cache, pool: str, path: str) -> tuple[str, ...]:
    """The Images that are still being copied from a file."""
    return tuple(
        f"Image {each.spec.image.name}"
        for each in cache.by(IMAGE_COPY, BY_ORIGIN, f"{pool}/{path}")
        if not each.meta.deleting and not each.status.checksum and not holds(each.status.conditions, Type.PROVISIONED)
    )


def clones(cache: Cache, disk: DiskObj) -> tuple[str, ...]:
    """What is still being copied from a Disk."""
    where = disk.spec.pool, disk.spec.path
    return (*disks(cache, *where), *images(cache, *where))


def apart(cache: Cache, image: ImageObj | None, original: CopyObj | None, host: str) -> str:
    """Why a host cannot bring an image to a pool that has it not; empty where it can."""
    if image is None or image.spec.source is None or original is None:
        return ""
    pool, there = cache.get(STORAGE_POOL, Key("", original.spec.pool)), cache.get(HOST, Key("", host))
    if pool is not None and reached(pool.spec, host, there.spec if there else None):
        return ""
    return f"Image {image.meta.name} is on pool {original.spec.pool}, which host {host} does not reach, and has no url"


def _source(copy: CopyObj) -> Iterable[str]:
    source = copy.spec.source
    return (f"{source.pool}/{source.path}",) if source is not None else ()
