"""The controller of VolumeSnapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.fabric import HOST, STORAGE_POOL
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind, holds
from operators.contract.reasons import Reason, Type
from operators.contract.snapshots import DISK_SNAPSHOT, VOLUME_SNAPSHOT, VolumeSnapshotStatus
from operators.contract.storage import DISK, IMAGE_COPY, VOLUME
from operators.kernel import Blocked, Done, Outcome, Rejected, Report
from operators.kernel.manager import Context
from operators.kernel.report import Voice
from operators.storage import abilities, lost, pieces
from operators.storage.snapshots.model import (
    Action,
    BringBack,
    DiskSnapshotObj,
    Drop,
    Protect,
    Seen,
    SnapshotObj,
    Take,
    Unprotect,
)
from operators.storage.snapshots.plan import plan, reverted
from operators.storage.volumes import observe as volumes
from operators.storage.volumes import origins

BY_VOLUME = "volume"
"""Index of VolumeSnapshots: `namespace/volume`."""
BY_SNAPSHOT = "snapshot"
"""Index of Disks: the path of the snapshot that they are made from."""


class Snapshots:
    """Has a DiskSnapshot taken for each VolumeSnapshot, and removed with it."""

    name = "snapshots"
    kind = VOLUME_SNAPSHOT
    workers = 4
    voice = Voice()

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._cache = context.cache
        self._cache.index(VOLUME_SNAPSHOT, BY_VOLUME, lambda each: (f"{each.meta.namespace}/{each.spec.volume}",))
        self._cache.index(DISK, BY_SNAPSHOT, lambda disk: (disk.spec.snapshot,) if disk.spec.snapshot else ())

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A Volume, its Disk and its Instances concern the snapshots that are still to be taken or brought back."""
        return {
            VOLUME_SNAPSHOT: lambda snapshot: (snapshot.key,),
            DISK_SNAPSHOT: lambda mine: (Key(mine.meta.namespace, mine.spec.snapshot.name),),
            VOLUME: lambda volume: self._moving(volume.key),
            DISK: self._of_disk,
            IMAGE_COPY: lambda copy: self._taken_as(copy.spec.source.path) if copy.spec.source else (),
            HOST: lambda host: (
                Key(each.meta.namespace, each.spec.snapshot.name)
                for each in lost.waiting(self._cache, DISK_SNAPSHOT, host.meta.name)
            ),
            STORAGE_POOL: lambda pool: abilities.refused(self._cache, VOLUME_SNAPSHOT),
            INSTANCE: lambda instance: (key for each in volumes.volumes_of(instance) for key in self._moving(each)),
        }

    async def observe(self, key: Key) -> tuple[SnapshotObj, Seen] | None:
        """From the cache; a DiskSnapshot that the status names but the cache lacks is asked for before it is lost."""
        snapshot = self._cache.get(VOLUME_SNAPSHOT, key)
        if snapshot is None:
            return None
        where = Key(key.namespace, names.disk_snapshot(key.name))
        known = bool(snapshot.status.taken_at) and not snapshot.meta.deleting
        namesake = await pieces.look_up(self._cache, self._store, DISK_SNAPSHOT, where, known=known)
        mine = namesake if namesake is not None and namesake.spec.snapshot.uid == snapshot.meta.uid else None
        volume = self._cache.get(VOLUME, Key(key.namespace, snapshot.spec.volume))
        disk = volumes.disk_of(self._cache, volume) if volume is not None else None
        holders = volumes.holders_of(self._cache, volume) if volume is not None else ()
        gone = mine is not None and snapshot.meta.deleting
        readers: tuple[str, ...] = ()
        if mine is not None and gone:
            images = origins.images(self._cache, mine.spec.pool, mine.spec.path)
            readers = (*pieces.readers(self._cache, BY_SNAPSHOT, mine.spec.path), *images)
        reached = volumes.reached_by(self._cache, disk, holders) if disk is not None else frozenset()
        taken = namesake is not None and mine is None
        told = abilities.told(self._cache, disk.spec.pool) if disk is not None else ()
        away = lost.hosts(self._cache, (mine,)) if mine is not None else ()
        return snapshot, Seen(volume, disk, holders, reached, mine, told, taken, away, readers)

    def plan(self, wanted: SnapshotObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """See `plan`."""
        return plan(wanted, seen)

    async def act(self, action: Action) -> None:
        """Do one action."""
        match action:
            case Protect(snapshot):
                await pieces.hold(self._store, snapshot)
            case Unprotect(snapshot):
                await pieces.let_go(self._store, snapshot)
            case Take(snapshot, spec):
                key = Key(snapshot.meta.namespace, names.disk_snapshot(snapshot.meta.name))
                await pieces.make(self._store, DISK_SNAPSHOT, key, spec, snapshot.owner)
            case BringBack(mine, request):
                guard = {"uid": mine.meta.uid, "resourceVersion": mine.meta.resource_version}
                spec = replace(mine.spec, revert_request=request)
                await self._store.apply(DISK_SNAPSHOT, DISK_SNAPSHOT.body(mine.key, spec=to_wire(spec), **guard))
            case Drop(mine):
                # As it was seen: it may be taken by now, and another one that believes to lead has said so.
                version = mine.meta.resource_version
                await self._store.delete(DISK_SNAPSHOT, mine.key, uid=mine.meta.uid, resource_version=version)

    def report(self, wanted: SnapshotObj, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """What there is of it; once it was taken, that stays said."""
        if wanted.meta.deleting and isinstance(outcome, Done):
            return ()
        before, mine = wanted.status, seen.mine
        fields = replace(before, phase=_phase(wanted, outcome), conditions=())
        if mine is not None:
            fields = _of(mine, fields)
        extra = reverted(wanted, seen)
        return (Report(wanted, fields, (extra,) if extra is not None else ()),)

    def _moving(self, volume: Key) -> Iterator[Key]:
        for snapshot in self._cache.by(VOLUME_SNAPSHOT, BY_VOLUME, str(volume)):
            status = snapshot.status
            if not status.taken_at or snapshot.spec.revert_request > status.revert_observed:
                yield snapshot.key

    def _of_disk(self, disk: Any) -> Iterator[Key]:
        yield from self._moving(Key(disk.meta.namespace, disk.spec.volume.name))
        if disk.spec.snapshot:
            yield from self._taken_as(disk.spec.snapshot)

    def _taken_as(self, path: str) -> Iterator[Key]:
        for mine in self._cache.all(DISK_SNAPSHOT):
            if mine.spec.path == path:
                yield Key(mine.meta.namespace, mine.spec.snapshot.name)


def _of(mine: DiskSnapshotObj, before: VolumeSnapshotStatus) -> VolumeSnapshotStatus:
    status = mine.status
    before = replace(before, volume_uid=mine.spec.volume.uid)
    if mine.meta.deleting or not holds(status.conditions, Type.PROVISIONED):
        return before
    return replace(
        before,
        pool=mine.spec.pool,
        host_name=mine.spec.host_name,
        disk_snapshot=mine.meta.name,
        size=status.virtual_size,
        stored=status.stored,
        taken_at=status.taken_at,
        quiesced=status.quiesced,
        running=holds(status.conditions, Type.CAPTURED),
        memory=bool(status.memory),
        revert_observed=status.revert_observed,
    )


def _phase(snapshot: SnapshotObj, outcome: Outcome) -> str:
    match outcome:
        case Done():
            return "Ready"
        case Rejected():
            return "Failed"
        case _ if snapshot.meta.deleting:
            return "Deleting"
        case Blocked(reason=Reason.VOLUME_NOT_FOUND | Reason.STORAGE_ERROR):
            return "Failed"
        case _:
            return "Pending"
