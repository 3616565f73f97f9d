"""The compute group: guests that move from host to host."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from operators.contract import names
from operators.contract.meta import Condition, Kind, ObjectRef
from operators.contract.quantity import Duration, Quantity


class DiskCopy(StrEnum):
    """What becomes of one disk's data in a migration."""

    NONE = "None"
    """Both hosts reach it."""
    INCREMENTAL = "Incremental"
    """What was written since it was made from an image that the target has too."""
    FULL = "Full"


@dataclass(frozen=True, slots=True)
class Incoming:
    """On an Instance that a guest is to arrive at. Written by Compute.

    Until `committed` its agent gets everything ready and lets the guest in, but neither starts nor resumes it.
    """

    migration: ObjectRef
    from_host: str
    whole: bool = False
    """Whether disks are copied whole, although an image that is here may hold most of them."""
    source_lost: bool = False
    """The source has nothing of the guest any more, so what is said of this host must be newer than that."""
    committed: bool = False
    """Written once the source can run it no more; from then on this Instance is like any other."""


@dataclass(frozen=True, slots=True)
class MovedDisk:
    """Where one disk is on the host that a guest moves to, in the order of the Instance's disks."""

    path: str
    """Absolute, as that host's agent reports it."""
    copy: DiskCopy = DiskCopy.NONE


@dataclass(frozen=True, slots=True)
class Outgoing:
    """On an Instance whose guest is to leave. Written by Compute; its agent neither starts nor resumes it meanwhile."""

    migration: ObjectRef
    to_host: str
    address: str
    """Of the other host's hypervisor."""
    disks: tuple[MovedDisk, ...] = ()
    cancel: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """How far a host is with letting a guest in."""

    migration: str
    """uid of the Migration."""
    address: str
    """Where its hypervisor takes guests."""
    disks: tuple[MovedDisk, ...] = ()
    """Its disks on this host, once all is ready."""
    arrived: bool = False
    """Whether the whole guest is here, running or not."""


class DepartureState(StrEnum):
    """Where the leaving of a guest is; all but `Running` are its agent's last word on that Migration."""

    RUNNING = "Running"
    COMPLETED = "Completed"
    """It has left, which this agent saw: nothing of it is here any more."""
    GONE = "Gone"
    """It is not here any more, and nobody saw how."""
    ENDED = "Ended"
    """It is known here but has no power."""
    FAILED = "Failed"
    """It is still here, running or paused."""
    CANCELLED = "Cancelled"
    """The same, because that was asked for."""


@dataclass(frozen=True, slots=True)
class Departure:
    """How far the leaving of a guest is."""

    migration: str
    """uid of the Migration."""
    state: DepartureState
    message: str = ""
    progress: int = 0
    """Percent of the data."""
    data_total: Quantity | None = None
    data_processed: Quantity | None = None
    downtime: int = 0
    """Milliseconds for which the guest stood still, once it is over."""


class MigrateStorage(StrEnum):
    """What a Migration may do about disks that only the source host reaches."""

    AUTO = "Auto"
    """Copy them; what an image holds that is at the target already is not sent."""
    FULL = "Full"
    """Copy them whole."""
    SHARED = "Shared"
    """Copy none: refuse unless the target reaches all of them."""


@dataclass(frozen=True, slots=True)
class MigrationSpec:
    """Move a running VirtualMachine to another host. Everything but `cancel` is immutable."""

    virtual_machine: str
    target_host: str = ""
    """Compute chooses when empty."""
    storage: MigrateStorage = MigrateStorage.AUTO
    begin_within: Duration | None = None
    """Given up when no host has taken it in that time; it waits for as long as it takes when left out."""
    cancel: bool = False


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """Written by Compute."""

    observed_generation: int = 0
    phase: str = ""
    """For printing only."""
    uid: str = ""
    """Of the VirtualMachine that it found under the name."""
    source_host: str = ""
    target_host: str = ""
    storage: str = ""
    """How the disks are moved: one of DiskCopy."""
    progress: int = 0
    """Percent of the data."""
    data_total: Quantity | None = None
    data_processed: Quantity | None = None
    downtime: int = 0
    """Milliseconds for which the guest stood still."""
    called_off: str = ""
    """Why it is being given up, once that is decided; it may still succeed if it was too late for that."""
    started_at: str = ""
    finished_at: str = ""
    """Set once: nothing more happens then."""
    conditions: tuple[Condition, ...] = ()
    """`Succeeded`."""


MIGRATION = Kind(names.COMPUTE, "Migration", "migrations", MigrationSpec, MigrationStatus)

KINDS: tuple[Kind[object, object], ...] = (MIGRATION,)
