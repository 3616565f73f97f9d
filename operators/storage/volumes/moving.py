"""Decides how a Volume moves to another pool under its guest.

A second Disk is made there, empty (`replaces` names the first). The guest's hypervisor copies into it and goes over to
it; that it did is the moment from which the new Disk holds the data, so only then is it `filled`, and the first one
freed. Until then the first one is the Volume's Disk, whatever is killed.
"""

from __future__ import annotations

from dataclasses import replace

from operators.contract import names
from operators.contract.meta import holds
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Outcome
from operators.storage.volumes.model import Action, Adjust, DeleteDisk, DiskObj, MakeDisk, Seen, VolumeObj
from operators.storage.volumes.placement import refusal


def move(volume: VolumeObj, seen: Seen, disk: DiskObj) -> tuple[list[Action], Outcome | None]:
    """The next step of a move, and how that stands; None when there is nothing to move. A move begun is finished."""
    # One that a guest took its data away from to another host stays until that guest's Instance there is gone.
    free = [each for each in seen.retired if each.spec.host_name not in seen.moves.used - {disk.spec.host_name}]
    freed = [action for each in free for action in _free(each)]
    if seen.heir is None:
        return freed, None if volume.spec.pool in ("", disk.spec.pool) else _refused(volume, seen, disk)
    heir, target = seen.heir, seen.heir.spec.pool
    if seen.went:
        settled = Adjust(heir, replace(heir.spec, filled=True))
        return [*freed, settled], Blocked(Reason.MOVING, f"its guest has gone over to pool {target}")
    if not holds(heir.status.conditions, Type.PROVISIONED):
        return freed, Blocked(Reason.MOVING, f"host {heir.spec.host_name} makes room for it on pool {target}")
    if not any(holder.running for holder in seen.holders):
        message = f"it moves to pool {target} once a virtual machine that lists it runs; it can be used meanwhile"
        return freed, Blocked(Reason.MOVING, message)
    return freed, Blocked(Reason.MOVING, f"it is being copied to pool {target} under its guest")


def _free(disk: DiskObj) -> list[Action]:
    """Remove a Disk with its file, whatever the reclaim policy: what it held is elsewhere."""
    if disk.meta.deleting:
        return []
    return [*([Adjust(disk, replace(disk.spec, keep=False))] if disk.spec.keep else []), DeleteDisk(disk)]


def begin(volume: VolumeObj, seen: Seen, disk: DiskObj) -> list[Action]:
    """Make the Disk to move to, if there is to be one and it can be had."""
    target = volume.spec.pool
    if seen.heir is not None or target in ("", disk.spec.pool) or _refused(volume, seen, disk) is not None:
        return []
    spec = replace(
        disk.spec,
        pool=target,
        image_copy="",
        snapshot="",
        adopt=False,
        keep=False,
        replaces=disk.meta.uid,
        filled=False,
    )
    return [MakeDisk(volume, names.disk_moved(volume.meta.name, target), spec)]


def target(seen: Seen) -> str:
    """The Disk that a running guest may go over to."""
    heir = seen.heir
    return heir.meta.name if heir is not None and holds(heir.status.conditions, Type.PROVISIONED) else ""


def _refused(volume: VolumeObj, seen: Seen, disk: DiskObj) -> Blocked | None:
    """Why it cannot move to the pool that its user names; it stays usable where it is."""
    wanted = volume.spec.pool
    if seen.sights or len(seen.holders) > 1:
        return Blocked(Reason.NO_POOL_FITS, f"it moves to pool {wanted} once only one host uses it")
    if not any(holder.running for holder in seen.holders):
        return Blocked(Reason.MOVING, f"it moves to pool {wanted} once a virtual machine that lists it runs")
    pool = next((each for each in seen.pools if each.name == wanted), None)
    if pool is None:
        return Blocked(Reason.NO_POOL_FITS, f"there is no StoragePool {wanted}; it stays on {disk.spec.pool}")
    tags = seen.offering.spec.tags if seen.offering else frozenset()
    if why := refusal(volume, pool, tags, disk.spec.size):
        return Blocked(Reason.NO_POOL_FITS, f"pool {wanted}: {why}; it stays on {disk.spec.pool}")
    return None
