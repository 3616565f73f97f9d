"""A queue of keys in which each key is once at most, and is worked on by one worker at a time."""

from __future__ import annotations

import asyncio
import random
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT")

BACKOFF_FIRST = 0.2
"""Seconds before the first retry by back-off; doubled each time."""
BACKOFF_CAP = 60.0


class WorkQueue(Generic[KeyT]):
    """Marks of "look at this again", de-duplicated, with delays and per-key back-off.

    A key marked while it is worked on comes back once, after that run. The earliest of several delays wins.
    """

    def __init__(self, rng: random.Random | None = None) -> None:
        self._ready: asyncio.Queue[KeyT] = asyncio.Queue()
        self._dirty: set[KeyT] = set()
        self._working: set[KeyT] = set()
        self._delayed: dict[KeyT, asyncio.TimerHandle] = {}
        self._failures: dict[KeyT, int] = {}
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret

    def add(self, key: KeyT) -> None:
        """Mark a key for now."""
        self._cancel(key)
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._working:
            self._ready.put_nowait(key)

    def add_after(self, key: KeyT, seconds: float) -> None:
        """Mark a key for later; an earlier mark stands."""
        loop = asyncio.get_running_loop()
        planned = self._delayed.get(key)
        if key in self._dirty or (planned is not None and planned.when() <= loop.time() + seconds):
            return
        self._cancel(key)
        self._delayed[key] = loop.call_later(seconds, self.add, key)

    def add_backoff(self, key: KeyT) -> float:
        """Mark a key for later, the later the more often it failed in a row; the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        seconds: float = min(BACKOFF_CAP, BACKOFF_FIRST * 2.0**failures) * self._rng.uniform(0.75, 1.25)
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: KeyT) -> None:
        """The key went well: its next back-off starts from the first step."""
        self._failures.pop(key, None)

    async def get(self) -> KeyT:
        """Wait for a key; the caller calls `done` with it when its run has ended."""
        key = await self._ready.get()
        self._dirty.discard(key)
        self._working.add(key)
        return key

    def done(self, key: KeyT) -> None:
        """The run of a key has ended; if it was marked meanwhile, it is ready again."""
        self._working.discard(key)
        if key in self._dirty:
            self._ready.put_nowait(key)

    def marked(self, key: KeyT) -> bool:
        """Whether the key is marked for now: a key that is worked on comes back as soon as its run ends."""
        return key in self._dirty

    def __len__(self) -> int:
        """How many keys wait for a worker."""
        return self._ready.qsize()

    @property
    def idle(self) -> bool:
        """Whether no key waits or is worked on (delayed ones do not count)."""
        return self._ready.empty() and not self._working

    def _cancel(self, key: KeyT) -> None:
        handle = self._delayed.pop(key, None)
        if handle is not None:
            handle.cancel()
