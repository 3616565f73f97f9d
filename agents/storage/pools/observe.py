"""Looks at pools, and sorts what is in them into known, unknown and left over."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator

from agents.storage.folders import Missing, Place, PoolFolder, PoolOffline, Unmarked, inner_folder, pool_folder
from agents.storage.pools.model import Probe

FOLDERS = ("volumes", "images", "snapshots")
_TEMPORARY = re.compile(
    r"(?:volumes|images|snapshots)/\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"\.(?:part|conv|swap|moved|[0-9]+\.(?:capture|revert))"
)
"""A file in the making, by the uid of the object that it is for."""


def probe(pool: PoolFolder) -> Probe:
    """One look at a pool; makes its folder when it is missing and may be made, else it could not be called online."""
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


def uid_of(path: str) -> str:
    """The uid of the object that a file in the making is for; empty for any other file."""
    match = _TEMPORARY.fullmatch(path)
    return match[1] if match else ""


def strangers(files: Iterable[str], paths: frozenset[str], uids: frozenset[str]) -> Iterator[str]:
    """The files that no object stands for, given the paths and uids of all objects on the pool."""
    for file in files:
        if file not in paths and uid_of(file) not in uids:
            yield file
