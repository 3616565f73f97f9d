"""Decides what brings one VolumeBackup closer to its spec.

Backups of one Volume share what they have in common in the store, so only one of them at a time is made or removed: a
removal would else take what the other counts on.
"""

from __future__ import annotations

from collections.abc import Sequence

from operators.contract import names
from operators.contract.backups import DiskBackupSpec
from operators.contract.formats import Ability
from operators.contract.meta import condition, holds
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Done, Outcome
from operators.storage import abilities
from operators.storage.backups.model import Action, BackupObj, DiskBackupObj, Drop, Make, Protect, Seen, Unprotect

FINALIZER = names.finalizer("storage")
Plan = tuple[Sequence[Action], Outcome]


def plan(backup: BackupObj, seen: Seen) -> Plan:
    """The next steps for one VolumeBackup, and how it stands once they are done."""
    if backup.meta.deleting:
        return _end(backup, seen)
    actions, outcome = _plan(backup, seen)
    if FINALIZER not in backup.meta.finalizers:
        actions = [Protect(backup), *actions]
    return actions, outcome


def _plan(backup: BackupObj, seen: Seen) -> Plan:
    mine = seen.mine
    if mine is None:
        return _make(backup, seen)
    if mine.meta.deleting:
        return (), Blocked(Reason.STORAGE_ERROR, "its DiskBackup was deleted by someone, and is being removed with it")
    if holds(mine.status.conditions, Type.PROVISIONED):
        return (), Done()
    return (), Blocked(*_why(mine, Type.PROVISIONED, Reason.COPYING, "copies it"))


def _make(backup: BackupObj, seen: Seen) -> Plan:
    name, snapshot = backup.spec.snapshot, seen.snapshot
    if backup.status.finished_at:
        return (), Blocked(Reason.STORAGE_ERROR, "its DiskBackup was deleted by someone; delete this one, too")
    if not seen.store:
        message = f"there is no ImageStore {backup.spec.image_store}; make it, or name another"
        return (), Blocked(Reason.IMAGE_STORE_NOT_FOUND, message)
    if seen.name_taken:
        return (), Blocked(Reason.DELETING, "an earlier VolumeBackup of this name is still being removed")
    if snapshot is None or snapshot.meta.deleting:
        gone = "is being deleted" if snapshot is not None else "does not exist in this namespace"
        return (), Blocked(Reason.SNAPSHOT_NOT_FOUND, f"VolumeSnapshot {name} {gone}")
    if not holds(snapshot.status.conditions, Type.READY):
        return (), Blocked(Reason.WAITING_FOR_VOLUMES, f"VolumeSnapshot {name} is still being taken")
    if seen.busy:
        return (), Blocked(Reason.RETRYING, f"DiskBackup {seen.busy} of the same Volume comes first")
    said = snapshot.status
    if why := abilities.lack(said.pool, seen.told, Ability.BACKUPS):
        return (), Blocked(Reason.UNSUPPORTED, f"{why}; move the Volume to another pool, and take another snapshot")
    spec = DiskBackupSpec(
        host_name=said.host_name,
        pool=said.pool,
        source=names.snapshot_path(snapshot.meta.uid),
        image_store=backup.spec.image_store,
        backup=backup.ref,
        volume_uid=said.volume_uid,
    )
    return (Make(backup, spec),), Blocked(Reason.COPYING, f"host {spec.host_name} copies it")


def _why(mine: DiskBackupObj, type_: Type, reason: Reason, does: str) -> tuple[str, str]:
    found, where = condition(mine.status.conditions, type_), f"host {mine.spec.host_name}"
    if found is not None and not found.true:
        return found.reason, f"{where}: {found.message}"
    return reason, f"{where} {does}"


def _end(backup: BackupObj, seen: Seen) -> Plan:
    if seen.readers:
        message = f"Volumes are being made from it: {', '.join(seen.readers)}. It goes when they are there"
        return (), Blocked(Reason.STILL_IN_USE, message)
    if seen.mine is None:
        return (Unprotect(backup),), Done(Reason.RELEASED)
    if seen.mine.meta.deleting:
        return (), Blocked(*_why(seen.mine, Type.RELEASED, Reason.DELETING, "removes it from the store"))
    if seen.busy:
        return (), Blocked(Reason.RETRYING, f"DiskBackup {seen.busy} of the same Volume comes first")
    return (Drop(seen.mine),), Blocked(Reason.DELETING, f"DiskBackup {seen.mine.meta.name} is to be removed")
