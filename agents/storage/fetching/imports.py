"""Importing an image: fetched, checked, converted, and only then given its name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from agents.storage.driver import Draft, Drivers
from agents.storage.failure import Failed
from agents.storage.fetching.download import Download, Wanted
from agents.storage.fetching.inspection import inspect
from agents.storage.fetching.naming import temporaries
from agents.storage.folders import Place, in_thread
from agents.storage.jobs import Jobs, State, Told
from agents.storage.qemuimg import Limits, QemuImg, QemuImgError
from agents.storage.settings import Settings
from operators.contract.reasons import Reason
from operators.kernel import Clock

PARALLEL = 8
"""Imports at a time; enough that a few slow sources do not hold up all others."""
CONVERSIONS = 2
"""Conversions at a time; so two of the four places at qemu-img stay free for disks."""
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
    source: Place | None = None
    """The file on a pool that it is made of in place of a url's."""

    @property
    def temporaries(self) -> tuple[str, str]:
        """The names of its files in the making: what is fetched, and what a raw one is converted into."""
        return temporaries(self.uid)


class Imports:
    """All imports of this process."""

    def __init__(self, settings: Settings, drivers: Drivers, qemu: QemuImg, clock: Clock) -> None:
        self._settings = settings
        self._drivers = drivers
        self._qemu = qemu
        self._jobs = Jobs(clock, PARALLEL, "import")
        self._conversions = asyncio.Semaphore(CONVERSIONS)
        self._checksums: dict[str, str] = {}

    def state(self, uid: str) -> State | None:
        """How the import for an ImageCopy stands; None when there was none, or it has succeeded."""
        return self._jobs.state(uid)

    def checksum(self, uid: str) -> str:
        """What was made of a disk, or came without a checksum, adds up to; empty until it is known."""
        return self._checksums.get(uid, "")

    def start(self, job: Job, wake: Callable[[], None]) -> None:
        """Begin, or begin again after a failure. `wake` is called when there is news."""
        self._jobs.start(job.uid, job.place.pool.name, lambda told: self._import(job, told), wake)

    async def stop(self, uid: str) -> None:
        """End and forget an import."""
        await self._jobs.stop(uid)
        self._checksums.pop(uid, None)

    async def _import(self, job: Job, progress: Told) -> None:
        """Fetch, check, convert, and only then give it its name. A broken-off download stays to be resumed."""
        part, _ = job.temporaries
        if job.source is not None and job.checksum:
            driver = self._drivers.images(job.place.pool, job.source.pool)
            await driver.duplicate(job.source, job.place, job.uid, job.checksum, progress)
            return
        if job.source is not None:
            driver = self._drivers.images(job.place.pool, job.source.pool)
            await driver.export(job.source, job.place, job.uid)
            self._checksums[job.uid] = await driver.checksum(job.place, progress)
            return
        draft = await self._drivers.images(job.place.pool).draft(job.place, part, keep=True)
        try:
            wanted = Wanted(job.url, job.checksum, self._settings.max_download, job.place.pool.name)
            came = await Download(wanted, draft.fd, self._settings.sources, progress).run()
            if not job.checksum:
                self._checksums[job.uid] = came
            await inspect(draft.fd, job.format, self._settings.max_virtual, self._qemu)
            if job.format != "qcow2":
                await self._convert(job, draft)
            else:
                await in_thread(draft.publish, MODE)
        except Failed as failed:
            if failed.reason != Reason.SOURCE_UNREACHABLE:
                draft.discard()
            raise
        except (QemuImgError, OSError):
            # A pool that filled up, most likely: what was fetched is not to hold the room until there is more.
            draft.discard()
            raise
        finally:
            draft.close()

    async def _convert(self, job: Job, fetched: Draft) -> None:
        _, converted = job.temporaries
        target = await self._drivers.images(job.place.pool).draft(job.place, converted)
        try:
            limits = Limits(cpu=3600, output=self._settings.max_download + (1 << 30))
            async with self._conversions:
                await self._qemu.convert(fetched.fd, target.fd, limits, "raw" if job.format == "iso" else job.format)
            await in_thread(target.publish, MODE)
        except BaseException:
            target.discard()
            raise
        finally:
            target.close()
        fetched.discard()
