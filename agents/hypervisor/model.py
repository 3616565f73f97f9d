"""One Instance on this host: what is wanted of it, what is seen of it, and what can be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from agents.hypervisor.driver import DiskDevice, Domain, DomainSpec, Job, Move, Moved, NicDevice, Record
from operators.contract.instances import CloudInit, GuestPassword, InstanceSpec, InstanceStatus
from operators.contract.meta import Obj
from operators.contract.migrations import DiskCopy

Instance: TypeAlias = Obj[InstanceSpec, InstanceStatus]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the Instance asks for."""

    instance: Instance

    @property
    def uuid(self) -> str:
        """The domain's uuid: the VirtualMachine's uid, so that there can be one domain only."""
        return self.instance.spec.virtual_machine.uid


@dataclass(frozen=True, slots=True)
class Part:
    """A Disk or PortBinding that the domain needs."""

    name: str
    device: DiskDevice | NicDevice | None = None
    """None until it is ready."""
    serial: str = ""
    """Of a disk, by which a guest's disks are told apart."""
    move: DiskDevice | None = None
    """The disk that a running guest is to go over to, once that is ready."""
    why: str = ""
    """What holds it up, as its own condition says."""
    copy: DiskCopy = DiskCopy.NONE
    """How a disk's data comes here with a guest that moves."""
    port: str = ""
    """Of a NIC: the Port that it is for."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """This agent's own attempt to move a guest away."""

    migration: str
    """uid of the Migration."""
    over: bool = False
    error: str = ""
    """Why it stayed; empty when it has left."""
    moved: Moved | None = None


@dataclass(frozen=True, slots=True)
class Leaving:
    """A disk or NIC that the guest was asked to let go of; seconds since it was first asked, and last."""

    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What the host and the cache show."""

    domain: Domain | None = None
    trouble: str = ""
    """Why the hypervisor could not be asked; then the domain is not known."""
    boot: str = ""
    now: str = ""
    """The time, as the API server writes it."""
    disks: tuple[Part, ...] = ()
    nics: tuple[Part, ...] = ()
    owners: Mapping[str, str] = field(default_factory=dict)
    """The Ports of the NICs that the guest has, by tap, as far as anybody knows."""
    seed: str = ""
    """Digest of the NoCloud disk that lies on the host."""
    seed_wanted: str = ""
    seed_path: str = ""
    console_path: str = ""
    console_exists: bool = False
    asked: float | None = None
    """Seconds since the guest was first asked to end."""
    deadline: float = 30.0
    """Seconds that it gets for that."""
    hold: float = 0.0
    """Seconds until a start that failed may be tried again: its failure sends events too, which must not hurry it."""
    failure: str = ""
    """Why that start failed."""
    leaving: Mapping[str, Leaving] = field(default_factory=dict)
    """What the guest was asked to let go of: disks by serial, NICs by tap."""
    mirrored: Mapping[str, float] = field(default_factory=dict)
    """Seconds since a disk was last begun to be copied elsewhere, by serial."""
    unsettled: tuple[str, ...] = ()
    """Serials of disks that the guest went over to, of which Storage has yet to take note."""
    memory: Part | None = None
    """The file with the memory that this start is to bring back, as a disk; None where it is to boot."""
    password_set: int = 0
    """The last password that the guest's own agent has set."""
    password_asked: float | None = None
    """Seconds since it was last asked in vain."""
    holding: bool = False
    """Whether it is to stand still while its memory is written down."""
    tunes: bool = True
    """Whether the hypervisor weighs and limits processors."""
    waited: float = 0.0
    """Seconds for which the plan has been on its way without a word to anybody."""
    full: str = ""
    """Why the host has no room for one more guest; empty when it has."""
    address: str = ""
    """Where other hosts' hypervisors reach this one's."""
    job: Job | None = None
    """The guest's move away from here, whoever began it."""
    attempt: Attempt | None = None
    called_off: float = 0.0
    """Seconds since its move was first given up, while that goes on."""


@dataclass(frozen=True, slots=True)
class WriteSeed:
    """Write the NoCloud disk."""

    uuid: str
    cloud_init: CloudInit

    def __str__(self) -> str:
        return self.uuid


@dataclass(frozen=True, slots=True)
class Start:
    """Define the domain anew and start it."""

    spec: DomainSpec

    def __str__(self) -> str:
        spec, record = self.spec, self.spec.record
        parts = f"{len(spec.disks)} disks and {len(spec.nics)} NICs"
        return f"{spec.name} with {parts}, start {record.start}, reboot {record.reboot}"


@dataclass(frozen=True, slots=True)
class Resurrect:
    """Define the domain anew and bring it to where the guest stood whose memory was kept."""

    spec: DomainSpec
    memory: str
    """Path of the file."""

    def __str__(self) -> str:
        return f"{self.spec.name}, start {self.spec.record.start}, from {self.memory}"


@dataclass(frozen=True, slots=True)
class Hold:
    """Have the guest stand still while what it is gets written down."""

    uuid: str
    record: Record


@dataclass(frozen=True, slots=True)
class Release:
    """Let a guest go on that was held, or that was just brought back."""

    uuid: str
    record: Record
    resume: bool
    """Whether it is to run: it stands still, and not because its Instance says so."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep a record of a start that is already done."""

    uuid: str
    record: Record


@dataclass(frozen=True, slots=True)
class AskToEnd:
    """Ask the guest to end by itself."""

    uuid: str
    insist: bool


@dataclass(frozen=True, slots=True)
class CutPower:
    """End the guest at once."""

    uuid: str


@dataclass(frozen=True, slots=True)
class Resize:
    """Give a running guest other numbers of processors or bytes; `record` says which."""

    uuid: str
    record: Record


@dataclass(frozen=True, slots=True)
class Suspend:
    """Have the guest stand still, as its Instance says."""

    uuid: str
    record: Record


@dataclass(frozen=True, slots=True)
class Unpause:
    """Let a guest go on that stands still because its Instance said so."""

    uuid: str
    record: Record


@dataclass(frozen=True, slots=True)
class SetPassword:
    """Have the guest's own agent set a password."""

    uuid: str
    password: GuestPassword

    def __str__(self) -> str:
        return f"{self.uuid}, request {self.password.request} for {self.password.user}"


@dataclass(frozen=True, slots=True)
class Resume:
    """Let a guest go on that was paused when its disk could not be written."""

    uuid: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Leave nothing of the domain on the host: no definition, no NoCloud disk, no log."""

    uuid: str


@dataclass(frozen=True, slots=True)
class Attach:
    """Plug a disk into the running guest."""

    uuid: str
    disk: DiskDevice


@dataclass(frozen=True, slots=True)
class Detach:
    """Ask the running guest to let go of a disk."""

    uuid: str
    target: str
    serial: str


@dataclass(frozen=True, slots=True)
class AttachNic:
    """Plug a NIC into the running guest."""

    uuid: str
    nic: NicDevice


@dataclass(frozen=True, slots=True)
class DetachNic:
    """Ask the running guest to let go of a NIC."""

    uuid: str
    tap: str


@dataclass(frozen=True, slots=True)
class Grow:
    """Make a disk larger under the running guest."""

    uuid: str
    target: str
    size: int


@dataclass(frozen=True, slots=True)
class Mirror:
    """Begin to copy a disk of the running guest elsewhere."""

    uuid: str
    target: str
    disk: DiskDevice


@dataclass(frozen=True, slots=True)
class Pivot:
    """Have the guest go over to the copy; the record says so before, since from then on only the copy has it all."""

    uuid: str
    target: str
    serial: str
    record: Record


@dataclass(frozen=True, slots=True)
class Unmirror:
    """Give a copy up."""

    uuid: str
    target: str
    serial: str


@dataclass(frozen=True, slots=True)
class Throttle:
    """Put a disk of the running guest under other limits."""

    uuid: str
    target: str
    disk: DiskDevice


@dataclass(frozen=True, slots=True)
class Depart:
    """Begin to move the guest to another host."""

    uuid: str
    migration: str
    move: Move

    def __str__(self) -> str:
        return f"{self.uuid} to {self.move.address}"


@dataclass(frozen=True, slots=True)
class Stay:
    """Give up the guest's move."""

    uuid: str
    stuck_at: str = ""
    """Address of the other host, if that is to drop what has come there."""


Deed: TypeAlias = (
    WriteSeed
    | Start
    | Resurrect
    | Hold
    | Release
    | Keep
    | AskToEnd
    | CutPower
    | Resize
    | Suspend
    | Unpause
    | Resume
    | Clear
    | Attach
    | Detach
    | AttachNic
    | DetachNic
    | Grow
    | Throttle
    | Mirror
    | Pivot
    | Unmirror
    | Stay
)
"""What is done while a run waits for it."""
Action: TypeAlias = Deed | Depart | SetPassword
