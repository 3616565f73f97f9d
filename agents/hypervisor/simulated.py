"""A simulated hypervisor: domains that take time and fail by chance, but run nothing.

The host's state stands apart from the driver, so that an agent can be killed and started again over it. All time is
the given clock's and all chance the given generator's, so that a run on a virtual clock repeats itself exactly.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from agents.hypervisor import seed
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
from agents.hypervisor.settings import Settings
from operators.contract.compute import GuestInfo, Power
from operators.contract.consoles import ConsoleType
from operators.contract.instances import CloudInit
from operators.kernel.clock import Clock

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds that each step takes; the defaults are those measured of libvirt and QEMU."""

    define: float = 0.002
    start: float = 0.295
    shutdown: float = 0.5
    destroy: float = 0.204
    look: float = 0.001
    attach: float = 0.047
    detach: float = 0.24
    mirror: float = 0.27
    move: float = 1.0


@dataclass(frozen=True, slots=True)
class Faults:
    """How likely each fault is, from 0 to 1."""

    start_fails: float = 0.0
    start_crashes: float = 0.0
    """The guest dies right after its start."""
    deaf: float = 0.0
    """The guest does not hear that it shall end."""
    event_lost: float = 0.0
    keeps_disks: float = 0.0
    """The guest does not hear that it shall let go of a disk or NIC."""
    move_fails: float = 0.0


@dataclass
class Moving:
    """A guest's move, which the daemons carry out whether or not the agent that asked for it still lives."""

    task: asyncio.Task[None]
    job: Job = field(default_factory=Job)
    given_up: bool = False


@dataclass
class SimulatedHost:
    """A host with its domains. What happens to it while no agent runs, stays."""

    facts: Facts
    latencies: Latencies = field(default_factory=Latencies)
    faults: Faults = field(default_factory=Faults)
    rng: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - faults, not secrets
    boots: int = 1
    up: bool = True
    specs: dict[str, DomainSpec] = field(default_factory=dict)
    domains: dict[str, Domain] = field(default_factory=dict)
    disks: dict[str, list[Attached]] = field(default_factory=dict)
    """What each guest has, since its start."""
    nics: dict[str, tuple[NicDevice, ...]] = field(default_factory=dict)
    """The same of its NICs."""
    seeds: dict[str, str] = field(default_factory=dict)
    consoles: set[str] = field(default_factory=set)
    guests: dict[str, GuestInfo] = field(default_factory=dict)
    """What the agents inside guests say; tests put it there."""
    passwords: dict[str, str] = field(default_factory=dict)
    """What the agents inside guests were told to set."""
    live: dict[str, Record] = field(default_factory=dict)
    """The records that the running guests were started with."""
    starts: list[str] = field(default_factory=list)
    """Every start there was, by uuid: what tests count."""
    backups: list[str] = field(default_factory=list)
    """Every copy of a disk that was begun, by its target."""
    memories: set[str] = field(default_factory=set)
    """Paths of the files that guests' memory was written to."""
    restores: list[str] = field(default_factory=list)
    """Paths of the files that guests were brought back from."""
    listeners: list[Callable[[str], None]] = field(default_factory=list)
    connections: list[asyncio.Event] = field(default_factory=list)
    peers: Mapping[str, SimulatedHost] = field(default_factory=lambda: _HOSTS)
    """The other hosts by address, which is their name here."""
    moves: dict[str, Moving] = field(default_factory=dict)
    """Guests on their way from here."""

    def chance(self, likely: float) -> bool:
        """Whether a fault of that likelihood strikes now."""
        return likely > 0 and self.rng.random() < likely

    def tell(self, uuid: str) -> None:
        """Send an event about a domain, unless it is lost."""
        if self.up and not self.chance(self.faults.event_lost):
            for listener in tuple(self.listeners):
                listener(uuid)

    def ended(self, uuid: str, how: str) -> None:
        """A guest ended: `Shutdown`, `Destroyed` or `Crashed`. Also what tests use to make one crash."""
        domain = self.domains.get(uuid)
        if domain is not None and domain.active:
            self.domains[uuid] = replace(domain, power=Power.STOPPED, stop_reason=how)
            self.live.pop(uuid, None)
            self.tell(uuid)

    def reboot(self) -> None:
        """The host loses power and boots again: no guest runs, and nobody knows how they ended."""
        self.boots += 1
        self.live.clear()
        self.domains = {
            uuid: replace(domain, power=Power.STOPPED, stop_reason="") for uuid, domain in self.domains.items()
        }

    def daemon(self, up: bool) -> None:
        """The daemon goes or comes back; guests do not notice."""
        self.up = up
        for changed in self.connections:
            changed.set()


_HOSTS: dict[str, SimulatedHost] = {}


def simulated_host(settings: Settings) -> SimulatedHost:
    """The host of that name: the same one for every agent that this process starts for it."""
    if settings.node not in _HOSTS:
        facts = Facts(settings.simulated_cpus, settings.simulated_memory, "simulated", "simulated", "0.0.0", "0.0.0")
        _HOSTS[settings.node] = SimulatedHost(facts, rng=random.Random(f"{settings.seed} {settings.node}"))  # noqa: S311
    return _HOSTS[settings.node]


class SimulatedHypervisor:
    """The hypervisor port on a simulated host."""

    def __init__(self, host: SimulatedHost, clock: Clock) -> None:
        self._host = host
        self._clock = clock
        self._later: set[asyncio.Task[None]] = set()

    async def run(self, listeners: Listeners) -> None:
        changed = asyncio.Event()
        self._host.listeners.append(listeners.changed)
        self._host.connections.append(changed)
        try:
            while True:
                listeners.link()
                changed.clear()
                await changed.wait()
        finally:
            self._host.listeners.remove(listeners.changed)
            self._host.connections.remove(changed)
            for task in self._later:
                task.cancel()

    async def boot(self) -> str:
        return f"simulated-boot-{self._host.boots}"

    async def facts(self) -> Facts:
        await self._call(0.0)
        return self._host.facts

    async def domains(self) -> tuple[Domain, ...]:
        await self._call(self._host.latencies.look)
        return tuple(self._host.domains.values())

    async def domain(self, uuid: str) -> Domain | None:
        await self._call(self._host.latencies.look)
        found = self._host.domains.get(uuid)
        if found is None:
            return None
        record = self._host.live.get(uuid, found.record)
        if not found.active:
            return replace(found, record=record)
        disks, nics = tuple(self._host.disks.get(uuid, ())), self._host.nics.get(uuid, ())
        return replace(found, record=record, disks=disks, nics=nics)

    async def define(self, spec: DomainSpec) -> None:
        await self._call(self._host.latencies.define)
        known = self._host.domains.get(spec.uuid)
        taken = [each.uuid for each in self._host.domains.values() if each.name == spec.name and each.uuid != spec.uuid]
        if taken:
            raise HypervisorError(f"domain '{spec.name}' already exists with uuid {taken[0]}")
        self._host.specs[spec.uuid] = spec
        fresh = known or Domain(spec.uuid, spec.name, Power.STOPPED)
        self._host.domains[spec.uuid] = replace(fresh, name=spec.name, record=spec.record)

    async def start(self, uuid: str) -> None:
        await self._call(0.0)
        domain = self._known(uuid)
        if domain.active:
            return
        # The guest is there from the first moment: an agent that is killed while it waits finds it running.
        if self._host.chance(self._host.faults.start_fails):
            raise HypervisorError("simulated: the guest could not be started")
        record = domain.record
        self._host.domains[uuid] = replace(domain, power=Power.RUNNING, stop_reason="")
        self._host.starts.append(uuid)
        self._host.disks[uuid] = [
            Attached(f"vd{LETTERS[at]}", disk) for at, disk in enumerate(self._host.specs[uuid].disks)
        ]
        self._host.nics[uuid] = self._host.specs[uuid].nics
        if record is not None:
            self._host.live[uuid] = record
        await self._clock.sleep(self._host.latencies.start)
        self._host.tell(uuid)
        if self._host.chance(self._host.faults.start_crashes):
            self._host.ended(uuid, "Crashed")

    async def record(self, uuid: str, record: Record) -> None:
        await self._call(self._host.latencies.look)
        domain = self._known(uuid)
        self._host.domains[uuid] = replace(domain, record=record)
        if domain.active:
            self._host.live[uuid] = record

    async def shutdown(self, uuid: str, *, insist: bool) -> None:
        await self._call(self._host.latencies.look)
        if not self._host.chance(self._host.faults.deaf):
            task = asyncio.ensure_future(self._end_later(uuid))
            self._later.add(task)
            task.add_done_callback(self._later.discard)

    async def destroy(self, uuid: str) -> None:
        await self._call(self._host.latencies.destroy)
        self._host.ended(uuid, "Destroyed")

    async def suspend(self, uuid: str) -> None:
        await self._call(self._host.latencies.look)
        domain = self._known(uuid)
        if domain.power is Power.RUNNING:
            self._host.domains[uuid] = replace(domain, power=Power.PAUSED, pause_reason="User")
            self._host.tell(uuid)

    async def resume(self, uuid: str) -> None:
        await self._call(self._host.latencies.look)
        domain = self._known(uuid)
        if domain.power is Power.PAUSED:
            self._host.domains[uuid] = replace(domain, power=Power.RUNNING, pause_reason="")
            self._host.tell(uuid)

    async def resize(self, uuid: str, cpus: int, memory: int) -> None:
        await self._call(self._host.latencies.look)
        self._known(uuid)
        self._host.specs[uuid] = replace(self._host.specs[uuid], cpus=cpus, memory=memory)

    async def guest(self, uuid: str) -> GuestInfo | None:
        await self._call(self._host.latencies.look)
        return self._host.guests.get(uuid)

    async def set_password(self, uuid: str, user: str, text: str) -> None:
        await self._call(self._host.latencies.look)
        if uuid not in self._host.guests:
            raise HypervisorError("simulated: Guest agent is not responding")
        self._host.passwords[uuid] = f"{user}:{text}"

    async def samples(self, at: float) -> Mapping[str, Sample]:
        return {}

    async def tunes(self) -> bool:
        return True

    async def migrate(self, uuid: str, move: Move) -> Moved:
        await self._call(0.0)
        domain, peer = self._known(uuid), self._host.peers.get(move.address)
        if peer is None or not peer.up:
            raise HypervisorError(f"the hypervisor of the other host cannot be reached at {move.address}")
        if domain.power is not Power.RUNNING or uuid in self._host.moves or uuid in peer.domains:
            raise HypervisorError("this guest cannot be moved there now")
        moving = Moving(asyncio.ensure_future(self._move(uuid, peer)))
        self._host.moves[uuid] = moving
        await asyncio.shield(moving.task)
        if (there := peer.domains.get(uuid)) is not None and there.power is Power.PAUSED:
            peer.domains[uuid] = replace(there, power=Power.RUNNING, pause_reason="")
            peer.tell(uuid)
        return Moved(downtime=100, data=10)

    async def moving(self, uuid: str) -> Job | None:
        await self._call(self._host.latencies.look)
        moving = self._host.moves.get(uuid)
        return moving.job if moving else None

    async def stay(self, uuid: str) -> None:
        await self._call(self._host.latencies.look)
        if moving := self._host.moves.get(uuid):
            moving.given_up = True

    async def drop_copy(self, uuid: str, address: str) -> None:
        """Nothing: a simulated move never waits for its other end."""

    async def _move(self, uuid: str, peer: SimulatedHost) -> None:
        """As libvirt with VIR_MIGRATE_PAUSED: whole at the target, then gone at the source, then let go on."""
        host, steps = self._host, 10
        leaving, spec = host.domains[uuid], host.specs[uuid]
        record = host.live.get(uuid, leaving.record)
        coming = replace(leaving, power=Power.PAUSED, pause_reason="Migration", record=record)
        peer.domains[uuid], peer.specs[uuid] = coming, spec
        peer.tell(uuid)
        try:
            for step in range(steps):
                await self._clock.sleep(host.latencies.move / steps)
                moving, here = host.moves[uuid], host.domains.get(uuid)
                moving.job = Job(steps, step + 1)
                fails = host.chance(host.faults.move_fails / steps)
                if moving.given_up or fails or here is None or not here.active or peer.domains.get(uuid) is not coming:
                    raise HypervisorError("simulated: the move was cut off")
            host.domains[uuid] = replace(host.domains[uuid], power=Power.PAUSED, pause_reason="Migration")
            host.tell(uuid)
            await self._clock.sleep(0.1)
            if peer.domains.get(uuid) is not coming:
                raise HypervisorError("simulated: the target lost the guest")
            peer.domains[uuid] = replace(coming, pause_reason="User")
            if record is not None:
                peer.live[uuid] = record
            peer.nics[uuid] = host.nics.pop(uuid, ())
            for kept in (host.domains, host.specs, host.live):
                kept.pop(uuid, None)
            host.tell(uuid)
            peer.tell(uuid)
        except HypervisorError:
            if peer.domains.get(uuid) is coming:
                del peer.domains[uuid], peer.specs[uuid]
                peer.tell(uuid)
            here = host.domains.get(uuid)
            if here is not None and here.power is Power.PAUSED:
                host.domains[uuid] = replace(here, power=Power.RUNNING, pause_reason="")
            raise
        finally:
            del host.moves[uuid]

    async def undefine(self, uuid: str) -> None:
        await self._call(self._host.latencies.define)
        if self._host.domains.pop(uuid, None) is not None:
            self._host.specs.pop(uuid, None)
            self._host.tell(uuid)

    async def attach(self, uuid: str, disk: DiskDevice) -> None:
        await self._call(self._host.latencies.attach)
        there = self._guest(uuid)
        if all(each.device.serial != disk.serial for each in there):
            taken = {each.target for each in there}
            target = next(f"vd{letter}" for letter in LETTERS if f"vd{letter}" not in taken)
            there.append(Attached(target, disk))

    async def detach(self, uuid: str, target: str) -> None:
        await self._call(self._host.latencies.look)
        if not self._host.chance(self._host.faults.keeps_disks):
            task = asyncio.ensure_future(self._let_go(uuid, target))
            self._later.add(task)
            task.add_done_callback(self._later.discard)

    async def _let_go(self, uuid: str, target: str) -> None:
        await self._clock.sleep(self._host.latencies.detach)
        self._host.disks[uuid] = [each for each in self._host.disks.get(uuid, ()) if each.target != target]
        self._host.tell(uuid)

    async def attach_nic(self, uuid: str, nic: NicDevice) -> None:
        await self._call(self._host.latencies.attach)
        self._guest(uuid)
        has = self._host.nics.get(uuid, ())
        if all(each.tap != nic.tap for each in has):
            self._host.nics[uuid] = (*has, nic)

    async def detach_nic(self, uuid: str, tap: str) -> None:
        await self._call(self._host.latencies.look)
        if not self._host.chance(self._host.faults.keeps_disks):
            task = asyncio.ensure_future(self._let_go_nic(uuid, tap))
            self._later.add(task)
            task.add_done_callback(self._later.discard)

    async def _let_go_nic(self, uuid: str, tap: str) -> None:
        await self._clock.sleep(self._host.latencies.detach)
        self._host.nics[uuid] = tuple(each for each in self._host.nics.get(uuid, ()) if each.tap != tap)
        self._host.tell(uuid)

    async def grow(self, uuid: str, target: str, size: int) -> None:
        await self._call(self._host.latencies.look)
        self._change(uuid, target, lambda disk: replace(disk, size=size))

    async def throttle(self, uuid: str, target: str, disk: DiskDevice) -> None:
        await self._call(self._host.latencies.look)
        self._change(uuid, target, lambda now: replace(now, iops=disk.iops, throughput=disk.throughput))

    async def mirror(self, uuid: str, target: str, disk: DiskDevice) -> None:
        await self._call(self._host.latencies.look)
        self._put(uuid, target, lambda each: each if each.mirror else replace(each, mirror=disk.path))
        task = asyncio.ensure_future(self._alike(uuid, target))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _alike(self, uuid: str, target: str) -> None:
        await self._clock.sleep(self._host.latencies.mirror)
        if uuid in self._host.disks:
            self._put(uuid, target, lambda each: replace(each, mirrored=bool(each.mirror)))
            self._host.tell(uuid)

    async def pivot(self, uuid: str, target: str) -> None:
        await self._call(self._host.latencies.look)
        self._put(uuid, target, lambda each: Attached(target, replace(each.device, path=each.mirror)))

    async def console(self, uuid: str, type_: ConsoleType) -> socket.socket:
        raise HypervisorError("a simulated guest has no console: nothing runs there")

    async def unmirror(self, uuid: str, target: str) -> None:
        await self._call(self._host.latencies.look)
        self._put(uuid, target, lambda each: Attached(target, each.device))

    def _put(self, uuid: str, target: str, change: Callable[[Attached], Attached]) -> None:
        self._host.disks[uuid] = [change(each) if each.target == target else each for each in self._guest(uuid)]

    def _change(self, uuid: str, target: str, change: Callable[[DiskDevice], DiskDevice]) -> None:
        self._host.disks[uuid] = [
            replace(each, device=change(each.device)) if each.target == target else each for each in self._guest(uuid)
        ]

    def _guest(self, uuid: str) -> list[Attached]:
        if not self._known(uuid).active:
            raise HypervisorError("the domain is not running")
        return self._host.disks.setdefault(uuid, [])

    async def backup(self, uuid: str) -> Backup | None:
        """A copy is done as soon as it is begun: there is nothing to copy."""
        await self._call(self._host.latencies.look)
        return None

    async def begin_backup(self, uuid: str, copies: Mapping[str, str]) -> None:
        await self._call(self._host.latencies.look)
        if not self._known(uuid).active:
            raise HypervisorError("simulated: the guest does not run")
        self._host.backups.extend(copies.values())

    async def backup_failure(self, uuid: str) -> str | None:
        await self._call(self._host.latencies.look)
        return "" if self._host.backups else None

    async def end_backup(self, uuid: str) -> None:
        await self._call(self._host.latencies.look)

    async def save_memory(self, uuid: str, path: str) -> None:
        await self._call(self._host.latencies.look)
        if self._known(uuid).power is not Power.PAUSED:
            raise HypervisorError("simulated: the guest does not stand still")
        self._host.memories.add(path)

    async def restore(self, spec: DomainSpec, path: str) -> None:
        """Of any file: what publishes one is not simulated here."""
        await self.define(spec)
        if not self._known(spec.uuid).active:
            self._host.restores.append(path)
            await self.start(spec.uuid)
            await self.suspend(spec.uuid)

    async def freeze(self, uuid: str) -> None:
        await self._call(self._host.latencies.look)

    async def thaw(self, uuid: str) -> None:
        await self._call(self._host.latencies.look)

    async def _end_later(self, uuid: str) -> None:
        await self._clock.sleep(self._host.latencies.shutdown)
        domain = self._host.domains.get(uuid)
        if domain is not None and domain.power is Power.RUNNING:
            self._host.ended(uuid, "Shutdown")

    async def _call(self, seconds: float) -> None:
        if not self._host.up:
            raise HypervisorGone("simulated: the daemon does not answer")
        if seconds:
            await self._clock.sleep(seconds)

    def _known(self, uuid: str) -> Domain:
        try:
            return self._host.domains[uuid]
        except KeyError:
            raise HypervisorError(f"no domain with uuid {uuid}") from None


class SimulatedFiles:
    """The files port on a simulated host: only what they are, not what they hold."""

    def __init__(self, host: SimulatedHost) -> None:
        self._host = host

    def seed_path(self, uuid: str) -> str:
        return f"/simulated/seeds/{uuid}.iso"

    def console_path(self, uuid: str) -> str:
        return f"/simulated/console/{uuid}.log"

    async def look(self, uuid: str) -> tuple[str, bool]:
        return self._host.seeds.get(uuid, ""), uuid in self._host.consoles

    async def write_seed(self, uuid: str, cloud_init: CloudInit) -> None:
        self._host.seeds[uuid] = seed.digest(cloud_init)

    async def fresh_console(self, uuid: str) -> None:
        self._host.consoles.add(uuid)

    async def seeded(self) -> frozenset[str]:
        return frozenset(self._host.seeds)

    async def remove(self, uuid: str) -> None:
        self._host.seeds.pop(uuid, None)
        self._host.consoles.discard(uuid)

    async def trim(self) -> None:
        """Nothing grows."""
