"""The controller of Volumes: which events concern which Volume, and the four steps of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from operators.contract import names
from operators.contract.backups import VOLUME_BACKUP
from operators.contract.fabric import (
    HOST,
    HOST_REPORT,
    STORAGE_POOL,
    HostReportSpec,
    HostReportStatus,
    HostSpec,
    HostStatus,
    StoragePoolSpec,
    StoragePoolStatus,
)
from operators.contract.instances import INSTANCE, InstanceSpec, InstanceStatus
from operators.contract.meta import Key, Kind, Obj
from operators.contract.reasons import Reason
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import DISK, DISK_OFFERING, IMAGE, IMAGE_COPY, VOLUME
from operators.contract.tenancy import KINDS as TENANCY
from operators.kernel import Outcome, Report
from operators.kernel.manager import Context
from operators.kernel.report import Voice
from operators.storage import abilities, lost
from operators.storage.images import lookup
from operators.storage.volumes import observe
from operators.storage.volumes.act import act
from operators.storage.volumes.capacity import Promises
from operators.storage.volumes.model import Action, CopyObj, DiskObj, MakeDisk, Seen, SnapshotObj, VolumeObj
from operators.storage.volumes.plan import plan
from operators.storage.volumes.report import report

BY_IMAGE = "image"
"""Index of Volumes: every key under which the Image that they name may be found."""
BY_SNAPSHOT = "snapshot"
"""Index of Volumes: the key of the VolumeSnapshot that they are made from."""
BY_ORIGIN = "origin"
"""Index of Volumes: the key of the Volume that they are made from."""
BY_BETWEEN = "between"
"""Index of Volumes: the key of the VolumeSnapshot by which they are made from that."""
BY_BACKUP = "backup"
"""Index of Volumes: the key of the VolumeBackup that they are made from."""
BY_UID = "uid"
BY_OFFERING = "offering"
BY_POOL = "pool"
"""Index of Volumes: `spec.pool`."""


class Volumes:
    """Brings every Volume to a Disk on a pool."""

    name = "volumes"
    kind = VOLUME
    workers = 8
    voice = Voice()

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._cache = context.cache
        self._clock = context.clock
        self._catalogue = context.env.get("CATALOG_NAMESPACE", "")
        observe.add_indexes(self._cache)
        self._promises = Promises(self._cache)
        self._limited: set[Key] = set()
        """Volumes that wait for room within a limit."""
        self._cache.index(VOLUME, BY_IMAGE, self._image_keys)
        self._cache.index(VOLUME, BY_SNAPSHOT, lambda volume: _beside(volume, volume.spec.source.snapshot))
        self._cache.index(VOLUME, BY_BACKUP, lambda volume: _beside(volume, volume.spec.source.backup))
        self._cache.index(VOLUME, BY_ORIGIN, lambda volume: _beside(volume, volume.spec.source.volume))
        self._cache.index(VOLUME, BY_BETWEEN, _between)
        self._cache.index(VOLUME, BY_OFFERING, lambda volume: (volume.spec.disk_offering,))
        self._cache.index(VOLUME, BY_UID, lambda volume: (volume.meta.uid,))
        self._cache.index(VOLUME, BY_POOL, lambda volume: (volume.spec.pool,) if volume.spec.pool else ())

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """Pools, images and offerings concern only the Volumes that are still to be placed."""
        return {
            VOLUME: lambda volume: (volume.key, *self._unmade(str(volume.key))),
            DISK: self._by_disk,
            INSTANCE: self._by_instance,
            IMAGE: lambda image: self._made_from(image.key),
            IMAGE_COPY: lambda copy: (*self._made_from(_image_of(copy)), *self._copied_to(copy)),
            VOLUME_SNAPSHOT: self._by_snapshot,
            VOLUME_BACKUP: lambda backup: self._unplaced(BY_BACKUP, str(backup.key)),
            DISK_OFFERING: lambda offering: (v.key for v in self._cache.by(VOLUME, BY_OFFERING, offering.meta.name)),
            STORAGE_POOL: self._near_pool,
            HOST_REPORT: self._by_report,
            HOST: self._by_host,
            **dict.fromkeys(TENANCY, lambda _: tuple(self._limited)),
        }

    async def observe(self, key: Key) -> tuple[VolumeObj, Seen] | None:
        """From the cache; a Disk that the status names but the cache lacks is asked for, before it is called lost."""
        volume = self._cache.get(VOLUME, key)
        if volume is None:
            self._promises.settle(key)
            self._limited.discard(key)
            return None
        if volume.status.disk and observe.disk_of(self._cache, volume) is None and not volume.meta.deleting:
            await self._store.get(DISK, Key(volume.meta.namespace, volume.status.disk))
        self._promises.settle(key)
        return volume, observe.observe(self._cache, volume, self._catalogue, self._clock.now(), self._promises)

    def plan(self, wanted: VolumeObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """See `plan`. Nothing is awaited since the pools were read, so what is claimed now nobody else claims."""
        actions, outcome = plan(wanted, seen)
        (self._limited.add if outcome.reason == Reason.LIMIT_EXCEEDED else self._limited.discard)(wanted.key)
        for action in actions:
            if isinstance(action, MakeDisk) and not action.spec.file_of:
                self._promises.enter(wanted.key, action.spec.pool, action.spec.size)
        return actions, outcome

    async def act(self, action: Action) -> None:
        """See `act`."""
        await act(action, self._store)

    def report(self, wanted: VolumeObj, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """See `report`."""
        return report(wanted, seen, outcome)

    def _by_disk(self, disk: DiskObj) -> Iterable[Key]:
        self._promises.changed(disk)
        key = Key(disk.meta.namespace, disk.spec.volume.name)
        if self._cache.get(DISK, disk.key) is not None:
            self._promises.settle(key)
        volume = self._cache.get(VOLUME, key)
        origin = (Key(key.namespace, volume.spec.source.volume),) if volume and volume.spec.source.volume else ()
        gone = self._cache.get(DISK, disk.key) is None
        return (key, *origin, *self._unmade(str(key)), *(self._limited if gone else ()))

    def _by_snapshot(self, snapshot: SnapshotObj) -> Iterator[Key]:
        """The Volumes that are to be made from it, and the one whose own it is, or has the name of."""
        yield from self._unplaced(BY_SNAPSHOT, str(snapshot.key))
        yield from (volume.key for volume in self._cache.by(VOLUME, BY_BETWEEN, str(snapshot.key)))

    def _by_instance(self, instance: Obj[InstanceSpec, InstanceStatus]) -> Iterator[Key]:
        for key in observe.volumes_of(instance):
            yield key
            yield from self._unmade(str(key))

    def _image_keys(self, volume: VolumeObj) -> Iterator[str]:
        if volume.spec.source.image:
            for key in lookup.candidates(volume.spec.source.image, volume.meta.namespace, self._catalogue):
                yield str(key)
        if volume.spec.source.url:
            yield f"{volume.meta.namespace}/{names.source_image(volume.meta.name)}"

    def _made_from(self, image: Key) -> Iterator[Key]:
        return self._unplaced(BY_IMAGE, str(image))

    def _copied_to(self, copy: CopyObj) -> Iterator[Key]:
        """The Volume that waits to go until an Image was made of it."""
        if copy.spec.source is not None and not copy.spec.checksum:
            uid = copy.spec.source.path.rpartition("/")[2].partition(".")[0]
            yield from (volume.key for volume in self._cache.by(VOLUME, BY_UID, uid) if volume.meta.deleting)

    def _unplaced(self, index: str, value: str) -> Iterator[Key]:
        for volume in self._cache.by(VOLUME, index, value):
            if observe.disk_of(self._cache, volume) is None:
                yield volume.key

    def _unmade(self, origin: str) -> Iterator[Key]:
        """The Volumes that are made from another one and do not have its data yet."""
        for volume in self._cache.by(VOLUME, BY_ORIGIN, origin):
            if not observe.made(observe.disk_of(self._cache, volume)):
                yield volume.key

    def _by_report(self, report: Obj[HostReportSpec, HostReportStatus]) -> Iterator[Key]:
        yield from self._near_host(report.spec.host_name)
        for pool in report.status.storage.pools if report.status.storage else ():
            yield from self._moving_to(pool.pool)

    def _moving_to(self, pool: str) -> Iterator[Key]:
        """The Volumes that are elsewhere, and are to be on that pool."""
        return (each.key for each in self._cache.by(VOLUME, BY_POOL, pool) if each.status.pool not in ("", pool))

    def _near_pool(self, pool: Obj[StoragePoolSpec, StoragePoolStatus]) -> Iterator[Key]:
        yield from self._moving_to(pool.meta.name)
        yield from abilities.refused(self._cache, VOLUME)
        if pool.spec.host_name:
            yield from self._near_host(pool.spec.host_name)
            return
        for host in {instance.spec.host_name for instance in self._cache.all(INSTANCE)}:
            yield from self._near_host(host)

    def _by_host(self, host: Obj[HostSpec, HostStatus]) -> Iterator[Key]:
        """The Volumes near it, and those that wait for what its agent is to do."""
        yield from self._near_host(host.meta.name)
        for disk in lost.waiting(self._cache, DISK, host.meta.name):
            yield Key(disk.meta.namespace, disk.spec.volume.name)

    def _near_host(self, host: str) -> Iterator[Key]:
        """The Volumes that wait to be placed, or to be copied, near an Instance on that host."""
        for instance in self._cache.by(INSTANCE, observe.BY_HOST, host):
            arrives = instance.spec.incoming is not None and not instance.spec.incoming.committed
            for key in observe.volumes_of(instance):
                volume = self._cache.get(VOLUME, key)
                if volume is not None and (arrives or observe.disk_of(self._cache, volume) is None):
                    yield key


def _image_of(copy: CopyObj) -> Key:
    return Key(copy.meta.namespace, copy.spec.image.name)


def _between(volume: VolumeObj) -> tuple[str, ...]:
    return _beside(volume, names.source_snapshot(volume.meta.name)) if volume.spec.source.volume else ()


def _beside(volume: VolumeObj, name: str) -> tuple[str, ...]:
    return (f"{volume.meta.namespace}/{name}",) if name else ()
