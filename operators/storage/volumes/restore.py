"""Decides where a Volume is made from a snapshot or a backup.

From a snapshot: on the snapshot's own pool, at once, whoever will use it. From a backup: wherever it is first used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from operators.contract import names
from operators.contract.formats import Ability
from operators.contract.meta import holds
from operators.contract.reasons import Reason, Type
from operators.contract.storage import BackupRef
from operators.kernel.outcome import Blocked, Outcome, Rejected
from operators.storage.volumes.model import Action, MakeDisk, Seen, SnapshotObj, VolumeObj
from operators.storage.volumes.placement import choose
from operators.storage.volumes.shape import shape, size_of_copy


def place(volume: VolumeObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """Have its Disk made. Raises Problem."""
    name, snapshot = volume.spec.source.snapshot, seen.snapshot
    if snapshot is None or snapshot.meta.deleting:
        gone = "is being deleted" if snapshot is not None else "does not exist in its namespace"
        return (), Blocked(Reason.SNAPSHOT_NOT_FOUND, f"VolumeSnapshot {name} {gone}")
    return copied(volume, seen, snapshot)


def copied(volume: VolumeObj, seen: Seen, snapshot: SnapshotObj) -> tuple[Sequence[Action], Outcome]:
    """Have its Disk made from that snapshot, once it is taken. Raises Problem."""
    name, said = snapshot.meta.name, snapshot.status
    if not holds(said.conditions, Type.READY) or said.size is None:
        return (), Blocked(Reason.WAITING_FOR_VOLUMES, f"VolumeSnapshot {name} is still being taken")
    if volume.spec.pool and volume.spec.pool != said.pool:
        message = f"VolumeSnapshot {name} is on pool {said.pool}, not {volume.spec.pool}; leave spec.pool out"
        return (), Rejected(Reason.NO_POOL_FITS, message)
    size = size_of_copy(volume, seen, f"VolumeSnapshot {name}", said.size)
    spec = shape(volume, seen, said.host_name, said.pool, size)
    spec = replace(spec, snapshot=names.snapshot_path(snapshot.meta.uid))
    message = f"host {said.host_name} makes its disk from VolumeSnapshot {name} on pool {said.pool}"
    return (MakeDisk(volume, names.disk(volume.meta.name), spec),), Blocked(Reason.PROVISIONING, message)


def from_backup(volume: VolumeObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """Have its Disk made on any pool that its first consumer's host reaches. Raises Problem."""
    name, backup = volume.spec.source.backup, seen.backup
    if backup is None or backup.meta.deleting:
        gone = "is being deleted" if backup is not None else "does not exist in its namespace"
        return (), Blocked(Reason.BACKUP_NOT_FOUND, f"VolumeBackup {name} {gone}")
    said = backup.status
    if not holds(said.conditions, Type.READY) or said.size is None:
        return (), Blocked(Reason.WAITING_FOR_VOLUMES, f"VolumeBackup {name} is still being made")
    size = size_of_copy(volume, seen, f"VolumeBackup {name}", said.size)
    if not seen.holders:
        return (), Blocked(Reason.WAITING_FOR_FIRST_CONSUMER, "it is placed once a VirtualMachine lists it")
    pool = choose(volume, seen, size, Ability.BACKUPS)
    ref = BackupRef(backup.spec.image_store, said.volume_uid, backup.meta.uid)
    spec = replace(shape(volume, seen, pool.executor, pool.name, size), backup=ref)
    message = f"host {pool.executor} restores it from VolumeBackup {name} to pool {pool.name}"
    return (MakeDisk(volume, names.disk(volume.meta.name), spec),), Blocked(Reason.PROVISIONING, message)
