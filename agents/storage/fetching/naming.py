"""The names of an image's files in the making."""

from __future__ import annotations


def temporaries(uid: str) -> tuple[str, str]:
    """What is fetched or copied, and what a fetched file is converted into; `uid` is the ImageCopy's."""
    return f".{uid}.part", f".{uid}.conv"
