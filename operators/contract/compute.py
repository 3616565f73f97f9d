"""The compute group: virtual machines, the offerings they take, and the instances that run them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from operators.contract import names
from operators.contract.meta import Condition, Kind, ObjectRef
from operators.contract.quantity import Duration, Quantity


class RunPolicy(StrEnum):
    """What a user wants of a VirtualMachine's power."""

    RUNNING = "Running"
    """Kept running: a guest that ends, however it does, is started again."""
    RERUN_ON_FAILURE = "RerunOnFailure"
    """Started again when it crashes; a guest that shuts itself down stays off."""
    STOPPED = "Stopped"


class Power(StrEnum):
    """What the hypervisor says of a domain."""

    RUNNING = "Running"
    STOPPED = "Stopped"
    PAUSED = "Paused"
    CRASHED = "Crashed"


@dataclass(frozen=True, slots=True)
class Nic:
    """One network interface that a user asks for; addresses are chosen where left out."""

    network: str
    ip: str = ""
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a user wants a VirtualMachine to run; what is left out is the scheduler's choice."""

    zone: str = ""
    group: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class UserData:
    """What first boot gets to run or read."""

    inline: str = field(default="", repr=False)  # it may hold a secret, and logs are for everybody
    """Plain text, `#!` script or `#cloud-config`; at most 8 KiB."""
    base64: str = field(default="", repr=False)
    """The same in base64, as the CloudStack API has it; at most 8 KiB once decoded."""
    secret: str = ""
    """Name of a Secret of the same namespace that holds it."""
    key: str = ""
    """The Secret's key; `userdata` when left out."""


class BootDevice(StrEnum):
    """What a guest boots from where it can; else from the other."""

    DISK = "Disk"
    CDROM = "CDROM"


@dataclass(frozen=True, slots=True)
class VirtualMachineSpec:
    """A virtual machine, as its user states it. Exactly one of `image` and `root_volume` is given."""

    offering: str
    cpus: int = 0
    """With a custom offering, and in its range; the offering's own number when left out."""
    memory: Quantity | None = None
    """With a custom offering, and in its range; the offering's own size when left out."""
    image: str = ""
    """An Image of the same namespace, else of the catalogue; or `namespace/name` of a public one."""
    root_volume: str = ""
    root_disk_size: Quantity | None = None
    root_disk_offering: str = ""
    """DiskOffering of the root disk; `standard` by default."""
    run_policy: RunPolicy = RunPolicy.RUNNING
    volumes: tuple[str, ...] = ()
    """Names of data Volumes in the same namespace, in the order the guest sees them."""
    cdrom: str = ""
    """A Volume of the same namespace that is in the guest's CD drive, such as one made from an ISO image."""
    boot_from: BootDevice = BootDevice.DISK
    nics: tuple[Nic, ...] = ()
    ssh_keys: tuple[str, ...] = ()
    """Public keys in authorized_keys form."""
    ssh_key_pairs: tuple[str, ...] = ()
    """Names of SSHKeyPairs in the same namespace, whose public keys may log in too."""
    user_data: UserData = field(default_factory=UserData)
    user_data_sources: tuple[UserData, ...] = ()
    """More of it, merged after `user_data` into one MIME multipart message."""
    hostname: str = ""
    """The guest's own host name; the VirtualMachine's name by default."""
    placement: Placement = field(default_factory=Placement)
    affinity_groups: tuple[str, ...] = ()
    """Names of AffinityGroups in the same namespace; followed when a host is chosen for it."""
    ha_enabled: bool = False
    delete_protection: bool = False
    paused: bool = False
    """Whether a running guest stands still, in memory, until this is taken back."""
    stop_deadline: Duration | None = None
    """How long the guest gets to end before its power is cut; the host's own default when left out."""
    reboot_request: int = 0
    """Raised by one, the guest is asked to end and started again, once; compare `status.rebootObserved`."""
    reset_request: int = 0
    """Raised by one, the guest's power is cut and it is started again, once; compare `status.resetObserved`."""
    password_request: int = 0
    """Raised by one, a new password is made, kept in the Secret that `status.passwordSecret` names, and handed to the
    guest at its next start; compare `status.passwordObserved`."""
    destroyed: bool = False
    """Off, and removed for good once its grace period is over; until then, taking this back recovers it."""

    @property
    def wanted(self) -> RunPolicy:
        """Whether it is to run (Running) or not (Stopped), all fields that have a say in it considered."""
        off = self.destroyed or self.run_policy is RunPolicy.STOPPED
        return RunPolicy.STOPPED if off else RunPolicy.RUNNING


@dataclass(frozen=True, slots=True)
class FilesystemInfo:
    """A file system that a guest has mounted."""

    mountpoint: str
    type: str = ""
    size: Quantity = field(default_factory=lambda: Quantity(0))
    used: Quantity = field(default_factory=lambda: Quantity(0))


@dataclass(frozen=True, slots=True)
class Usage:
    """How busy a guest is; told anew when that has changed by much."""

    cpu_percent: int = 0
    """Of all its processors."""
    memory_used: Quantity = field(default_factory=lambda: Quantity(0))


@dataclass(frozen=True, slots=True)
class GuestInfo:
    """What a guest's own agent says of it: its tenant's word, cut to size."""

    os: str = ""
    kernel: str = ""
    hostname: str = ""
    addresses: tuple[str, ...] = ()
    filesystems: tuple[FilesystemInfo, ...] = ()
    usage: Usage | None = None
    """The hypervisor's word, of the last minutes."""


@dataclass(frozen=True, slots=True)
class VirtualMachineStatus:
    """Written by Compute."""

    observed_generation: int = 0
    phase: str = ""
    """For printing only: derived from the conditions, never read."""
    host_name: str = ""
    instance: str = ""
    addresses: tuple[str, ...] = ()
    """The addresses of its NICs, first NIC first."""
    reboot_observed: int = 0
    reset_observed: int = 0
    password_observed: int = 0
    """The last request whose password the guest has taken."""
    password_secret: str = ""
    """Name of the Secret with the password that was made last, under the key `password`."""
    started_at: str = ""
    destroyed_at: str = ""
    """When `spec.destroyed` was first seen: its grace period began."""
    restarts: int = 0
    """How often the guest was started again after it crashed."""
    guest: GuestInfo | None = None
    """What its agent says from inside, some time after its start; absent without an agent."""
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class CustomRange:
    """The sizes that a custom offering lets its users choose, both ends included."""

    min_cpus: int
    max_cpus: int
    min_memory: Quantity
    max_memory: Quantity


@dataclass(frozen=True, slots=True)
class ComputeOfferingSpec:
    """A size of virtual machine. `cpus` and `memory` are what a custom one gives to those who choose nothing."""

    cpus: int
    memory: Quantity
    custom: CustomRange | None = None
    """Present in an offering whose users choose their own size; running guests can be given more processors then."""
    display_name: str = ""
    cpu_weight: int = 100
    """Relative share of a busy host's processors, 1 to 10000."""
    cpu_limit: int = 0
    """Percent of one processor that all of its processors may use together at most, for example 150; 0 for no limit."""
    network_rate: int = 0
    """Mbit/s that each NIC may send and receive at most; 0 for no limit."""
    host_tags: frozenset[str] = frozenset()
    """Tags that a Host must all carry."""
    ha: bool = False


PLAN_IS_KEPT = Duration(600)


class AffinityType(StrEnum):
    """Whether the members of a group share a host."""

    AFFINITY = "Affinity"
    ANTI_AFFINITY = "AntiAffinity"


class AffinityPolicy(StrEnum):
    """Whether a member waits rather than break its group's rule."""

    STRICT = "Strict"
    PREFERRED = "Preferred"


@dataclass(frozen=True, slots=True)
class AffinityGroupSpec:
    """Virtual machines of one namespace that are to share a host, or to be on different ones."""

    type: AffinityType = AffinityType.ANTI_AFFINITY
    policy: AffinityPolicy = AffinityPolicy.STRICT
    description: str = ""


@dataclass(frozen=True, slots=True)
class PlacementPlanSpec:
    """A question: where would this virtual machine go? Either one that there is, or one as it would be."""

    virtual_machine: str = ""
    """A VirtualMachine of the same namespace, as it is; then nothing else but `time_to_live` is stated."""
    offering: str = ""
    image: str = ""
    root_disk_size: Quantity | None = None
    root_disk_offering: str = ""
    volumes: tuple[str, ...] = ()
    placement: Placement = field(default_factory=Placement)
    affinity_groups: tuple[str, ...] = ()
    time_to_live: Duration = PLAN_IS_KEPT
    """Seconds after which the plan is deleted."""


@dataclass(frozen=True, slots=True)
class HostVerdict:
    """What one host is to the virtual machine."""

    host: str
    fits: bool
    score: int = 0
    """0 to 100, the higher the better; 0 where it does not fit."""
    filter: str = ""
    """The filter that refused it, one of the scheduler's."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class PlacementPlanStatus:
    """The answer, as things were when it was given. Written by Compute, once for each generation."""

    observed_generation: int = 0
    host: str = ""
    """Where it would go; empty where no host fits."""
    fitting: int = 0
    """How many hosts fit."""
    hosts: tuple[HostVerdict, ...] = ()
    """The best first, then those that do not fit; at most 64."""
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class CatalogueStatus:
    """Status of a kind that needs no work: an offering is what it says."""

    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class InstanceDisk:
    """A Disk that an Instance is to have, in the order of its devices (vda, vdb, …)."""

    disk: str
    """Name of a Disk in the Instance's namespace."""
    volume: str
    """Name of the Volume behind it."""
    serial: str
    """What the guest reads as the disk's serial number; at most 20 bytes."""
    move_to: str = ""
    """Name of a Disk that a running guest is to go over to, once all is copied there."""
    cdrom: bool = False
    """Whether it is in the CD drive, where a guest only reads it."""


@dataclass(frozen=True, slots=True)
class InstanceNic:
    """A PortBinding that an Instance is to have, in the order of its devices."""

    port: str
    port_binding: str
    rate: int = 0
    """Mbit/s at most, each way; 0 for no limit. It changes at any time."""


@dataclass(frozen=True, slots=True)
class CloudInit:
    """What the NoCloud disk tells the guest."""

    instance_id: str
    hostname: str
    ssh_keys: tuple[str, ...] = ()
    user_data: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class GuestPassword:
    """A password that the guest is to take; it stands here no longer than until it has."""

    request: int
    text: str = field(repr=False)


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
class InstanceSpec:
    """A virtual machine on one host, fully resolved. Written by Compute.

    `power`, `paused`, disks, the counters, and `cpus` and `memory` up to their maxima change at any time; other
    sizes and cloud-init only together with a start; the rest never.
    """

    host_name: str
    virtual_machine: ObjectRef
    domain: str
    """The libvirt domain's name. Its uuid is the VirtualMachine's uid."""
    cpus: int
    memory: Quantity
    max_cpus: int = 0
    """Up to how many processors the guest can have without a restart; as many as `cpus` when 0."""
    max_memory: Quantity | None = None
    """What the guest was started with, and so the most it can have without a restart; `memory` when left out."""
    cpu_weight: int = 100
    cpu_limit: int = 0
    """Percent of one processor that it may use at most; 0 for no limit."""
    disks: tuple[InstanceDisk, ...] = ()
    nics: tuple[InstanceNic, ...] = ()
    boot_from: BootDevice = BootDevice.DISK
    cloud_init: CloudInit | None = None
    power: Power = Power.RUNNING
    paused: bool = False
    stop_deadline: Duration | None = None
    """How long the guest gets to end; the agent's own default when left out."""
    reboot_request: int = 0
    reset_request: int = 0
    start_request: int = 0
    """Raised by Compute to have a guest that ended by itself started again."""
    incoming: Incoming | None = None
    outgoing: Outgoing | None = None
    password: GuestPassword | None = None
    offering: str = ""
    """What people call its size and, below, its zone: as they were at its start, for the metadata service."""
    zone: str = ""

    @property
    def has_cd(self) -> bool:
        """Whether there is to be something in the guest's CD drive."""
        return any(disk.cdrom for disk in self.disks)

    @property
    def most_cpus(self) -> int:
        """Up to how many processors it can have without a restart."""
        return max(self.cpus, self.max_cpus)

    @property
    def most_memory(self) -> int:
        """Bytes that the guest can make use of, whatever its balloon was asked to give back."""
        return max(int(self.memory), int(self.max_memory or 0))


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


@dataclass(frozen=True, slots=True)
class AttachedDisk:
    """A disk that the guest has, until it let go of it."""

    volume: str
    """Name of the Volume."""
    device: str
    """`vda`, `vdb`, …"""
    size: Quantity
    disk: str = ""
    """Name of the Disk: the other one as soon as the guest went over to it, and from then on for good."""


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """Written by the hypervisor agent of `spec.hostName`."""

    observed_generation: int = 0
    domain_uuid: str = ""
    power: str = ""
    """One of Power, as the hypervisor last said."""
    stop_reason: str = ""
    """Why it is off: `Shutdown` (by the guest), `Destroyed` (by us), `Crashed` (QEMU died, or the guest panicked)."""
    started_at: str = ""
    start_observed: int = 0
    reboot_observed: int = 0
    reset_observed: int = 0
    console_log: str = ""
    disks: tuple[AttachedDisk, ...] = ()
    """What the guest has now, while there is one."""
    arrival: Arrival | None = None
    departure: Departure | None = None
    guest: GuestInfo | None = None
    """What the guest's own agent says; a part of its own, written at a low rate."""
    password_observed: int | None = None
    """The last password that the guest has taken; a part of its own, written by the network agent."""
    conditions: tuple[Condition, ...] = ()
    """`Realised`, `Released`."""


@dataclass(frozen=True, slots=True)
class UserDataSpec:
    """A text for first boot that is kept for many virtual machines; each takes a copy when it is made."""

    data: str = field(repr=False)  # it may hold a secret, and logs are for everybody
    """Plain text, `#!` script or `#cloud-config`; at most 8 KiB."""
    variables: tuple[str, ...] = ()
    """Names of the variables in it, for people."""


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


VIRTUAL_MACHINE = Kind(names.COMPUTE, "VirtualMachine", "virtualmachines", VirtualMachineSpec, VirtualMachineStatus)
COMPUTE_OFFERING = Kind(
    names.COMPUTE, "ComputeOffering", "computeofferings", ComputeOfferingSpec, CatalogueStatus, namespaced=False
)
AFFINITY_GROUP = Kind(names.COMPUTE, "AffinityGroup", "affinitygroups", AffinityGroupSpec, CatalogueStatus)
PLACEMENT_PLAN = Kind(names.COMPUTE, "PlacementPlan", "placementplans", PlacementPlanSpec, PlacementPlanStatus)
USER_DATA = Kind(names.COMPUTE, "UserData", "userdata", UserDataSpec, CatalogueStatus)
INSTANCE = Kind(names.COMPUTE, "Instance", "instances", InstanceSpec, InstanceStatus, host_side=True)
MIGRATION = Kind(names.COMPUTE, "Migration", "migrations", MigrationSpec, MigrationStatus)

KINDS: tuple[Kind[object, object], ...] = (
    VIRTUAL_MACHINE,
    COMPUTE_OFFERING,
    AFFINITY_GROUP,
    PLACEMENT_PLAN,
    USER_DATA,
    INSTANCE,
    MIGRATION,
)
