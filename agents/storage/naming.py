"""The names of a Disk's files beside its own."""

from __future__ import annotations


def temporary(uid: str) -> str:
    """The name of a Disk's file until it is whole."""
    return f".{uid}.part"


def set_aside(uid: str) -> str:
    """The name that a Disk's file gets once its data is on another pool."""
    return f".{uid}.moved"
