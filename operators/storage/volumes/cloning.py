"""Decides where a Volume is made that starts out with what is in a pool: another Volume's data, or a file to adopt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from operators.contract import names
from operators.contract.meta import holds
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason, Type
from operators.contract.storage import DiskSpec, ReclaimPolicy
from operators.kernel.outcome import Blocked, Outcome, Problem, Rejected
from operators.storage.volumes.model import Action, MakeDisk, Seen, VolumeObj

SECTOR = 512


def place(volume: VolumeObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """Have its Disk made from another Volume's, on the same pool, at once. Raises Problem."""
    name, origin = volume.spec.source.volume, seen.origin
    if origin is None or origin.deleting:
        gone = "is being deleted" if origin is not None else "does not exist in its namespace"
        return (), Blocked(Reason.VOLUME_NOT_FOUND, f"Volume {name} {gone}")
    disk = origin.disk
    if disk is None or not holds(disk.status.conditions, Type.PROVISIONED):
        return (), Blocked(Reason.WAITING_FOR_VOLUMES, f"Volume {name} is not made yet, so there is nothing to copy")
    if origin.runs:
        message = f"VirtualMachine {origin.runs} runs on Volume {name}: stop it, or copy a VolumeSnapshot of it instead"
        return (), Blocked(Reason.STILL_ATTACHED, message)
    if volume.spec.pool and volume.spec.pool != disk.spec.pool:
        message = f"Volume {name} is on pool {disk.spec.pool}: leave spec.pool out; the copy can be moved later"
        return (), Rejected(Reason.NO_POOL_FITS, message)
    spec = DiskSpec(
        host_name=disk.spec.host_name,
        pool=disk.spec.pool,
        path=f"volumes/{volume.meta.uid}.qcow2",
        volume=replace(volume.ref, namespace="", kind=""),
        size=_size(volume, seen, disk.spec.size),
        snapshot=disk.spec.path,
        keep=volume.spec.reclaim_policy == ReclaimPolicy.RETAIN,
    )
    message = f"host {spec.host_name} copies Volume {name} on pool {spec.pool}"
    return (MakeDisk(volume, names.disk(volume.meta.name), spec),), Blocked(Reason.PROVISIONING, message)


def adopt(volume: VolumeObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """Have a file that the operator of the cloud put into a pool become its Disk's. Raises Problem."""
    pool = next((pool for pool in seen.pools if pool.name == volume.spec.pool), None)
    if pool is None:
        message = f"pool {volume.spec.pool} is looked into once a VirtualMachine on a host that reaches it lists this"
        return (), Blocked(Reason.WAITING_FOR_FIRST_CONSUMER, message)
    if pool.problem:
        return (), Blocked(Reason.NO_POOL_FITS, f"pool {pool.name}: {pool.problem}")
    if volume.spec.size is None:
        return (), Rejected(Reason.INVALID, "say spec.size: the file's virtual size, or more to grow it")
    spec = DiskSpec(
        host_name=pool.executor,
        pool=pool.name,
        path=f"volumes/{volume.meta.uid}.qcow2",
        volume=replace(volume.ref, namespace="", kind=""),
        size=_size(volume, seen, Quantity(0)),
        adopt_file=volume.spec.source.file,
        keep=volume.spec.reclaim_policy == ReclaimPolicy.RETAIN,
    )
    message = f"host {pool.executor} looks at adopt/{spec.adopt_file} in pool {pool.name}"
    return (MakeDisk(volume, names.disk(volume.meta.name), spec),), Blocked(Reason.PROVISIONING, message)


def _size(volume: VolumeObj, seen: Seen, least: Quantity) -> Quantity:
    """How large the Disk is to be. Raises Problem."""
    if seen.offering is None:
        message = f"there is no DiskOffering {volume.spec.disk_offering}; make one or name another"
        raise Problem(Blocked(Reason.OFFERING_NOT_FOUND, message))
    asked = seen.offering.spec.size or volume.spec.size or least
    if asked < least:
        message = f"Volume {volume.spec.source.volume} has {least}; ask for that or more, or leave the size out"
        raise Problem(Rejected(Reason.SIZE_TOO_SMALL, message))
    return Quantity(-(-asked // SECTOR) * SECTOR)
