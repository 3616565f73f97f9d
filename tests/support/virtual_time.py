"""An event loop on which time passes only when everything waits, and then at once: hours of a test in milliseconds."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec

P = ParamSpec("P")

START = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Never blocks: asked to wait, it moves the clock on instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            # Only another thread could wake the loop now; give it a moment, then call it what it is.
            if ready := super().select(1.0):
                return ready
            raise RuntimeError("everything waits, and nothing will ever happen")
        self.now += max(timeout, 1e-6)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with a clock of its own, which starts at 1000 so that nobody takes 0 for a time."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return 1000.0 + self._virtual.now


class VirtualClock:
    """The kernel's clock on a virtual loop. `skew` is how far this machine's wall clock is off."""

    def __init__(self, skew: timedelta = timedelta(0), drift: float = 0.0) -> None:
        self.skew = skew
        self.drift = drift

    def now(self) -> datetime:
        return START + timedelta(seconds=self.monotonic() - 1000.0) + self.skew

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
