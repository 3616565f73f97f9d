"""What an Image asks of where a virtual machine is placed."""

from __future__ import annotations

from typing import TypeAlias

from operators.contract.meta import Key, Obj
from operators.contract.storage import IMAGE, ImageSpec, ImageStatus
from operators.kernel.cache import Cache

Image: TypeAlias = Obj[ImageSpec, ImageStatus]


def find(name: str, namespace: str, cache: Cache, catalogue: str) -> Image | None:
    """The Image that a spec of a namespace names, shared with it or not: Storage says so of one that is not."""
    if not name:
        return None
    space, _, short = name.rpartition("/")
    places = (space,) if space else (namespace, catalogue)
    return next((found for place in places if (found := cache.get(IMAGE, Key(place, short))) is not None), None)


def size(image: Image | None) -> int:
    """Bytes that it needs at least, as far as is known."""
    return int(image.status.virtual_size or image.spec.minimum_disk or 0) if image else 0


def pools(image: Image | None) -> frozenset[str] | None:
    """The pools that have it, where it cannot be fetched to others; None where it can be had anywhere.

    From a disk an image is made on one pool, and brought to others only by a host that reaches one that has it."""
    if image is None or image.spec.source is None:
        return None
    return frozenset(copy.pool for copy in image.status.copies if copy.ready)
