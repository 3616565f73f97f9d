"""The controller of VolumeBackups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from operators.contract.backups import DISK_BACKUP, VOLUME_BACKUP
from operators.contract.fabric import IMAGE_STORE, STORAGE_POOL
from operators.contract.meta import Key, Kind, holds
from operators.contract.reasons import Type
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import DISK
from operators.kernel import Done, Outcome, Report
from operators.kernel.manager import Context
from operators.kernel.report import Voice
from operators.storage import abilities, pieces
from operators.storage.backups.model import Action, BackupObj, DiskBackupObj, Drop, Make, Protect, Seen, Unprotect
from operators.storage.backups.plan import plan

BY_VOLUME = "volume-uid"
"""Index of DiskBackups: the uid of the Volume."""
BY_BACKUP = "backup"
"""Index of Disks: the uid of the VolumeBackup that they are made from."""
BY_STORE = "image-store"
"""Index of VolumeBackups."""


class Backups:
    """Has each VolumeBackup copied to its store, and removed with it."""

    name = "backups"
    kind = VOLUME_BACKUP
    workers = 1
    """Two that were planned side by side would each find the Volume free."""
    voice = Voice()

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._cache = context.cache
        self._cache.index(DISK_BACKUP, BY_VOLUME, lambda each: (each.spec.volume_uid,))
        self._cache.index(DISK, BY_BACKUP, lambda disk: (disk.spec.backup.backup_uid,) if disk.spec.backup else ())
        self._cache.index(VOLUME_BACKUP, BY_STORE, lambda each: (each.spec.image_store,))

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """What it waits for: its snapshot, its store, another backup of the Volume, a Volume made from it."""
        return {
            VOLUME_BACKUP: lambda backup: (backup.key,),
            DISK_BACKUP: self._beside,
            VOLUME_SNAPSHOT: self._of_snapshot,
            IMAGE_STORE: lambda store: (each.key for each in self._cache.by(VOLUME_BACKUP, BY_STORE, store.meta.name)),
            DISK: self._of_disk,
            STORAGE_POOL: lambda pool: abilities.refused(self._cache, VOLUME_BACKUP),
        }

    async def observe(self, key: Key) -> tuple[BackupObj, Seen] | None:
        """From the cache; a DiskBackup that the status knows but the cache lacks is asked for before it is lost."""
        backup = self._cache.get(VOLUME_BACKUP, key)
        if backup is None:
            return None
        known = bool(backup.status.finished_at) and not backup.meta.deleting
        namesake = await pieces.look_up(self._cache, self._store, DISK_BACKUP, key, known=known)
        mine = namesake if namesake is not None and namesake.spec.backup.uid == backup.meta.uid else None
        snapshot = self._cache.get(VOLUME_SNAPSHOT, Key(key.namespace, backup.spec.snapshot))
        volume = mine.spec.volume_uid if mine else snapshot.status.volume_uid if snapshot else ""
        return backup, Seen(
            snapshot,
            store=self._cache.get(IMAGE_STORE, Key("", backup.spec.image_store)) is not None,
            mine=mine,
            told=abilities.told(self._cache, snapshot.status.pool) if snapshot is not None and mine is None else (),
            name_taken=namesake is not None and mine is None,
            busy=self._busy(volume, mine),
            readers=pieces.readers(self._cache, BY_BACKUP, backup.meta.uid) if backup.meta.deleting else (),
        )

    def _busy(self, volume: str, mine: DiskBackupObj | None) -> str:
        for other in self._cache.by(DISK_BACKUP, BY_VOLUME, volume) if volume else ():
            done = holds(other.status.conditions, Type.PROVISIONED) and not other.meta.deleting
            if not done and (mine is None or other.meta.uid != mine.meta.uid):
                return str(other.key)
        return ""

    def plan(self, wanted: BackupObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """See `plan`."""
        return plan(wanted, seen)

    async def act(self, action: Action) -> None:
        """Do one action."""
        match action:
            case Protect(backup):
                await pieces.hold(self._store, backup)
            case Unprotect(backup):
                await pieces.let_go(self._store, backup)
            case Make(backup, spec):
                await pieces.make(self._store, DISK_BACKUP, backup.key, spec, backup.owner)
            case Drop(mine):
                await self._store.delete(DISK_BACKUP, mine.key, uid=mine.meta.uid)

    def report(self, wanted: BackupObj, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """What there is of it."""
        if wanted.meta.deleting and isinstance(outcome, Done):
            return ()
        phase = "Ready" if isinstance(outcome, Done) else "Deleting" if wanted.meta.deleting else "Pending"
        fields, mine = replace(wanted.status, phase=phase, conditions=()), seen.mine
        if mine is not None:
            status = mine.status
            fields = replace(
                fields,
                volume_uid=mine.spec.volume_uid,
                size=status.virtual_size,
                stored=status.stored,
                transferred=status.transferred,
                progress=status.progress,
                finished_at=status.finished_at,
            )
        if seen.snapshot is not None and not fields.volume:
            fields = replace(fields, volume=seen.snapshot.spec.volume)
        return (Report(wanted, fields),)

    def _beside(self, mine: DiskBackupObj) -> Iterator[Key]:
        """Its own, and those that wait for their turn."""
        yield mine.key
        for backup in self._cache.all(VOLUME_BACKUP):
            if not backup.status.finished_at or backup.meta.deleting:
                yield backup.key

    def _of_snapshot(self, snapshot: Any) -> Iterator[Key]:
        for backup in self._cache.all(VOLUME_BACKUP):
            same = (backup.meta.namespace, backup.spec.snapshot) == (snapshot.meta.namespace, snapshot.meta.name)
            if same and not backup.status.finished_at:
                yield backup.key

    def _of_disk(self, disk: Any) -> Iterator[Key]:
        if disk.spec.backup is None:
            return
        for backup in self._cache.all(VOLUME_BACKUP):
            if backup.meta.uid == disk.spec.backup.backup_uid and backup.meta.deleting:
                yield backup.key
