"""One simulated process: a real component or agent, wired as the kernel's shell wires it, without kopf and sockets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from operators.contract.meta import Key
from operators.kernel.component import Component
from operators.kernel.heartbeat import Heartbeat
from operators.kernel.leader import Elector
from operators.kernel.manager import Manager
from operators.kernel.rest import RestStore
from operators.kernel.store import StoreError
from sim.loop import Actor, VirtualLoop
from sim.manners import Manners
from sim.network import Link, Session, Wire
from sim.trace import Trace
from sim.watching import Stream, Troubles

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
SERVER = "https://api"


class SkewedClock:
    """A process's own clock: the wall clock may be wrong and jump, the monotonic one starts anywhere."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.skew = 0.0

    def now(self) -> datetime:
        """This process's idea of the time."""
        return EPOCH + timedelta(seconds=self._loop.now + self.skew)

    def monotonic(self) -> float:
        """The loop's time: sleeps and deadlines agree with it."""
        return self._loop.now

    async def sleep(self, seconds: float) -> None:
        """Sleep on the loop."""
        await asyncio.sleep(seconds)


@dataclass
class Lives:
    """What outlives the incarnations of a process."""

    starts: int = 0
    crashes: int = 0
    exits: int = 0


class Process:
    """A process that can be killed at any step and started again."""

    def __init__(
        self,
        name: str,
        component: Component,
        env: Mapping[str, str],
        wire: Wire,
        trace: Trace,
        rng: random.Random,
        *,
        host: Any = None,
        elects: bool = True,
    ) -> None:
        self.name = name
        self.component = component
        self.env = env
        self.host = host
        self.link = Link()
        self.troubles = Troubles()
        self.lives = Lives()
        self.actor: Actor | None = None
        self.manager: Manager | None = None
        self.elector: Elector | None = None
        self.streams: list[Stream] = []
        self.clock = SkewedClock(wire.loop)
        self.belongings: dict[str, Any] = {}
        """What stands outside of it and outlives it, by the name under which its actors have it."""
        self.wanted = False
        self.always_leading = False
        """The fault of two leaders: this process believes to lead whatever its Lease says."""
        self._elects = elects
        self._wire = wire
        self._trace = trace
        self._rng = rng

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.actor is not None and self.actor.alive

    def start(self) -> None:
        """Start it, or let it start again after an end."""
        self.wanted = True
        if self.alive or (self.host is not None and not self.host.up):
            return
        self.lives.starts += 1
        self._say("starts", f"incarnation {self.lives.starts}")
        actor = self.actor = Actor(self.name)
        self.link.manners = Manners()
        actor.__dict__.update(self.belongings, host=self.host)
        self._wire.loop.spawn(actor, self._main(actor), f"{self.name}-main")

    def stop(self) -> None:
        """Kill it, and do not start it again."""
        self.wanted = False
        self.crash("is stopped")

    def crash(self, why: str = "is killed") -> None:
        """Kill -9."""
        if self.actor is None or not self.actor.alive:
            return
        self.lives.crashes += 1
        self._say("dies", why)
        actor = self.actor
        self._wire.loop.kill(actor)
        if self.host is not None:
            self.host.process_died(actor)
        self._forget()
        if self.wanted:
            self._again(self._rng.uniform(0.2, 6.0))

    def crash_after(self, steps: int) -> None:
        """Kill it before its `steps`-th step from now: at whatever await that is."""
        if self.alive and self.actor is not None:
            self.actor.doom_at = self.actor.steps + steps
            self.actor.doom = self.crash

    def _again(self, seconds: float) -> None:
        world = self._wire.loop.world
        self._wire.loop.at(self._wire.loop.now + seconds, world, lambda: self.start() if self.wanted else None)

    def _forget(self) -> None:
        self.manager = self.elector = None
        for stream in self.streams:
            stream.close()
        self.streams = []

    async def _main(self, actor: Actor) -> None:
        """The life of one incarnation; its end for any reason is the end of the process."""
        try:
            await self._run()
            why = "a part ended"
        except asyncio.CancelledError:
            raise
        except Exception as error:
            trouble: BaseException = error
            while isinstance(trouble, BaseExceptionGroup):
                trouble = trouble.exceptions[0]
            why = f"{type(trouble).__name__}: {trouble}"
            if not isinstance(trouble, StoreError):
                self._wire.loop.errors.append((actor, {"message": f"{self.name} ended", "exception": trouble}))
        self.lives.exits += 1
        self._wire.loop.at(self._wire.loop.now, self._wire.loop.world, self._ended, actor, why)

    def _ended(self, actor: Actor, why: str) -> None:
        if self.actor is actor and actor.alive:
            self.lives.crashes -= 1
            self.crash(f"ends: {why[:200]}")

    async def _run(self) -> None:
        """As `operators.kernel.shell` does it."""
        leads = self.component.leads and self._elects
        session: Any = Session(self._wire, self.link, self.name)
        plain = RestStore(session, SERVER, self.component.name, rng=self._rng)
        leading = self._leading if leads else (lambda: True)
        store = RestStore(session, SERVER, self.component.name, permitted=leading, rng=self._rng)
        manager = self.manager = Manager(
            store,
            self.clock,
            self.component.watches(self.env),
            self.component.build,
            leading=leading,
            rng=self._rng,
            env=self.env,
        )
        parts: list[Awaitable[None]] = [manager.run()]
        if leads:
            self.elector = self._election(plain, manager)
            parts.append(self.elector.run())
        if self.component.beats:
            agent = self.component.name.removeprefix("agent-")
            beat = Heartbeat(plain, self.clock, self.env["POD_NAMESPACE"], agent, self.env["NODE_NAME"], rng=self._rng)
            parts.append(beat.run())
        self._watch(manager)
        async with asyncio.TaskGroup() as tasks:
            for part in (*parts, *self.component.background(manager.context)):
                tasks.create_task(_coroutine(part))

    def _leading(self) -> bool:
        return self.always_leading or (self.elector is not None and self.elector.leading())

    def _election(self, plain: RestStore, manager: Manager) -> Elector:
        async def prepare() -> None:
            if manager.synced.is_set():
                await manager.resync()
            await manager.synced.wait()

        lease = Key(self.env["POD_NAMESPACE"], f"cloudstack-{self.component.name}")
        identity = f"{self.name}_{self.lives.starts}"
        return Elector(plain, self.clock, lease, identity, prepare=prepare, begun=manager.mark_all, rng=self._rng)

    def _watch(self, manager: Manager) -> None:
        actor = self.actor
        assert actor is not None
        for watch in manager.watches:
            table = self._wire.server.tables[watch.kind.group, watch.kind.plural]
            stream = Stream(
                self._wire.loop,
                self._wire.server,
                table,
                actor,
                self.link,
                self.troubles,
                self._rng,
                watch,
                _teller(manager, watch.kind),
            )
            self.streams.append(stream)
            stream.begin()

    def _say(self, verb: str, text: str) -> None:
        self._trace.add(self._wire.loop.now, self.name, verb, text)


async def _coroutine(part: Awaitable[None]) -> None:
    await part


def _teller(manager: Manager, kind: Any) -> Callable[[str | None, dict[str, Any]], None]:
    return lambda type_, body: manager.event(kind, type_, body)


Work = Coroutine[Any, Any, None]
