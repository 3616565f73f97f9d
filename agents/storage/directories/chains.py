"""The files that a disk is made of: its own, and those behind it in the same pool."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

from agents.storage import qcow2
from agents.storage.folders import Missing, Place, Strange, inner_folder, open_file
from operators.contract.formats import DiskFormat

DEEPEST = 8
"""Layers of a disk at most; more are none of ours."""
_BACKING = re.compile(r"\.\./(volumes|images|snapshots)/([0-9A-Za-z-]{1,64}\.qcow2)")


@contextlib.contextmanager
def opened(place: Place) -> Iterator[tuple[int, ...]]:
    """Descriptors of a disk's file and of each one behind it. Raises Strange when one is missing or not ours."""
    with contextlib.ExitStack() as stack:
        layers: list[int] = []
        at: Place | None = place
        while at is not None:
            if len(layers) == DEEPEST:
                raise Strange(f"{place.file} is made of more than {DEEPEST} layers")
            fd = _open(at)
            stack.callback(os.close, fd)
            layers.append(fd)
            at = _behind(at, fd)
        yield tuple(layers)


def _open(place: Place) -> int:
    try:
        with inner_folder(place, make=False) as folder:
            fd = open_file(folder, place.file)
    except Missing:
        fd = None
    if fd is None:
        raise Strange(f"{place.folder}/{place.file} is gone")
    return fd


def _behind(place: Place, fd: int) -> Place | None:
    if place.form == DiskFormat.RAW:
        return None
    try:
        backing = qcow2.read_header(fd).backing
    except qcow2.NotQcow2 as error:
        raise Strange(f"{place.folder}/{place.file} is not a disk of ours: {error}") from error
    if not backing:
        return None
    match = _BACKING.fullmatch(backing)
    if match is None:
        raise Strange(f"{place.folder}/{place.file} is made from {backing}, which is not in its pool")
    return Place(place.pool, match[1], match[2])


def stored(layers: tuple[int, ...]) -> int:
    """Bytes that the files take together."""
    return sum(os.fstat(fd).st_blocks * 512 for fd in layers)
