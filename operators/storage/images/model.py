"""What an Image's plan decides from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from operators.storage.images.lookup import CopyObj, ImageObj
from operators.storage.images.source import Material
from operators.storage.volumes.model import MakeCopy


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there of one Image."""

    copies: tuple[CopyObj, ...] = ()
    users: tuple[str, ...] = ()
    """`namespace/name` of the Volumes whose Disks are made from it; looked up only while it is being deleted."""
    seeds: tuple[tuple[str, str], ...] = ()
    """Pools that it is to be brought to and that can take it, each with the host that sees to it."""
    unknown: tuple[str, ...] = ()
    """Pools that it is to be brought to and that cannot take it now."""
    sorting: tuple[Evict | Fetch, ...] = ()
    """Copies that go because nothing is made from them, and that come back."""
    again_in: float | None = None
    """Seconds until another one may go."""
    since: Mapping[str, str] = field(default_factory=dict)
    """Of each pool's copy, since when nothing is made from it."""
    original: CopyObj | None = None
    """The copy that all others are made from, of an Image that no url leads to."""
    material: Material | None = None
    """What such an Image is to be made of, as long as there is none."""


@dataclass(frozen=True, slots=True)
class Protect:
    """Put our finalizer on the Image."""

    image: ImageObj

    def __str__(self) -> str:
        return str(self.image.key)


@dataclass(frozen=True, slots=True)
class DeleteCopy:
    """Have one pool's copy removed."""

    copy: CopyObj

    def __str__(self) -> str:
        return str(self.copy.key)


@dataclass(frozen=True, slots=True)
class Evict:
    """Have the file of one pool's copy removed until it is needed."""

    copy: CopyObj

    def __str__(self) -> str:
        return str(self.copy.key)


@dataclass(frozen=True, slots=True)
class Fetch:
    """Have it there again."""

    copy: CopyObj

    def __str__(self) -> str:
        return str(self.copy.key)


@dataclass(frozen=True, slots=True)
class Unprotect:
    """Take our finalizer off: no pool has it any more."""

    image: ImageObj

    def __str__(self) -> str:
        return str(self.image.key)


Action: TypeAlias = Protect | MakeCopy | DeleteCopy | Evict | Fetch | Unprotect
