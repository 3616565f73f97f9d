"""Where the pools of this host are, and what is at a place in one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from agents.storage import formats, marks, qcow2
from agents.storage.folders import Missing, Place, PoolFolder, PoolOffline, Strange, inner_folder, open_file
from agents.storage.qcow2 import Header
from operators.contract.fabric import STORAGE_POOL
from operators.contract.meta import Key
from operators.kernel import Cache


@dataclass(frozen=True, slots=True)
class Pools:
    """Looks pools up in the cache."""

    cache: Cache
    root: str
    node: str = ""
    """Given by who may mark a pool."""

    def folder(self, name: str) -> PoolFolder:
        """A pool by its name. Raises PoolOffline when there is none."""
        pool = self.cache.get(STORAGE_POOL, Key("", name))
        if pool is None:
            raise PoolOffline(f"there is no StoragePool {name}; make it again, its files are still there")
        own, status = pool.spec.type == "Directory", pool.status
        return PoolFolder(
            name,
            self.root,
            pool.spec.path.rstrip("/"),
            makes=own,
            type=pool.spec.type,
            uid=pool.meta.uid,
            marks=own or (bool(self.node) and status.marker == self.node and not status.marked),
            check=marks.check,
        )


def header_at(place: Place) -> Header | None:
    """The header of the qcow2 file at a place, None when there is no file. Raises Strange and PoolOffline."""
    with contextlib.suppress(Missing), inner_folder(place, make=False) as folder:
        return _header(folder, place.file, place.form)
    return None


def present(place: Place, *files: str) -> tuple[str, ...]:
    """Which of some files there are in the place's folder."""
    with contextlib.suppress(Missing), inner_folder(place, make=False) as folder:
        there = set(os.listdir(folder))  # noqa: PTH208 - by descriptor
        return tuple(file for file in files if file in there)
    return ()


def beginning(place: Place, start: str) -> tuple[str, ...]:
    """The files in the place's folder whose names begin so."""
    with contextlib.suppress(Missing), inner_folder(place, make=False) as folder:
        return tuple(sorted(file for file in os.listdir(folder) if file.startswith(start)))  # noqa: PTH208
    return ()


def blocks(place: Place) -> int:
    """Bytes that the file at a place takes; none when there is no file."""
    with contextlib.suppress(Missing), inner_folder(place, make=False) as folder:
        fd = open_file(folder, place.file)
        if fd is not None:
            try:
                return os.fstat(fd).st_blocks * 512
            finally:
                os.close(fd)
    return 0


def backed_by(place: Place, backing: str) -> tuple[str, ...]:
    """The files in the place's folder that are made from `backing`."""
    with contextlib.suppress(Missing), inner_folder(place, make=False) as folder:
        return tuple(sorted(_made_from(folder, backing)))
    return ()


def _made_from(folder: int, backing: str) -> Iterator[str]:
    for file in os.listdir(folder):
        with contextlib.suppress(Strange):
            header = _header(folder, file, formats.of(file))
            if header is not None and header.backing == backing:
                yield file


def _header(folder: int, file: str, form: str) -> Header | None:
    fd = open_file(folder, file)
    if fd is None:
        return None
    try:
        return formats.header(fd, form)
    except qcow2.NotQcow2 as error:
        raise Strange(f"{file} is not a disk of ours: {error}") from error
    finally:
        os.close(fd)
