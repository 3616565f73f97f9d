"""Decides what becomes of a Volume's data when its guest moves to a host that does not reach it. See docs/adr/0017.

A Disk is made at the target (`copyOf`), the hypervisors fill it, and it becomes the Volume's by one write, in which
`copyOf` is emptied and `filled` set, once Compute has committed the move. The former Disk goes with `moving`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from operators.contract import names
from operators.contract.formats import DiskFormat
from operators.contract.meta import Condition, condition
from operators.contract.reasons import Reason, Type
from operators.contract.storage import ReclaimPolicy
from operators.kernel.outcome import Blocked, Outcome, Problem
from operators.storage.volumes.model import Action, Adjust, Arriving, DeleteDisk, DiskObj, MakeDisk, Seen, VolumeObj
from operators.storage.volumes.placement import choose

Plan: TypeAlias = tuple[list[Action], Outcome | None]


def follow(volume: VolumeObj, seen: Seen, disk: DiskObj) -> Plan:
    """What is to be done about copies, and what holds one up, if anything does."""
    actions: list[Action] = []
    for copy in seen.moves.copies:
        if copy.meta.deleting:
            continue
        if copy.spec.host_name in seen.moves.arrived:
            keep = volume.spec.reclaim_policy == ReclaimPolicy.RETAIN
            taken = replace(copy.spec, copy_of="", copy_whole=False, adopt=True, keep=keep)
            return [Adjust(copy, replace(taken, replaces=disk.meta.uid, filled=True))], None
        if copy.spec.host_name not in seen.moves.used:
            actions.append(DeleteDisk(copy))
    trouble: Outcome | None = None
    for arriving in seen.moves.arriving:
        made, late = _copy(volume, seen, disk, arriving)
        actions, trouble = [*actions, *made], trouble or late
    return actions, trouble


def held_up(volume: VolumeObj, seen: Seen) -> Condition | None:
    """What the Volume says of a copy that is to get its data: True once there is something to fill."""
    if seen.disk is None or not seen.moves.arriving:
        return None
    _, trouble = follow(volume, seen, seen.disk)
    hosts = ", ".join(each.host for each in seen.moves.arriving)
    if trouble is not None:
        return Condition(Type.MIGRATING, "False", trouble.reason, trouble.message)
    return Condition(Type.MIGRATING, "True", Reason.MIGRATING, f"to host {hosts}")


def _copy(volume: VolumeObj, seen: Seen, disk: DiskObj, arriving: Arriving) -> Plan:
    """The Disk at one host that a guest is to arrive at."""
    host = arriving.host
    if seen.heir is not None:
        return [], Blocked(Reason.MOVING, f"it moves to host {host} once it is on pool {seen.heir.spec.pool}")
    there = [each for each in (*seen.moves.copies, *seen.retired) if each.spec.host_name == host]
    if any(each.meta.deleting or not each.spec.copy_of for each in there):
        return [], Blocked(Reason.MIGRATING, f"an earlier file of it is still being freed on host {host}")
    if there:
        said = condition(there[0].status.conditions, Type.PROVISIONED)
        if said is not None and not said.true:
            return [], Blocked(said.reason, f"to be copied to host {host}: {said.message}")
        return [], None
    try:
        pool = choose(volume, replace(seen, pools=arriving.pools), disk.spec.size)
    except Problem as problem:
        return [], problem.outcome
    linked = bool(disk.spec.image_copy) and disk.spec.format == DiskFormat.QCOW2 and not disk.spec.preallocated
    image = arriving.image_copies.get(pool.name, "") if linked else ""
    spec = replace(
        disk.spec,
        host_name=host,
        pool=pool.name,
        image_copy=image,
        keep=False,
        adopt=False,
        replaces="",
        filled=False,
        take_from=None,
        snapshot="",
        copy_of=disk.meta.name,
        copy_whole=(bool(disk.spec.image_copy) or disk.spec.format == DiskFormat.RAW) and not image,
    )
    return [MakeDisk(volume, names.disk_on(volume.meta.name, host), spec)], None
