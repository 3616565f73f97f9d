"""What an Image's plan decides from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from operators.storage.images.lookup import CopyObj, ImageObj


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there of one Image."""

    copies: tuple[CopyObj, ...] = ()
    users: tuple[str, ...] = ()
    """`namespace/name` of the Volumes whose Disks are made from it; looked up only while it is being deleted."""


@dataclass(frozen=True, slots=True)
class Protect:
    """Put our finalizer on the Image."""

    image: ImageObj


@dataclass(frozen=True, slots=True)
class DeleteCopy:
    """Have one pool's copy removed."""

    copy: CopyObj


@dataclass(frozen=True, slots=True)
class Unprotect:
    """Take our finalizer off: no pool has it any more."""

    image: ImageObj


Action: TypeAlias = Protect | DeleteCopy | Unprotect
