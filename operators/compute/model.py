"""One VirtualMachine: what its user wants, what is seen of it, and what can be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from operators.compute.scheduler import DiskNeed, GroupNeed, HostView, Policy
from operators.contract.compute import ComputeOfferingSpec, VirtualMachineSpec, VirtualMachineStatus
from operators.contract.instances import InstanceSpec, InstanceStatus
from operators.contract.meta import Key, Meta, Obj
from operators.contract.storage import VolumeSpec, VolumeStatus
from operators.contract.tenancy import Room
from operators.contract.vmsnapshots import GuestShape

VM: TypeAlias = Obj[VirtualMachineSpec, VirtualMachineStatus]
Instance: TypeAlias = Obj[InstanceSpec, InstanceStatus]
Volume: TypeAlias = Obj[VolumeSpec, VolumeStatus]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user wants; nothing any more when the VirtualMachine is gone."""

    key: Key
    vm: VM | None

    @property
    def uid(self) -> str:
        """The VirtualMachine's uid; empty when it is gone."""
        return self.vm.meta.uid if self.vm else ""


@dataclass(frozen=True, slots=True)
class VolumeView:
    """A Volume that the virtual machine lists."""

    name: str
    root: bool = False
    """Its first disk."""
    expected: bool = False
    """Orchestration makes it, so it need not be there yet."""
    exists: bool = True
    taken: bool = False
    """Somebody made one of that name for something else."""
    deleting: bool = False
    ready: bool = False
    reason: str = ""
    message: str = ""
    """Of its Ready condition."""
    used_by: str = ""
    """Another VirtualMachine whose Instance lists it."""
    disk: str = ""
    disk_host: str = ""
    move_to: str = ""
    cdrom: bool = False
    """Whether it is to be in the CD drive."""
    pool: str = ""
    asked_pool: str = ""
    """Where its user wants it, if that is said."""
    host: str = ""
    bound: bool = False
    settling: bool = False
    """Its place does not depend on ours, and is not known yet."""
    image_on: frozenset[str] | None = None
    """The pools that have its image, where it is not made yet and only such a host fits that reaches one of them."""
    size: int = 0
    tags: frozenset[str] = frozenset()
    offering: str = ""
    """The disk offering it names, when there is none of that name."""


@dataclass(frozen=True, slots=True)
class PortView:
    """A Port of the virtual machine, and the NIC that it is for."""

    name: str
    nic: str = ""
    network: str = ""
    default: bool = False
    taken: bool = False
    """Somebody made one of that name for something else."""
    exists: bool = False
    deleting: bool = False
    ready: bool = False
    ip: str = ""
    mac: str = ""
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class HostNow:
    """The host that an Instance is on."""

    name: str
    exists: bool = True
    reachable: bool = True
    message: str = ""


@dataclass(frozen=True, slots=True)
class Reverting:
    """A VirtualMachineSnapshot that is being brought back."""

    name: str
    memory: bool = False
    start: int = 0
    """The start that is to bring its memory back, once its disks are back."""
    disk_snapshot: str = ""
    """Name of the DiskSnapshot that its memory lies beside."""
    guest: GuestShape | None = None
    """What the guest had then."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the cache shows."""

    offering: ComputeOfferingSpec | None = None
    volumes: tuple[VolumeView, ...] = ()
    ports: tuple[PortView, ...] = ()
    instances: tuple[Instance, ...] = ()
    """Those of this very VirtualMachine, oldest first."""
    orphans: tuple[Instance, ...] = ()
    """Those of an earlier one of the same name."""
    host: HostNow | None = None
    """That of the first Instance."""
    zones: frozenset[str] = frozenset()
    hosts: tuple[HostView, ...] = ()
    """What the scheduler may choose among, without this VirtualMachine's own claim; only where it is asked."""
    groups: tuple[GroupNeed, ...] = ()
    """Its affinity groups and where their other members are; only where the scheduler is asked."""
    unknown_group: str = ""
    """An affinity group that it lists and that there is none of."""
    given_up: str = ""
    """Why the deployment is not to go on: the Flow was cancelled, or failed and takes back what was made."""
    uncertain: Key | None = None
    """An Instance that may have been made: the API server did not answer when it was asked to."""
    now: float = 0.0
    """Seconds since 1970."""
    waited: float = 0.0
    """Seconds for which the plan has been on its way without a word to anybody."""
    said: float | None = None
    """Seconds since its status said that no host fits, if that is what it says of the present spec."""
    rooms: tuple[Room, ...] = ()
    """What others take of its tenant's limits; only where the scheduler is asked."""
    policy: Policy = Policy.SPREAD
    avoid: str = ""
    """The host whose agent had no room for it, after all."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Public keys of the SSHKeyPairs that it names, as far as they are there."""
    secrets: Mapping[str, Mapping[str, str] | None] | None = field(default=None, repr=False)
    """What was read for this start, by Secret; None while nothing was."""
    grace: float = 86400.0
    """Seconds for which a destroyed virtual machine can be recovered."""
    moving: str = ""
    """The host that its guest moves to; until that is over, its Instances are the Migration's."""
    reverting: Reverting | None = None
    """The VirtualMachineSnapshot whose content comes back into its disks; until that is done no guest is started."""
    untaken: frozenset[str] = frozenset()
    """Names of Instances that must not go before Storage has taken the disks there for the Volumes'."""

    @property
    def instance(self) -> Instance | None:
        """The Instance that counts."""
        return self.instances[0] if self.instances else None


@dataclass(frozen=True, slots=True)
class Restarts:
    """How often Compute started a guest again, kept as annotations of the Instance."""

    total: int = 0
    in_a_row: int = 0
    """Since it last ran for long enough to be called well."""


@dataclass(frozen=True, slots=True)
class Put:
    """Make the Instance, or change it to this spec."""

    vm: VM
    spec: InstanceSpec
    restarts: Restarts
    flow: str
    """Name of the Flow that it was made in."""
    now: Meta | None = None
    """Of the Instance that is changed, as it was when this was decided; None to make one."""
    disks: tuple[DiskNeed, ...] = ()
    """What its Volumes that are not placed yet ask of the host's pools."""

    def __str__(self) -> str:
        spec = self.spec
        return (
            f"{spec.domain} on {spec.host_name}: {spec.power}, start {spec.start_request}, reboot {spec.reboot_request}"
        )


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete an Instance; its agent clears up."""

    instance: Instance
    orphan: bool = False
    """Whether its VirtualMachine seems gone, which only the API server can tell for sure."""
    refused: bool = False
    """Whether its host had no room for it."""

    def __str__(self) -> str:
        return f"{self.instance.key}, an orphan" if self.orphan else str(self.instance.key)


@dataclass(frozen=True, slots=True)
class LetGo:
    """Take our finalizer off an Instance of which nothing is left on its host."""

    instance: Instance

    def __str__(self) -> str:
        return str(self.instance.key)


@dataclass(frozen=True, slots=True)
class Ascertain:
    """Ask the API server about an Instance of which nobody knows whether it was made."""

    vm: Key
    instance: Key


@dataclass(frozen=True, slots=True)
class ReadSecrets:
    """Read the Secrets that a virtual machine's user data is in; nothing of them is shown."""

    vm: Key
    uid: str
    names: frozenset[str]
    password_of: VM | None = None
    """Whose new password is one of them, made if there is none."""
    needed: bool = True
    """Whether nothing goes on without them; else one that may not be read is as one that is not there."""

    def __str__(self) -> str:
        return f"{self.vm}: {', '.join(sorted(self.names))}"


@dataclass(frozen=True, slots=True)
class Expunge:
    """Delete a VirtualMachine that its user destroyed, as it is: whoever recovers it meanwhile keeps it."""

    vm: VM

    def __str__(self) -> str:
        return str(self.vm.key)


Action: TypeAlias = Put | ReadSecrets | Remove | Expunge | LetGo | Ascertain
