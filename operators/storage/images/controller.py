"""The controller of Images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from operators.contract.codec import to_wire
from operators.contract.fabric import HOST_REPORT, STORAGE_POOL
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind, holds
from operators.contract.reasons import ON_THE_WAY, Type
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import DISK, IMAGE, IMAGE_COPY, VOLUME, ImageCopySummary, ImageStatus
from operators.kernel import Blocked, Done, Outcome, Report
from operators.kernel.clock import stamp
from operators.kernel.manager import Context
from operators.kernel.report import Voice
from operators.storage import abilities
from operators.storage.images import lookup, source
from operators.storage.images.lookup import CopyObj, ImageObj
from operators.storage.images.model import Action, DeleteCopy, Evict, Fetch, Protect, Seen, Unprotect
from operators.storage.images.plan import FINALIZER, plan
from operators.storage.images.unused import Use, sort_out
from operators.storage.volumes import observe as volumes
from operators.storage.volumes.act import act as make
from operators.storage.volumes.model import DiskObj, MakeCopy

RETENTION = 24 * 3600.0
"""Seconds for which a copy stays that nothing is made from, unless `IMAGE_RETENTION` says otherwise."""
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
        self._clock = context.clock
        self._retention = timedelta(seconds=float(context.env.get("IMAGE_RETENTION", "") or RETENTION))
        self._used: set[str] = set()
        """Copies of which this process knows that something was made from them when it last looked."""
        self._cache.index(DISK, BY_COPY, lambda disk: (disk.spec.image_copy,) if disk.spec.image_copy else ())
        source.add_indexes(self._cache)

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A Disk concerns only an Image that waits to go, gains or loses its first, or is made of it."""
        return {
            IMAGE: lambda image: (image.key,),
            IMAGE_COPY: lambda copy: (Key(copy.meta.namespace, copy.spec.image.name),),
            DISK: self._by_disk,
            INSTANCE: lambda instance: (key for each in volumes.volumes_of(instance) for key in self._made_of(each)),
            VOLUME: lambda volume: self._made_of(volume.key),
            VOLUME_SNAPSHOT: lambda snapshot: source.waiting(self._cache, VOLUME_SNAPSHOT.kind, snapshot.key),
            STORAGE_POOL: self._on_pool,
            HOST_REPORT: self._seeded_by,
        }

    async def observe(self, key: Key) -> tuple[ImageObj, Seen] | None:
        """From the cache."""
        image = self._cache.get(IMAGE, key)
        if image is None:
            return None
        copies = lookup.copies(self._cache, image)
        now = self._clock.now()
        uses = [self._use(image, copy, stamp(now)) for copy in copies]
        sorting, again_in = sort_out(uses, now, self._retention)
        original = lookup.original(copies)
        seeds = {pool: self._seeder(pool, original) for pool in sorted(image.spec.preseed)}
        to_make = image.spec.source is not None and original is None and not image.meta.deleting
        return image, Seen(
            copies,
            self._users(copies) if image.meta.deleting else (),
            tuple((pool, host) for pool, host in seeds.items() if host),
            tuple(pool for pool, host in seeds.items() if not host),
            tuple(sorting),
            again_in,
            {use.copy.spec.pool: use.since for use in uses},
            original,
            source.material(self._cache, image) if to_make else None,
        )

    def _use(self, image: ImageObj, copy: CopyObj, now: str) -> Use:
        """How one copy is used. Only that it is no longer is noted: a deployment shall not cost a write more."""
        key, pool = str(copy.key), copy.spec.pool
        said = next((each.unused_since for each in image.status.copies if each.pool == pool), "")
        if lookup.is_first(copy):
            return Use(copy, wanted=True)  # Nothing else could bring it back.
        if pool in image.spec.preseed or self._cache.by(DISK, BY_COPY, key):
            self._used.add(key)
            return Use(copy, wanted=True, since=said)
        since = now if key in self._used or not said else said
        self._used.discard(key)
        return Use(copy, wanted=False, since=since, crowded=self._crowded(pool))

    def _crowded(self, name: str) -> bool:
        """Whether a pool is above its threshold."""
        pool = self._cache.get(STORAGE_POOL, Key("", name))
        status = pool.status if pool is not None else None
        if pool is None or status is None or not status.capacity or status.free is None:
            return False
        return (status.capacity - status.free) * 100 > pool.spec.threshold * status.capacity

    def _seeder(self, name: str, original: CopyObj | None) -> str:
        """The host that brings an image to a pool: one that reports it online; empty while there is none.

        Where it is copied from another pool, the host must report that one, too."""
        pool = self._cache.get(STORAGE_POOL, Key("", name))
        if pool is None or pool.meta.deleting:
            return ""
        hosts = {host for host in self._online(name) if pool.spec.host_name in ("", host)}
        if original is not None:
            hosts &= self._online(original.spec.pool)
        return min(hosts, default="")

    def _online(self, pool: str) -> set[str]:
        """The hosts that report a pool online."""
        return {
            report.spec.host_name
            for report in self._cache.all(HOST_REPORT)
            for each in (report.status.storage.pools if report.status.storage else ())
            if each.pool == pool and each.online
        }

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
            case Evict(copy) | Fetch(copy):
                spec = to_wire(replace(copy.spec, evict=isinstance(action, Evict)))
                spec.setdefault("evict", False)
                await self._store.apply(IMAGE_COPY, IMAGE_COPY.body(copy.key, spec=spec, **copy.meta.guard))
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
            checksum=_checksum(wanted, seen),
            copies=tuple(_summary(copy, seen) for copy in sorted(seen.copies, key=lambda each: each.spec.pool)),
        )
        return (Report(wanted, fields),)

    def _users(self, copies: tuple[CopyObj, ...]) -> tuple[str, ...]:
        return tuple(
            f"{disk.meta.namespace}/{disk.spec.volume.name}"
            for copy in copies
            for disk in self._cache.by(DISK, BY_COPY, str(copy.key))
        )

    def _on_pool(self, pool: Any) -> Iterable[Key]:
        """Images that a pool may be able to make by now, and those of which one that is too full has a copy to go."""
        yield from abilities.refused(self._cache, IMAGE)
        if self._crowded(pool.meta.name):
            for image in self._cache.all(IMAGE):
                if any(each.pool == pool.meta.name and each.unused_since for each in image.status.copies):
                    yield image.key

    def _seeded_by(self, report: Any) -> Iterable[Key]:
        """Images that wait for a pool which the host reports."""
        pools = {each.pool for each in (report.status.storage.pools if report.status.storage else ())}
        for image in self._cache.all(IMAGE):
            if (wanted := image.spec.preseed & pools) and wanted - {each.pool for each in image.status.copies}:
                yield image.key

    def _made_of(self, volume: Key) -> Iterable[Key]:
        return source.waiting(self._cache, VOLUME.kind, volume)

    def _by_disk(self, disk: DiskObj) -> Iterable[Key]:
        yield from self._made_of(Key(disk.meta.namespace, disk.spec.volume.name))
        yield from self._from_copy(disk)

    def _from_copy(self, disk: DiskObj) -> Iterable[Key]:
        copy = self._cache.get(IMAGE_COPY, Key(*disk.spec.image_copy.split("/", 1))) if disk.spec.image_copy else None
        if copy is None:
            return ()
        key = Key(copy.meta.namespace, copy.spec.image.name)
        image = self._cache.get(IMAGE, key)
        used = bool(self._cache.by(DISK, BY_COPY, str(copy.key)))
        if used:
            self._used.add(str(copy.key))
        waits = image is not None and image.meta.deleting
        return (key,) if waits or not used or copy.spec.evict else ()


def _summary(copy: CopyObj, seen: Seen) -> ImageCopySummary:
    ready, pool = holds(copy.status.conditions, Type.PROVISIONED), copy.spec.pool
    return ImageCopySummary(pool, ready, 100 if ready else copy.status.progress, seen.since.get(pool, ""))


def _checksum(image: ImageObj, seen: Seen) -> str:
    """Of what was made of a disk, or came first from a url whose checksum nobody knew. It never changes."""
    if image.status.checksum or image.spec.checksum:
        return image.status.checksum
    if seen.original is not None:
        return seen.original.spec.checksum or seen.original.status.checksum
    return next((copy.status.checksum for copy in lookup.unchecked(seen.copies) if copy.status.checksum), "")


def _phase(image: ImageObj, outcome: Outcome) -> str:
    match outcome:
        case Done():
            return "Ready"
        case _ if image.meta.deleting:
            return "Deleting"
        case Blocked(reason=reason) if reason in ON_THE_WAY:
            return "Importing"
        case _:
            return "Failed"
