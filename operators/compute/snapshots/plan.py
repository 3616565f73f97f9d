"""Decides what brings one VirtualMachineSnapshot closer to its spec.

Not begun → its disks are chosen and written down → a VolumeSnapshot of each, which the host's agents take together →
all there and of one moment, it is taken for good. Copies that turn out not to be of one moment are dropped, and all
are taken anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from operators.compute.snapshots import back, tree
from operators.compute.snapshots.model import (
    Action,
    Decision,
    DiskObj,
    Drop,
    EndTurn,
    Protect,
    Seen,
    SnapshotObj,
    Take,
    TakeTurn,
    Unprotect,
)
from operators.compute.turns import Purpose
from operators.contract import names
from operators.contract.compute import Power, RunPolicy
from operators.contract.meta import condition, holds
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason, Type
from operators.contract.vmsnapshots import GuestShape, SnapshotPart
from operators.kernel.outcome import Blocked, Done, Outcome, Rejected, Retry

FINALIZER = names.finalizer("compute")
ATTEMPTS = 5
"""Sets of copies until one is of one moment; a second one takes a kill, or a guest that starts or ends meanwhile."""


def decide(snapshot: SnapshotObj, seen: Seen) -> Decision:
    """The next steps for one VirtualMachineSnapshot, and what its status says once they are done."""
    if snapshot.meta.deleting:
        return _end(snapshot, seen)
    decision = _taken(snapshot, seen) if snapshot.status.taken_at else _take(snapshot, seen)
    if not any(back.busy(each) for each in (snapshot.status, decision.status)) and not _stepping(decision):
        decision = replace(decision, actions=(*decision.actions, *_end_turn(snapshot, seen)))
    if FINALIZER not in snapshot.meta.finalizers:
        return Decision((Protect(snapshot),), Blocked(Reason.PROGRESSING, "it is about to begin"), snapshot.status)
    return decision


def _stepping(decision: Decision) -> bool:
    return any(isinstance(action, TakeTurn) for action in decision.actions)


def _end_turn(snapshot: SnapshotObj, seen: Seen) -> tuple[Action, ...]:
    turn = seen.turn
    if turn is None or turn.uid != snapshot.meta.uid or seen.instance is None or seen.vm is None:
        return ()
    return (EndTurn(seen.vm, seen.instance),)


def _take(snapshot: SnapshotObj, seen: Seen) -> Decision:
    if (lack := _lacking(snapshot, seen)) is not None:
        drops = tuple(_drops(seen)) if isinstance(lack, Rejected) else ()
        return Decision(drops, lack, snapshot.status)
    if snapshot.status.parts:
        return _gather(snapshot, seen)
    if snapshot.status.attempt >= ATTEMPTS:
        return Decision(tuple(_drops(seen)), _given_up(), snapshot.status)
    if (waits := _waits(snapshot, seen)) is not None:
        return Decision(tuple(_drops(seen)), waits, snapshot.status)
    if (turn := back.turn(snapshot, seen, Purpose.TAKE)) is not None:
        step, waits = turn
        return Decision((*_drops(seen), *step), waits, snapshot.status)
    return _begin(snapshot, seen)


def _lacking(snapshot: SnapshotObj, seen: Seen) -> Outcome | None:
    """Why there is nothing that could be taken."""
    name, status, vm = snapshot.spec.virtual_machine, snapshot.status, seen.vm
    if vm is not None and not vm.meta.deleting and status.virtual_machine_uid in ("", vm.meta.uid):
        return None
    if status.virtual_machine_uid or vm is not None:
        message = f"VirtualMachine {name} was deleted before this was taken; delete this, for nothing is left to take"
        return Rejected(Reason.VIRTUAL_MACHINE_NOT_FOUND, message)
    message = f"there is no VirtualMachine {name} in this namespace; make it, or delete this"
    return Blocked(Reason.VIRTUAL_MACHINE_NOT_FOUND, message)


def _waits(snapshot: SnapshotObj, seen: Seen) -> Outcome | None:
    """What must end or come before it can be begun."""
    name, instance = snapshot.spec.virtual_machine, seen.instance
    if first := next((each for each in seen.others if _before(each, snapshot)), None):
        return Blocked(Reason.WAITING_FOR_SNAPSHOT, f"VirtualMachineSnapshot {first.meta.name} is not done yet")
    if seen.moving:
        return Blocked(Reason.WAITING_FOR_MIGRATION, f"the guest of VirtualMachine {name} moves to another host")
    for each in seen.wanted:
        volume = seen.volumes.get(each)
        if volume is None or volume.meta.deleting or not volume.status.disk or not volume.status.pool:
            return Blocked(Reason.WAITING_FOR_VOLUMES, f"Volume {each} of VirtualMachine {name} has no disk yet")
        if volume.status.move_to:
            return Blocked(Reason.MOVING, f"Volume {each} moves to another pool")
        if (other := volume.status.attached_to) not in ("", name):
            message = (
                f"VirtualMachine {other} runs on Volume {each}: stop that, or take the Volume out of one of the two"
            )
            return Blocked(Reason.STILL_ATTACHED, message)
    if instance is None:
        return Blocked(Reason.STARTING, f"VirtualMachine {name} has no host just now; start it once if it never ran")
    if snapshot.spec.memory and (seen.stopped or instance.spec.power is Power.STOPPED):
        return _no_memory(snapshot, seen)
    if seen.stopped:
        return None
    if instance.meta.deleting or instance.spec.power is Power.STOPPED:
        return Blocked(Reason.STOPPING, f"VirtualMachine {name} is being stopped")
    if instance.status.power not in (Power.RUNNING, Power.PAUSED):
        return Blocked(Reason.STARTING, f"VirtualMachine {name} is being started")
    if {disk.volume for disk in instance.status.disks} != set(seen.wanted):
        return Blocked(Reason.ATTACHING, f"VirtualMachine {name} has not the disks yet that it lists")
    return None


def _no_memory(snapshot: SnapshotObj, seen: Seen) -> Outcome:
    """There is no guest that has any."""
    name, vm = snapshot.spec.virtual_machine, seen.vm
    if vm is None or vm.spec.wanted is not RunPolicy.STOPPED:
        return Blocked(Reason.STARTING, f"VirtualMachine {name} is off: its memory is kept once it runs")
    message = (
        f"VirtualMachine {name} is off, so there is no memory to keep: delete this, and take its disks alone (without "
        "spec.memory) or start it first"
    )
    return Rejected(Reason.STOPPED, message)


def _before(other: SnapshotObj, snapshot: SnapshotObj) -> bool:
    status = other.status
    if back.under_way(other):
        return True
    if status.taken_at or other.meta.deleting or holds(status.conditions, Type.STALLED):
        return False
    mine = (snapshot.meta.creation_timestamp, snapshot.meta.name)
    return bool(status.parts) or (other.meta.creation_timestamp, other.meta.name) < mine


def _begin(snapshot: SnapshotObj, seen: Seen) -> Decision:
    """Write down which disks it is of: what is attached later is not, and what is detached stays."""
    assert seen.vm is not None
    before, uid = snapshot.status, snapshot.meta.uid
    attempt = before.attempt + 1
    parts = tuple(
        SnapshotPart(
            each, seen.volumes[each].meta.uid, names.disk_of_snapshot(snapshot.meta.name, uid, attempt, number)
        )
        for number, each in enumerate(seen.wanted)
    )
    status = replace(
        before,
        virtual_machine_uid=seen.vm.meta.uid,
        parts=parts,
        attempt=attempt,
        guest_started_at=_started(seen),
        guest=_shape(seen) if snapshot.spec.memory else None,
    )
    return Decision(tuple(_drops(seen)), Blocked(Reason.CAPTURING, f"{len(parts)} disks are to be taken"), status)


def _shape(seen: Seen) -> GuestShape | None:
    """What its guest has."""
    if seen.instance is None:
        return None
    spec = seen.instance.spec
    ports = tuple(nic.port for nic in spec.nics)
    return GuestShape(spec.cpus, spec.memory, spec.max_cpus, spec.max_memory, ports)


def _gather(snapshot: SnapshotObj, seen: Seen) -> Decision:
    """Its disks were chosen: have each taken, and see whether they fit together."""
    status = snapshot.status
    named = {part.volume_snapshot for part in status.parts}
    drops = [drop for drop in _drops(seen) if drop.disk.meta.name not in named]
    found = [seen.made.get(part.volume_snapshot) for part in status.parts]
    there = [each for each in found if each is not None]
    reverted = any(back.under_way(each) for each in seen.others)  # begun unseen: copies may be of either content
    if reverted or any(each.meta.deleting or _reason(each) == Reason.MOMENT_PASSED for each in there):
        return _anew(snapshot, seen)
    if dead := next((each for each in there if holds(each.status.conditions, Type.STALLED)), None):
        message = f"{_message(dead)} (VolumeSnapshot {dead.meta.name}); delete this"
        return Decision((), Rejected(_reason(dead), message), status)
    if snapshot.spec.memory and seen.stopped and not all(each.status.taken_at for each in there):
        return _anew(snapshot, seen)  # its agent waits for a guest
    takes = [Take(snapshot, part) for part in status.parts if part.volume_snapshot not in seen.made]
    if takes or not all(each.status.taken_at for each in there):
        return Decision((*drops, *takes), _under_way(there, len(status.parts)), status)
    if not _one_moment(snapshot, there, seen):
        return _anew(snapshot, seen)
    every = (snapshot, *seen.others)
    at = tree.current(every)
    status = replace(
        status,
        taken_at=min(each.status.taken_at for each in there),
        quiesced=all(each.status.quiesced for each in there),
        running=all(each.status.running for each in there),
        stored=Quantity(sum(int(each.status.stored or 0) for each in there)),
        parent=at.meta.name if at is not None else "",
        current_since=seen.now,
        current=True,
    )
    return Decision(tuple(drops), Done(), status)


def _one_moment(snapshot: SnapshotObj, found: Sequence[DiskObj], seen: Seen) -> bool:
    """Whether the copies fit together: of a guest that ran, those of one job; else of one that has not run since."""
    if snapshot.spec.memory and not any(each.status.memory for each in found):
        return False
    if any(each.status.running for each in found):
        return all(each.status.running for each in found) and len({each.status.taken_at for each in found}) == 1
    return seen.stopped and not seen.starting and _started(seen) == snapshot.status.guest_started_at


def _started(seen: Seen) -> str:
    return seen.instance.status.started_at if seen.instance is not None else ""


def _anew(snapshot: SnapshotObj, seen: Seen) -> Decision:
    if snapshot.status.attempt >= ATTEMPTS:
        # None of its disks is named any more: what is named and missing would be taken again, for ever.
        return Decision(tuple(_drops(seen)), _given_up(), replace(snapshot.status, parts=()))
    # Said before anything goes: what is not named any more is dropped by whatever run comes next.
    message = "its disks were not all copied at one moment; all are taken anew"
    return Decision((), Blocked(Reason.RETRYING, message), replace(snapshot.status, parts=()))


def _given_up() -> Rejected:
    message = (
        f"{ATTEMPTS} times its disks were not all copied at one moment, as agents or the guest ended or began "
        "meanwhile, or another virtual machine has one of them; delete this, and take another one when they are well"
    )
    return Rejected(Reason.FAILED, message)


def _under_way(found: Sequence[DiskObj], total: int) -> Outcome:
    for each in found:
        ready = condition(each.status.conditions, Type.READY)
        if ready is not None and not ready.true:
            return Blocked(ready.reason, f"{each.spec.volume}: {ready.message}")
    done = sum(bool(each.status.taken_at) for each in found)
    return Blocked(Reason.CAPTURING, f"{done} of {total} disks are taken")


def _drops(seen: Seen) -> list[Drop]:
    return [Drop(each) for each in seen.made.values() if not each.meta.deleting]


def _reason(disk: DiskObj) -> str:
    ready = condition(disk.status.conditions, Type.READY)
    return ready.reason if ready is not None else ""


def _message(disk: DiskObj) -> str:
    ready = condition(disk.status.conditions, Type.READY)
    return ready.message if ready is not None else ""


def _taken(snapshot: SnapshotObj, seen: Seen) -> Decision:
    """It is there: it keeps its place in the tree, and is brought back when that is asked for."""
    actions, status, reverted, again = back.plan(snapshot, seen)
    status = replace(status, parent=tree.parent(snapshot, seen.others))
    if status.current_since == snapshot.status.current_since:
        status = replace(status, current_since=tree.since(snapshot, seen.others))
    now = replace(snapshot, status=status)
    status = replace(status, current=tree.current((now, *seen.others)) is now)
    outcome: Outcome = Done(after=again)
    for part in status.parts:
        disk = seen.made.get(part.volume_snapshot)
        if disk is None or disk.meta.deleting:
            message = (
                f"VolumeSnapshot {part.volume_snapshot} was deleted by someone, so it is not whole; delete this, too"
            )
            outcome = Blocked(Reason.SNAPSHOT_NOT_FOUND, message)
            break
        if not holds(disk.status.conditions, Type.READY) and _reason(disk):
            outcome = Blocked(_reason(disk), f"{part.volume}: {_message(disk)}")
    return Decision(actions, outcome, status, reverted)


def _end(snapshot: SnapshotObj, seen: Seen) -> Decision:
    status = snapshot.status
    if back.under_way(snapshot) and not back.stuck(snapshot, seen):
        actions, status, reverted, again = back.plan(snapshot, seen)
        message = "its disks are being brought back; it goes once that is done"
        waits = Retry(Reason.REVERTING, message, again) if again else Blocked(Reason.REVERTING, message)
        return Decision(actions, waits, status, reverted)
    if seen.made:
        said = next((f": {_message(each)}" for each in seen.made.values() if each.meta.deleting and _message(each)), "")
        outcome = Blocked(Reason.DELETING, f"{len(seen.made)} VolumeSnapshots are being removed{said}")
        return Decision(tuple(_drops(seen)), outcome, status)
    if other := tree.tied(snapshot, seen.others):
        return Decision((), Blocked(Reason.DELETING, f"VirtualMachineSnapshot {other} takes its place"), status)
    if ends := _end_turn(snapshot, seen):
        return Decision(ends, Blocked(Reason.DELETING, "the virtual machine is let go of"), status)
    actions_: tuple[Action, ...] = (Unprotect(snapshot),) if FINALIZER in snapshot.meta.finalizers else ()
    return Decision(actions_, Done(Reason.RELEASED), status)
