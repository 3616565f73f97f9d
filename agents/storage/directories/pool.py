"""Folders as pools: how full they are, and what is in them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from agents.storage import folders
from agents.storage.folders import (
    Missing,
    Place,
    PoolFolder,
    PoolOffline,
    Unmarked,
    inner_folder,
    off_loop,
    pool_folder,
)
from agents.storage.pools.model import Probe

FOLDERS = ("volumes", "images", "snapshots")


@dataclass(frozen=True, slots=True)
class Folders:
    """See `PoolPart`."""

    async def probe(self, pool: PoolFolder) -> Probe:
        """Makes its folder when it is missing and may be made, else it could not be called online."""
        return await off_loop(_probe, pool)

    async def sweep(self, pool: PoolFolder, path: str) -> None:
        """Unlink it."""
        folder, file = path.split("/", 1)
        await off_loop(folders.remove, Place(pool, folder, file), file)


def _probe(pool: PoolFolder) -> Probe:
    try:
        with pool_folder(pool, make=True) as folder:
            size = os.fstatvfs(folder)
        return Probe(
            pool.name,
            capacity=size.f_blocks * size.f_frsize,
            free=size.f_bavail * size.f_frsize,
            files=tuple(_files(pool)),
        )
    except PoolOffline as error:
        return Probe(pool.name, problem=str(error), unmarked=isinstance(error, Unmarked))
    except OSError as error:
        return Probe(pool.name, problem=f"it cannot be read: {error.strerror}; look at the host's disks")


def _files(pool: PoolFolder) -> Iterator[str]:
    for folder in FOLDERS:
        with contextlib.suppress(Missing), inner_folder(Place(pool, folder, ""), make=False) as fd:
            for file in sorted(os.listdir(fd)):  # noqa: PTH208 - by descriptor
                yield f"{folder}/{file}"
