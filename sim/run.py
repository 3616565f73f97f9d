"""One run: a scenario drawn from a seed, carried out, and judged."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

from sim import chaos, invariants
from sim.chaos import Chaos, Trouble
from sim.doing import Doing
from sim.hosts.filesystem import Node
from sim.hosts.host import POOL_ROOT, Host
from sim.invariants.possible import obstacle
from sim.invariants.words import FLOW, PEOPLE
from sim.loop import Stuck
from sim.store.schema import Json
from sim.store.server import Event, Table
from sim.tenancy import people
from sim.workload import Deed, Size, Users
from sim.world import Shape, World

SETTLE = 20.0
"""Virtual seconds for the hosts to be known, before the first user comes."""
PATIENCE = 330.0
"""Virtual seconds after the last fault within which everything must be as specified: a few back-offs, and no resync."""
LONG_PATIENCE = 1500.0
"""The same where something happened of which nobody was told, so that only a look at everything can mend it."""
LATE = 135.0
"""Virtual seconds that a status may be late on purpose."""
IDLE = 120.0
"""Virtual seconds that an idle system is watched for writes."""
IDLE_STEPS = 2000
"""Steps of its event loop that a process may make in that time: heartbeats, its Lease, bad images asked for again."""


QUICK_SETTLE = 6.0
"""The same in a small world, in which nothing is late."""
SCALES = {"small": 12, "tenants": 1, "large": 2}
"""How large the worlds of seeds are, and how often: a small one costs a third, and many runs find what is rare.

One with tenants is small, and has the API and Data too."""


@dataclass(frozen=True)
class Scenario:
    """All that decides a run, beside the code."""

    seed: int
    shape: Shape
    deeds: tuple[Deed, ...]
    troubles: tuple[Trouble, ...]
    seconds: float
    settle: float = SETTLE
    idle: bool = True
    """Whether it is looked at, in the end, that an idle system writes nothing: that takes longer than many a run."""

    def __str__(self) -> str:
        entries: list[Deed | Trouble] = [*self.deeds, *self.troubles]
        lines = [
            f"seed {self.seed}: {self.shape}",
            *map(str, sorted(entries, key=_time_of)),
        ]
        return "\n".join(lines)


def scenario(seed: int, theme: str = "", scale: str = "") -> Scenario:
    """Draw everything from the seed; the theme of the faults and the scale too, unless they are asked for."""
    scale = scale or random.Random(f"{seed}/scale").choices(tuple(SCALES), tuple(SCALES.values()))[0]
    small = scale != "large"
    rng = random.Random(f"{seed}/scenario")
    hosts = rng.choice((1, 2, 2, 3)) if not small else rng.choice((1, 2, 2))
    elects = rng.random() < 0.5
    replicas = rng.choice((1, 2)) if elects else 1
    shared = rng.random() < 0.4
    size = Size(deeds=rng.choice((10, 25, 40)), seconds=rng.choice((40.0, 100.0)), bad=rng.choice((0.0, 0.1, 0.3)))
    theme = theme or rng.choices(tuple(chaos.THEMES), chaos.WEIGHTS)[0]
    if theme == "rivals":
        elects, replicas = True, 2
    if theme == "ruin":
        size = replace(size, ruin=4.0)
    shape, settle = Shape(hosts=hosts, replicas=replicas, elects=elects, shared=shared), SETTLE
    if small:
        shape, settle = replace(shape, namespaces=("team-a",)), QUICK_SETTLE
        size = replace(size, deeds=rng.choice((6, 9, 14)), seconds=rng.choice((12.0, 25.0)), vms=2)
    deeds = Users(random.Random(f"{seed}/users"), shape.namespaces, size).draw(settle)
    if scale == "tenants":
        shape = replace(shape, tenants=True)
        deeds = sorted([*deeds, *people.draw(random.Random(f"{seed}/people"), settle, size.seconds)], key=_time_of)
    processes = process_names(shape)
    names_of_hosts = [f"host{n + 1}" for n in range(hosts)]
    troubles = chaos.draw(random.Random(f"{seed}/chaos"), theme, processes, names_of_hosts, settle, size.seconds)
    idle = not small or rng.random() < 0.2
    return Scenario(seed, shape, tuple(deeds), tuple(troubles), size.seconds, settle, idle)


def tight(seed: int) -> Scenario:
    """The same with so little memory that not every guest finds room."""
    plan = scenario(seed, scale="large")
    return replace(plan, shape=replace(plan.shape, memory_gib=2))


@cache
def process_names(shape: Shape) -> tuple[str, ...]:
    """The processes of a world, as `World.build` names them."""
    world = World(0, shape)
    world.build()
    world.end()
    return tuple(world.processes)


@dataclass
class Verdict:
    """How a run ended."""

    seed: int
    problems: list[str]
    digest: str
    steps: int
    writes: int
    lives: int
    """Guests started."""
    virtual: float
    wall: float
    cpu: float
    """Seconds of one core."""

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong."""
        return not self.problems


def _time_of(entry: Deed | Trouble) -> float:
    return entry.time


class Failed(Exception):
    """An invariant was broken."""


@dataclass
class Run:
    """A scenario at work; what the invariants look at."""

    scenario: Scenario
    keep_trace: bool = False
    logs: bool = False
    patience: float = 0.0
    """How long it may take in the end; 0 for as long as its troubles deserve."""
    problems: list[str] = field(default_factory=list)
    instances_seen: dict[str, set[str]] = field(default_factory=dict)
    orphans: set[str] = field(default_factory=set)
    """Whatever was on hosts when an old backup was restored: nobody may know of it any more, so nobody may touch it."""
    reverting: dict[str, float] = field(default_factory=dict)
    """When each VirtualMachineSnapshot, by uid, was last begun to be brought back."""
    listed: set[tuple[str, str]] = field(default_factory=set)
    """Volumes that a tenant's machine ever listed, by namespace and name."""
    kept: set[str] = field(default_factory=set)
    """Paths of disks with reclaim policy Retain."""

    def __post_init__(self) -> None:
        self.world = World(self.scenario.seed, self.scenario.shape, self.keep_trace, self.logs)
        self.world.on_restore = self._on_restore
        untold = any(trouble.kind in chaos.UNTOLD for trouble in self.scenario.troubles)
        self.patience = self.patience or (LONG_PATIENCE if untold else PATIENCE)
        self.writes = 0
        self.counted: dict[str, int] = {}
        self.restored = False
        self._boots: dict[str, tuple[int, float]] = {}

    # For the invariants.

    def all(self, key: tuple[str, str]) -> list[Json]:
        """All objects of a resource, now."""
        return [record.obj for record in self.world.server.tables[key].records.values()]

    def booted(self, host: Host) -> float:
        """When it was last found to have booted."""
        boots, since = self._boots.get(host.name, (host.boots, -1e9))
        if boots != host.boots:
            since = self.world.loop.now
        self._boots[host.name] = host.boots, since
        return since

    def cancelled(self, vm: Json) -> bool:
        """Whether a Flow of it was cancelled, so that it may stay as it was then."""
        uid = vm["metadata"]["uid"]
        return any(flow["spec"]["target"]["uid"] == uid and flow["spec"].get("cancel") for flow in self.all(FLOW))

    def unsatisfiable(self, vm: Json) -> str:
        """Why nobody could run this VirtualMachine; "" when it can be."""
        return obstacle(self, vm)

    def _on_restore(self) -> None:
        self.restored = True
        self.orphans |= set(self.world.vault.objects)
        for host in self.world.hosts.values():
            self.orphans |= {
                *host.machine.defined,
                *host.machine.seeds,
                *host.files.files(POOL_ROOT),
                *host.network.ours(),
            }

    # The run.

    def go(self) -> Verdict:
        """Carry it out."""
        began, used = time.perf_counter(), time.process_time()
        world = self.world
        try:
            self._go()
        except Failed as failed:
            self.problems.append(str(failed))
        except Stuck as stuck:
            self.problems.append(f"a hot loop: {stuck}")
        self.problems += [
            f"{actor}: {context.get('message')}: {context.get('exception')!r}" for actor, context in world.loop.errors
        ]
        self.problems += world.bad_logs
        lives = sum(len(host.machine.starts) for host in world.hosts.values())
        world.end()
        return Verdict(
            self.scenario.seed, list(dict.fromkeys(self.problems)), world.trace.digest, world.loop.steps, self.writes,
            lives, world.loop.now, time.perf_counter() - began, time.process_time() - used,
        )  # fmt: skip

    def _go(self) -> None:
        world, plan = self.world, self.scenario
        world.build()
        world.server.listeners.append(self._written)
        world.wire.complain = self.problems.append
        for host in world.hosts.values():
            host.checks.append(self._started)
            host.files.removing = partial(self._removing, host)
            host.going_on.append(self._goes_on)
        users = Doing(world)
        havoc = Chaos(world, users)
        world.start()
        end = plan.settle + plan.seconds
        users.schedule(list(plan.deeds))
        havoc.schedule(list(plan.troubles), end)
        world.run_until(end, self._stop_early)
        havoc.heal()
        self._converge(end + self.patience)
        if plan.idle:
            self._idle()

    def _stop_early(self) -> None:
        if self.problems or self.world.loop.errors or self.world.bad_logs:
            raise Failed(
                self.problems.pop(0) if self.problems else (self.world.bad_logs or ["an error that nobody caught"])[0]
            )

    def _converge(self, deadline: float) -> None:
        world, step = self.world, 10.0
        while True:
            world.run_until(world.loop.now + step, self._stop_early)
            wrong = self.wrong()
            if not wrong:
                return
            if world.loop.now >= deadline:
                raise Failed(f"after {self.patience:.0f} s without faults: " + "; ".join(wrong[:4]))
            step = min(step * 1.3, 60.0)

    def wrong(self) -> list[str]:
        """What is not as it has to be in the end."""
        return [each for invariant in invariants.IN_THE_END for each in invariant(self)]

    def _idle(self) -> None:
        """Nobody wants anything: nothing may be written but Leases, and everything stays as it is."""
        world = self.world
        # Some things are told late on purpose, such as how many Ports a Network has.
        world.run_until(world.loop.now + LATE, self._stop_early)
        before, busy, steps = self.writes, dict(self.counted), self._steps()
        world.run_until(world.loop.now + IDLE, self._stop_early)
        if self.writes != before:
            who = {
                name: count - busy.get(name, 0) for name, count in self.counted.items() if count != busy.get(name, 0)
            }
            raise Failed(f"{self.writes - before} writes by an idle system in {IDLE:.0f} s: {who}")
        for name, now in self._steps().items():
            if now - steps.get(name, 0) > IDLE_STEPS:
                raise Failed(f"a hot loop: {name} made {now - steps.get(name, 0)} steps in {IDLE:.0f} s of idleness")
        if wrong := self.wrong():
            raise Failed("it did not stay as it was to be: " + "; ".join(wrong[:4]))

    def _steps(self) -> dict[str, int]:
        return {each.name: each.actor.steps for each in self.world.processes.values() if each.actor is not None}

    def _written(self, table: Table, event: Event, author: str) -> None:
        if table.resource.plural == "leases":
            return
        if author not in PEOPLE and not _of_a_bad_image(event.obj):
            self.writes += 1
            key = f"{author}: {table.resource.kind} {event.obj['metadata']['name']}"
            self.counted[key] = self.counted.get(key, 0) + 1
        if table.resource.plural == "instances":
            spec = event.obj["spec"]
            self.instances_seen.setdefault(spec["hostName"], set()).add(spec["virtualMachine"]["uid"])
        for invariant in invariants.at_write_of(table.resource.plural):
            self.problems += (f"{invariant.__name__}: {each}" for each in invariant(self, table, event, author))

    def _goes_on(self, host: Host, uuid: str) -> None:
        for invariant in invariants.WHEN_A_GUEST_GOES_ON:
            self.problems += (f"{invariant.__name__}: {each}" for each in invariant(self, host, uuid))

    def _started(self, host: Host, uuid: str) -> None:
        for invariant in invariants.AT_EVERY_START:
            self.problems += (f"{invariant.__name__}: {each}" for each in invariant(self, host, uuid))

    def _removing(self, host: Host, node: Node, path: str) -> None:
        for invariant in invariants.AT_EVERY_REMOVAL:
            self.problems += (f"{invariant.__name__}: {each}" for each in invariant(self, host, node, path))


def _of_a_bad_image(obj: Json) -> bool:
    """Whether it is about a source that is no good, which is asked again now and then, as statuses tell."""
    first = obj["metadata"]["name"].split("-")[0]
    return first in ("lost", "wrong", "evil") or first.startswith("bad")


def run(seed: int, theme: str = "", scale: str = "", **options: Any) -> Verdict:
    """Draw and carry out."""
    return Run(scenario(seed, theme, scale), **options).go()


def without(
    plan: Scenario, *, deeds: Sequence[Deed] | None = None, troubles: Sequence[Trouble] | None = None
) -> Scenario:
    """A scenario with other deeds or troubles."""
    if deeds is not None:
        plan = replace(plan, deeds=tuple(deeds))
    if troubles is not None:
        plan = replace(plan, troubles=tuple(troubles))
    return plan
