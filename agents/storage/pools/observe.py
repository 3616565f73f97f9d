"""Sorts what is in pools into known, unknown and left over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_TEMPORARY = re.compile(
    r"(?:volumes|images|snapshots)/\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"\.(?:part|conv|swap|moved|memory|[0-9]+\.(?:capture|revert))"
)
"""A file in the making, by the uid of the object that it is for."""


def uid_of(path: str) -> str:
    """The uid of the object that a file in the making is for; empty for any other file."""
    match = _TEMPORARY.fullmatch(path)
    return match[1] if match else ""


def strangers(files: Iterable[str], paths: frozenset[str], uids: frozenset[str]) -> Iterator[str]:
    """The files that no object stands for, given the paths and uids of all objects on the pool."""
    for file in files:
        if file not in paths and uid_of(file) not in uids:
            yield file
