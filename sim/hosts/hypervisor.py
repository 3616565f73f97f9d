"""A host's hypervisor: domains that are started and stopped whether or not the agent that asked still lives.

Calls of one domain are done one after another, as libvirt's job lock has it. What was begun is finished.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from agents.hypervisor import seed
from agents.hypervisor.domainxml import DRIVE
from agents.hypervisor.driver import (
    Attached,
    Backup,
    DiskDevice,
    Domain,
    DomainSpec,
    Facts,
    HypervisorError,
    HypervisorGone,
    Job,
    Listeners,
    Move,
    Moved,
    NicDevice,
    Record,
)
from agents.hypervisor.guestinfo import Sample
from operators.contract.compute import GuestInfo, Power
from operators.contract.consoles import ConsoleType
from operators.contract.instances import CloudInit
from sim.hosts.filesystem import Node
from sim.hosts.migration import Moving
from sim.loop import ACTOR

if TYPE_CHECKING:
    from sim.hosts.host import Host

T = TypeVar("T")
MAGIC = b"LibvirtQemudSave"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Started:
    """One start of a guest, for the invariants."""

    time: float
    uuid: str
    record: Record | None
    unheard: Callable[[], bool] = lambda: False
    """Whether who asked for it has died meanwhile."""
    lost: bool = False
    """The guest ended before anybody had heard of the start, which so cannot be told from one that failed."""


@dataclass(frozen=True, slots=True)
class Copying:
    """A copy of a running guest's disks that is being made."""

    backup: Backup
    began: float
    """The moment that it is of."""


@dataclass
class Machine:
    """What the hypervisor keeps: on disk the definitions, in memory the guests."""

    defined: dict[str, DomainSpec] = field(default_factory=dict)
    running: dict[str, DomainSpec] = field(default_factory=dict)
    """As each guest was started."""
    records: dict[str, Record] = field(default_factory=dict)
    """Of the definitions."""
    live: dict[str, Record] = field(default_factory=dict)
    paused: dict[str, str] = field(default_factory=dict)
    standing: dict[str, float] = field(default_factory=dict)
    """Since when a guest that was suspended has stood still."""
    remembering: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Of a guest that is being brought back: from when to when it stood still as its memory was kept."""
    ends: dict[str, str] = field(default_factory=dict)
    """How each domain that is off ended."""
    seeds: dict[str, str] = field(default_factory=dict)
    consoles: set[str] = field(default_factory=set)
    starts: list[Started] = field(default_factory=list)
    daemon: bool = True
    listeners: dict[Listeners, asyncio.Event] = field(default_factory=dict)
    mirrors: dict[tuple[str, str], tuple[str, bool]] = field(default_factory=dict)
    """Of a guest's disk (uuid and serial): the file that it is copied to, and whether the two are alike."""
    busy: dict[str, float] = field(default_factory=dict)
    """Until when each domain has a job."""
    backups: dict[str, Copying] = field(default_factory=dict)
    backup_ends: dict[str, str] = field(default_factory=dict)
    """How the last copy of each running guest's disk ended; empty when it is whole."""
    frozen: set[str] = field(default_factory=set)
    """Guests whose file systems hold still."""
    moving: dict[str, Moving] = field(default_factory=dict)
    """Guests on their way from here."""
    deaf: set[str] = field(default_factory=set)
    """Guests that do not hear that they shall end."""


class Driver:
    """The hypervisor port of one agent process on one host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def run(self, listeners: Listeners) -> None:
        machine, changed = self._host.machine, asyncio.Event()
        machine.listeners[listeners] = changed
        try:
            while True:
                listeners.link()
                changed.clear()
                await changed.wait()
        finally:
            machine.listeners.pop(listeners, None)

    async def boot(self) -> str:
        return f"{self._host.name}-boot-{self._host.boots}"

    async def facts(self) -> Facts:
        return await self._do("", 0.001, lambda: self._host.facts)

    async def domains(self) -> tuple[Domain, ...]:
        return await self._do(
            "", 0.003, lambda: tuple(self._domain(uuid) for uuid in sorted(self._host.machine.defined))
        )

    async def domain(self, uuid: str) -> Domain | None:
        return await self._do("", 0.001, lambda: self._domain(uuid) if uuid in self._host.machine.defined else None)

    def _domain(self, uuid: str) -> Domain:
        machine = self._host.machine
        record = machine.live.get(uuid, machine.records.get(uuid))
        name = machine.defined[uuid].name
        if uuid in machine.running:
            power = Power.PAUSED if uuid in machine.paused else Power.RUNNING
            pause, disks = machine.paused.get(uuid, ""), self._disks(uuid)
            nics = machine.running[uuid].nics
            return Domain(uuid, name, power, pause_reason=pause, record=record, disks=disks, nics=nics)
        return Domain(uuid, name, Power.STOPPED, machine.ends.get(uuid, ""), record=record)

    async def define(self, spec: DomainSpec) -> None:
        def define() -> None:
            machine = self._host.machine
            for uuid, each in machine.defined.items():
                if each.name == spec.name and uuid != spec.uuid:
                    raise HypervisorError(f"domain '{spec.name}' already exists with uuid {uuid}")
            machine.defined[spec.uuid] = spec
            machine.records[spec.uuid] = spec.record

        await self._do(spec.uuid, 0.003, define)

    async def start(self, uuid: str) -> None:
        me = ACTOR.get()
        start = partial(self._host.start_guest, uuid, lambda: not me.alive)
        await self._do(uuid, self._host.rng.uniform(0.2, 0.5), start)

    async def record(self, uuid: str, record: Record) -> None:
        def keep() -> None:
            machine = self._host.machine
            self._known(uuid)
            machine.records[uuid] = record
            if uuid in machine.running:
                machine.live[uuid] = record

        await self._do(uuid, 0.002, keep)

    async def shutdown(self, uuid: str, *, insist: bool) -> None:
        def ask() -> None:
            self._known(uuid)
            if uuid in self._host.machine.running and uuid not in self._host.machine.deaf:
                self._host.later(self._host.rng.uniform(0.3, 3.0), self._host.end_guest, uuid, "Shutdown")

        await self._do(uuid, 0.002, ask)

    async def destroy(self, uuid: str) -> None:
        await self._do(uuid, 0.2, lambda: self._host.end_guest(uuid, "Destroyed"))

    async def suspend(self, uuid: str) -> None:
        def suspend() -> None:
            self._known(uuid)
            machine = self._host.machine
            if uuid in machine.running and machine.paused.setdefault(uuid, "User") == "User":
                machine.standing.setdefault(uuid, self._host.loop.now)
                self._host.tell(uuid)

        await self._do(uuid, 0.002, suspend)

    async def resume(self, uuid: str) -> None:
        def resume() -> None:
            self._known(uuid)
            if uuid in self._host.machine.moving:
                raise HypervisorError("cannot acquire state change lock: a migration is under way")
            if not self._host.files.full and self._host.machine.paused.pop(uuid, ""):
                self._host.resumed(uuid)

        await self._do(uuid, 0.002, resume)

    async def resize(self, uuid: str, cpus: int, memory: int) -> None:
        def resize() -> None:
            machine = self._host.machine
            if uuid not in machine.running:
                raise HypervisorError(f"domain {uuid} is not running")
            machine.running[uuid] = replace(machine.running[uuid], cpus=cpus, memory=memory)

        await self._do(uuid, 0.01, resize)

    async def guest(self, uuid: str) -> GuestInfo | None:
        return None  # no agent: what guests say of themselves is nobody's input

    async def set_password(self, uuid: str, user: str, text: str) -> None:
        raise HypervisorError("the guest has no agent")

    async def samples(self, at: float) -> Mapping[str, Sample]:
        return {}

    async def tunes(self) -> bool:
        return True

    async def migrate(self, uuid: str, move: Move) -> Moved:
        host, me = self._host, ACTOR.get()
        over: asyncio.Future[str] = host.loop.create_future()

        def deliver(error: str) -> None:
            if not over.done():
                over.set_result(error)

        def tell(error: str) -> None:
            host.later(0.0005, deliver, error, as_=me)

        def begin() -> None:
            self._guest(uuid)
            target = host.peers.get(move.address)
            if target is None or not target.up or not target.machine.daemon:
                raise HypervisorError(f"the hypervisor of the other host cannot be reached at {move.address}")
            if uuid in host.machine.moving or uuid in host.machine.paused:
                raise HypervisorError("the guest cannot be moved now")
            if error := Moving(host, target, uuid, tell).begin(move):
                raise HypervisorError(error)

        await self._do(uuid, 0.05, begin)
        if error := await over:
            raise HypervisorError(error)
        target = host.peers[move.address]
        if target.machine.daemon and target.machine.paused.get(uuid) == "User":
            del target.machine.paused[uuid]
            target.resumed(uuid)
        return Moved(100, 128 << 20)

    async def moving(self, uuid: str) -> Job | None:
        def look() -> Job | None:
            found = self._host.machine.moving.get(uuid)
            return found.job if found else None

        return await self._do("", 0.001, look)

    async def stay(self, uuid: str) -> None:
        def give_up() -> None:
            if found := self._host.machine.moving.get(uuid):
                found.given_up = True

        await self._do("", 0.001, give_up)

    async def drop_copy(self, uuid: str, address: str) -> None:
        """Nothing: a simulated move never waits for its other end."""

    async def undefine(self, uuid: str) -> None:
        def undefine() -> None:
            machine = self._host.machine
            if machine.defined.pop(uuid, None) is not None:
                machine.records.pop(uuid, None)
                machine.ends.pop(uuid, None)
                self._host.tell(uuid)

        await self._do(uuid, 0.003, undefine)

    def _insert(self, uuid: str, medium: DiskDevice | None) -> None:
        """Put a medium into the CD drive in place of what is in there, or take that out."""
        spec = self._guest(uuid)
        if medium is not None and self._host.files.find(medium.path) is None:
            raise HypervisorError(f"Cannot access storage file '{medium.path}': No such file or directory")
        kept = tuple(each for each in spec.disks if not each.cdrom)
        self._host.machine.running[uuid] = replace(spec, disks=(*kept, *((medium,) if medium is not None else ())))

    def _disks(self, uuid: str) -> tuple[Attached, ...]:
        spec = self._host.machine.running[uuid]
        mirrors = self._host.machine.mirrors
        return tuple(
            Attached(target, disk, *mirrors.get((uuid, disk.serial), ("", False)))
            for target, disk in _targets(spec.disks)
        )

    def _guest(self, uuid: str) -> DomainSpec:
        if uuid not in self._host.machine.running:
            raise HypervisorError("the domain is not running")
        return self._host.machine.running[uuid]

    async def attach(self, uuid: str, disk: DiskDevice) -> None:
        def plug() -> None:
            spec = self._guest(uuid)
            if disk.cdrom:
                self._insert(uuid, disk)
            elif all(each.serial != disk.serial for each in spec.disks):
                self._host.check_disk(disk.path)
                self._host.machine.running[uuid] = replace(spec, disks=(*spec.disks, disk))

        await self._do(uuid, 0.05, plug)

    async def detach(self, uuid: str, target: str) -> None:
        def ask() -> None:
            self._guest(uuid)
            if target == DRIVE:
                self._insert(uuid, None)
                return
            serial = next((each.device.serial for each in self._disks(uuid) if each.target == target), "")
            if serial and uuid not in self._host.machine.deaf:
                self._host.later(self._host.rng.uniform(0.1, 1.0), let_go, serial)

        def let_go(serial: str) -> None:
            spec = self._host.machine.running.get(uuid)
            if spec is not None:
                kept = tuple(each for each in spec.disks if each.serial != serial)
                self._host.wrote(each.path for each in spec.disks if each.serial == serial)
                self._host.machine.running[uuid] = replace(spec, disks=kept)
                self._host.tell(uuid)

        await self._do(uuid, 0.002, ask)

    async def attach_nic(self, uuid: str, nic: NicDevice) -> None:
        def plug() -> None:
            spec = self._guest(uuid)
            if all(each.tap != nic.tap for each in spec.nics):
                self._host.plug_nic(nic)
                self._host.machine.running[uuid] = replace(spec, nics=(*spec.nics, nic))

        await self._do(uuid, 0.05, plug)

    async def detach_nic(self, uuid: str, tap: str) -> None:
        def ask() -> None:
            self._guest(uuid)
            if uuid not in self._host.machine.deaf:
                self._host.later(self._host.rng.uniform(0.1, 1.0), let_go)

        def let_go() -> None:
            spec = self._host.machine.running.get(uuid)
            if spec is not None and any(nic.tap == tap for nic in spec.nics):
                self._host.network.spaces[""].links.pop(tap, None)
                kept = tuple(nic for nic in spec.nics if nic.tap != tap)
                self._host.machine.running[uuid] = replace(spec, nics=kept)
                self._host.tell(uuid)

        await self._do(uuid, 0.002, ask)

    async def grow(self, uuid: str, target: str, size: int) -> None:
        def grow() -> None:
            disk = self._change(uuid, target, lambda disk: replace(disk, size=size))
            self._host.grow_file(disk.path, size)

        await self._do(uuid, 0.012, grow)

    async def throttle(self, uuid: str, target: str, disk: DiskDevice) -> None:
        def throttle() -> None:
            self._change(uuid, target, lambda now: replace(now, iops=disk.iops, throughput=disk.throughput))

        await self._do(uuid, 0.007, throttle)

    async def mirror(self, uuid: str, target: str, disk: DiskDevice) -> None:
        def begin() -> None:
            self._guest(uuid)
            self._host.check_disk(disk.path)
            self._host.machine.mirrors.setdefault((uuid, disk.serial), (disk.path, False))
            self._host.later(self._host.rng.uniform(0.1, 2.0), alike)

        def alike() -> None:
            found = self._host.machine.mirrors.get((uuid, disk.serial))
            if found and uuid in self._host.machine.running:
                self._host.machine.mirrors[uuid, disk.serial] = found[0], True
                self._host.tell(uuid)

        await self._do(uuid, 0.02, begin)

    async def pivot(self, uuid: str, target: str) -> None:
        def pivot() -> None:
            serial = self._serial(uuid, target)
            path, ready = self._host.machine.mirrors.get((uuid, serial), ("", False))
            if not ready:
                raise HypervisorError("block copy is not ready for pivot yet")
            del self._host.machine.mirrors[uuid, serial]
            self._change(uuid, target, lambda disk: replace(disk, path=path))

        await self._do(uuid, 0.02, pivot)

    async def console(self, uuid: str, type_: ConsoleType) -> socket.socket:
        raise HypervisorError("a simulated guest has no console: nothing runs there")

    async def unmirror(self, uuid: str, target: str) -> None:
        await self._do(
            uuid, 0.02, lambda: self._host.machine.mirrors.pop((uuid, self._serial(uuid, target)), None) and None
        )

    def _serial(self, uuid: str, target: str) -> str:
        return self._at(uuid, target).serial

    def _at(self, uuid: str, target: str) -> DiskDevice:
        found = dict(_targets(self._guest(uuid).disks)).get(target)
        if found is None:
            raise HypervisorError(f"No device found for specified disk {target}")
        return found

    def _change(self, uuid: str, target: str, change: Callable[[DiskDevice], DiskDevice]) -> DiskDevice:
        spec, found = self._guest(uuid), self._at(uuid, target)
        changed = change(found)
        disks = tuple(changed if each is found else each for each in spec.disks)
        self._host.machine.running[uuid] = replace(spec, disks=disks)
        return changed

    async def backup(self, uuid: str) -> Backup | None:
        def look() -> Backup | None:
            found = self._host.machine.backups.get(uuid)
            return found.backup if found is not None else None

        return await self._do(uuid, 0.001, look)

    async def begin_backup(self, uuid: str, copies: Mapping[str, str]) -> None:
        def begin() -> None:
            host = self._host
            spec = host.machine.running.get(uuid)
            if spec is None or (lacking := copies.keys() - {each.path for each in spec.disks}):
                raise HypervisorError(f"the guest has no disk {', '.join(lacking) if spec else ''}")
            if uuid in host.machine.backups:
                raise HypervisorError("another backup is being made")
            host.machine.backups[uuid] = Copying(Backup(tuple(copies.values())), host.loop.now)
            host.machine.backup_ends.pop(uuid, None)
            host.later(host.rng.uniform(0.1, 2.0), host.end_backup, uuid, copies)

        await self._do(uuid, 0.2, begin)

    async def backup_failure(self, uuid: str) -> str | None:
        return await self._do(uuid, 0.001, lambda: self._host.machine.backup_ends.get(uuid))

    async def end_backup(self, uuid: str) -> None:
        def end() -> None:
            if self._host.machine.backups.pop(uuid, None) is not None:
                self._host.machine.backup_ends[uuid] = "it was broken off"

        await self._do(uuid, 0.002, end)

    async def save_memory(self, uuid: str, path: str) -> None:
        def save() -> None:
            self._guest(uuid)
            if uuid not in self._host.machine.paused:
                raise HypervisorError("the guest runs while its memory is written")
            folder, _, name = path.rpartition("/")
            where = self._host.files.find(folder)
            if where is None or self._host.files.full:
                raise HypervisorError(f"failed to create file '{path}'")
            moments = struct.pack(">dd", self._host.machine.standing[uuid], self._host.loop.now)
            where.entries[name] = Node(False, 0o600, MAGIC + uuid.encode() + moments, size=64 << 20)

        await self._do(uuid, 0.3, save)

    async def restore(self, spec: DomainSpec, path: str) -> None:
        me = ACTOR.get()
        await self.define(spec)

        def bring_back() -> None:
            machine, found = self._host.machine, self._host.files.find(path)
            if spec.uuid in machine.running:
                return
            mark = MAGIC + spec.uuid.encode()
            if found is None or not found.data.startswith(mark):
                raise HypervisorError(f"{path} does not hold the memory of this guest")
            machine.paused[spec.uuid], machine.standing[spec.uuid] = "User", self._host.loop.now
            machine.remembering[spec.uuid] = struct.unpack(">dd", found.data[len(mark) : len(mark) + 16])
            try:
                self._host.start_guest(spec.uuid, lambda: not me.alive)
            except HypervisorError:
                del machine.paused[spec.uuid]
                raise
            finally:
                del machine.remembering[spec.uuid]

        await self._do(spec.uuid, self._host.rng.uniform(0.2, 0.5), bring_back)

    async def freeze(self, uuid: str) -> None:
        await self._do(uuid, 0.01, lambda: self._host.machine.frozen.add(uuid))

    async def thaw(self, uuid: str) -> None:
        await self._do(uuid, 0.01, lambda: self._host.machine.frozen.discard(uuid))

    def _known(self, uuid: str) -> DomainSpec:
        try:
            return self._host.machine.defined[uuid]
        except KeyError:
            raise HypervisorError(f"no domain with uuid {uuid}") from None

    async def _do(self, uuid: str, seconds: float, work: Callable[[], T]) -> T:
        """Send a call to the daemon and wait for its answer. It is done even if nobody waits any more."""
        host, me = self._host, ACTOR.get()
        machine = host.machine
        if not me.alive:
            raise asyncio.CancelledError
        if not machine.daemon:
            raise HypervisorGone("the daemon does not answer")
        answer: asyncio.Future[T] = host.loop.create_future()
        boots = host.boots

        def carry_out() -> None:
            if host.boots != boots or not host.up or host.machine is not machine:
                return
            if not machine.daemon:
                fail(HypervisorGone("the daemon went away"))
                return
            try:
                result = work()
            except HypervisorError as error:
                fail(error)
            else:
                host.later(0.0005, deliver, result, as_=me)

        def fail(error: HypervisorError) -> None:
            host.later(0.0005, refuse, error, as_=me)

        def deliver(result: T) -> None:
            if not answer.done():
                answer.set_result(result)

        def refuse(error: HypervisorError) -> None:
            if not answer.done():
                answer.set_exception(error)

        start = host.loop.now + host.rng.uniform(0.0002, 0.002)
        if uuid:
            start = max(start, machine.busy.get(uuid, 0.0))
            machine.busy[uuid] = start + seconds
        host.at(start + seconds, carry_out)
        host.begun()
        return await answer


def _targets(disks: Iterable[DiskDevice]) -> Iterator[tuple[str, DiskDevice]]:
    """The disks with their targets, in their order; a medium is in the drive, whatever comes before it."""
    letters = iter(LETTERS)
    for disk in disks:
        yield (DRIVE if disk.cdrom else f"vd{next(letters)}"), disk


class Files:
    """The seeds and console logs of one host's domains."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def seed_path(self, uuid: str) -> str:
        return f"/seeds/{uuid}.iso"

    def console_path(self, uuid: str) -> str:
        return f"/console/{uuid}.log"

    async def look(self, uuid: str) -> tuple[str, bool]:
        await asyncio.sleep(0.0005)
        return self._host.machine.seeds.get(uuid, ""), uuid in self._host.machine.consoles

    async def write_seed(self, uuid: str, cloud_init: CloudInit) -> None:
        await asyncio.sleep(0.003)
        self._host.machine.seeds[uuid] = seed.digest(cloud_init)

    async def fresh_console(self, uuid: str) -> None:
        await asyncio.sleep(0.0005)
        self._host.machine.consoles.add(uuid)

    async def seeded(self) -> frozenset[str]:
        await asyncio.sleep(0.0005)
        return frozenset(self._host.machine.seeds)

    async def remove(self, uuid: str) -> None:
        await asyncio.sleep(0.0005)
        self._host.machine.seeds.pop(uuid, None)
        self._host.machine.consoles.discard(uuid)

    async def trim(self) -> None:
        """Nothing grows."""


def record_of(host: Host, uuid: str) -> Record | None:
    """The record with which a domain would be started."""
    found = host.machine.records.get(uuid)
    return replace(found) if found is not None else None
