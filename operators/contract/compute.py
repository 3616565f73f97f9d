"""The compute group: virtual machines, the offerings they take, and what users give them at their first boot."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from operators.contract import names
from operators.contract.meta import Condition, Kind
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
    name: str = ""
    """By which it is known for its life, within its virtual machine; `nic0`, `nic1`, … by its place when left out."""
    default: bool = False
    """Whether the guest reaches the world by it; the first one is where none says so."""


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
    guest: at once where its guest agent answers, else at its next start; compare `status.passwordObserved`."""
    password_user: str = "root"  # noqa: S105 - whose, not which
    """Whose password the guest agent sets; at a start the guest itself knows whose it is."""
    reinstall_request: int = 0
    """Raised by one, the root disk is made anew from `image`, which may change with it; all that is on it is lost.
    Compare `status.reinstallObserved`."""
    destroyed: bool = False
    """Off, and removed for good once its grace period is over; until then, taking this back recovers it."""

    def root_of(self, name: str) -> str:
        """The Volume that a VirtualMachine of that name boots from."""
        return self.root_volume or names.root_volume(name, self.reinstall_request)

    @property
    def interfaces(self) -> tuple[Nic, ...]:
        """Its NICs with what follows from their places: each has a name, and exactly one is the default."""
        chosen = next((index for index, nic in enumerate(self.nics) if nic.default), 0)
        return tuple(
            replace(nic, name=nic.name or f"nic{index}", default=index == chosen) for index, nic in enumerate(self.nics)
        )

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
class NicStatus:
    """One network interface, as it is."""

    name: str = ""
    """Empty once it is not in the spec any more."""
    network: str = ""
    port: str = ""
    """Name of its Port, in the same namespace."""
    mac: str = ""
    addresses: tuple[str, ...] = ()
    default: bool = False
    device: str = ""
    """Its device on the host, while the guest has it."""


@dataclass(frozen=True, slots=True)
class VirtualMachineStatus:
    """Written by Compute."""

    observed_generation: int = 0
    phase: str = ""
    """For printing only: derived from the conditions, never read."""
    host_name: str = ""
    instance: str = ""
    addresses: tuple[str, ...] = ()
    """The addresses of its NICs, the default NIC's first."""
    nics: tuple[NicStatus, ...] = ()
    """Those that it has or is to have, and last any that the guest has yet to let go of."""
    reboot_observed: int = 0
    reset_observed: int = 0
    reinstall_observed: int = 0
    """The last request whose root disk is there, in the place of the former one."""
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


@dataclass(frozen=True, slots=True)
class CatalogueStatus:
    """Status of a kind that needs no work: an offering is what it says."""

    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class UserDataSpec:
    """A text for first boot that is kept for many virtual machines; each takes a copy when it is made."""

    data: str = field(repr=False)  # it may hold a secret, and logs are for everybody
    """Plain text, `#!` script or `#cloud-config`; at most 8 KiB."""
    variables: tuple[str, ...] = ()
    """Names of the variables in it, for people."""


VIRTUAL_MACHINE = Kind(names.COMPUTE, "VirtualMachine", "virtualmachines", VirtualMachineSpec, VirtualMachineStatus)
COMPUTE_OFFERING = Kind(
    names.COMPUTE, "ComputeOffering", "computeofferings", ComputeOfferingSpec, CatalogueStatus, namespaced=False
)
USER_DATA = Kind(names.COMPUTE, "UserData", "userdata", UserDataSpec, CatalogueStatus)

KINDS: tuple[Kind[object, object], ...] = (
    VIRTUAL_MACHINE,
    COMPUTE_OFFERING,
    USER_DATA,
)
