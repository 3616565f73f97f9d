"""Imports that are under way: each a task beside the controllers, whose state a run of its ImageCopy reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from agents.storage.fetching.download import Download, Wanted
from agents.storage.fetching.failure import Failed
from agents.storage.fetching.inspection import inspect
from agents.storage.folders import Draft, Place, PoolOffline, Strange, in_thread, off_loop
from agents.storage.qemuimg import Limits, QemuImg, QemuImgError, trouble
from agents.storage.settings import Settings
from operators.contract.reasons import Reason
from operators.kernel import Clock

log = structlog.get_logger()

PARALLEL = 8
"""Imports at a time; enough that a few slow sources do not hold up all others."""
CONVERSIONS = 2
"""Conversions at a time; so two of the four places at qemu-img stay free for disks."""
FIRST_AGAIN = 5.0
"""Seconds until a failed import is tried again, doubled each time it fails."""
LAST_AGAIN = 600.0
STEP = 10
"""Percent between two reports."""
TELL = 1.0
"""Seconds between two reports at least: a small image is there before anyone could read how far it was."""
MODE = 0o444


@dataclass(frozen=True, slots=True)
class Job:
    """An image to be brought to a place."""

    uid: str
    """Of the ImageCopy; temporary names hold it."""
    place: Place
    url: str
    checksum: str
    format: str

    @property
    def temporaries(self) -> tuple[str, str]:
        """The names of its files in the making: what is fetched, and what a raw one is converted into."""
        return temporaries(self.uid)


@dataclass(frozen=True, slots=True)
class State:
    """How an import stands."""

    running: bool
    progress: int = 0
    reason: str = ""
    """Why the last attempt failed."""
    message: str = ""
    again_in: float = 0.0
    """Seconds until the next attempt."""


def temporaries(uid: str) -> tuple[str, str]:
    """See `Job.temporaries`."""
    return f".{uid}.part", f".{uid}.conv"


class Imports:
    """All imports of this process."""

    def __init__(self, settings: Settings, qemu: QemuImg, clock: Clock) -> None:
        self._settings = settings
        self._qemu = qemu
        self._clock = clock
        self._slots = asyncio.Semaphore(PARALLEL)
        self._conversions = asyncio.Semaphore(CONVERSIONS)
        self._known: dict[str, _Import] = {}

    def state(self, uid: str) -> State | None:
        """How the import for an ImageCopy stands; None when there was none, or it has succeeded."""
        known = self._known.get(uid)
        return known.state(self._clock.monotonic()) if known is not None else None

    def start(self, job: Job, told: Callable[[], None]) -> None:
        """Begin, or begin again after a failure. `told` is called when there is news."""
        known = self._known.setdefault(job.uid, _Import())
        if known.task is None or known.task.done():
            known.progress = 0
            known.task = asyncio.create_task(self._run(job, known, told), name=f"import-{job.uid}")

    async def stop(self, uid: str) -> None:
        """End and forget an import."""
        known = self._known.pop(uid, None)
        if known is not None and known.task is not None:
            known.task.cancel()
            await asyncio.gather(known.task, return_exceptions=True)

    async def close(self) -> None:
        """End all."""
        for uid in tuple(self._known):
            await self.stop(uid)

    async def _run(self, job: Job, known: _Import, told: Callable[[], None]) -> None:
        try:
            async with self._slots:
                await self._import(job, partial(self._progress, known, told))
        except Failed as failed:
            self._failed(job, known, failed)
        except (PoolOffline, Strange) as error:
            self._failed(job, known, Failed(Reason.POOL_OFFLINE, f"pool {job.place.pool.name}: {error}"))
        except (QemuImgError, OSError) as error:
            outcome = trouble(error, job.place.pool.name).outcome
            self._failed(job, known, Failed(outcome.reason, outcome.message))
        except Exception as error:
            log.exception("import_broke", uid=job.uid)
            self._failed(job, known, Failed(Reason.INTERNAL_ERROR, f"fetching broke: {error!r}; see the agent's log"))
        else:
            self._known.pop(job.uid, None)
        told()

    def _failed(self, job: Job, known: _Import, failed: Failed) -> None:
        seconds = min(LAST_AGAIN, FIRST_AGAIN * 2**known.failures)
        known.failures += 1
        known.failed = failed
        known.again_at = self._clock.monotonic() + seconds
        log.warning("import_failed", uid=job.uid, reason=failed.reason, message=failed.message, again_in=seconds)

    def _progress(self, known: _Import, told: Callable[[], None], percent: int) -> None:
        now = self._clock.monotonic()
        if percent // STEP > known.progress // STEP and now >= known.told_at + TELL:
            known.progress = percent // STEP * STEP
            known.told_at = now
            told()

    async def _import(self, job: Job, progress: Callable[[int], None]) -> None:
        """Fetch, check, convert, and only then give it its name. A broken-off download stays to be resumed."""
        part, _ = job.temporaries
        draft = await off_loop(Draft, job.place, part, keep=True)
        try:
            wanted = Wanted(
                job.url, job.checksum.removeprefix("sha256:"), self._settings.max_download, job.place.pool.name
            )
            await Download(wanted, draft.fd, self._settings.sources, progress).run()
            await inspect(draft.fd, job.format, self._settings.max_virtual, self._qemu)
            if job.format == "raw":
                await self._convert(job, draft)
            else:
                await in_thread(draft.publish, MODE)
        except Failed as failed:
            if failed.reason != Reason.SOURCE_UNREACHABLE:
                draft.discard()
            raise
        finally:
            draft.close()

    async def _convert(self, job: Job, fetched: Draft) -> None:
        _, converted = job.temporaries
        target = await off_loop(Draft, job.place, converted)
        try:
            limits = Limits(cpu=3600, output=self._settings.max_download + (1 << 30))
            async with self._conversions:
                await self._qemu.convert(fetched.fd, target.fd, limits)
            await in_thread(target.publish, MODE)
        except BaseException:
            target.discard()
            raise
        finally:
            target.close()
        fetched.discard()


@dataclass
class _Import:
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
