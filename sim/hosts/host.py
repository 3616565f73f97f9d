"""A hypervisor host: its guests, files and network, which live on when an agent dies and end when its power does."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agents.hypervisor.driver import Facts, HypervisorError, Listeners, NicDevice
from agents.hypervisor.settings import Settings
from agents.network.links import Link
from agents.network.metadata.passwords import SAVED, SEND
from operators.contract.fabric import Overcommit
from operators.contract.quantity import factor
from sim.axe import Axe
from sim.hosts.filesystem import FileSystem, marked
from sim.hosts.hypervisor import Machine, Started
from sim.hosts.network import Network
from sim.hosts.vault import Vault
from sim.loop import ACTOR, Actor, VirtualLoop
from sim.trace import Trace

POOL_ROOT = "/var/lib/cloudstack/pools"
SHARED_PATH = f"{POOL_ROOT}/shared"
GIB = 1 << 30
TRIES = 10
"""How often a guest asks a metadata service that does not answer."""


@dataclass
class Faults:
    """How likely each small fault is."""

    start_fails: float = 0.0
    tools_fail: float = 0.0
    qemu_img_fails: float = 0.0
    download_fails: float = 0.0
    event_lost: float = 0.0
    moves_fail: float = 0.0
    store_fails: float = 0.0
    """Of the image store, as this host reaches it."""

    def end(self) -> None:
        """All well."""
        self.__init__()  # type: ignore[misc]


@dataclass(eq=False)
class Host:
    """One host."""

    name: str
    loop: VirtualLoop
    trace: Trace
    rng: random.Random
    address: str
    cpus: int = 8
    memory: int = 8 * GIB
    up: bool = True
    boots: int = 1
    machine: Machine = field(default_factory=Machine)
    files: FileSystem = field(default_factory=FileSystem)
    faults: Faults = field(default_factory=Faults)
    processes: list[Any] = field(default_factory=list)
    """The agents that run here."""
    axe: Axe | None = None
    """What falls on an agent when something that it asked of the host has begun."""
    checks: list[Callable[[Host, str], None]] = field(default_factory=list)
    """Invariants to be looked at when a guest is started."""
    going_on: list[Callable[[Host, str], None]] = field(default_factory=list)
    """Those to be looked at when a guest that was paused goes on."""
    vault: Vault = field(default_factory=Vault)
    """The image store that all hosts reach."""
    peers: dict[str, Host] = field(default_factory=dict)
    """The other hosts by address."""

    def __post_init__(self) -> None:
        self.actor = Actor(f"{self.name}-host")
        self.network = Network(self.address, asks=lambda uuid: self._ask(uuid, SEND, TRIES))
        self.files.make(POOL_ROOT)

    @property
    def facts(self) -> Facts:
        """What it has to give."""
        return Facts(self.cpus, self.memory, "simulated", "simulated")

    @property
    def gives(self) -> tuple[int, int]:
        """Processors and bytes of memory that guests may have, with the overcommitment that a Host has by default."""
        overcommit, reserved = Overcommit(), Settings(self.name).reserved_memory
        return int(self.cpus * factor(overcommit.cpu)), int((self.memory - reserved) * factor(overcommit.memory))

    @property
    def frozen(self) -> bool:
        """Whether its disk does not answer."""
        return self.files.frozen

    def chance(self, likely: float) -> bool:
        """Whether a fault strikes now."""
        return likely > 0 and self.rng.random() < likely

    def at(self, when: float, call: Callable[..., None], *args: Any, as_: Actor | None = None) -> None:
        """Have something done at a time, by the host unless somebody else is named."""
        self.loop.at(when, as_ or self.actor, call, *args)

    def later(self, seconds: float, call: Callable[..., None], *args: Any, as_: Actor | None = None) -> None:
        """Have something done in a while."""
        self.at(self.loop.now + seconds, call, *args, as_=as_)

    def begun(self) -> None:
        """Something was asked for and will be done; its asker may not live to hear of it."""
        axe = self.axe
        if axe is not None and axe.process.actor is ACTOR.get() and axe.chance():
            self.later(0.0, axe.fall, as_=self.loop.world)

    def say(self, verb: str, text: str) -> None:
        """Into the trace."""
        self.trace.add(self.loop.now, f"{self.name}-host", verb, text)

    def process_died(self, actor: Actor) -> None:
        """An agent's process ended: its descriptors are closed, its connections too."""
        self.files.close_all(actor)

    # Guests.

    def start_guest(self, uuid: str, unheard: Callable[[], bool]) -> None:
        """What virDomainCreate does."""
        machine = self.machine
        spec = machine.defined.get(uuid)
        if spec is None:
            raise HypervisorError(f"no domain with uuid {uuid}")
        if uuid in machine.running:
            return
        if self.chance(self.faults.start_fails):
            raise HypervisorError("the guest could not be started")
        for disk in spec.disks:
            self.check_disk(disk.path)
        for nic in spec.nics:
            if nic.bridge not in self.network.spaces[""].links:
                raise HypervisorError(f"Cannot get interface MTU on '{nic.bridge}': No such device")
        for nic in spec.nics:
            self.plug_nic(nic)
        record = machine.records.get(uuid)
        machine.running[uuid] = spec
        if record is not None:
            machine.live[uuid] = record
        machine.ends.pop(uuid, None)
        machine.starts.append(Started(self.loop.now, uuid, record, unheard))
        self.say("guest-on", f"{spec.name} {uuid} start={record.start if record else '?'}")
        self.network.asks(uuid)
        for check in self.checks:
            check(self, uuid)
        self.tell(uuid)

    def _ask(self, uuid: str, word: str, tries: int) -> None:
        """A guest asks for its password while it boots, and says that it has it; who hears nothing asks again."""
        if tries:
            self.later(self.rng.uniform(1.0, 4.0), self._asks, uuid, word, tries, as_=self.loop.world)

    def _asks(self, uuid: str, word: str, tries: int) -> None:
        if uuid not in self.machine.running:
            return
        services, owner = self.network.metadata or (None, None)
        if services is None or owner is None or not owner.alive:
            self._ask(uuid, word, tries - 1)
            return

        def ask() -> None:
            answer = services.ask(uuid, word)
            if answer is None:
                self._ask(uuid, word, tries - 1)
            elif word == SEND and answer != SAVED:
                self._ask(uuid, SAVED, TRIES)

        self.later(0.001, ask, as_=owner)

    def plug_nic(self, nic: NicDevice) -> None:
        """Make a tap on its bridge, for a guest."""
        if nic.bridge not in self.network.spaces[""].links:
            raise HypervisorError(f"Cannot get interface MTU on '{nic.bridge}': No such device")
        self.network.spaces[""].links[nic.tap] = Link(nic.tap, "tun", master=nic.bridge, mtu=nic.mtu, up=True)

    def check_disk(self, path: str) -> None:
        """Refuse a disk that is not there, or that another guest has."""
        if (node := self.files.find(path)) is None:
            raise HypervisorError(f"Cannot access storage file '{path}': No such file or directory")
        if node.guards:
            raise HypervisorError(f'Failed to get "write" lock of {path}: it is being copied')
        for other, each in self.machine.running.items():
            if path in (used.path for used in each.disks):
                raise HypervisorError(f'Failed to get "write" lock of {path}: {other} has it')

    def grow_file(self, path: str, size: int) -> None:
        """What QEMU writes into a disk's header when it grows under a guest."""
        node = self.files.find(path)
        if node is not None:
            node.data = node.data[:24] + struct.pack(">Q", size) + node.data[32:]

    def resumed(self, uuid: str) -> None:
        """A guest that was paused goes on."""
        self.say("guest-goes-on", uuid)
        self.machine.standing.pop(uuid, None)
        for check in self.going_on:
            check(self, uuid)
        self.tell(uuid)

    def end_guest(self, uuid: str, how: str) -> None:
        """A guest ends."""
        machine = self.machine
        spec = machine.running.pop(uuid, None)
        if spec is None:
            return
        self.wrote(disk.path for disk in spec.disks if not disk.cdrom)
        live = machine.live.pop(uuid, None)
        if live is not None and not live.started_at:
            last = max(index for index, each in enumerate(machine.starts) if each.uuid == uuid)
            machine.starts[last] = replace(machine.starts[last], lost=machine.starts[last].unheard())
        machine.paused.pop(uuid, None)
        machine.standing.pop(uuid, None)
        machine.frozen.discard(uuid)
        if machine.backups.pop(uuid, None) is not None:
            machine.backup_ends[uuid] = "the guest ended"
        machine.mirrors = {key: found for key, found in machine.mirrors.items() if key[0] != uuid}
        machine.deaf.discard(uuid)
        if uuid in machine.defined:
            machine.ends[uuid] = how
        for nic in spec.nics:
            self.network.spaces[""].links.pop(nic.tap, None)
        self.say("guest-off", f"{spec.name} {uuid} {how}")
        self.tell(uuid)

    def wrote(self, paths: Iterable[str]) -> None:
        """A guest has written to disks up to now."""
        for path in paths:
            if (node := self.files.find(path)) is not None:
                node.write(self.loop.now)

    def end_backup(self, uuid: str, copies: Mapping[str, str]) -> None:
        """A copy of a running guest's disks is whole, unless it was broken off or the guest ended."""
        machine = self.machine
        known = machine.backups.get(uuid)
        if known is None or known.backup.targets != tuple(copies.values()):
            return
        del machine.backups[uuid]
        for disk, target in copies.items():
            source, folder = self.files.find(disk), self.files.find(target.rpartition("/")[0])
            if folder is None or source is None or self.files.full:
                machine.backup_ends[uuid] = "No space left on device"
                return
            copy = self.files.flattened(source, known.began)
            copy.data = marked(copy.data, known.began)
            folder.entries[target.rpartition("/")[2]] = copy
        machine.backup_ends[uuid] = ""

    def tell(self, uuid: str) -> None:
        """An event about a domain, to whoever listens."""
        for listeners in list(self.machine.listeners):
            if not self.chance(self.faults.event_lost):
                self.later(self.rng.uniform(0.0005, 0.01), self._tell, listeners, uuid)

    def _tell(self, listeners: Listeners, uuid: str) -> None:
        owner = next(
            (each.actor for each in self.processes if each.alive and each.component.name == "agent-hypervisor"), None
        )
        if owner is not None and listeners in self.machine.listeners:
            self.later(0.0, listeners.changed, uuid, as_=owner)

    def daemon(self, up: bool) -> None:
        """The hypervisor's daemon goes or comes back; guests do not notice."""
        self.machine.daemon = up
        self.say("libvirtd", "comes back" if up else "is gone")
        for process in self.processes:
            if process.alive:
                for changed in list(self.machine.listeners.values()):
                    self.later(0.001, changed.set, as_=process.actor)

    # The whole of it.

    def lose_power(self) -> None:
        """Everything that is not on disk is gone."""
        if not self.up:
            return
        self.up = False
        self.say("power", "is lost")
        for process in self.processes:
            process.crash("its host lost power")
        machine = self.machine
        for uuid, spec in machine.running.items():
            self.say("guest-off", f"{spec.name} {uuid} power lost")
            self.wrote(disk.path for disk in spec.disks if not disk.cdrom)
        kept = Machine(
            defined=machine.defined, records=machine.records, ends={}, seeds=machine.seeds, consoles=machine.consoles,
            starts=machine.starts,
        )  # fmt: skip
        self.machine = kept
        self.files.root.lose()
        self.files.close_everything()
        self.files.frozen = False
        self.network.reset()

    def boot(self) -> None:
        """It comes back."""
        if self.up:
            return
        self.up = True
        self.boots += 1
        self.say("power", "is back")
        for process in self.processes:
            if process.wanted:
                process.start()
