"""What a Volume's plan decides from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from operators.contract.backups import VolumeBackupSpec, VolumeBackupStatus
from operators.contract.compute import CatalogueStatus
from operators.contract.formats import DiskFormat, FormatReport
from operators.contract.meta import Obj
from operators.contract.quantity import Quantity
from operators.contract.snapshots import VolumeSnapshotSpec, VolumeSnapshotStatus
from operators.contract.storage import (
    DiskOfferingSpec,
    DiskSpec,
    DiskStatus,
    ImageCopySpec,
    ImageCopyStatus,
    ImageSpec,
    ImageStatus,
    PoolFile,
    VolumeSpec,
    VolumeStatus,
)
from operators.contract.tenancy import Room

VolumeObj: TypeAlias = Obj[VolumeSpec, VolumeStatus]
DiskObj: TypeAlias = Obj[DiskSpec, DiskStatus]
ImageObj: TypeAlias = Obj[ImageSpec, ImageStatus]
CopyObj: TypeAlias = Obj[ImageCopySpec, ImageCopyStatus]
SnapshotObj: TypeAlias = Obj[VolumeSnapshotSpec, VolumeSnapshotStatus]
BackupObj: TypeAlias = Obj[VolumeBackupSpec, VolumeBackupStatus]
OfferingObj: TypeAlias = Obj[DiskOfferingSpec, CatalogueStatus]


@dataclass(frozen=True, slots=True)
class Holder:
    """An Instance that lists the Volume."""

    instance: str
    virtual_machine: str
    host: str
    running: bool
    """Whether it runs or is told to: its disks are QEMU's then."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A StoragePool that the holder's host may reach."""

    name: str
    executor: str
    """The host whose agent works on it: its own for a Directory, the holder's for a SharedDirectory."""
    problem: str = ""
    """Why nothing can be placed on it, whatever its size; empty when it is fine."""
    tags: frozenset[str] = frozenset()
    free: int = 0
    promisable: int = 0
    """Bytes of virtual size that may still be given out on it."""
    formats: frozenset[str] = frozenset({DiskFormat.QCOW2})
    """What its host can hold there."""
    told: tuple[FormatReport, ...] = ()
    """What can be done there; see `abilities`."""
    copy: CopyObj | None = None
    """What has the name of the ImageCopy on this pool, if the Volume is made from an image."""


@dataclass(frozen=True, slots=True)
class Arriving:
    """An Instance that a guest is to arrive at, on a host that does not reach the Volume's Disk."""

    host: str
    image_copies: Mapping[str, str]
    """Of each pool that has the image which the Disk is made from: `namespace/name` of that copy."""
    pools: tuple[Pool, ...]


@dataclass(frozen=True, slots=True)
class Moves:
    """What migrations make of one Volume whose Disk only one host reaches."""

    arriving: tuple[Arriving, ...] = ()
    copies: tuple[DiskObj, ...] = ()
    """Disks that get the data with a guest."""
    arrived: frozenset[str] = frozenset()
    """Hosts that a guest with the Volume has come to for good."""
    used: frozenset[str] = frozenset()
    """Hosts of every Instance that lists the Volume."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The Volume that another one is made from."""

    deleting: bool = False
    disk: DiskObj | None = None
    runs: str = ""
    """The VirtualMachine whose guest has it, if one runs."""
    told: tuple[FormatReport, ...] = ()
    """What its pool can do; see `abilities`."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there around one Volume."""

    offering: OfferingObj | None = None
    snapshot: SnapshotObj | None = None
    """What has the name of the VolumeSnapshot that the Volume is made from."""
    backup: BackupObj | None = None
    """What has the name of the VolumeBackup that it is made from."""
    image: ImageObj | None = None
    origin: Origin | None = None
    """The Volume that it is made from, while it is not."""
    between: SnapshotObj | None = None
    """The VolumeSnapshot that was made for it, of a Volume that a guest runs on."""
    clones: tuple[str, ...] = ()
    """Volumes and Images that are being copied from its Disk; looked for only when it is to go."""
    stranger: bool = False
    """Whether somebody has an Image, or a VolumeSnapshot, of the name that its own is to have."""
    holders: tuple[Holder, ...] = ()
    disk: DiskObj | None = None
    """The Disk of this very Volume: that of the host which carries out what is done to its file."""
    sights: tuple[DiskObj, ...] = ()
    """The Disks by which other hosts of a shared pool reach the same file."""
    heir: DiskObj | None = None
    """The Disk on another pool that is to take the Disk's place."""
    went: bool = False
    """Whether a guest uses that one already."""
    retired: tuple[DiskObj, ...] = ()
    """Disks whose place another one has taken."""
    told: tuple[FormatReport, ...] = ()
    """What the Disk's pool can do; see `abilities`."""
    reached: frozenset[str] = frozenset()
    """Of the holders' hosts, those that reach the Disk's pool."""
    shared: bool = False
    """Whether other hosts than the Disk's may reach its pool."""
    name_taken: bool = False
    """Whether a Disk of an earlier Volume of the same name is still there."""
    pools: tuple[Pool, ...] = ()
    """Looked up only when a Disk is to be placed."""
    virtual_size: Quantity | None = None
    """The image's, as soon as any pool has a copy."""
    original: CopyObj | None = None
    """The copy that all others are made from, of an image that no url leads to."""
    moves: Moves = field(default_factory=Moves)
    rooms: tuple[Room, ...] = ()
    """What others take of its tenant's limits on storage."""
    lost: tuple[str, ...] = ()
    """Hosts that do not answer although their agents have something to do to its Disks."""
    quiet: float = 0.0
    """Seconds for which a state that passes by itself is not worth a write."""


@dataclass(frozen=True, slots=True)
class Protect:  # Actions say in the log what they are about; the whole object would bury it.
    """Put our finalizer on the Volume."""

    volume: VolumeObj

    def __str__(self) -> str:
        return str(self.volume.key)


@dataclass(frozen=True, slots=True)
class MakeSnapshot:
    """Have a VolumeSnapshot taken of the Volume that another one is made from."""

    volume: VolumeObj

    def __str__(self) -> str:
        return str(self.volume.key)


@dataclass(frozen=True, slots=True)
class DropSnapshot:
    """Have it removed again."""

    snapshot: SnapshotObj

    def __str__(self) -> str:
        return str(self.snapshot.key)


@dataclass(frozen=True, slots=True)
class MakeCopy:
    """Have the image fetched to a pool, or copied from another one."""

    image: ImageObj
    pool: str
    executor: str
    source: PoolFile | None = None
    """What it is copied from, where it has no url."""
    checksum: str = ""
    """What that adds up to, where it is an image already."""

    @classmethod
    def like(cls, image: ImageObj, pool: str, executor: str, original: CopyObj | None) -> MakeCopy:
        """From its url, or from another copy if there is none."""
        if original is None:
            return cls(image, pool, executor)
        checksum = original.spec.checksum or original.status.checksum
        return cls(image, pool, executor, PoolFile(original.spec.pool, original.spec.path), checksum)

    def __str__(self) -> str:
        return f"of {self.image.key} on pool {self.pool} by host {self.executor}"


@dataclass(frozen=True, slots=True)
class MakeImage:
    """Make the Image that stands for the url which the Volume is made from."""

    volume: VolumeObj

    def __str__(self) -> str:
        return str(self.volume.key)


@dataclass(frozen=True, slots=True)
class MakeDisk:
    """Have the Disk made."""

    volume: VolumeObj
    name: str
    spec: DiskSpec

    def __str__(self) -> str:
        spec = self.spec
        return f"{self.name} for {self.volume.key} on pool {spec.pool} by host {spec.host_name}, {spec.size}"


@dataclass(frozen=True, slots=True)
class Adjust:
    """Change what may change of a Disk: a larger size, whether its file is kept."""

    disk: DiskObj
    spec: DiskSpec

    def __str__(self) -> str:
        return f"{self.disk.key} to {self.spec.size}, keep={self.spec.keep}"


@dataclass(frozen=True, slots=True)
class DeleteDisk:
    """Have the Disk's file freed (or kept, if it says so)."""

    disk: DiskObj
    set_aside: bool = False
    """Whether its file was set aside, so that no guest can be on it, whatever an Instance still lists."""

    def __str__(self) -> str:
        return str(self.disk.key)


@dataclass(frozen=True, slots=True)
class Unprotect:
    """Take our finalizer off: nothing of the Volume is left."""

    volume: VolumeObj

    def __str__(self) -> str:
        return str(self.volume.key)


Action: TypeAlias = (
    Protect | MakeImage | MakeSnapshot | DropSnapshot | MakeCopy | MakeDisk | Adjust | DeleteDisk | Unprotect
)
