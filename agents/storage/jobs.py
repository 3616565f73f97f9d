"""Work that takes longer than a run of a controller may: each a task beside them, whose state a run reads.

A job is named by the uid of the object that it is for. It ends with the process; whoever is asked for it again after a
restart starts it again, so what it does must be safe to repeat and cut off anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from agents.storage.failure import Failed
from agents.storage.folders import PoolOffline, Strange
from agents.storage.qemuimg import QemuImgError, trouble
from operators.contract.reasons import Reason
from operators.kernel import Clock

log = structlog.get_logger()

FIRST_AGAIN = 5.0
"""Seconds until failed work is tried again, doubled each time it fails."""
LAST_AGAIN = 600.0
STEP = 10
"""Percent between two reports."""
TELL = 1.0
"""Seconds between two reports at least: small work is done before anyone could read how far it was."""

Told: TypeAlias = Callable[[int], None]
"""Tells how far the work is, in percent."""
Work: TypeAlias = Callable[[Told], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class State:
    """How a job stands."""

    running: bool
    progress: int = 0
    reason: str = ""
    """Why the last attempt failed."""
    message: str = ""
    again_in: float = 0.0
    """Seconds until the next attempt."""


class Jobs:
    """All jobs of one sort of this process."""

    def __init__(self, clock: Clock, parallel: int, sort: str) -> None:
        self._clock = clock
        self._slots = asyncio.Semaphore(parallel)
        self._sort = sort
        self._known: dict[str, _Job] = {}

    def state(self, uid: str) -> State | None:
        """How the job for an object stands; None when there was none, or it has succeeded."""
        known = self._known.get(uid)
        return known.state(self._clock.monotonic()) if known is not None else None

    def start(self, uid: str, pool: str, work: Work, wake: Callable[[], None]) -> None:
        """Begin, or begin again after a failure. `wake` is called when there is news."""
        known = self._known.setdefault(uid, _Job())
        if known.task is None or known.task.done():
            known.progress = 0
            known.task = asyncio.create_task(self._run(uid, pool, work, known, wake), name=f"job-{self._sort}-{uid}")

    async def stop(self, uid: str) -> None:
        """End and forget a job."""
        known = self._known.pop(uid, None)
        if known is not None and known.task is not None:
            known.task.cancel()
            await asyncio.gather(known.task, return_exceptions=True)

    async def _run(self, uid: str, pool: str, work: Work, known: _Job, wake: Callable[[], None]) -> None:
        try:
            async with self._slots:
                await work(lambda percent: self._progress(known, wake, percent))
        except Failed as failed:
            self._failed(uid, known, failed)
        except (PoolOffline, Strange) as error:
            self._failed(uid, known, Failed(Reason.POOL_OFFLINE, f"pool {pool}: {error}"))
        except (QemuImgError, OSError) as error:
            outcome = trouble(error, pool).outcome
            self._failed(uid, known, Failed(outcome.reason, outcome.message))
        except Exception as error:
            log.exception("job_broke", sort=self._sort, uid=uid)
            self._failed(uid, known, Failed(Reason.INTERNAL_ERROR, f"it broke: {error!r}; see the agent's log"))
        else:
            self._known.pop(uid, None)
        wake()

    def _failed(self, uid: str, known: _Job, failed: Failed) -> None:
        seconds = min(LAST_AGAIN, FIRST_AGAIN * 2**known.failures)
        known.failures += 1
        known.failed = failed
        known.again_at = self._clock.monotonic() + seconds
        details = {"reason": failed.reason, "message": failed.message, "again_in": seconds}
        log.warning("job_failed", sort=self._sort, uid=uid, **details)

    def _progress(self, known: _Job, wake: Callable[[], None], percent: int) -> None:
        now = self._clock.monotonic()
        if percent // STEP > known.progress // STEP and now >= known.told_at + TELL:
            known.progress = percent // STEP * STEP
            known.told_at = now
            wake()


@dataclass
class _Job:
    task: asyncio.Task[None] | None = None
    progress: int = 0
    told_at: float = 0.0
    failures: int = 0
    failed: Failed | None = None
    again_at: float = 0.0

    def state(self, now: float) -> State:
        running = self.task is not None and not self.task.done()
        if self.failed is None:
            return State(running, self.progress)
        wait = 0.0 if running else max(0.0, self.again_at - now)
        return State(running, self.progress, self.failed.reason, self.failed.message, wait)
