"""The thin shell of kopf around a component: the only module that knows kopf.

kopf watches, authenticates and reconnects; every event goes to the manager, which decides. Everything runs in one
event loop, and the end of any part is the end of the process: its Deployment starts a new one with a clean memory,
which is the one kind of recovery that is tested every day.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import random
import uuid
from collections.abc import Awaitable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import aiohttp
import kopf
import structlog

from operators.contract.meta import Key
from operators.kernel import access, health, streams
from operators.kernel.access import Access
from operators.kernel.clock import Clock, SystemClock
from operators.kernel.component import Component
from operators.kernel.controller import Watch
from operators.kernel.ending import Ending
from operators.kernel.heartbeat import Heartbeat
from operators.kernel.leader import Elector
from operators.kernel.manager import RESYNC, Manager
from operators.kernel.rest import RestStore
from operators.kernel.store import Unavailable

log = structlog.get_logger()

START_AGAIN = 2.0
"""Seconds between attempts to reach the API server at the start."""
FRESH = 10.0
"""Seconds for which a full list need not be repeated when this replica begins to lead."""
YOUNG = 50_000
"""New objects after which Python looks for garbage in cycles. With its own 700, looking again and again at a cache
in which nothing is garbage cost as much as all the rest: 7.0 ms an object, then 3.6 (`test_one_operator.py`)."""
WORK_ENDS = 1.5
"""Seconds that runs get to end before the Lease is given back all the same."""


class StartError(Exception):
    """The process cannot do its work, and its message says what to do about it."""


def run(component: Component, env: Mapping[str, str] = os.environ) -> int:
    """Run a component until it is told to end; the process's exit code."""
    gc.freeze()
    gc.set_threshold(YOUNG)
    try:
        return asyncio.run(_Process(component, env).run())
    except (StartError, access.AccessError, OSError) as error:
        log.error("cannot_start", error=str(error))
        return 1


class WatchError(Exception):
    """The watches cannot go on."""


class _Process:
    """One component at work: its parts, and what becomes of the whole when one of them ends."""

    def __init__(self, component: Component, env: Mapping[str, str]) -> None:
        self.component = component
        self.env = env
        self.access = access.find(env)
        self.clock: Clock = SystemClock()
        self.rng = random.Random()  # noqa: S311 - jitter, not a secret
        self.elector: Elector | None = None
        self.dead = ""
        """Which part ended, if one did."""

    async def run(self) -> int:
        """Start every part, wait for the first that ends or for a signal, end the rest."""
        ending = Ending()
        self._needed("POD_NAMESPACE")
        if self.component.beats:
            self._needed("NODE_NAME")
        async with self.access.session(f"cloudstack-{self.component.name}") as session:
            plain = RestStore(session, self.access.server, self.component.name, rng=self.rng)
            manager = self._manager(session)
            if self.component.leads:
                self.elector = self._elector(plain, manager)
            page = health.application(lambda: self._alive(manager), lambda: _ready(manager))
            async with health.served(page, int(self.env.get("HEALTH_PORT", "8080"))):
                if not await self._served(plain, manager.watches, ending):
                    return 0
                parts = self._parts(plain, manager, ending)
                code = await self._watch_over(parts, ending)
                ending.at_most(5.0)
                await self._end(parts)
        return code

    def _manager(self, session: aiohttp.ClientSession) -> Manager:
        leading = self._leading if self.component.leads else lambda: True
        store = RestStore(session, self.access.server, self.component.name, permitted=leading, rng=self.rng)
        manager = Manager(
            store,
            self.clock,
            self.component.watches(self.env),
            self.component.build,
            leading=leading,
            rng=self.rng,
            env=self.env,
            resync=float(self.env.get("RESYNC_SECONDS", RESYNC)),
        )
        manager.context.reviews = RestStore(session, self.access.server, self.component.name, rng=self.rng)
        return manager

    def _leading(self) -> bool:
        return self.elector is not None and self.elector.leading()

    def _in_container(self) -> bool:
        return all(self.env.get(name) for name in ("POD_NAME", "KUBERNETES_SERVICE_HOST")) and os.getpid() == 1

    def _elector(self, store: RestStore, manager: Manager) -> Elector:
        async def prepare() -> None:
            # A standby's cache is warm, but its watches may have missed something.
            await manager.synced.wait()
            if self.clock.monotonic() - manager.listed_at > FRESH:
                await manager.resync()

        pod = self.env.get("POD_NAME") or os.uname().nodename
        return Elector(
            store,
            self.clock,
            Key(self._needed("POD_NAMESPACE"), f"cloudstack-{self.component.name}"),
            f"{pod}_{uuid.uuid4().hex[:8]}",
            prepare=prepare,
            begun=manager.mark_all,
            # A container is started only after its predecessor has ended, so a killed leader need not be waited for.
            predecessors=f"{pod}_" if self._in_container() else "",
            rng=self.rng,
        )

    def _needed(self, name: str) -> str:
        if value := self.env.get(name):
            return value
        raise StartError(f"the environment variable {name} is not set; the chart sets it")

    async def _served(self, store: RestStore, watches: Sequence[Watch], ending: Ending) -> bool:
        """Wait for the API server, and see that it knows every kind. False when asked to end before."""
        while not ending.asked.is_set():
            try:
                missing = [watch.kind.crd for watch in watches if not await store.served(watch.kind)]
            except Unavailable as error:
                log.warning("api_server_not_reached", error=str(error), again_in=START_AGAIN)
                await self.clock.sleep(START_AGAIN)
                continue
            if missing:
                unknown = ", ".join(missing)
                raise StartError(
                    f"the API server does not know {unknown}: apply the CustomResourceDefinitions of crds/"
                )
            return True
        return False

    def _parts(self, plain: RestStore, manager: Manager, ending: Ending) -> dict[asyncio.Task[Any], str]:
        parts: dict[str, Awaitable[None]] = {"manager": manager.run(), "watches": self._watch(manager, ending)}
        if self.elector is not None:
            parts["election"] = self.elector.run()
        if self.component.beats:
            namespace, node = self._needed("POD_NAMESPACE"), self._needed("NODE_NAME")
            agent = self.component.name.removeprefix("agent-")
            parts["heartbeat"] = Heartbeat(plain, self.clock, namespace, agent, node, rng=self.rng).run()
        for number, background in enumerate(self.component.background(manager.context)):
            parts[f"background-{number}"] = background
        return {asyncio.ensure_future(part): name for name, part in parts.items()}

    async def _watch(self, manager: Manager, ending: Ending) -> None:
        """Run kopf. It takes the signals for itself when it starts, so they are taken back then."""
        streams.direct(_sink(manager))
        tasks = await kopf.spawn_tasks(
            registry=_registry(manager, self.access, self.component.name),
            settings=_settings(manager.watches),
            standalone=True,
            clusterwide=True,
        )
        ending.install()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            raise WatchError(f"kopf ended: {', '.join(task.get_name() for task in done)}") from done.pop().exception()
        finally:
            await _cancelled(list(tasks), WORK_ENDS)

    async def _watch_over(self, parts: dict[asyncio.Task[Any], str], ending: Ending) -> int:
        """Wait for a signal (0) or for the end of a part (1). Background work may end well by itself."""
        asked = asyncio.create_task(ending.asked.wait())
        running = set(parts)
        while True:
            done, _ = await asyncio.wait({asked, *running}, return_when=asyncio.FIRST_COMPLETED)
            if asked in done:
                return 0
            running -= done
            for part in done:
                if part.cancelled() or part.exception() or not parts[part].startswith("background"):
                    self.dead = parts[part]
                    error = None if part.cancelled() else part.exception()
                    log.error("part_ended", part=self.dead, error=repr(error), exc_info=error)
                    asked.cancel()
                    return 1

    async def _end(self, parts: dict[asyncio.Task[Any], str]) -> None:
        """End the work first, then give the Lease back, then end the rest."""
        by_name = {name: part for part, name in parts.items()}
        work = [part for name, part in by_name.items() if name == "manager" or name.startswith("background")]
        await _cancelled([*work, *([by_name["election"]] if self.elector else [])], WORK_ENDS)
        if self.elector is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self.elector.release()
        await _cancelled(parts, 2.0)

    def _alive(self, manager: Manager) -> str:
        if self.dead:
            return f"{self.dead} has ended"
        if manager.missed_in_a_row >= health.MISSED_ROUNDS:
            return "the watches tell nothing any more: resyncs keep finding changes"
        return ""


def _ready(manager: Manager) -> str:
    """A standby is ready too: it is what a rolling update waits for."""
    return "" if manager.synced.is_set() else "the first full list is not complete"


async def _cancelled(tasks: Collection[asyncio.Task[Any]], patience: float) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=patience)


def _registry(manager: Manager, reach: Access, name: str) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        # A session of kopf's own, since it closes what it was given when it logs in anew.
        session = reach.session(f"cloudstack-{name}")
        return kopf.AiohttpSession(server=reach.server, aiohttp_session=session, default_namespace=reach.namespace)

    for watch in manager.watches:
        _register(registry, watch)
    return registry


def _register(registry: kopf.OperatorRegistry, watch: Watch) -> None:
    """Have kopf watch a kind. Nobody is called for its events: they go straight to the manager."""
    kind = watch.kind

    @kopf.on.event(
        group=kind.group, version=kind.version, plural=kind.plural, registry=registry, id=f"see-{kind.plural}"
    )
    async def see(**_: Any) -> None:
        raise AssertionError("kopf's own queues are bypassed")


def _sink(manager: Manager) -> streams.Sink:
    kinds = {(watch.kind.group, watch.kind.version, watch.kind.plural): watch.kind for watch in manager.watches}

    def take(group: str, version: str, plural: str, type_: str | None, body: dict[str, Any]) -> None:
        manager.event(kinds[group, version, plural], type_, body)

    return take


def _settings(watches: Collection[Watch]) -> kopf.OperatorSettings:
    """Settings of kopf as measured (see the README): no events posted, no peering, small queues, long patience."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.process.ultimate_exiting_timeout = None
    settings.watching.chunk_size = 500
    settings.queueing.worker_limit = 200
    settings.queueing.idle_timeout = 0.1
    settings.queueing.exit_timeout = 0.5
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = _Patience()
    settings.persistence.diffbase_storage = _NoMemory()
    for watch in watches:
        where = watch.kind.group, watch.kind.version, watch.kind.plural
        if watch.field_selector:
            settings.watching.field_selectors[where] = watch.field_selector
        if watch.label_selector:
            settings.watching.label_selectors[where] = watch.label_selector
    return settings


class _NoMemory(kopf.DiffBaseStorage):
    """No copies of objects to find out what changed: nobody here asks, and it is a third of kopf's work per event."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:
        return cast(kopf.BodyEssence, {})

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is kept."""


class _Patience:
    """Endless back-offs: an API server that is away for an hour is waited for, with the cache as it was."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.2, 0.5, 1.0, 2.0, 3.0), itertools.repeat(5.0))
