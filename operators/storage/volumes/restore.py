"""Decides where a Volume is made from a snapshot or a backup.

From a snapshot: on the snapshot's own pool, at once, whoever will use it. From a backup: wherever it is first used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from operators.contract import names
from operators.contract.meta import holds
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason, Type
from operators.contract.storage import BackupRef, DiskSpec, ReclaimPolicy
from operators.kernel.outcome import Blocked, Outcome, Problem, Rejected
from operators.storage.volumes.model import Action, MakeDisk, Seen, VolumeObj
from operators.storage.volumes.placement import choose


def place(volume: VolumeObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """Have its Disk made. Raises Problem."""
    name, snapshot = volume.spec.source.snapshot, seen.snapshot
    if snapshot is None or snapshot.meta.deleting:
        gone = "is being deleted" if snapshot is not None else "does not exist in its namespace"
        return (), Blocked(Reason.SNAPSHOT_NOT_FOUND, f"VolumeSnapshot {name} {gone}")
    said = snapshot.status
    if not holds(said.conditions, Type.READY) or said.size is None:
        return (), Blocked(Reason.WAITING_FOR_VOLUMES, f"VolumeSnapshot {name} is still being taken")
    if volume.spec.pool and volume.spec.pool != said.pool:
        message = f"VolumeSnapshot {name} is on pool {said.pool}, not {volume.spec.pool}; leave spec.pool out"
        return (), Rejected(Reason.NO_POOL_FITS, message)
    spec = DiskSpec(
        host_name=said.host_name,
        pool=said.pool,
        path=f"volumes/{volume.meta.uid}.qcow2",
        volume=replace(volume.ref, namespace="", kind=""),
        size=_size(volume, seen, f"VolumeSnapshot {name}", said.size),
        snapshot=names.snapshot_path(snapshot.meta.uid),
        keep=volume.spec.reclaim_policy == ReclaimPolicy.RETAIN,
    )
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
    size = _size(volume, seen, f"VolumeBackup {name}", said.size)
    if not seen.holders:
        return (), Blocked(Reason.WAITING_FOR_FIRST_CONSUMER, "it is placed once a VirtualMachine lists it")
    pool = choose(volume, seen, size)
    spec = DiskSpec(
        host_name=pool.executor,
        pool=pool.name,
        path=f"volumes/{volume.meta.uid}.qcow2",
        volume=replace(volume.ref, namespace="", kind=""),
        size=size,
        backup=BackupRef(backup.spec.image_store, said.volume_uid, backup.meta.uid),
        keep=volume.spec.reclaim_policy == ReclaimPolicy.RETAIN,
    )
    message = f"host {pool.executor} restores it from VolumeBackup {name} to pool {pool.name}"
    return (MakeDisk(volume, names.disk(volume.meta.name), spec),), Blocked(Reason.PROVISIONING, message)


def _size(volume: VolumeObj, seen: Seen, origin: str, least: Quantity) -> Quantity:
    """How large the Disk is to be. Raises Problem."""
    if seen.offering is None:
        message = f"there is no DiskOffering {volume.spec.disk_offering}; make one or name another"
        raise Problem(Blocked(Reason.OFFERING_NOT_FOUND, message))
    asked = seen.offering.spec.size or volume.spec.size or least
    if asked < least:
        message = f"{origin} needs {least}, not {asked}; ask for more, or leave the size out"
        raise Problem(Rejected(Reason.SIZE_TOO_SMALL, message))
    return Quantity(-(-asked // 512) * 512)
