"""What breaks, when and for how long, drawn from the seed. Each run has a random subset of them (swarm testing)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sim.axe import Axe
from sim.doing import Doing


@dataclass(frozen=True)
class Trouble:
    """One fault; a value, so that a shrinker can leave it out."""

    time: float
    kind: str
    target: str = ""
    seconds: float = 0.0
    amount: float = 0.0

    def __str__(self) -> str:
        return f"{self.time:8.3f} chaos {self.kind} {self.target} for {self.seconds:.1f} s ({self.amount:g})"


PROCESS = ("crash", "crash", "crash-on-write", "crash-on-call", "down", "cut", "cut-there", "cut-back", "slow", "late",
           "twice", "stale", "skew", "gap")  # fmt: skip
HOST = ("power", "disk-frozen", "disk-full", "libvirtd", "guest-crash", "guest-unseen", "start-fails", "tools-fail",
        "qemu-img-fails", "download-fails", "store-fails", "event-lost", "dhcp-killed", "device-lost", "rules-flushed",
        "deaf")  # fmt: skip
WHOLE = ("server-away", "overloaded", "compact", "collector-late", "crash-all", "database-away")
RARE = ("two-leaders", "restore")
ALL = tuple(dict.fromkeys((*PROCESS, *HOST, *WHOLE, *RARE)))
UNTOLD = frozenset({"compact", "gap", "stale", "event-lost", "guest-unseen", "device-lost", "restore"})
"""Those of which somebody is not told, so that only a look at everything can mend what came of them."""
DURATIONS = (1.0, 5.0, 20.0, 45.0)
THEMES: dict[str, tuple[str, ...]] = {
    "swarm": (),
    "axe": ("crash-on-write", "crash-on-call", "crash-on-call", "crash"),
    "brownout": ("server-away", "overloaded", "cut", "slow"),
    "gaps": ("gap", "gap", "guest-unseen", "compact"),
    "stale": ("stale", "late", "late", "twice", "slow"),
    "hosts": ("power", "libvirtd", "start-fails", "tools-fail", "qemu-img-fails", "guest-crash", "crash-on-call"),
    "ruin": ("crash-on-call", "crash-on-write", "slow", "late"),
    "rivals": (),
}
"""What a run's faults are about: few kinds, but many of them, find what a little of everything hardly meets.

The faults of a swarm are a random subset of all kinds."""
WEIGHTS = (6, 2, 2, 2, 2, 2, 1, 2)


def draw(
    rng: random.Random, theme: str, processes: Sequence[str], hosts: Sequence[str], start: float, seconds: float
) -> list[Trouble]:
    """The troubles of a run."""
    if theme == "swarm" and rng.random() < 0.16:
        return []
    if theme == "rivals":
        return _rivals(rng, processes, start, seconds)
    kinds: Sequence[str] = THEMES[theme]
    if not kinds:
        kinds = [kind for kind in ALL if rng.random() < (0.35 if kind not in RARE else 0.12)] or ["crash"]
    out = []
    for _ in range(rng.choice((2, 5, 10, 20, 30))):
        kind = rng.choice(kinds)
        target = ""
        if kind == "crash-on-call":
            target = rng.choice([name for name in processes if "@" in name])
        elif kind in PROCESS or kind == "two-leaders":
            target = rng.choice(processes)
        elif kind in HOST:
            target = rng.choice(hosts)
        time = start + rng.uniform(0, seconds)
        out.append(Trouble(time, kind, target, rng.choice(DURATIONS) * rng.uniform(0.5, 1.5), rng.random()))
    return sorted(out, key=_time)


def _rivals(rng: random.Random, processes: Sequence[str], start: float, seconds: float) -> list[Trouble]:
    """Two replicas of some components who both believe to lead, and hear of things at different times."""
    out = []
    for one in processes:
        other = one.removesuffix("#1") + "#2"
        if one.endswith("#1") and rng.random() < 0.7:
            for name in (one, other):
                out.append(Trouble(start, "two-leaders", name, seconds, 0.0))
                for _ in range(3):
                    time = start + rng.uniform(0, seconds)
                    out.append(Trouble(time, rng.choice(("late", "late", "slow")), name, 20.0, rng.random()))
    return sorted(out, key=_time)


def _time(trouble: Trouble) -> float:
    return trouble.time


class Chaos:
    """Does it to a world, and undoes it."""

    def __init__(self, world: Any, users: Doing) -> None:
        self.world = world
        self.users = users
        self.backup: Any = None
        self.restored = False

    def schedule(self, troubles: list[Trouble], end: float) -> None:
        """Each at its time, none after the end."""
        for trouble in troubles:
            self.world.loop.at(trouble.time, self.world.loop.world, self._begin, trouble, end)

    def _begin(self, trouble: Trouble, end: float) -> None:
        world = self.world
        world.trace.add(
            world.loop.now, "chaos", trouble.kind, f"{trouble.target} {trouble.seconds:.1f} s {trouble.amount:.2f}"
        )
        undo = getattr(self, "_" + trouble.kind.replace("-", "_"))(trouble)
        if undo is not None:
            until = min(world.loop.now + trouble.seconds, end)
            world.loop.at(until, world.loop.world, self._undo, trouble, undo)

    def _undo(self, trouble: Trouble, undo: Callable[[], None]) -> None:
        self.world.trace.add(self.world.loop.now, "chaos", "ends", f"{trouble.kind} {trouble.target}")
        undo()

    def heal(self) -> None:
        """Everything works from now on."""
        world = self.world
        world.trace.add(world.loop.now, "chaos", "ends", "everything")
        self.users.away = False
        world.collector.paused = False
        if world.client is not None:
            world.client.lossy = 0.0
            world.records.away = False
        for host in world.hosts.values():
            host.faults.end()
            host.files.frozen = host.files.full = False
            host.machine.deaf.clear()
            host.axe = None
            if not host.machine.daemon:
                host.daemon(True)
            host.boot()
        for process in world.processes.values():
            link, troubles = process.link, process.troubles
            link.cut_there = link.cut_back = link.refused = link.slow = False
            link.overloaded = 0.0
            link.axe = None
            troubles.late = troubles.twice = troubles.stale = False
            process.clock.skew = 0.0
            process.always_leading = False
            process.start()

    # Processes.

    def _process(self, trouble: Trouble) -> Any:
        return self.world.processes[trouble.target]

    def _crash(self, trouble: Trouble) -> None:
        self._process(trouble).crash_after(1 + int(trouble.amount**3 * 400))

    def _crash_on_write(self, trouble: Trouble) -> None:
        """Kill it when one of its next writes has reached the API server, and before it hears of that."""
        process = self._process(trouble)
        process.link.axe = Axe(int(trouble.amount * 5), process.crash)

    def _crash_on_call(self, trouble: Trouble) -> None:
        """Kill an agent when its host has begun what it asks for: that is done, and answered to nobody."""
        process = self._process(trouble)
        if process.host is None:
            self._crash_on_write(trouble)
        else:
            process.host.axe = Axe(int(trouble.amount**2 * 12), process.crash, process)

    def _gap(self, trouble: Trouble) -> Callable[[], None]:
        """It is cut off until the history of meanwhile is forgotten: it lists anew, and hears of no deletion."""
        process = self._process(trouble)
        link = process.link
        link.cut_there = link.cut_back = True

        def back() -> None:
            link.cut_there = link.cut_back = False
            self.world.server.compact()
            for stream in process.streams:
                stream.gone()

        return back

    def _down(self, trouble: Trouble) -> Callable[[], None]:
        process = self._process(trouble)
        process.stop()
        return process.start  # type: ignore[no-any-return]

    def _cut(self, trouble: Trouble) -> Callable[[], None]:
        link = self._process(trouble).link
        link.cut_there = link.cut_back = True
        return lambda: _set(link, cut_there=False, cut_back=False)

    def _cut_there(self, trouble: Trouble) -> Callable[[], None]:
        link = self._process(trouble).link
        link.cut_there = True
        return lambda: _set(link, cut_there=False)

    def _cut_back(self, trouble: Trouble) -> Callable[[], None]:
        link = self._process(trouble).link
        link.cut_back = True
        return lambda: _set(link, cut_back=False)

    def _slow(self, trouble: Trouble) -> Callable[[], None]:
        link = self._process(trouble).link
        link.slow = True
        return lambda: _set(link, slow=False)

    def _late(self, trouble: Trouble) -> Callable[[], None]:
        troubles = self._process(trouble).troubles
        troubles.late = True
        return lambda: _set(troubles, late=False)

    def _twice(self, trouble: Trouble) -> Callable[[], None]:
        troubles = self._process(trouble).troubles
        troubles.twice = True
        return lambda: _set(troubles, twice=False)

    def _stale(self, trouble: Trouble) -> Callable[[], None]:
        process = self._process(trouble)
        process.troubles.stale = True
        process.crash("is killed, and reads from a replica that is behind")
        return lambda: _set(process.troubles, stale=False)

    def _skew(self, trouble: Trouble) -> Callable[[], None]:
        clock = self._process(trouble).clock
        clock.skew = (trouble.amount - 0.5) * 1000
        return lambda: _set(clock, skew=0.0)

    def _two_leaders(self, trouble: Trouble) -> Callable[[], None]:
        process = self._process(trouble)
        process.always_leading = True
        return lambda: _set(process, always_leading=False)

    # Hosts.

    def _host(self, trouble: Trouble) -> Any:
        return self.world.hosts[trouble.target]

    def _power(self, trouble: Trouble) -> Callable[[], None]:
        host = self._host(trouble)
        host.lose_power()
        return host.boot  # type: ignore[no-any-return]

    def _disk_frozen(self, trouble: Trouble) -> Callable[[], None]:
        files = self._host(trouble).files
        files.frozen = True
        return lambda: _set(files, frozen=False)

    def _disk_full(self, trouble: Trouble) -> Callable[[], None]:
        files = self._host(trouble).files
        files.full = True
        return lambda: _set(files, full=False)

    def _libvirtd(self, trouble: Trouble) -> Callable[[], None]:
        host = self._host(trouble)
        host.daemon(False)
        return lambda: host.daemon(True) if not host.machine.daemon else None

    def _guest_crash(self, trouble: Trouble) -> None:
        host = self._host(trouble)
        running = sorted(host.machine.running)
        if running:
            host.end_guest(running[int(trouble.amount * len(running))], "Crashed")

    def _guest_unseen(self, trouble: Trouble) -> None:
        """A guest crashes, and nobody is told."""
        host = self._host(trouble)
        lost, host.faults.event_lost = host.faults.event_lost, 1.0
        self._guest_crash(trouble)
        host.faults.event_lost = lost

    def _deaf(self, trouble: Trouble) -> None:
        host = self._host(trouble)
        host.machine.deaf.update(sorted(host.machine.running)[:2])

    def _dhcp_killed(self, trouble: Trouble) -> None:
        network = self._host(trouble).network
        for pid in list(network.servers)[:1]:
            network.end_server(pid)

    def _device_lost(self, trouble: Trouble) -> None:
        """Somebody deletes a bridge or a VXLAN device of ours by hand."""
        network = self._host(trouble).network
        space = network.spaces[""]
        ours = sorted(name for name in space.links if name.startswith(("csbr", "csvx", "csri", "csmi")))
        if ours:
            network.remove_link(space, ours[int(trouble.amount * len(ours))])

    def _rules_flushed(self, trouble: Trouble) -> None:
        self._host(trouble).network.flush()

    def _chance(self, trouble: Trouble, name: str) -> Callable[[], None]:
        faults = self._host(trouble).faults
        setattr(faults, name, 0.2 + trouble.amount * 0.5)
        return lambda: setattr(faults, name, 0.0)

    def _start_fails(self, trouble: Trouble) -> Callable[[], None]:
        return self._chance(trouble, "start_fails")

    def _tools_fail(self, trouble: Trouble) -> Callable[[], None]:
        return self._chance(trouble, "tools_fail")

    def _qemu_img_fails(self, trouble: Trouble) -> Callable[[], None]:
        return self._chance(trouble, "qemu_img_fails")

    def _download_fails(self, trouble: Trouble) -> Callable[[], None]:
        return self._chance(trouble, "download_fails")

    def _store_fails(self, trouble: Trouble) -> Callable[[], None]:
        return self._chance(trouble, "store_fails")

    def _event_lost(self, trouble: Trouble) -> Callable[[], None]:
        return self._chance(trouble, "event_lost")

    # The whole.

    def _server_away(self, trouble: Trouble) -> Callable[[], None]:
        self.users.away = True
        links = [process.link for process in self.world.processes.values()]
        for link in links:
            link.refused = True

        def back() -> None:
            self.users.away = False
            for link in links:
                link.refused = False

        return back

    def _overloaded(self, trouble: Trouble) -> Callable[[], None]:
        links = [process.link for process in self.world.processes.values()]
        for link in links:
            link.overloaded = 0.1 + trouble.amount * 0.4

        def over() -> None:
            for link in links:
                link.overloaded = 0.0

        return over

    def _database_away(self, trouble: Trouble) -> Callable[[], None] | None:
        records = self.world.records
        if records is None:
            return None
        records.away = True
        return lambda: _set(records, away=False)

    def _compact(self, trouble: Trouble) -> None:
        """The history is forgotten, and watches break just then: most meet 410, list anew, and hear of no deletion."""
        self.world.server.compact()
        for process in self.world.processes.values():
            for stream in process.streams:
                stream.breaks()

    def _collector_late(self, trouble: Trouble) -> Callable[[], None]:
        self.world.collector.paused = True
        return lambda: _set(self.world.collector, paused=False)

    def _crash_all(self, trouble: Trouble) -> None:
        for process in self.world.processes.values():
            process.crash()

    def _restore(self, trouble: Trouble) -> None:
        """Take a backup the first time, go back to it the second time.

        Every process is then started anew, as the manual of Kubernetes says."""
        world = self.world
        if self.backup is None:
            self.backup = world.server.backup()
            return
        if self.restored:
            return
        self.restored = True
        world.on_restore()
        world.server.restore(self.backup)
        world.collector.rebuild()
        world.namespaces.rebuild()
        for process in world.processes.values():
            process.crash("is started anew, since a backup was restored")


def _set(target: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(target, name, value)
