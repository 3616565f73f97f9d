"""Several controllers in one process, over one cache and one store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import structlog

from operators.contract.codec import ContractError, Json
from operators.contract.meta import Key, Kind, Meta
from operators.kernel import metrics
from operators.kernel.cache import AnyKind, AnyObj, Cache
from operators.kernel.clock import Clock
from operators.kernel.controller import Controller, Runner, Watch
from operators.kernel.queue import WorkQueue
from operators.kernel.store import Deposed, Store, StoreError, Unavailable

log = structlog.get_logger()

RESYNC = 600.0
"""Seconds between full lists of every kind, with a jitter of a tenth either way."""
LATE = 30.0
"""Seconds that a watch gets to tell what a full list has found already; after that it has missed it."""
RELIST_AFTER = 60.0
"""Seconds from the first full list in which a watch's own first list is expected; a later one follows a gap."""
FIRST_LIST_AGAIN = 2.0
"""Seconds between attempts at the first list, while the API server cannot be reached."""
WRITERS = 8
"""Writes in flight; beyond that the API server only queues them (measured, see the design's kernel.md)."""

AnyController: TypeAlias = Controller[Any, Any, Any]
Build: TypeAlias = Callable[["Context"], Sequence[AnyController]]


class Context:
    """What a component gets to build its controllers from."""

    def __init__(self, store: Store, cache: Cache, clock: Clock, rng: random.Random, env: Mapping[str, str]) -> None:
        self.store = store
        self.reviews: Store = store
        """For what asks the API server about somebody and changes nothing: a standby may, too."""
        self.cache = cache
        self.clock = clock
        self.rng = rng
        self.env = env
        self.poke: Callable[[str, Key], None] = lambda controller, key: None
        """Marks a key of a controller by name: for wake-ups from outside the API server, as from a hypervisor."""
        self.leading: Callable[[], bool] = lambda: True
        """Whether this replica may write; work beside the controllers asks for itself."""
        self.made: dict[object, Any] = {}
        """What its controllers and its background share, by what made it; see `component.shared`."""
        self.synced = asyncio.Event()
        """Set once the cache holds everything: before that, what is not in it may still exist."""


class Manager:
    """Feeds events to the cache, marks the keys that they concern, and runs the controllers while it may write."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        watches: Collection[Watch],
        build: Build,
        *,
        leading: Callable[[], bool] = lambda: True,
        rng: random.Random | None = None,
        env: Mapping[str, str] | None = None,
        resync: float = RESYNC,
    ) -> None:
        self.watches = tuple(watches)
        self.cache = Cache([watch.kind for watch in self.watches])
        self.clock = clock
        self.leading = leading
        self._resync = resync
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._store = store
        self._own = OwnStore(store, self)
        self.context = Context(self._own, self.cache, clock, self._rng, env or {})
        self.context.poke = self.poke
        self.context.leading = leading
        self.runners = {
            controller.name: Runner(controller, self._own, self.cache, clock, WorkQueue(self._rng))
            for controller in build(self.context)
        }
        self._triggers: dict[AnyKind, list[tuple[Runner[Any, Any, Any], Callable[[Any], Any]]]] = {}
        for runner in self.runners.values():
            for kind, keys in runner.controller.triggers().items():
                self._triggers.setdefault(kind, []).append((runner, keys))
        self.synced = self.context.synced
        self.listed_at = float("-inf")
        """When the newest full list of every kind was complete, on the monotonic clock."""
        self.missed_in_a_row = 0
        """Resyncs in a row that found changes of which the watches told nothing, not even LATE seconds later."""
        self._found: set[tuple[AnyKind, Key]] = set()
        """What resyncs found and no watch has told of yet."""
        self._gap = asyncio.Event()
        """Set when a watch may have missed something: the next resync is due at once."""
        self._settled_at = float("inf")
        for name, runner in self.runners.items():
            metrics.QUEUE_DEPTH.labels(name).set_function(partial(len, runner.queue))
        for kind in self.cache.kinds:
            metrics.OBJECTS.labels(kind.kind).set_function(partial(self.cache.count, kind))

    def event(self, kind: AnyKind, type_: str | None, body: Json) -> None:
        """Take in one watch event. It is a hint to look: nothing but the cache and the queue changes here."""
        metrics.WATCH_EVENTS.labels(kind.kind).inc()
        meta = body["metadata"]
        key = Key(meta.get("namespace", ""), meta["name"])
        self._found.discard((kind, key))
        if type_ is None and self.clock.monotonic() > self._settled_at:
            # The watch had to begin anew (410 Gone), and says nothing of what vanished meanwhile.
            self._gap.set()
        if type_ == "DELETED":
            gone = self.cache.drop(kind, key, meta.get("uid", ""), meta.get("resourceVersion", ""))
            self._mark(kind, gone)
        else:
            self.put(kind, body)

    def put(self, kind: AnyKind, body: Json) -> bool:
        """Take in an object's newest state, from a watch or from the answer to a write; whether it was news."""
        try:
            change = self.cache.put(kind, body)
        except ContractError as error:
            # A CRD of another release: that object waits for a component that understands it, the others go on.
            log.error("object_not_understood", error=str(error))
            return False
        if change is not None:
            self._mark(kind, *change)
        return change is not None

    def poke(self, controller: str, key: Key) -> None:
        """Mark one key of one controller."""
        self.runners[controller].queue.add(key)

    def mark_all(self) -> None:
        """Mark every key that any cached object concerns: at start, and when this replica begins to lead."""
        for kind in self.cache.kinds:
            for obj in self.cache.all(kind):
                self._mark(kind, obj)

    async def resync(self) -> int:
        """List every kind and make that the truth; how many changes the watches had not told of yet."""
        changes = 0
        for watch in self.watches:
            self.cache.listing(watch.kind)
            bodies = await self._store.list(
                watch.kind, field_selector=watch.field_selector, label_selector=watch.label_selector
            )
            for before, now in self.cache.replace(watch.kind, bodies):
                changes += 1
                if self.synced.is_set():
                    self._found.update((watch.kind, state.key) for state in (before, now) if state is not None)
                self._mark(watch.kind, before, now)
        self.listed_at = self.clock.monotonic()
        return changes

    async def run(self) -> None:
        """List everything, then work until cancelled."""
        while not self.synced.is_set():
            try:
                await self.resync()
            except Unavailable as error:
                log.warning("first_list_failed", error=str(error), again_in=FIRST_LIST_AGAIN)
                await self.clock.sleep(FIRST_LIST_AGAIN)
            else:
                self.synced.set()
        self._settled_at = self.clock.monotonic() + RELIST_AFTER
        self.mark_all()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._resync_for_ever())
            for runner in self.runners.values():
                for _ in range(runner.controller.workers):
                    tasks.create_task(self._work(runner))

    async def _work(self, runner: Runner[Any, Any, Any]) -> None:
        """A worker that touches its queue only while this replica leads; a standby keeps a warm cache and waits."""
        while True:
            key = await runner.queue.get()
            try:
                if self.leading():
                    await runner.run(key)
            finally:
                runner.queue.done(key)

    async def _resync_for_ever(self) -> None:
        while True:
            await self._until_due(self._resync * self._rng.uniform(0.9, 1.1))
            gap = self._gap.is_set()
            self._gap.clear()
            self._found.clear()
            try:
                await self.resync()
            except StoreError as error:
                log.warning("resync_failed", error=str(error))
                continue
            self.mark_all()
            await self.clock.sleep(LATE)
            for kind, key in self._found:
                log.warning("watch_missed", kind=kind.kind, key=str(key))
                metrics.WATCH_MISSED.labels(kind.kind).inc()
            if not gap:  # after a gap it is no wonder, and no sign of a dead watch
                self.missed_in_a_row = self.missed_in_a_row + 1 if self._found else 0

    async def _until_due(self, seconds: float) -> None:
        """Wait for the next resync's time, or for a gap in a watch."""
        waits = asyncio.ensure_future(self.clock.sleep(seconds)), asyncio.ensure_future(self._gap.wait())
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _mark(self, kind: AnyKind, *states: AnyObj | None) -> None:
        for runner, keys in self._triggers.get(kind, ()):
            for state in states:
                if state is not None:
                    for key in keys(state):
                        runner.queue.add(key)


class OwnStore:
    """The store as controllers see it: refuses a deposed leader's writes, and shows us our own writes at once."""

    def __init__(self, store: Store, manager: Manager) -> None:
        self._store = store
        self._manager = manager
        self._slots = asyncio.Semaphore(WRITERS)

    async def get(self, kind: Kind[Any, Any], key: Key) -> Json | None:
        """Read past the cache, and take what was read into it."""
        body = await self._store.get(kind, key)
        if body is not None:
            self._seen(kind, body)
        return body

    async def list(self, kind: Kind[Any, Any], *, field_selector: str = "", label_selector: str = "") -> Sequence[Json]:
        """List past the cache."""
        return await self._store.list(kind, field_selector=field_selector, label_selector=label_selector)

    async def create(self, kind: Kind[Any, Any], body: Json) -> Json:
        """Create, and see the result at once."""
        async with self._slots:
            self._must_lead()
            return self._seen(kind, await self._store.create(kind, body))

    async def apply(self, kind: Kind[Any, Any], body: Json) -> Json:
        """Apply, and see the result at once."""
        async with self._slots:
            self._must_lead()
            return self._seen(kind, await self._store.apply(kind, body))

    async def apply_status(
        self, kind: Kind[Any, Any], key: Key, status: Mapping[str, Any], *, resource_version: str, manager: str = ""
    ) -> Json | None:
        """Apply a status, and see the result at once: a run before the watch tells of it would meet a Conflict."""
        async with self._slots:
            self._must_lead()
            body = await self._store.apply_status(kind, key, status, resource_version=resource_version, manager=manager)
            return self._seen(kind, body) if body is not None else None

    async def finalize(self, kind: Kind[Any, Any], meta: Meta, finalizers: Sequence[str]) -> Json | None:
        """Set finalizers, and see the result at once: when the last one was taken off, that the object is gone."""
        async with self._slots:
            self._must_lead()
            body = await self._store.finalize(kind, meta, finalizers)
            if body is None:
                return None
            left = body["metadata"]
            if kind in self._manager.cache.kinds and left.get("deletionTimestamp") and not left.get("finalizers"):
                self._manager.event(kind, "DELETED", body)
                return body
            return self._seen(kind, body)

    async def merge(self, kind: Kind[Any, Any], meta: Meta, change: Json) -> Json:
        """Merge-patch, and see the result at once."""
        async with self._slots:
            self._must_lead()
            return self._seen(kind, await self._store.merge(kind, meta, change))

    async def delete(self, kind: Kind[Any, Any], key: Key, *, uid: str, resource_version: str = "") -> None:
        """Delete; the watch will show it."""
        async with self._slots:
            self._must_lead()
            await self._store.delete(kind, key, uid=uid, resource_version=resource_version)

    def _must_lead(self) -> None:
        if not self._manager.leading():
            raise Deposed("this replica does not lead any more")

    def _seen(self, kind: Kind[Any, Any], body: Json) -> Json:
        if kind in self._manager.cache.kinds:
            self._manager.put(kind, body)
        return body
