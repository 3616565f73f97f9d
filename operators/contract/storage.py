"""The storage group: volumes and images as users state them, disks and image copies as agents make them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from operators.contract import names
from operators.contract.compute import CatalogueStatus
from operators.contract.meta import Condition, Kind, ObjectRef
from operators.contract.quantity import Quantity

NOTHING = Quantity(0)


class ReclaimPolicy(StrEnum):
    """What becomes of the data when the Volume is deleted."""

    DELETE = "Delete"
    RETAIN = "Retain"


class Provisioning(StrEnum):
    """How much of its pool a disk takes from the beginning."""

    THIN = "Thin"
    """What is written to it."""
    FAT = "Fat"
    """All of its size: it is made from a full copy of its image, and cannot run out of room."""


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """What a disk may be used for at most, reads and writes together; 0 is no limit."""

    iops: int = 0
    """Operations a second."""
    throughput: Quantity = NOTHING
    """Bytes a second."""


@dataclass(frozen=True, slots=True)
class VolumeSource:
    """What a Volume starts out with; blank when empty."""

    image: str = ""
    """As `VirtualMachine.spec.image`."""
    snapshot: str = ""
    """A VolumeSnapshot of the same namespace. The Volume is made on the snapshot's pool."""
    volume: str = ""
    """A Volume of the same namespace; the copy is made on its pool. Where a guest runs on it, it is taken by a
    VolumeSnapshot that goes once the copy is there."""
    url: str = ""
    """http:// or https://; as `Image.spec`, for one Volume alone."""
    checksum: str = ""
    format: str = ""
    file: str = ""
    """A qcow2 file that the operator of the cloud put into the folder `adopt` of `spec.pool`; it is taken over."""
    backup: str = ""
    """A VolumeBackup of the same namespace; the Volume may be on any pool."""


@dataclass(frozen=True, slots=True)
class VolumeSpec:
    """A disk, as its user states it. It may grow but not shrink."""

    size: Quantity | None = None
    """Needed for a blank Volume; from an image, the image's virtual size by default."""
    disk_offering: str = "standard"
    source: VolumeSource = field(default_factory=VolumeSource)
    reclaim_policy: ReclaimPolicy = ReclaimPolicy.DELETE
    pool: str = ""
    """A StoragePool to be on; Storage's choice when empty."""
    limits: DiskLimits | None = None
    """Where the DiskOffering is stricter, that counts."""
    format: str = ""
    """`qcow2` or `raw`; the DiskOffering's when empty."""


@dataclass(frozen=True, slots=True)
class VolumeStatus:
    """Written by Storage."""

    observed_generation: int = 0
    phase: str = ""
    pool: str = ""
    host_name: str = ""
    """The only host that can reach it, for a pool of one host; else empty."""
    disk: str = ""
    disk_host: str = ""
    """The host of that Disk, which carries out what is done to the file; on others it is `names.disk_on`."""
    move_to: str = ""
    """The Disk on another pool that a running guest may go over to."""
    size: Quantity | None = None
    """What the guest sees."""
    format: str = ""
    attached_to: str = ""
    """The VirtualMachine that lists it, while an Instance holds it."""
    claimed_by: ObjectRef | None = None
    """The VirtualMachine that may have it, from before its Instance lists it until another one claims it: Compute."""
    conditions: tuple[Condition, ...] = ()
    """`Bound`, `Attached`, `Ready`."""


@dataclass(frozen=True, slots=True)
class DiskOfferingSpec:
    """A class of disk."""

    display_name: str = ""
    size: Quantity | None = None
    """Fixed size; when empty the user chooses."""
    tags: frozenset[str] = frozenset()
    """Tags that a StoragePool must all carry."""
    limits: DiskLimits | None = None
    format: str = "qcow2"
    """`qcow2` or `raw`, where the Volume does not say."""
    provisioning: Provisioning = Provisioning.THIN


@dataclass(frozen=True, slots=True)
class ImageSource:
    """What an Image is made of that no url leads to: one of both, in its namespace."""

    volume: str = ""
    """A Volume, on which no guest runs meanwhile; it is copied on its pool."""
    snapshot: str = ""
    """A VolumeSnapshot; it is copied on its pool."""


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """A template of a root disk, immutable: a new version is a new Image."""

    url: str = ""
    """http:// or https://; either this, or `source`."""
    checksum: str = ""
    """`sha256:` (or `sha512:`, `sha1:`, `md5:`) and hexadecimal digits, of the file behind the url."""
    source: ImageSource | None = None
    """Copied once, as it is at that moment; the Image then needs it no longer."""
    format: str = "qcow2"
    """`qcow2`, `raw`, `vmdk`, `vdi`, or `iso` for a CD or DVD; pools hold qcow2."""
    os_type: str = ""
    display_name: str = ""
    bootable: bool = True
    shared_with: frozenset[str] = frozenset()
    """Namespaces that may name it as `namespace/name` though it is not public."""
    preseed: frozenset[str] = frozenset()
    """Pools that it is brought to before anybody needs it there."""
    public: bool = False
    """Whether other namespaces may name it as `namespace/name`. Images in the catalogue namespace need no prefix."""
    minimum_disk: Quantity | None = None


@dataclass(frozen=True, slots=True)
class ImageCopySummary:
    """One pool's copy, as Image.status shows it."""

    pool: str
    ready: bool
    progress: int = 0
    """Percent."""
    unused_since: str = ""
    """When the last Disk that was made from it went. One that came since then is not noted here."""


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """Written by Storage."""

    observed_generation: int = 0
    phase: str = ""
    virtual_size: Quantity | None = None
    checksum: str = ""
    """Of the file that was made of `spec.source`, or of the first that came from a url without a checksum: other pools
    have copies of that very file."""
    copies: tuple[ImageCopySummary, ...] = ()
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class BackupRef:
    """One backup in an ImageStore."""

    image_store: str
    volume_uid: str
    backup_uid: str


@dataclass(frozen=True, slots=True)
class PoolFile:
    """A file on a pool."""

    pool: str
    path: str
    """Beneath the pool's folder."""


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """A file on a pool, for the storage agent of `host_name` to make. Written by Storage."""

    host_name: str
    """The host that executes; for a pool of one host, that host."""
    pool: str
    path: str
    """Beneath the pool's folder, made by Storage from uids only: `volumes/<uid>.<format>`."""
    volume: ObjectRef
    size: Quantity
    format: str = "qcow2"
    preallocated: bool = False
    """Whether it takes all of its size at once."""
    image_copy: str = ""
    """`namespace/name` of the ImageCopy on the same pool that backs it; blank disk when empty."""
    snapshot: str = ""
    """Path beneath the pool's folder of the snapshot that its content is copied from."""
    backup: BackupRef | None = None
    """The backup that its content is restored from."""
    keep: bool = False
    """Whether the file stays when the Disk is released (reclaim policy Retain, or another host takes it over)."""
    adopt: bool = False
    """Whether the file is there already, from an earlier Disk of the Volume; it is then never made anew."""
    file_of: str = ""
    """Name of the Disk whose file this is, on a shared pool: this one only tells its host where that is, and neither
    makes nor grows nor removes it."""
    limits: DiskLimits = field(default_factory=DiskLimits)
    """For the hypervisor that has it."""
    adopt_file: str = ""
    """A file in the pool's folder `adopt` that is to become the Disk's, once it was found harmless."""
    replaces: str = ""
    """uid of the Disk on another pool whose place this one takes."""
    filled: bool = False
    """Whether it has taken it: until then the other one holds the data, and from then on this one does."""
    take_from: PoolFile | None = None
    """The file of the Disk that it replaces, whose data the storage agent brings here while no guest runs on it. When
    left out, a running guest does."""
    copy_of: str = ""
    """Name of the Disk on another host whose data a migration brings here; the file is made without it."""
    copy_whole: bool = False
    """Whether that takes all of the data: the image that the other one is made from is not on this pool."""


@dataclass(frozen=True, slots=True)
class DiskStatus:
    """Written by the storage agent of `spec.hostName`."""

    observed_generation: int = 0
    path: str = ""
    """Absolute, on the host."""
    virtual_size: Quantity | None = None
    conditions: tuple[Condition, ...] = ()
    """`Provisioned`, `Released`."""


@dataclass(frozen=True, slots=True)
class ImageCopySpec:
    """An image on a pool, for the storage agent of `host_name` to fetch and check. Written by Storage."""

    host_name: str
    pool: str
    path: str
    """Beneath the pool's folder: `images/<image uid>.qcow2`."""
    image: ObjectRef
    url: str = ""
    """Either this, or `source`."""
    checksum: str = ""
    """Of the file behind the url, where it is known, or of `source`, which is then an image that is copied as it is."""
    source: PoolFile | None = None
    """A file on a pool that the host reaches. Without a `checksum` it is a disk, copied with all behind it into an
    image that stands on its own, once: what the disk holds later is none of the Image's."""
    format: str = "qcow2"
    evict: bool = False
    """Whether its file goes until somebody needs it again. It stays as long as a Disk is made from it."""


@dataclass(frozen=True, slots=True)
class ImageCopyStatus:
    """Written by the storage agent of `spec.hostName`."""

    observed_generation: int = 0
    path: str = ""
    virtual_size: Quantity | None = None
    progress: int = 0
    """Percent, in steps of ten while fetching."""
    checksum: str = ""
    """Of the file that was made of a disk, or that came from a url without a checksum, once there is one."""
    conditions: tuple[Condition, ...] = ()
    """`Provisioned`, `Released`."""


VOLUME = Kind(names.STORAGE, "Volume", "volumes", VolumeSpec, VolumeStatus)
DISK_OFFERING = Kind(
    names.STORAGE, "DiskOffering", "diskofferings", DiskOfferingSpec, CatalogueStatus, namespaced=False
)
IMAGE = Kind(names.STORAGE, "Image", "images", ImageSpec, ImageStatus)
DISK = Kind(names.STORAGE, "Disk", "disks", DiskSpec, DiskStatus, host_side=True)
IMAGE_COPY = Kind(names.STORAGE, "ImageCopy", "imagecopies", ImageCopySpec, ImageCopyStatus, host_side=True)

KINDS: tuple[Kind[object, object], ...] = (VOLUME, DISK_OFFERING, IMAGE, DISK, IMAGE_COPY)
