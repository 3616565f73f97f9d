"""The controller of Images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from operators.contract.fabric import HOST_REPORT, STORAGE_POOL
from operators.contract.meta import Key, Kind, holds
from operators.contract.reasons import Reason, Type
from operators.contract.storage import DISK, IMAGE, IMAGE_COPY, ImageCopySummary, ImageStatus
from operators.kernel import Blocked, Done, Outcome, Report
from operators.kernel.manager import Context
from operators.kernel.report import Voice
from operators.storage.images import lookup
from operators.storage.images.lookup import CopyObj, ImageObj
from operators.storage.images.model import Action, DeleteCopy, Protect, Seen, Unprotect
from operators.storage.images.plan import FINALIZER, plan
from operators.storage.volumes.act import act as make
from operators.storage.volumes.model import DiskObj, MakeCopy

BY_COPY = "image-copy"
"""Index of Disks: `spec.imageCopy`."""


class Images:
    """Says how each Image stands, and lets it go when nothing is made from it."""

    name = "images"
    kind = IMAGE
    workers = 2
    voice = Voice()

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._cache = context.cache
        self._cache.index(DISK, BY_COPY, lambda disk: (disk.spec.image_copy,) if disk.spec.image_copy else ())

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A Disk concerns only an Image that waits to go."""
        return {
            IMAGE: lambda image: (image.key,),
            IMAGE_COPY: lambda copy: (Key(copy.meta.namespace, copy.spec.image.name),),
            DISK: self._leaving,
            HOST_REPORT: self._seeded_by,
        }

    async def observe(self, key: Key) -> tuple[ImageObj, Seen] | None:
        """From the cache."""
        image = self._cache.get(IMAGE, key)
        if image is None:
            return None
        copies = lookup.copies(self._cache, image)
        seeds = {pool: self._seeder(pool) for pool in sorted(image.spec.preseed)}
        return image, Seen(
            copies,
            self._users(copies) if image.meta.deleting else (),
            tuple((pool, host) for pool, host in seeds.items() if host),
            tuple(pool for pool, host in seeds.items() if not host),
        )

    def _seeder(self, name: str) -> str:
        """The host that brings an image to a pool: one that reports it online; empty while there is none."""
        pool = self._cache.get(STORAGE_POOL, Key("", name))
        if pool is None or pool.meta.deleting:
            return ""
        online = sorted(
            report.spec.host_name
            for report in self._cache.all(HOST_REPORT)
            for each in (report.status.storage.pools if report.status.storage else ())
            if each.pool == name and each.online
        )
        hosts = [host for host in online if pool.spec.host_name in ("", host)]
        return hosts[0] if hosts else ""

    def plan(self, wanted: ImageObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """See `plan`."""
        return plan(wanted, seen)

    async def act(self, action: Action) -> None:
        """Finalizers and deletions are all that an Image needs."""
        match action:
            case Protect(image):
                await self._store.finalize(IMAGE, image.meta, image.meta.finalizers_with(FINALIZER))
            case Unprotect(image):
                if FINALIZER in image.meta.finalizers:
                    await self._store.finalize(IMAGE, image.meta, image.meta.finalizers_without(FINALIZER))
            case MakeCopy():
                await make(action, self._store)
            case DeleteCopy(copy):
                await self._store.delete(IMAGE_COPY, copy.key, uid=copy.meta.uid)

    def report(self, wanted: ImageObj, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """The status of the Image."""
        if wanted.meta.deleting and isinstance(outcome, Done):
            return ()
        sizes = [copy.status.virtual_size for copy in seen.copies if copy.status.virtual_size]
        fields = ImageStatus(
            phase=_phase(wanted, outcome),
            virtual_size=sizes[0] if sizes else wanted.status.virtual_size,
            copies=tuple(_summary(copy) for copy in sorted(seen.copies, key=lambda each: each.spec.pool)),
        )
        return (Report(wanted, fields),)

    def _users(self, copies: tuple[CopyObj, ...]) -> tuple[str, ...]:
        return tuple(
            f"{disk.meta.namespace}/{disk.spec.volume.name}"
            for copy in copies
            for disk in self._cache.by(DISK, BY_COPY, str(copy.key))
        )

    def _seeded_by(self, report: Any) -> Iterable[Key]:
        """Images that wait for a pool which the host reports."""
        pools = {each.pool for each in (report.status.storage.pools if report.status.storage else ())}
        for image in self._cache.all(IMAGE):
            if (wanted := image.spec.preseed & pools) and wanted - {each.pool for each in image.status.copies}:
                yield image.key

    def _leaving(self, disk: DiskObj) -> Iterable[Key]:
        if not disk.spec.image_copy:
            return ()
        copy = self._cache.get(IMAGE_COPY, Key(*disk.spec.image_copy.split("/", 1)))
        if copy is None:
            return ()
        key = Key(copy.meta.namespace, copy.spec.image.name)
        image = self._cache.get(IMAGE, key)
        return (key,) if image is not None and image.meta.deleting else ()


def _summary(copy: CopyObj) -> ImageCopySummary:
    ready = holds(copy.status.conditions, Type.PROVISIONED)
    return ImageCopySummary(copy.spec.pool, ready, 100 if ready else copy.status.progress)


def _phase(image: ImageObj, outcome: Outcome) -> str:
    match outcome:
        case Done():
            return "Ready"
        case _ if image.meta.deleting:
            return "Deleting"
        case Blocked(reason=Reason.IMPORTING):
            return "Importing"
        case _:
            return "Failed"
