"""Decides where a Volume is made that starts out with what is in a pool: another Volume's data, or a file to adopt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from operators.contract import names
from operators.contract.formats import DiskFormat
from operators.contract.meta import holds
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Outcome, Rejected
from operators.storage.volumes.model import Action, MakeDisk, Seen, VolumeObj
from operators.storage.volumes.shape import format_of, shape, size_of_copy


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
    size = size_of_copy(volume, seen, f"Volume {name}", disk.spec.size)
    spec = replace(shape(volume, seen, disk.spec.host_name, disk.spec.pool, size), snapshot=disk.spec.path)
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
    if format_of(volume, seen) != DiskFormat.QCOW2:
        message = f"a file to adopt is qcow2: name another DiskOffering than {volume.spec.disk_offering}"
        return (), Rejected(Reason.INVALID, message)
    size = size_of_copy(volume, seen, volume.spec.source.file, Quantity(0))
    spec = replace(shape(volume, seen, pool.executor, pool.name, size), adopt_file=volume.spec.source.file)
    message = f"host {pool.executor} looks at adopt/{spec.adopt_file} in pool {pool.name}"
    return (MakeDisk(volume, names.disk(volume.meta.name), spec),), Blocked(Reason.PROVISIONING, message)
