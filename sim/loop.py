"""An event loop on virtual time, in which a seed decides whose turn it is.

Every callback belongs to an actor (a simulated process, the API server, a host). Callbacks of one actor run in the
order in which they became ready, as asyncio promises; among actors the seed chooses. A step takes next to no time, and
when nobody is ready, time goes on to the next timer.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

ACTOR: contextvars.ContextVar[Actor] = contextvars.ContextVar("actor")


class Actor:
    """Whoever runs: a process of the control plane, or a part of the simulated world."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.ready: deque[asyncio.Handle] = deque()
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.steps = 0
        self.doom: Callable[[], None] | None = None
        """Called when `doom_at` steps are done, before the next: a crash at an exact await."""
        self.doom_at = 0
        self.context = contextvars.copy_context()
        self.context.run(ACTOR.set, self)

    def __repr__(self) -> str:
        return self.name


class Stuck(Exception):
    """Too many steps in one virtual second: somebody spins."""


STEP = 2e-6
"""Virtual seconds that a step takes: computers are quick, but a wait for the rest of a nanosecond does end."""


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop. It is stepped by hand, so that invariants can be looked at between any two steps."""

    MOST_STEPS = 20_000
    """In one virtual second."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.now = 0.0
        self.steps = 0
        self.errors: list[tuple[Actor | None, dict[str, Any]]] = []
        self.undead: list[str] = []
        """Tasks that did not end when their actor was killed; there should be none."""
        self.world = Actor("world")
        self._rng = rng
        self._timers: list[tuple[float, int, asyncio.TimerHandle, Actor]] = []
        self._sequence = 0
        self._runnable: list[Actor] = []
        self._still = 0
        self._second = 0.0
        self.set_task_factory(_task)

    # What asyncio asks of a loop.

    def time(self) -> float:
        """Seconds of virtual time."""
        return self.now

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Run as soon as its actor's turn comes."""
        context = context if context is not None else contextvars.copy_context()
        handle = asyncio.Handle(callback, args, self, context)
        self._enqueue(context.get(ACTOR, self.world), handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Run after a virtual delay."""
        return self.call_at(self.now + max(delay, 0.0), callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Run at a virtual time."""
        context = context if context is not None else contextvars.copy_context()
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._sequence += 1
        heapq.heappush(self._timers, (when, self._sequence, handle, context.get(ACTOR, self.world)))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is passed over when its time comes."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """What a thread would do: done in one go, a little later."""
        future = self.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:
                future.set_exception(error)

        self.call_later(self._rng.uniform(0.0, 0.005), work)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Nothing that goes wrong is only logged."""
        actor = ACTOR.get(None)
        if actor is None or actor.alive:
            self.errors.append((actor, context))

    def get_debug(self) -> bool:
        return False

    def _process_events(self, event_list: object) -> None:
        """There is no outside world."""

    def _write_to_self(self) -> None:
        """There are no threads to wake us."""

    # What the simulation asks of it.

    def at(self, when: float, actor: Actor, callback: Callable[..., Any], *args: Any) -> asyncio.TimerHandle:
        """Run something as an actor at a virtual time."""
        return self.call_at(when, callback, *args, context=actor.context)

    def spawn(self, actor: Actor, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start a task as an actor."""
        return actor.context.run(lambda: self.create_task(work, name=name))

    def kill(self, actor: Actor) -> None:
        """End an actor as kill -9 does, as far as anybody else can see: its ports are dead before its code unwinds."""
        actor.alive = False
        for _ in range(5):  # some wait for others while they unwind
            for task in tuple(actor.tasks):
                task.cancel()
            for _ in range(5000):
                if not actor.ready:
                    break
                handle = actor.ready.popleft()
                if not handle._cancelled:
                    handle._run()
            if not actor.tasks:
                break
        actor.ready.clear()
        self.undead += [f"{actor}: {task!r}" for task in actor.tasks]
        for task in actor.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        actor.tasks.clear()
        if actor in self._runnable:
            self._runnable.remove(actor)

    def step(self) -> bool:
        """Run one callback; False when nothing is left to run, now or later."""
        if self._timers and self._timers[0][0] <= self.now:
            self._due()
        while not self._runnable:
            if not self._timers:
                return False
            self.now = max(self.now, self._timers[0][0])
            self._due()
        self.now += STEP
        if self.now >= self._second:
            self._second, self._still = self.now + 1.0, 0
        self._still += 1
        if self._still > self.MOST_STEPS:
            raise Stuck(f"{self._still} steps in the second before {self.now:.3f}; the last was of {self._runnable[0]}")
        runnable = self._runnable
        index = int(self._rng.random() * len(runnable)) if len(runnable) > 1 else 0
        actor = runnable[index]
        handle = actor.ready.popleft()
        if not actor.ready:
            runnable[index] = runnable[-1]
            runnable.pop()
        if handle._cancelled:
            return True
        self.steps += 1
        actor.steps += 1
        if actor.doom is not None and actor.steps >= actor.doom_at:
            doom, actor.doom = actor.doom, None
            actor.ready.appendleft(handle)
            doom()
            return True
        handle._run()
        return True

    def next_timer(self) -> float | None:
        """When the next timer is due, cancelled or not."""
        return self._timers[0][0] if self._timers else None

    def _due(self) -> None:
        timers, now = self._timers, self.now
        while timers and timers[0][0] <= now:
            _, _, handle, actor = heapq.heappop(timers)
            if not handle._cancelled:
                self._enqueue(actor, handle)

    def _enqueue(self, actor: Actor, handle: asyncio.Handle) -> None:
        if not actor.alive and not actor.tasks:
            return
        if not actor.ready and actor.alive:
            self._runnable.append(actor)
        actor.ready.append(handle)


def _task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    actor = ACTOR.get(None)
    task = asyncio.Task(work, loop=loop, **options)
    if actor is not None:
        actor.tasks[task] = None
        task.add_done_callback(lambda done: actor.tasks.pop(done, None))
    return task
