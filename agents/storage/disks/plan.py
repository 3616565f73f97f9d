"""Decides what brings one Disk's file to its spec."""

from __future__ import annotations

from collections.abc import Sequence

from agents.storage.disks.model import Action, Base, Create, DiskObj, Remove, Resize, Seen
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
    if seen.file is None:
        return _make(disk, seen)
    if bool(seen.file.backing) != bool(disk.spec.image_copy) and not disk.spec.adopt:
        found = f"is made from {seen.file.backing}" if seen.file.backing else "is not made from an image"
        return (), Retry(Reason.STORAGE_ERROR, f"{disk.spec.path} {found}, contrary to its Disk", after=BROKEN)
    if seen.file.virtual_size < disk.spec.size and seen.in_use:
        return (), Done(message="a running guest has it open: its hypervisor grows it", after=GROWS)
    if seen.file.virtual_size < disk.spec.size:
        return (Resize(seen.place, disk.spec.size),), Done()
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
    if disk.status.virtual_size or disk.spec.adopt:
        # Made again it would be blank, or fresh from the image, and pass for the data that was written.
        message = f"{seen.place.absolute} was made and is gone; put it back (is the pool mounted?) or delete the Volume"
        return (), Retry(Reason.STORAGE_ERROR, message, after=BROKEN)
    base = seen.base or Base()
    if base.problem:
        if base.ours:
            return (), Blocked(Reason.WAITING_FOR_IMAGE, base.problem)
        return (), Retry(Reason.WAITING_FOR_IMAGE, base.problem, after=FOREIGN)
    if base.virtual_size > disk.spec.size:
        message = f"the image needs {Quantity(base.virtual_size)}, the Disk has only {disk.spec.size}"
        return (), Rejected(Reason.SIZE_TOO_SMALL, message)
    return (Create(seen.place, disk.meta.uid, disk.spec.size, base.backing),), Done()


def _end(disk: DiskObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    if disk.spec.keep:
        return (), Done(Reason.RELEASED, f"its file {disk.spec.path} is kept in pool {disk.spec.pool}")
    if holds(disk.status.conditions, Type.RELEASED):
        return (), Done(Reason.RELEASED)
    if seen.offline or seen.place is None:
        return (), Retry(Reason.POOL_OFFLINE, f"pool {disk.spec.pool}: {seen.offline}", after=OFFLINE)
    return (Remove(seen.place, disk.meta.uid),), Done(Reason.RELEASED)
