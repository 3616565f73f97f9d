"""The hypervisor as a port: what the agent may ask of it, in values that no library is part of."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from agents.hypervisor.guestinfo import Sample
from operators.contract.compute import GuestInfo, Power
from operators.contract.consoles import ConsoleType
from operators.contract.migrations import DiskCopy


class HypervisorError(Exception):
    """The hypervisor refused; its message says why."""


class HypervisorGone(HypervisorError):
    """The hypervisor's daemon does not answer. Guests may well go on."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept beside a domain about its last start, so that no start and no reboot is done twice.

    It is written with the definition that a start uses, and completed by `started_at` once the start succeeded. A
    domain that is off with a complete record ended by itself; with an incomplete one the start never came about.
    """

    instance: str
    """uid of the Instance that it was started for."""
    start: int
    """The Instance's `spec.startRequest` at that time."""
    reboot: int
    """The Instance's `spec.rebootRequest` at that time."""
    boot: str
    """Which boot of the host that was."""
    started_at: str = ""
    """When the start succeeded."""
    reset: int = 0
    """The Instance's `spec.resetRequest` at that time."""
    cpus: int = 0
    """How many processors the guest was last given; 0 in a record of an earlier release."""
    memory: int = 0
    """Bytes of memory that it was last given."""
    paused: bool = False
    """Whether the guest stands still because its Instance said so, and not by somebody's hand."""
    held: bool = False
    """Whether the guest stands still since its memory is being kept, or was just brought back: it is to go on."""
    moved: tuple[tuple[str, str], ...] = ()
    """Serials and paths of disks that the guest went over to, or was about to: all that it wrote is there."""


@dataclass(frozen=True, slots=True)
class DiskDevice:
    """A disk of a domain."""

    path: str
    serial: str
    format: str = "qcow2"
    size: int = 0
    """Bytes that the guest is to see; of a domain that is off, the file decides."""
    iops: int = 0
    """Operations a second; 0 is no limit."""
    throughput: int = 0
    """Bytes a second; 0 is no limit."""
    cdrom: bool = False
    """Whether it is a medium in the CD drive, which a guest only reads."""


def medium(path: str) -> str:
    """What stands for the serial number of a medium in the CD drive: a drive's own would not change with it."""
    return f"cd:{path.rpartition('/')[2]}"


@dataclass(frozen=True, slots=True)
class Attached:
    """A disk that a guest has."""

    target: str
    """`vda`, `vdb`, …"""
    device: DiskDevice
    mirror: str = ""
    """Path of the file that all of it is being copied to, if it is."""
    mirrored: bool = False
    """Whether the two are alike, and stay so with every write."""


@dataclass(frozen=True, slots=True)
class NicDevice:
    """A network interface of a domain; the hypervisor makes the tap and puts it on the bridge."""

    bridge: str
    tap: str
    mac: str
    mtu: int


@dataclass(frozen=True, slots=True)
class DomainSpec:
    """A whole domain, of typed fields only."""

    uuid: str
    name: str
    cpus: int
    memory: int
    """Bytes."""
    cpu_weight: int
    record: Record
    max_cpus: int = 0
    """Up to how many processors it can be given while it runs; as many as `cpus` when 0."""
    cpu_limit: int = 0
    """Percent of one processor that it may use at most; 0 for no limit."""
    disks: tuple[DiskDevice, ...] = ()
    nics: tuple[NicDevice, ...] = ()
    boots_cdrom: bool = False
    """Whether it boots from the CD drive if it can, and not from its first disk."""
    seed: str = ""
    """Path of the NoCloud disk; none when empty."""
    console: str = ""
    """Path of the console's log; none when empty."""


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain as the hypervisor has it."""

    uuid: str
    name: str
    power: Power
    stop_reason: str = ""
    """`Shutdown`, `Destroyed` or `Crashed`; empty while it runs and where the hypervisor does not know."""
    pause_reason: str = ""
    """Why it is paused, for example `IOError`; `Migration` while it comes or where its leaving was cut off."""
    record: Record | None = None
    disks: tuple[Attached, ...] = ()
    """Of a guest; each until the guest let go of it."""
    nics: tuple[NicDevice, ...] = ()
    """The same of its NICs."""

    @property
    def active(self) -> bool:
        """Whether there is a guest, running or paused."""
        return self.power in (Power.RUNNING, Power.PAUSED)


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of disks of a running guest that is being made; all are of the moment when it began."""

    targets: tuple[str, ...]
    """Paths of the files that they are copied into."""

    def into(self, beginning: str) -> str:
        """The one of its files whose path begins so; empty without one."""
        return next((each for each in self.targets if beginning and each.startswith(beginning)), "")


@dataclass(frozen=True, slots=True)
class MoveDisk:
    """A disk of a guest that moves to another host."""

    serial: str
    path: str
    """On the other host."""
    copy: DiskCopy


@dataclass(frozen=True, slots=True)
class Move:
    """Where a guest moves to."""

    address: str
    """Of the other hypervisor."""
    disks: tuple[MoveDisk, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A guest's move, seen from the host that it leaves, in bytes."""

    total: int = 0
    processed: int = 0


@dataclass(frozen=True, slots=True)
class Moved:
    """How a guest's move went."""

    downtime: int
    """Milliseconds for which it stood still; 0 where that is not known."""
    data: int
    """Bytes of memory that were sent."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a hypervisor says of itself and its host."""

    cpus: int
    memory: int
    """Bytes."""
    cpu_model: str
    driver: str
    """`kvm`, `qemu` or `simulated`."""
    libvirt: str = ""
    qemu: str = ""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Whom the hypervisor wakes; called in the agent's event loop."""

    changed: Callable[[str], None]
    """A domain, by uuid, changed its state or came or went."""
    link: Callable[[], None]
    """The hypervisor answers (again), so anything may have changed meanwhile; or it answers no longer."""


class Hypervisor(Protocol):
    """One host's hypervisor. Every call is safe to repeat, and raises HypervisorError."""

    async def run(self, listeners: Listeners) -> None:
        """Keep the connection, for ever."""

    async def boot(self) -> str:
        """Which boot of the host this is: the same text until the host boots again."""

    async def facts(self) -> Facts:
        """What the host has to give."""

    async def domains(self) -> tuple[Domain, ...]:
        """Every domain of the host, ours or not; without records and disks."""

    async def domain(self, uuid: str) -> Domain | None:
        """One domain, with its record."""

    async def define(self, spec: DomainSpec) -> None:
        """Define a domain that is off, or define it anew."""

    async def start(self, uuid: str) -> None:
        """Start a defined domain; fine if it runs."""

    async def record(self, uuid: str, record: Record) -> None:
        """Replace a domain's record."""

    async def shutdown(self, uuid: str, *, insist: bool) -> None:
        """Ask the guest to end: by its agent if it has one, or (`insist`) by the power button. Its end is an event."""

    async def destroy(self, uuid: str) -> None:
        """Cut a domain's power; fine if it is off or unknown."""

    async def suspend(self, uuid: str) -> None:
        """Have a running guest stand still; fine if it does."""

    async def resume(self, uuid: str) -> None:
        """Let a paused guest go on."""

    async def resize(self, uuid: str, cpus: int, memory: int) -> None:
        """Give a running guest so many processors and bytes of memory, within what it was started with."""

    async def guest(self, uuid: str) -> GuestInfo | None:
        """What a guest's own agent says of it; None without one that answers."""

    async def set_password(self, uuid: str, user: str, text: str) -> None:
        """Have a guest's own agent set a user's password."""

    async def console(self, uuid: str, type_: ConsoleType) -> socket.socket:
        """A guest's serial port or screen; closing the socket closes it. One of the serial port that is open ends."""

    async def samples(self, at: float) -> Mapping[str, Sample]:
        """The counters of every running guest, by uuid."""

    async def tunes(self) -> bool:
        """Whether guests are weighed against each other and limited, as their definitions say."""

    async def migrate(self, uuid: str, move: Move) -> Moved:
        """Move a running guest; returns once it runs there and is gone here.

        The other host keeps it paused until it is certain that nothing of it is left here. A caller that is gone
        meanwhile does not end the move.
        """

    async def moving(self, uuid: str) -> Job | None:
        """The guest's move away from here, if one is under way."""

    async def stay(self, uuid: str) -> None:
        """Give up a guest's move, if one is under way and it is not too late."""

    async def drop_copy(self, uuid: str, address: str) -> None:
        """End the unfinished copy of a guest on the other host, so that a move which was given up ends."""

    async def undefine(self, uuid: str) -> None:
        """Forget a domain that is off; fine if it is unknown."""

    async def attach(self, uuid: str, disk: DiskDevice) -> None:
        """Plug a disk into a guest; fine if one of that serial is there."""

    async def detach(self, uuid: str, target: str) -> None:
        """Ask a guest to let go of a disk; that it did is an event. Fine if it has none there."""

    async def attach_nic(self, uuid: str, nic: NicDevice) -> None:
        """Plug a NIC into a guest; fine if one of that tap is there."""

    async def detach_nic(self, uuid: str, tap: str) -> None:
        """Ask a guest to let go of a NIC; that it did is an event. Fine if it has none of that tap."""

    async def grow(self, uuid: str, target: str, size: int) -> None:
        """Give a guest's disk a larger size, in bytes, which the guest sees at once."""

    async def throttle(self, uuid: str, target: str, disk: DiskDevice) -> None:
        """Put a guest's disk under the limits of `disk`."""

    async def backup(self, uuid: str) -> Backup | None:
        """The copy that is being made of a running guest's disks."""

    async def begin_backup(self, uuid: str, copies: Mapping[str, str]) -> None:
        """Begin to copy a running guest's disks, as they are now, each into a file made for it; the guest goes on."""

    async def backup_failure(self, uuid: str) -> str | None:
        """Why the copy that ended last failed; empty when it is whole, None when nothing is known of one."""

    async def end_backup(self, uuid: str) -> None:
        """Break a copy off; fine if there is none."""

    async def save_memory(self, uuid: str, path: str) -> None:
        """Write the memory of a guest that stands still into a file, whole or not at all; it goes on standing still."""

    async def restore(self, spec: DomainSpec, path: str) -> None:
        """Define a domain that is off, and have it stand where the guest stood whose memory is in a file.

        Its disks, taps and record are those of `spec`. Fine if it is active."""

    async def freeze(self, uuid: str) -> None:
        """Have the guest's file systems hold still, by its agent."""

    async def thaw(self, uuid: str) -> None:
        """Have them go on; fine if they do."""

    async def mirror(self, uuid: str, target: str, disk: DiskDevice) -> None:
        """Begin to copy a guest's disk to the file of `disk`, and every write with it; fine if that is under way."""

    async def pivot(self, uuid: str, target: str) -> None:
        """Have a guest go over to the file that its disk is mirrored to."""

    async def unmirror(self, uuid: str, target: str) -> None:
        """End a mirror, and stay with the disk; fine if there is none."""
