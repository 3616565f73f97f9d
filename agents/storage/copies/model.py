"""What an ImageCopy's plan decides from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from agents.storage.failure import Failed
from agents.storage.folders import Place
from agents.storage.jobs import State
from agents.storage.qcow2 import Header
from operators.contract.meta import Obj
from operators.contract.storage import ImageCopySpec, ImageCopyStatus

CopyObj: TypeAlias = Obj[ImageCopySpec, ImageCopyStatus]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there of one ImageCopy."""

    place: Place | None = None
    """None while the pool cannot be found."""
    offline: str = ""
    failed: Failed | None = None
    """Why the pool's driver refuses it."""
    strange: str = ""
    """What is there that is not ours."""
    file: Header | None = None
    source: Place | None = None
    """The file that it is made of, as long as it is not made."""
    checksum: str = ""
    """What the file's bytes add up to, where that is known."""
    leftovers: tuple[str, ...] = ()
    """Files of an earlier import that ended before it could clear up."""
    importing: State | None = None
    disks: tuple[str, ...] = ()
    """Disks of this host that are made from it, and files of such that were kept; looked up only while it is to go."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Begin to import it."""

    copy: CopyObj
    place: Place
    source: Place | None = None

    def __str__(self) -> str:
        return f"{self.copy.spec.image.name} to {self.place.absolute}"


@dataclass(frozen=True, slots=True)
class Tidy:
    """Remove what an import left."""

    place: Place
    files: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.files)} beside {self.place.absolute}"


@dataclass(frozen=True, slots=True)
class Remove:
    """End its import and remove its files."""

    copy: CopyObj
    place: Place

    def __str__(self) -> str:
        return self.place.absolute


Action: TypeAlias = Fetch | Tidy | Remove
