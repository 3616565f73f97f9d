"""Decides how a Volume moves to another pool, under its guest or while none runs.

A second Disk is made there (`replaces` names the first). Under a guest it is empty: the hypervisor copies into it, and
the guest goes over to it. Else the storage agent brings the data there (`takeFrom`), and sets the first file aside.
That it did is the moment from which the new Disk holds the data, so only then is it `filled`, and the first one freed.
Until then the first one is the Volume's Disk, whatever is killed. A guest that is to run does not wait for a storage
agent's copy: that is given up, and the move goes on under the guest.
"""

from __future__ import annotations

from dataclasses import replace

from operators.contract import names
from operators.contract.formats import Ability
from operators.contract.meta import condition, holds
from operators.contract.reasons import Reason, Type
from operators.contract.storage import PoolFile
from operators.kernel.outcome import Blocked, Outcome
from operators.storage import abilities
from operators.storage.volumes.model import Action, Adjust, DeleteDisk, DiskObj, MakeDisk, Seen, VolumeObj
from operators.storage.volumes.placement import refusal


def move(volume: VolumeObj, seen: Seen, disk: DiskObj) -> tuple[list[Action], Outcome | None]:
    """The next step of a move, and how that stands; None when there is nothing to move. A move begun is finished."""
    # One that a guest took its data away from to another host stays until that guest's Instance there is gone.
    free = [each for each in seen.retired if each.spec.host_name not in seen.moves.used - {disk.spec.host_name}]
    aside = {each.spec.replaces for each in (disk, *seen.retired) if each.spec.take_from is not None}
    freed = [action for each in free for action in _free(each, each.meta.uid in aside)]
    if seen.heir is None:
        return freed, None if volume.spec.pool in ("", disk.spec.pool) else _refused(volume, seen, disk)
    if seen.heir.spec.take_from is not None:
        taken, outcome = _take(volume, seen, seen.heir)
        return [*freed, *taken], outcome
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


def _take(volume: VolumeObj, seen: Seen, heir: DiskObj) -> tuple[list[Action], Outcome]:
    """The next step of a move that the storage agent carries out."""
    target = heir.spec.pool
    if heir.meta.deleting:
        return [], Blocked(Reason.MOVING, f"what was copied to pool {target} is given up")
    if holds(heir.status.conditions, Type.PROVISIONED):
        settled = Adjust(heir, replace(heir.spec, filled=True))
        return [settled], Blocked(Reason.MOVING, f"it has been copied to pool {target}")
    if volume.spec.pool != target:
        return [DeleteDisk(heir)], Blocked(Reason.MOVING, f"it is no longer to move to pool {target}")
    if any(holder.running for holder in seen.holders):
        return [DeleteDisk(heir)], Blocked(Reason.MOVING, f"it is to move to pool {target} under its guest")
    said = condition(heir.status.conditions, Type.PROVISIONED)
    if said is not None and said.reason != Reason.COPYING:
        return [], Blocked(said.reason, f"to be copied to pool {target}: {said.message}")
    return [], Blocked(Reason.MOVING, f"host {heir.spec.host_name} copies it to pool {target}")


def _free(disk: DiskObj, aside: bool) -> list[Action]:
    """Remove a Disk with its file, whatever the reclaim policy: what it held is elsewhere."""
    if disk.meta.deleting:
        return []
    return [Adjust(disk, replace(disk.spec, keep=False)) if disk.spec.keep else DeleteDisk(disk, aside)]


def begin(volume: VolumeObj, seen: Seen, disk: DiskObj) -> list[Action]:
    """Make the Disk to move to, if there is to be one and it can be had."""
    target = volume.spec.pool
    if seen.heir is not None or target in ("", disk.spec.pool) or _refused(volume, seen, disk) is not None:
        return []
    runs = any(holder.running for holder in seen.holders)
    executor = next(pool.executor for pool in seen.pools if pool.name == target)
    spec = replace(
        disk.spec,
        host_name=executor,
        pool=target,
        image_copy="",
        snapshot="",
        adopt=False,
        keep=False,
        replaces=disk.meta.uid,
        filled=False,
        take_from=None if runs else PoolFile(disk.spec.pool, disk.spec.path),
    )
    return [MakeDisk(volume, names.disk_moved(volume.meta.name, target), spec)]


def target(seen: Seen) -> str:
    """The Disk that a running guest may go over to."""
    heir = seen.heir
    if heir is None or heir.spec.take_from is not None or not holds(heir.status.conditions, Type.PROVISIONED):
        return ""
    return heir.meta.name


def _refused(volume: VolumeObj, seen: Seen, disk: DiskObj) -> Blocked | None:
    """Why it cannot move to the pool that its user names; it stays usable where it is."""
    wanted = volume.spec.pool
    if seen.sights or len(seen.holders) > 1:
        return Blocked(Reason.NO_POOL_FITS, f"it moves to pool {wanted} once only one host uses it")
    pool = next((each for each in seen.pools if each.name == wanted), None)
    if pool is None:
        return Blocked(Reason.NO_POOL_FITS, f"there is no StoragePool {wanted}; it stays on {disk.spec.pool}")
    tags = seen.offering.spec.tags if seen.offering else frozenset()
    if why := refusal(volume, pool, tags, disk.spec.size, disk.spec.format):
        return Blocked(Reason.NO_POOL_FITS, f"pool {wanted}: {why}; it stays on {disk.spec.pool}")
    ability = Ability.MOVE_LIVE if any(holder.running for holder in seen.holders) else Ability.COPIES
    for name, told in ((disk.spec.pool, seen.told), (wanted, pool.told)):
        if why := abilities.lack(name, told, ability, disk.spec.format):
            return Blocked(Reason.UNSUPPORTED, f"{why}; it stays on {disk.spec.pool}")
    return None
