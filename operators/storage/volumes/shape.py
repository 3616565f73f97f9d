"""What every new Disk of a Volume has in common, wherever its data comes from."""

from __future__ import annotations

from dataclasses import replace

from operators.contract.formats import DiskFormat, disk_path
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason
from operators.contract.storage import DiskLimits, DiskSpec, Provisioning, ReclaimPolicy
from operators.kernel.outcome import Blocked, Problem, Rejected
from operators.storage.volumes.model import OfferingObj, Seen, VolumeObj

SECTOR = 512
"""Disks are whole sectors."""


def shape(volume: VolumeObj, seen: Seen, host: str, pool: str, size: Quantity) -> DiskSpec:
    """A blank Disk on a pool of a host."""
    form = format_of(volume, seen)
    return DiskSpec(
        host_name=host,
        pool=pool,
        path=disk_path(volume.meta.uid, form),
        volume=replace(volume.ref, namespace="", kind=""),
        size=size,
        format=form,
        preallocated=seen.offering is not None and seen.offering.spec.provisioning == Provisioning.FAT,
        keep=keeps(volume),
        limits=limits(volume, seen, DiskLimits()),
    )


def format_of(volume: VolumeObj, seen: Seen) -> str:
    """How its data lies on a pool: as it does, once it does, whatever the offering says by now."""
    offered = seen.offering.spec.format if seen.offering is not None else ""
    return volume.status.format or volume.spec.format or offered or DiskFormat.QCOW2


def keeps(volume: VolumeObj) -> bool:
    """Whether the file stays when the Volume is deleted."""
    return volume.spec.reclaim_policy == ReclaimPolicy.RETAIN


def limits(volume: VolumeObj, seen: Seen, before: DiskLimits) -> DiskLimits:
    """The stricter of the user's and the DiskOffering's; as before while there is no such offering."""
    if seen.offering is None:
        return before
    offered, asked = seen.offering.spec.limits or DiskLimits(), volume.spec.limits or DiskLimits()
    return DiskLimits(_stricter(offered.iops, asked.iops), Quantity(_stricter(offered.throughput, asked.throughput)))


def _stricter(one: int, other: int) -> int:
    """The smaller of two limits, of which 0 is none."""
    return min(one, other) if one and other else one or other


def offered(volume: VolumeObj, seen: Seen) -> OfferingObj:
    """The Volume's DiskOffering. Raises Problem."""
    if seen.offering is None:
        message = f"there is no DiskOffering {volume.spec.disk_offering}; make one or name another"
        raise Problem(Blocked(Reason.OFFERING_NOT_FOUND, message))
    return seen.offering


def size_of_copy(volume: VolumeObj, seen: Seen, origin: str, least: Quantity) -> Quantity:
    """How large a Disk is to be that starts out with what `origin` has. Raises Problem."""
    asked = offered(volume, seen).spec.size or volume.spec.size or least
    if asked < least:
        message = f"{origin} needs {least}, not {asked}; ask for more, or leave the size out"
        raise Problem(Rejected(Reason.SIZE_TOO_SMALL, message))
    return aligned(asked)


def aligned(size: int) -> Quantity:
    """A size rounded up to whole sectors."""
    return Quantity(-(-size // SECTOR) * SECTOR)
