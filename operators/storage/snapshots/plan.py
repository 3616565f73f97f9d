"""Decides what brings one VolumeSnapshot closer to its spec.

The Volume has a Disk → a DiskSnapshot on the host that works on it → there, for as long as it is wanted, whatever
becomes of the Volume. Taken once, never again.
"""

from __future__ import annotations

from collections.abc import Sequence

from operators.contract import names
from operators.contract.formats import Ability
from operators.contract.meta import Condition, condition, holds
from operators.contract.reasons import Reason, Type
from operators.contract.snapshots import DiskSnapshotSpec
from operators.kernel.outcome import Blocked, Done, Outcome, Rejected
from operators.storage import abilities, lost
from operators.storage.snapshots.model import (
    Action,
    BringBack,
    DiskSnapshotObj,
    Drop,
    Protect,
    Seen,
    SnapshotObj,
    Take,
    Unprotect,
)
from operators.storage.volumes.model import DiskObj

FINALIZER = names.finalizer("storage")
Plan = tuple[Sequence[Action], Outcome]


def plan(snapshot: SnapshotObj, seen: Seen) -> Plan:
    """The next steps for one VolumeSnapshot, and how it stands once they are done."""
    if snapshot.meta.deleting:
        actions, outcome = _end(snapshot, seen)
        return actions, lost.told(outcome, seen.lost)
    actions, outcome = _plan(snapshot, seen)
    outcome = lost.told(outcome, seen.lost)
    if FINALIZER not in snapshot.meta.finalizers:
        actions = [Protect(snapshot), *actions]
    return actions, outcome


def _plan(snapshot: SnapshotObj, seen: Seen) -> Plan:
    mine = seen.mine
    if mine is None:
        return _take(snapshot, seen)
    if holds(mine.status.conditions, Type.PROVISIONED) and not mine.meta.deleting:
        return _back(snapshot, seen, mine), Done()
    if snapshot.status.taken_at:
        return (), Blocked(*_why(mine))
    if mine.meta.deleting:
        return (), Blocked(Reason.RETRYING, f"an attempt on host {mine.spec.host_name} is being cleared up")
    if gone := _volume_gone(mine, seen):
        return (Drop(mine),), Rejected(Reason.VOLUME_NOT_FOUND, gone)
    if seen.disk is not None and _host(seen, seen.disk) != mine.spec.host_name:
        # What works on the Disk is on another host by now.
        return (Drop(mine),), Blocked(Reason.RETRYING, f"the Volume is used on host {_host(seen, seen.disk)} by now")
    return (), Blocked(*_why(mine))


def _take(snapshot: SnapshotObj, seen: Seen) -> Plan:
    name = snapshot.spec.volume
    if snapshot.status.taken_at:
        return (), Blocked(Reason.STORAGE_ERROR, "its DiskSnapshot was deleted by someone; delete this one, too")
    if seen.name_taken:
        return (), Blocked(Reason.DELETING, "an earlier VolumeSnapshot of this name is still being removed")
    if seen.volume is None or (seen.volume.meta.deleting and seen.disk is None):
        if snapshot.status.volume_uid:
            return (), Rejected(Reason.VOLUME_NOT_FOUND, _went(name))
        return (), Blocked(
            Reason.VOLUME_NOT_FOUND, f"there is no Volume {name} in this namespace; make it, or delete this"
        )
    if snapshot.status.volume_uid not in ("", seen.volume.meta.uid):
        return (), Rejected(Reason.VOLUME_NOT_FOUND, _went(name))
    disk = seen.disk
    if disk is None or disk.meta.deleting or not disk.status.path:
        return (), Blocked(Reason.WAITING_FOR_VOLUMES, f"Volume {name} has no disk yet, so there is nothing to take")
    if why := abilities.lack(disk.spec.pool, seen.told, Ability.SNAPSHOTS, disk.spec.format):
        return (), Blocked(Reason.UNSUPPORTED, f"{why}; move Volume {name} to another pool (its spec.pool)")
    spec = DiskSnapshotSpec(
        host_name=_host(seen, disk),
        pool=disk.spec.pool,
        path=names.snapshot_path(snapshot.meta.uid),
        snapshot=snapshot.ref,
        volume=seen.volume.ref,
        source=disk.spec.path,
        quiesce=snapshot.spec.quiesce,
        moment=snapshot.spec.moment,
    )
    return (Take(snapshot, spec),), Blocked(Reason.PROVISIONING, f"host {spec.host_name} takes it on pool {spec.pool}")


def _host(seen: Seen, disk: DiskObj) -> str:
    """Where it is taken: by the host whose guest has the Disk open, else by the one that sees to its file."""
    running = (holder.host for holder in seen.holders if holder.running and holder.host in seen.reached)
    return next(running, disk.spec.host_name)


def _volume_gone(mine: DiskSnapshotObj, seen: Seen) -> str:
    """That the Volume is gone, or another one of its name is there; empty while it can still be taken."""
    volume = seen.volume
    if volume is not None and volume.meta.uid == mine.spec.volume.uid and seen.disk is not None:
        return ""
    if volume is not None and volume.meta.uid == mine.spec.volume.uid and not volume.meta.deleting:
        return ""
    return _went(mine.spec.volume.name)


def _went(volume: str) -> str:
    return f"Volume {volume} was deleted before this was taken; delete it, for there is nothing left to take"


def _why(mine: DiskSnapshotObj) -> tuple[str, str]:
    found = condition(mine.status.conditions, Type.PROVISIONED)
    captured = condition(mine.status.conditions, Type.CAPTURED)
    where = f"host {mine.spec.host_name}"
    if captured is not None and not captured.true and found is not None and found.reason == Reason.CAPTURING:
        return captured.reason, f"{where}: {captured.message}"
    if found is not None and not found.true:
        return found.reason, f"{where}: {found.message}"
    return Reason.PROVISIONING, f"{where} takes it on pool {mine.spec.pool}"


def _back(snapshot: SnapshotObj, seen: Seen, mine: DiskSnapshotObj) -> Sequence[Action]:
    if snapshot.spec.revert_request <= mine.spec.revert_request or _not_back(snapshot, seen, mine) is not None:
        return ()
    return (BringBack(mine, snapshot.spec.revert_request),)


def _not_back(snapshot: SnapshotObj, seen: Seen, mine: DiskSnapshotObj) -> Condition | None:
    """Why its content cannot be brought back at present."""
    name, volume = snapshot.spec.volume, seen.volume
    if volume is None or volume.meta.deleting or volume.meta.uid != mine.spec.volume.uid:
        message = f"Volume {name} that it was taken of is gone; make a new Volume with spec.source.snapshot"
        return Condition(Type.REVERTED, "False", Reason.VOLUME_NOT_FOUND, message)
    if seen.disk is None or seen.disk.spec.pool != mine.spec.pool or seen.disk.spec.path != mine.spec.source:
        message = f"Volume {name} is on another pool by now; make a new Volume with spec.source.snapshot"
        return Condition(Type.REVERTED, "False", Reason.UNSUPPORTED, message)
    if running := next((holder for holder in seen.holders if holder.running), None):
        message = f"stop VirtualMachine {running.virtual_machine} first (spec.runPolicy: Stopped)"
        return Condition(Type.REVERTED, "False", Reason.STILL_ATTACHED, message)
    return None


def reverted(snapshot: SnapshotObj, seen: Seen) -> Condition | None:
    """How the way back that was asked for last stands; None when none was."""
    request, mine = snapshot.spec.revert_request, seen.mine
    if not request or mine is None:
        return None
    if mine.status.revert_observed >= request:
        return Condition(Type.REVERTED, "True", Reason.AS_SPECIFIED, f"request {request} was done")
    if mine.spec.revert_request >= request:
        said = condition(mine.status.conditions, Type.REVERTED)
        if said is not None and not said.true:
            return Condition(Type.REVERTED, "False", said.reason, said.message)
        return Condition(Type.REVERTED, "False", Reason.REVERTING, f"request {request} is being done")
    waiting = Condition(Type.REVERTED, "False", Reason.REVERTING, f"request {request} is being done")
    return _not_back(snapshot, seen, mine) or waiting


def _end(snapshot: SnapshotObj, seen: Seen) -> Plan:
    if seen.readers:
        listed = ", ".join(seen.readers)
        return (), Blocked(Reason.STILL_IN_USE, f"it is being copied for: {listed}. It goes when they are there")
    if seen.mine is None:
        return (Unprotect(snapshot),), Done(Reason.RELEASED)
    if not seen.mine.meta.deleting:
        return (Drop(seen.mine),), Blocked(Reason.DELETING, f"DiskSnapshot {seen.mine.meta.name} is to be removed")
    said = condition(seen.mine.status.conditions, Type.RELEASED)
    if said is not None and not said.true:
        return (), Blocked(said.reason, f"host {seen.mine.spec.host_name}: {said.message}")
    return (), Blocked(Reason.DELETING, f"host {seen.mine.spec.host_name} is removing it")
