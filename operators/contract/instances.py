"""The compute group: what the host runs, one Instance for each guest."""

from __future__ import annotations

from dataclasses import dataclass, field

from operators.contract import names
from operators.contract.compute import BootDevice, GuestInfo, Power
from operators.contract.meta import Condition, Kind, ObjectRef
from operators.contract.migrations import Arrival, Departure, Incoming, Outgoing
from operators.contract.quantity import Duration, Quantity


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
    default_route: bool = True
    """Whether DHCP tells the guest a router there: that of its default NIC only. It changes at any time."""


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
    user: str = "root"
    """Whose it is where the guest's agent sets it."""


@dataclass(frozen=True, slots=True)
class KeptMemory:
    """Memory that a guest had when it was snapshotted, to go on from in place of a boot."""

    snapshot: str
    """Name of the DiskSnapshot that it lies beside, in the Instance's namespace and of its host."""
    start: int
    """The `startRequest` that brings it back: any other start boots."""


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """A virtual machine on one host, fully resolved. Written by Compute.

    `power`, `paused`, disks, NICs, the counters, and `cpus` and `memory` up to their maxima change at any time; other
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
    resume_from: KeptMemory | None = None
    incoming: Incoming | None = None
    outgoing: Outgoing | None = None
    password: GuestPassword | None = None
    offering: str = ""
    """What people call its size and, below, its zone: as they were at its start, for the metadata service."""
    zone: str = ""

    @property
    def ports(self) -> frozenset[str]:
        """Names of the Ports that it is to have."""
        return frozenset(nic.port for nic in self.nics)

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
class AttachedNic:
    """A NIC that the guest has, until it let go of it."""

    mac: str
    device: str
    """The tap on the host."""
    port: str = ""
    """Name of the Port; empty for one of which nobody knows whose it is."""


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
    nics: tuple[AttachedNic, ...] = ()
    """The same of its NICs."""
    arrival: Arrival | None = None
    departure: Departure | None = None
    password_set: int = 0
    """The last password that the guest's own agent has set."""
    password_refused: int = 0
    """The last one that it did not set when it was asked to."""
    guest: GuestInfo | None = None
    """What the guest's own agent says; a part of its own, written at a low rate."""
    password_observed: int | None = None
    """The last password that the guest has taken; a part of its own, written by the network agent."""
    conditions: tuple[Condition, ...] = ()
    """`Realised`, `Released`."""

    @property
    def ports(self) -> frozenset[str]:
        """Names of the Ports whose NICs the guest has, as far as that is known."""
        return frozenset(nic.port for nic in self.nics if nic.port)


INSTANCE = Kind(names.COMPUTE, "Instance", "instances", InstanceSpec, InstanceStatus, host_side=True)

KINDS: tuple[Kind[object, object], ...] = (INSTANCE,)
