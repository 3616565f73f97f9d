"""What a DiskSnapshot's plan decides from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from agents.storage.failure import Failed
from agents.storage.folders import Place
from agents.storage.jobs import State
from agents.storage.qcow2 import Header
from operators.contract.meta import Obj
from operators.contract.snapshots import DiskSnapshotSpec, DiskSnapshotStatus

SnapshotObj: TypeAlias = Obj[DiskSnapshotSpec, DiskSnapshotStatus]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there of one DiskSnapshot."""

    place: Place | None = None
    """None while the pool cannot be found."""
    source: Place | None = None
    offline: str = ""
    """Why the pool cannot be used."""
    failed: Failed | None = None
    """Why the pool's driver refuses it."""
    strange: str = ""
    """What is there that is not ours."""
    file: Header | None = None
    stored: int = 0
    """Bytes that the file takes."""
    in_use: bool = False
    """Whether a guest has the Disk's file open; looked up only while there is no snapshot yet."""
    source_gone: bool = False
    memory: int | None = None
    """Bytes that the file with the guest's memory takes; None without one."""
    leftovers: tuple[str, ...] = ()
    """Files in the making beside the one that is whole."""
    copying: State | None = None
    reverting: State | None = None
    brought_back: int = 0
    """The newest request that was done."""
    now: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """Begin to copy a Disk that no guest uses."""

    snapshot: SnapshotObj
    source: Place
    place: Place

    def __str__(self) -> str:
        return f"{self.source.absolute} to {self.place.absolute}"


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make the folder that the hypervisor agent is asked to copy to."""

    place: Place

    def __str__(self) -> str:
        return self.place.absolute


@dataclass(frozen=True, slots=True)
class Publish:
    """Give what the hypervisor copied its name."""

    snapshot: SnapshotObj
    place: Place
    file: str
    memory: str = ""
    """The file that the guest's memory was written to, if it was."""

    def __str__(self) -> str:
        return f"{self.file} as {self.place.absolute}"


@dataclass(frozen=True, slots=True)
class Revert:
    """Begin to replace the Disk's content by the snapshot's."""

    snapshot: SnapshotObj
    source: Place
    place: Place

    def __str__(self) -> str:
        return f"{self.source.absolute} to {self.place.absolute}, request {self.snapshot.spec.revert_request}"


@dataclass(frozen=True, slots=True)
class Tidy:
    """Remove what is left of work that is done."""

    place: Place
    files: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.files)} beside {self.place.absolute}"


@dataclass(frozen=True, slots=True)
class Remove:
    """End what is under way and remove the files."""

    snapshot: SnapshotObj
    place: Place

    def __str__(self) -> str:
        return self.place.absolute


Action: TypeAlias = Copy | Prepare | Publish | Revert | Tidy | Remove


def part(uid: str) -> str:
    """The name of a copy until it is whole."""
    return f".{uid}.part"


def beginning(uid: str) -> str:
    """How the names of all files in the making begin, those that a hypervisor copies into among them."""
    return f".{uid}."


def captured_memory(uid: str) -> str:
    """Where a hypervisor writes a guest's memory to: its `status.target` and this word."""
    return f"{beginning(uid)}memory"


def memory_at(place: Place) -> Place:
    """Where the memory of the guest is kept, beside the copy of its disk."""
    return Place(place.pool, place.folder, f"{place.file.removesuffix('.qcow2')}.memory", "raw")


def revert(uid: str, request: int) -> str:
    """Beside the Disk's file: the content to go back to, and after that the mark that it was done."""
    return f".{uid}.{request}.revert"


def swap(uid: str) -> str:
    """A second name of that content, on its way to be the Disk's file."""
    return f".{uid}.swap"
