"""What the capture of one DiskSnapshot is decided from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from agents.hypervisor.driver import Backup
from operators.contract.meta import Obj
from operators.contract.snapshots import DiskSnapshotSpec, DiskSnapshotStatus, Quiesce

SnapshotObj: TypeAlias = Obj[DiskSnapshotSpec, DiskSnapshotStatus]


@dataclass(frozen=True, slots=True)
class Guest:
    """The guest that has the disk."""

    uuid: str
    disk: str
    """Absolute path of the disk's file."""
    virtual_machine: str
    active: bool
    stands: bool = False
    """Whether it stands still, because it was asked to."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of the disks that are to be copied at one moment."""

    uid: str
    """Of the DiskSnapshot."""
    disk: str
    """Absolute path of the disk's file."""
    target: str
    """How the path of the file begins that it is to be copied into."""
    memory: bool = False
    """Whether the guest's memory is to be kept beside it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there of it."""

    guest: Guest | None = None
    trouble: str = ""
    """Why the hypervisor could not be asked."""
    backup: Backup | None = None
    """The copy that is being made of one of the guest's disks."""
    known: bool = False
    """Whether this process saw the copy being made; else nothing is known of how it ended."""
    thawed: bool = False
    """Whether this process has seen to it that the guest does not hold still since an earlier one was killed."""
    failure: str | None = None
    """Why the copy that ended last failed; empty when it is whole."""
    token: int = 0
    """A number that no earlier attempt had."""
    hold: float = 0.0
    """Seconds until the next attempt."""
    held: str = ""
    """Why the last one failed."""
    parts: tuple[Part, ...] = ()
    """All that is to be copied together, in an order on which all agree; of a snapshot by itself, it alone."""
    lacking: int = 0
    """How many more of its moment are still to be asked for."""
    stood: bool = False
    """Whether the guest has stood still since this process began the copy, of which its memory is to be kept."""
    remembered: bool = False
    """Whether that has been written down."""
    passed: bool = False
    """Whether another one of its moment was taken already, without this one as far as is known."""


@dataclass(frozen=True, slots=True)
class Thaw:
    """Have the guest go on, whatever an earlier process left."""

    guest: Guest

    def __str__(self) -> str:
        return self.guest.virtual_machine


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin to copy disks, all as they are at one moment."""

    guest: Guest
    parts: tuple[Part, ...]
    token: int
    quiesce: Quiesce

    def __str__(self) -> str:
        listed = ", ".join(f"{part.disk} to {self.file(part)}" for part in self.parts)
        return f"{self.guest.virtual_machine}: {listed}"

    def file(self, part: Part) -> str:
        """The path that a disk is copied to in this attempt."""
        return f"{part.target}{self.token}.capture"

    @property
    def memory(self) -> bool:
        """Whether the guest stands still until its memory is written, too."""
        return any(part.memory for part in self.parts)


@dataclass(frozen=True, slots=True)
class Still:
    """Have the guest stand still, so that its disks and its memory are of one moment."""

    guest: Guest

    def __str__(self) -> str:
        return self.guest.virtual_machine


@dataclass(frozen=True, slots=True)
class SaveMemory:
    """Write down the memory of a guest that has stood still since its disks began to be copied, which they are."""

    guest: Guest
    target: str
    """How the path of the file begins."""

    @property
    def path(self) -> str:
        """The file."""
        return f"{self.target}memory"

    def __str__(self) -> str:
        return f"{self.guest.virtual_machine} to {self.path}"


@dataclass(frozen=True, slots=True)
class End:
    """Break a copy off that nobody wants any more."""

    guest: Guest

    def __str__(self) -> str:
        return self.guest.disk


Action: TypeAlias = Thaw | Still | Begin | SaveMemory | End
