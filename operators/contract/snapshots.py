"""Snapshots of volumes and their schedules, as users state them and as agents take them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from operators.contract import names
from operators.contract.meta import Condition, Kind, ObjectRef
from operators.contract.quantity import Quantity


class Quiesce(StrEnum):
    """Whether a running guest is asked to hold still while its disk is taken."""

    IF_POSSIBLE = "IfPossible"
    """By its guest agent if it answers, else as a power cut would leave it."""
    REQUIRED = "Required"
    NEVER = "Never"


@dataclass(frozen=True, slots=True)
class Moment:
    """What several snapshots of one guest's disks have in common that are to be of the same moment."""

    id: str
    """The same for all of them, and for no others."""
    size: int
    """How many there are. A running guest's disks are copied once all are asked for, by one job, or not at all."""
    memory: str = ""
    """Name of the one of them beside which the guest's memory of that moment is kept; empty where none is."""


@dataclass(frozen=True, slots=True)
class VolumeSnapshotSpec:
    """A Volume as it is at one moment. It outlives the Volume."""

    volume: str
    """In the same namespace."""
    quiesce: Quiesce = Quiesce.IF_POSSIBLE
    revert_request: int = 0
    """Raise it to have the Volume's content replaced by the snapshot's, once, while no guest runs on it."""
    moment: Moment | None = None
    """Written by Compute on those that it makes for a VirtualMachineSnapshot."""


@dataclass(frozen=True, slots=True)
class VolumeSnapshotStatus:
    """Written by Storage."""

    observed_generation: int = 0
    phase: str = ""
    volume_uid: str = ""
    """Of the Volume that it was taken of, told from a later one of the same name."""
    pool: str = ""
    host_name: str = ""
    """The host whose agent works on it."""
    disk_snapshot: str = ""
    size: Quantity | None = None
    """What a Volume made from it must have at least."""
    stored: Quantity | None = None
    """What its file takes on the pool."""
    taken_at: str = ""
    quiesced: bool = False
    """Whether the guest held still; else it is as a power cut would leave it."""
    running: bool = False
    """Whether a guest ran on the Volume when it was taken."""
    memory: bool = False
    """Whether the memory of that guest lies beside it."""
    revert_observed: int = 0
    """The newest `spec.revertRequest` that was done."""
    conditions: tuple[Condition, ...] = ()
    """`Ready`, `Reverted`."""


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "Monday"
    TUESDAY = "Tuesday"
    WEDNESDAY = "Wednesday"
    THURSDAY = "Thursday"
    FRIDAY = "Friday"
    SATURDAY = "Saturday"
    SUNDAY = "Sunday"


@dataclass(frozen=True, slots=True)
class Hourly:
    """A snapshot each hour."""

    minute: int = 0
    keep: int = 24
    """How many are kept."""


@dataclass(frozen=True, slots=True)
class Daily:
    """A snapshot each day."""

    at: str = "02:00"
    """`HH:MM` in the schedule's time zone."""
    keep: int = 7


@dataclass(frozen=True, slots=True)
class Weekly:
    """A snapshot each week."""

    day: Weekday = Weekday.SUNDAY
    at: str = "03:00"
    keep: int = 4


@dataclass(frozen=True, slots=True)
class SnapshotScheduleSpec:
    """When snapshots of a Volume are taken, and how many of them are kept."""

    volume: str
    hourly: Hourly | None = None
    daily: Daily | None = None
    weekly: Weekly | None = None
    time_zone: str = "UTC"
    """A name of the IANA database, such as `Europe/Zurich`."""
    quiesce: Quiesce = Quiesce.IF_POSSIBLE
    suspend: bool = False


@dataclass(frozen=True, slots=True)
class SnapshotScheduleStatus:
    """Written by Storage."""

    observed_generation: int = 0
    phase: str = ""
    last_hourly: str = ""
    """The newest moment of the rule that was seen to, taken or missed."""
    last_daily: str = ""
    last_weekly: str = ""
    next_at: str = ""
    missed: int = 0
    """Moments at which nothing could be taken since nobody was there to do it; the newest is made up for."""
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class DiskSnapshotSpec:
    """A copy of a Volume's Disk, for the agents of `host_name` to take. Written by Storage."""

    host_name: str
    pool: str
    path: str
    """Beneath the pool's folder: `snapshots/<uid>.qcow2`."""
    snapshot: ObjectRef
    volume: ObjectRef
    source: str
    """Its Disk's path beneath the pool's folder."""
    quiesce: Quiesce = Quiesce.IF_POSSIBLE
    revert_request: int = 0
    moment: Moment | None = None
    """As the VolumeSnapshot has it."""


@dataclass(frozen=True, slots=True)
class Capture:
    """Written by the hypervisor agent: what it copied from a running guest."""

    file: str = ""
    """The name of the copy's file, which begins as it was asked to."""
    at: str = ""
    """The moment that the copy is of."""
    quiesced: bool = False
    memory: bool = False
    """Whether the guest's memory of that moment was kept: in the file `<target>memory`, in libvirt's format."""


@dataclass(frozen=True, slots=True)
class DiskSnapshotStatus:
    """Written by the storage agent of `spec.hostName`, but for `capture` and `Captured`."""

    observed_generation: int = 0
    path: str = ""
    """Absolute, on the host."""
    target: str = ""
    """How the path of the file begins that the hypervisor agent is asked to copy a running guest's disk into; absolute,
    on the host. Each attempt has a file of its own."""
    virtual_size: Quantity | None = None
    stored: Quantity | None = None
    taken_at: str = ""
    quiesced: bool = False
    memory: str = ""
    """Absolute path of the file with the guest's memory of that moment; empty without one."""
    revert_observed: int = 0
    capture: Capture = field(default_factory=Capture)
    conditions: tuple[Condition, ...] = ()
    """`Provisioned`, `Reverted`, `Released`; `Captured` by the hypervisor agent."""


VOLUME_SNAPSHOT = Kind(names.STORAGE, "VolumeSnapshot", "volumesnapshots", VolumeSnapshotSpec, VolumeSnapshotStatus)
SNAPSHOT_SCHEDULE = Kind(
    names.STORAGE, "SnapshotSchedule", "snapshotschedules", SnapshotScheduleSpec, SnapshotScheduleStatus
)
DISK_SNAPSHOT = Kind(
    names.STORAGE, "DiskSnapshot", "disksnapshots", DiskSnapshotSpec, DiskSnapshotStatus, host_side=True
)

KINDS: tuple[Kind[object, object], ...] = (VOLUME_SNAPSHOT, SNAPSHOT_SCHEDULE, DISK_SNAPSHOT)
