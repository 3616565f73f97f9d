"""What a Disk's plan decides from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from agents.storage.folders import Place
from agents.storage.formats import QCOW2, Layout
from agents.storage.jobs import State
from agents.storage.qcow2 import Header
from operators.contract.meta import Obj
from operators.contract.quantity import Quantity
from operators.contract.storage import DiskSpec, DiskStatus

DiskObj: TypeAlias = Obj[DiskSpec, DiskStatus]


@dataclass(frozen=True, slots=True)
class Base:
    """The ImageCopy that a Disk is to be made from."""

    backing: str = ""
    """Relative to the disk's folder, so that a pool can be moved as a whole: `../images/<uid>.qcow2`."""
    virtual_size: int = 0
    problem: str = ""
    """Why it cannot be used yet."""
    ours: bool = True
    """Whether this agent makes the copy, so that the watch tells when it is there."""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there of one Disk."""

    place: Place | None = None
    """None while the pool cannot be found."""
    offline: str = ""
    """Why the pool cannot be used."""
    strange: str = ""
    """What is there that is not ours."""
    file: Header | None = None
    in_use: bool = False
    """Whether QEMU has it open for writing; looked at only when it is to grow."""
    base: Base | None = None
    """Looked up only when the file is to be made."""
    origin: Place | None = None
    """The snapshot that it is copied from, if it is there; looked up as `base`."""
    copying: State | None = None
    source: Place | None = None
    """The file on another pool whose data it is to take, until Storage says that it has."""
    taken: bool = False
    """Whether it has taken it: the file here is whole, and the other one was set aside."""
    moved: bool = False
    """Whether its own file was set aside like that; looked at only when it is gone."""


@dataclass(frozen=True, slots=True)
class Create:
    """Make the file."""

    place: Place
    uid: str
    size: int
    backing: str
    layout: Layout = QCOW2

    def __str__(self) -> str:
        return f"{self.place.absolute}, {Quantity(self.size)} on {self.backing or 'nothing'}"


@dataclass(frozen=True, slots=True)
class Copy:
    """Begin to make the file from another one, or from a backup."""

    disk: DiskObj
    origin: Place | None
    """None for a backup."""
    place: Place

    def __str__(self) -> str:
        origin = self.origin.absolute if self.origin is not None else "a backup"
        return f"{self.place.absolute}, {self.disk.spec.size}, from {origin}"


@dataclass(frozen=True, slots=True)
class Take:
    """Begin to bring the data of a file on another pool here."""

    disk: DiskObj
    source: Place
    place: Place

    def __str__(self) -> str:
        return f"{self.place.absolute} from {self.source.absolute}"


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Have the file on the other pool be the one that holds the data, again."""

    disk: DiskObj
    source: Place

    @property
    def uid(self) -> str:
        """Of the Disk that was to take it."""
        return self.disk.meta.uid

    def __str__(self) -> str:
        return self.source.absolute


@dataclass(frozen=True, slots=True)
class Adopt:
    """Look at a file that was put into the pool, and make it the Disk's."""

    place: Place
    origin: Place

    def __str__(self) -> str:
        return f"{self.origin.absolute} as {self.place.absolute}"


@dataclass(frozen=True, slots=True)
class Resize:
    """Grow the file."""

    place: Place
    size: int
    layout: Layout = QCOW2

    def __str__(self) -> str:
        return f"{self.place.absolute} to {Quantity(self.size)}"


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the file, and what is left of an attempt to make it."""

    place: Place
    uid: str

    def __str__(self) -> str:
        return self.place.absolute


Action: TypeAlias = Create | Adopt | Copy | Take | GiveBack | Resize | Remove
