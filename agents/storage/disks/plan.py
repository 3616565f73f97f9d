"""Decides what brings one Disk's file to its spec."""

from __future__ import annotations

from collections.abc import Sequence

from agents.storage.disks.model import (
    Action,
    Adopt,
    Base,
    Copy,
    Create,
    DiskObj,
    GiveBack,
    Remove,
    Resize,
    Seen,
    Take,
)
from agents.storage.folders import Place
from agents.storage.formats import QCOW2, Layout
from operators.contract.meta import holds
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Done, Outcome, Rejected, Retry

OFFLINE = 15.0
"""Seconds between looks at a pool that is offline."""
BROKEN = 60.0
"""Seconds between looks at what only an administrator can mend."""
GROWS = 1.0
"""Seconds between looks at a file that grows under a guest; that it has, nothing tells."""
FOREIGN = 3.0
"""Seconds between looks at what another host does to a shared pool; its objects are not watched here."""


def plan(disk: DiskObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """The next step for one Disk, and how it stands once that is done."""
    if disk.meta.deleting:
        return _end(disk, seen)
    if seen.offline or seen.place is None:
        return (), Retry(Reason.POOL_OFFLINE, f"pool {disk.spec.pool}: {seen.offline}", after=OFFLINE)
    if seen.strange:
        return (), Retry(Reason.STORAGE_ERROR, f"{seen.strange}. It was left alone; move it away", after=BROKEN)
    if disk.spec.file_of:
        return (), _sight(disk, seen)
    if seen.source is not None and not seen.taken:
        return _take(disk, seen, seen.source)
    if seen.file is None:
        return _make(disk, seen)
    # One without is fine where its Disk was made from an image: a snapshot that was brought back stands on its own.
    if seen.file.backing and not disk.spec.image_copy and not disk.spec.adopt:
        message = f"{disk.spec.path} is made from {seen.file.backing}, contrary to its Disk"
        return (), Retry(Reason.STORAGE_ERROR, message, after=BROKEN)
    if seen.file.virtual_size < disk.spec.size and seen.in_use:
        return (), Done(message="a running guest has it open: its hypervisor grows it", after=GROWS)
    if seen.file.virtual_size < disk.spec.size:
        return (Resize(seen.place, disk.spec.size, _layout(disk)),), Done()
    if seen.file.virtual_size > disk.spec.size:
        message = f"the file has {Quantity(seen.file.virtual_size)}, and shrinking it would lose data"
        return (), Rejected(Reason.SIZE_TOO_SMALL, message)
    return (), Done()


def _sight(disk: DiskObj, seen: Seen) -> Outcome:
    """Whether a file that another host sees to is here, too. Nothing tells when it comes or grows."""
    assert seen.place is not None
    if seen.file is None:
        message = f"{seen.place.absolute} of Disk {disk.spec.file_of} is not seen here: is the same folder mounted?"
        return Retry(Reason.PROVISIONING, message, after=FOREIGN)
    if seen.file.virtual_size < disk.spec.size:
        return Retry(Reason.PROVISIONING, f"Disk {disk.spec.file_of} has yet to grow", after=FOREIGN)
    return Done()


def _make(disk: DiskObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    assert seen.place is not None
    if seen.moved:
        return (), Blocked(Reason.MOVING, "its data is on another pool by now")
    if disk.status.virtual_size or disk.spec.adopt:
        # Made again it would be blank, or fresh from the image, and pass for the data that was written.
        message = f"{seen.place.absolute} was made and is gone; put it back (is the pool mounted?) or delete the Volume"
        return (), Retry(Reason.STORAGE_ERROR, message, after=BROKEN)
    if disk.spec.snapshot or disk.spec.backup is not None:
        return _copy(disk, seen, seen.origin)
    if disk.spec.adopt_file:
        # How large it is, the next look tells.
        origin = Place(seen.place.pool, "adopt", disk.spec.adopt_file)
        return (Adopt(seen.place, origin),), Retry(Reason.PROVISIONING, f"{origin.file} was taken", after=0.0)
    base = seen.base or Base()
    if base.problem:
        if base.ours:
            return (), Blocked(Reason.WAITING_FOR_IMAGE, base.problem)
        return (), Retry(Reason.WAITING_FOR_IMAGE, base.problem, after=FOREIGN)
    if base.virtual_size > disk.spec.size:
        message = f"the image needs {Quantity(base.virtual_size)}, the Disk has only {disk.spec.size}"
        return (), Rejected(Reason.SIZE_TOO_SMALL, message)
    if base.place is not None and _layout(disk) != QCOW2:
        return _copy(disk, seen, base.place)
    return (Create(seen.place, disk.meta.uid, disk.spec.size, base.backing, _layout(disk)),), Done()


def _layout(disk: DiskObj) -> Layout:
    return Layout(disk.spec.format, disk.spec.preallocated)


def _copy(disk: DiskObj, seen: Seen, origin: Place | None) -> tuple[Sequence[Action], Outcome]:
    """Make it whole from a snapshot, an image or a backup, which takes as long as there is data in it."""
    assert seen.place is not None
    job = seen.copying
    if job is not None and job.running:
        return (), Blocked(job.reason or Reason.COPYING, job.message or _copying(disk))
    if job is not None and job.again_in > 0:
        return (), Retry(job.reason, job.message, after=job.again_in)
    if origin is None and disk.spec.snapshot:
        message = f"{disk.spec.snapshot} is not in pool {disk.spec.pool}; delete the Volume, and make it from another"
        return (), Retry(Reason.SNAPSHOT_NOT_FOUND, message, after=BROKEN)
    said = Blocked(job.reason, job.message) if job is not None and job.reason else None
    return (Copy(disk, origin, seen.place),), said or Blocked(Reason.COPYING, _copying(disk))


def _take(disk: DiskObj, seen: Seen, source: Place) -> tuple[Sequence[Action], Outcome]:
    """Bring the data of another pool here. A file that is here already is of an attempt that was cut off."""
    assert seen.place is not None
    job = seen.copying
    said = Blocked(Reason.COPYING, f"{source.absolute} is being copied; no guest can start on it meanwhile")
    if job is not None and job.reason:
        said = Blocked(job.reason, job.message)
    if job is not None and job.running:
        return (), said
    if job is not None and job.again_in > 0:
        return (), Retry(job.reason, job.message, after=job.again_in)
    return (Take(disk, source, seen.place),), said


def _copying(disk: DiskObj) -> str:
    if disk.spec.backup is not None:
        return f"it is being restored from ImageStore {disk.spec.backup.image_store} to pool {disk.spec.pool}"
    origin = disk.spec.snapshot or f"image {disk.spec.image_copy}"
    return f"{origin} is being copied in pool {disk.spec.pool}"


def _end(disk: DiskObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    if disk.spec.keep:
        return (), Done(Reason.RELEASED, f"its file {disk.spec.path} is kept in pool {disk.spec.pool}")
    if holds(disk.status.conditions, Type.RELEASED):
        return (), Done(Reason.RELEASED)
    if seen.offline or seen.place is None:
        return (), Retry(Reason.POOL_OFFLINE, f"pool {disk.spec.pool}: {seen.offline}", after=OFFLINE)
    back = (GiveBack(disk, seen.source),) if seen.source is not None else ()
    return (*back, Remove(seen.place, disk.meta.uid)), Done(Reason.RELEASED)
