"""The controller of VolumeSnapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.compute import INSTANCE
from operators.contract.meta import Key, Kind, holds
from operators.contract.reasons import Reason, Type
from operators.contract.snapshots import DISK_SNAPSHOT, VOLUME_SNAPSHOT, VolumeSnapshotStatus
from operators.contract.storage import DISK, VOLUME
from operators.kernel import Blocked, Done, Outcome, Problem, Rejected, Report, Retry
from operators.kernel.manager import Context
from operators.kernel.report import Voice
from operators.kernel.store import AlreadyExists
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
from operators.storage.snapshots.plan import FINALIZER, plan, reverted
from operators.storage.volumes import observe as volumes

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
            INSTANCE: lambda instance: (key for each in volumes.volumes_of(instance) for key in self._moving(each)),
        }

    async def observe(self, key: Key) -> tuple[SnapshotObj, Seen] | None:
        """From the cache; a DiskSnapshot that the status names but the cache lacks is asked for before it is lost."""
        snapshot = self._cache.get(VOLUME_SNAPSHOT, key)
        if snapshot is None:
            return None
        where = Key(key.namespace, names.disk_snapshot(key.name))
        namesake = self._cache.get(DISK_SNAPSHOT, where)
        if namesake is None and snapshot.status.taken_at and not snapshot.meta.deleting:
            await self._store.get(DISK_SNAPSHOT, where)
            namesake = self._cache.get(DISK_SNAPSHOT, where)
        mine = namesake if namesake is not None and namesake.spec.snapshot.uid == snapshot.meta.uid else None
        volume = self._cache.get(VOLUME, Key(key.namespace, snapshot.spec.volume))
        disk = volumes.disk_of(self._cache, volume) if volume is not None else None
        holders = volumes.holders_of(self._cache, volume) if volume is not None else ()
        readers = self._readers(mine) if mine is not None and snapshot.meta.deleting else ()
        reached = volumes.reached_by(self._cache, disk, holders) if disk is not None else frozenset()
        taken = namesake is not None and mine is None
        return snapshot, Seen(volume, disk, holders, reached, mine, taken, readers)

    def plan(self, wanted: SnapshotObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """See `plan`."""
        return plan(wanted, seen)

    async def act(self, action: Action) -> None:
        """Do one action."""
        match action:
            case Protect(snapshot):
                await self._store.finalize(VOLUME_SNAPSHOT, snapshot.meta, snapshot.meta.finalizers_with(FINALIZER))
            case Unprotect(snapshot):
                if FINALIZER in snapshot.meta.finalizers:
                    left = snapshot.meta.finalizers_without(FINALIZER)
                    await self._store.finalize(VOLUME_SNAPSHOT, snapshot.meta, left)
            case Take():
                await self._take(action)
            case BringBack(mine, request):
                guard = {"uid": mine.meta.uid, "resourceVersion": mine.meta.resource_version}
                spec = replace(mine.spec, revert_request=request)
                await self._store.apply(DISK_SNAPSHOT, DISK_SNAPSHOT.body(mine.key, spec=to_wire(spec), **guard))
            case Drop(mine):
                await self._store.delete(DISK_SNAPSHOT, mine.key, uid=mine.meta.uid)

    async def _take(self, action: Take) -> None:
        owner = action.snapshot.owner
        key = Key(owner_namespace := action.snapshot.meta.namespace, names.disk_snapshot(owner.name))
        ours = {"ownerReferences": [to_wire(owner)], "finalizers": [FINALIZER]}
        try:
            await self._store.create(DISK_SNAPSHOT, DISK_SNAPSHOT.body(key, spec=to_wire(action.spec), **ours))
        except AlreadyExists:
            await self._store.get(DISK_SNAPSHOT, key)
            message = f"DiskSnapshot {owner_namespace}/{key.name} was there already"
            raise Problem(Retry(Reason.PROVISIONING, message, after=0.1)) from None

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

    def _readers(self, mine: DiskSnapshotObj) -> tuple[str, ...]:
        return tuple(
            f"{disk.meta.namespace}/{disk.spec.volume.name}"
            for disk in self._cache.by(DISK, BY_SNAPSHOT, mine.spec.path)
            if not disk.meta.deleting and not holds(disk.status.conditions, Type.PROVISIONED)
        )

    def _moving(self, volume: Key) -> Iterator[Key]:
        for snapshot in self._cache.by(VOLUME_SNAPSHOT, BY_VOLUME, str(volume)):
            status = snapshot.status
            if not status.taken_at or snapshot.spec.revert_request > status.revert_observed:
                yield snapshot.key

    def _of_disk(self, disk: Any) -> Iterator[Key]:
        yield from self._moving(Key(disk.meta.namespace, disk.spec.volume.name))
        if disk.spec.snapshot:
            for mine in self._cache.all(DISK_SNAPSHOT):
                if mine.spec.path == disk.spec.snapshot:
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
