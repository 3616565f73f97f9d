"""Decides where a Volume is made that starts out with what is in a pool: another Volume's data, or a file to adopt.

What a guest runs on cannot be copied as it lies. A VolumeSnapshot is made for the Volume then, which is copied instead
and goes once the copy is there. It is the Volume's own: with a Volume that is deleted meanwhile it goes, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from operators.contract import names
from operators.contract.formats import Ability, DiskFormat
from operators.contract.meta import condition, holds
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Outcome, Rejected
from operators.storage import abilities
from operators.storage.volumes.model import (
    Action,
    Adjust,
    DiskObj,
    DropSnapshot,
    MakeDisk,
    MakeSnapshot,
    Seen,
    SnapshotObj,
    VolumeObj,
)
from operators.storage.volumes.restore import copied
from operators.storage.volumes.shape import format_of, shape, size_of_copy


def place(volume: VolumeObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """Have its Disk made from another Volume's, on the same pool, at once. Raises Problem."""
    name, origin = volume.spec.source.volume, seen.origin
    if seen.between is not None:
        return _by_snapshot(volume, seen, seen.between)
    if origin is None or origin.deleting:
        gone = "is being deleted" if origin is not None else "does not exist in its namespace"
        return (), Blocked(Reason.VOLUME_NOT_FOUND, f"Volume {name} {gone}")
    disk = origin.disk
    if disk is None or not holds(disk.status.conditions, Type.PROVISIONED):
        return (), Blocked(Reason.WAITING_FOR_VOLUMES, f"Volume {name} is not made yet, so there is nothing to copy")
    if volume.spec.pool and volume.spec.pool != disk.spec.pool:
        message = f"Volume {name} is on pool {disk.spec.pool}: leave spec.pool out; the copy can be moved later"
        return (), Rejected(Reason.NO_POOL_FITS, message)
    size = size_of_copy(volume, seen, f"Volume {name}", disk.spec.size)
    if why := abilities.lack(disk.spec.pool, origin.told, Ability.COPIES, disk.spec.format):
        return (), Blocked(Reason.UNSUPPORTED, f"{why}; make it of a VolumeBackup instead")
    if origin.runs:
        return _snapshot(volume, seen, origin.runs)
    spec = replace(shape(volume, seen, disk.spec.host_name, disk.spec.pool, size), snapshot=disk.spec.path)
    message = f"host {spec.host_name} copies Volume {name} on pool {spec.pool}"
    return (MakeDisk(volume, names.disk(volume.meta.name), spec),), Blocked(Reason.PROVISIONING, message)


def _snapshot(volume: VolumeObj, seen: Seen, runs: str) -> tuple[Sequence[Action], Outcome]:
    """Have a snapshot taken of the other Volume, by the hypervisor of the guest that runs on it."""
    name = names.source_snapshot(volume.meta.name)
    if seen.stranger:
        message = f"VolumeSnapshot {name} is somebody's own: delete it, or name the Volume otherwise"
        return (), Blocked(Reason.NAME_TAKEN, message)
    message = f"VirtualMachine {runs} runs on Volume {volume.spec.source.volume}: VolumeSnapshot {name} is taken of it"
    return (MakeSnapshot(volume),), Blocked(Reason.WAITING_FOR_VOLUMES, message)


def _by_snapshot(volume: VolumeObj, seen: Seen, snapshot: SnapshotObj) -> tuple[Sequence[Action], Outcome]:
    """Have its Disk made from its own snapshot, or say what that waits for."""
    name, said = snapshot.meta.name, condition(snapshot.status.conditions, Type.READY)
    if snapshot.meta.deleting:
        return (), Blocked(Reason.WAITING_FOR_VOLUMES, f"VolumeSnapshot {name} is removed, and taken anew after that")
    if said is not None and not said.true:
        return (), Blocked(said.reason, f"VolumeSnapshot {name} of Volume {volume.spec.source.volume}: {said.message}")
    return copied(volume, seen, snapshot)


def settle(volume: VolumeObj, seen: Seen, disk: DiskObj) -> list[Action]:
    """Let go of the snapshot once the copy is there; turn to one when a guest was started before there was a copy."""
    own, said = seen.between, condition(disk.status.conditions, Type.PROVISIONED)
    if not volume.spec.source.volume or said is None:
        return []
    if said.true:
        return [DropSnapshot(own)] if own is not None and not own.meta.deleting else []
    if said.reason != Reason.STILL_ATTACHED or disk.spec.snapshot.startswith("snapshots/") or seen.stranger:
        return []
    if own is None:
        return [MakeSnapshot(volume)] if seen.origin is not None and seen.origin.runs else []
    if own.meta.deleting or not holds(own.status.conditions, Type.READY) or own.status.pool != disk.spec.pool:
        return []
    return [Adjust(disk, replace(disk.spec, snapshot=names.snapshot_path(own.meta.uid)))]


def adopt(volume: VolumeObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """Have a file that the operator of the cloud put into a pool become its Disk's. Raises Problem."""
    pool = next((pool for pool in seen.pools if pool.name == volume.spec.pool), None)
    if pool is None:
        message = f"pool {volume.spec.pool} is looked into once a VirtualMachine on a host that reaches it lists this"
        return (), Blocked(Reason.WAITING_FOR_FIRST_CONSUMER, message)
    if pool.problem:
        return (), Blocked(Reason.NO_POOL_FITS, f"pool {pool.name}: {pool.problem}")
    if why := abilities.lack(pool.name, pool.told, Ability.ADOPTION):
        return (), Blocked(Reason.UNSUPPORTED, f"{why}; name another pool")
    if volume.spec.size is None:
        return (), Rejected(Reason.INVALID, "say spec.size: the file's virtual size, or more to grow it")
    if format_of(volume, seen) != DiskFormat.QCOW2:
        message = f"a file to adopt is qcow2: name another DiskOffering than {volume.spec.disk_offering}"
        return (), Rejected(Reason.INVALID, message)
    size = size_of_copy(volume, seen, volume.spec.source.file, Quantity(0))
    spec = replace(shape(volume, seen, pool.executor, pool.name, size), adopt_file=volume.spec.source.file)
    message = f"host {pool.executor} looks at adopt/{spec.adopt_file} in pool {pool.name}"
    return (MakeDisk(volume, names.disk(volume.meta.name), spec),), Blocked(Reason.PROVISIONING, message)
