"""Which Image a name means: the namespace's own, else the catalogue's; or `namespace/name` of one that is shared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from operators.contract.meta import Key, Obj, holds
from operators.contract.reasons import Type
from operators.contract.storage import IMAGE, IMAGE_COPY, ImageCopySpec, ImageCopyStatus, ImageSpec, ImageStatus
from operators.kernel import Cache

ImageObj: TypeAlias = Obj[ImageSpec, ImageStatus]
CopyObj: TypeAlias = Obj[ImageCopySpec, ImageCopyStatus]


def candidates(reference: str, namespace: str, catalogue: str) -> tuple[Key, ...]:
    """Where to look for an Image that a Volume of `namespace` names, in this order."""
    elsewhere, slash, name = reference.partition("/")
    if slash:
        return (Key(elsewhere, name),)
    own = Key(namespace, reference)
    return (own,) if not catalogue or catalogue == namespace else (own, Key(catalogue, reference))


def find(cache: Cache, reference: str, namespace: str, catalogue: str) -> ImageObj | None:
    """The Image that a Volume of `namespace` means. One that is not shared is not there for others."""
    for key in candidates(reference, namespace, catalogue):
        image = cache.get(IMAGE, key)
        if image is None:
            continue
        shared = image.spec.public or namespace in image.spec.shared_with
        if shared or key.namespace in (namespace, catalogue):
            return image
    return None


def is_first(copy: CopyObj) -> bool:
    """Whether a copy is made of a disk: the one that all others of its Image are copied from."""
    return copy.spec.source is not None and not copy.spec.checksum


def original(found: Iterable[CopyObj]) -> CopyObj | None:
    """Of an Image's copies, the one that more can be copied from; None while there is none, or none is needed."""
    whole = (
        copy
        for copy in found
        if copy.spec.source is not None
        and (copy.spec.checksum or copy.status.checksum)
        and not copy.meta.deleting
        and not copy.spec.evict
        and holds(copy.status.conditions, Type.PROVISIONED)
    )
    return min(whole, key=lambda copy: (not is_first(copy), copy.meta.name), default=None)


def unchecked(found: Iterable[CopyObj]) -> list[CopyObj]:
    """The copies that were fetched from a url whose checksum nobody knew then, in an order that is always the same."""
    return sorted((each for each in found if each.spec.url and not each.spec.checksum), key=lambda each: each.meta.name)


def copies(cache: Cache, image: ImageObj) -> tuple[CopyObj, ...]:
    """The copies of this very Image."""
    return tuple(copy for copy in cache.owned(IMAGE_COPY, image.meta.uid) if copy.spec.image.uid == image.meta.uid)
