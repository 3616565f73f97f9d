"""Decides how the disks of a virtual machine are brought back to what they were: all of them, or none.

That it was begun is in the status first, from which moment on Compute starts no guest on them; only then is the
content of each disk asked for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from operators.compute.model import VM
from operators.compute.snapshots.model import Action, BringBack, Seen, SnapshotObj, TakeTurn
from operators.compute.turns import Purpose, Turn
from operators.contract.compute import RunPolicy
from operators.contract.meta import Condition, condition, holds
from operators.contract.reasons import ON_THE_WAY, Reason, Type
from operators.contract.vmsnapshots import SnapshotPart, VirtualMachineSnapshotStatus
from operators.kernel.outcome import Blocked, Outcome

Back: TypeAlias = tuple[tuple[Action, ...], VirtualMachineSnapshotStatus, Condition | None, float | None]
"""Actions, the status, how the way back stands, and seconds after which to look again all the same."""
LOOK = 0.2


def under_way(snapshot: SnapshotObj) -> bool:
    """Whether its disks are being brought back, so that some may be of another moment than others."""
    return snapshot.status.reverting > snapshot.status.revert_observed


def taking(snapshot: SnapshotObj) -> bool:
    """Whether its disks are being copied."""
    status = snapshot.status
    over = bool(status.taken_at) or snapshot.meta.deleting or holds(status.conditions, Type.STALLED)
    return bool(status.parts) and not over


def busy(status: VirtualMachineSnapshotStatus) -> bool:
    """Whether something was begun that is not over, as far as a status tells."""
    over = bool(status.taken_at) or holds(status.conditions, Type.STALLED)
    return (bool(status.parts) and not over) or status.reverting > status.revert_observed


def turn(snapshot: SnapshotObj, seen: Seen, purpose: Purpose) -> tuple[tuple[Action, ...], Outcome] | None:
    """How it comes to its turn; None once it is."""
    now = seen.turn
    if now == Turn(purpose, snapshot.meta.uid):
        return None
    assert seen.vm is not None and seen.instance is not None
    over = now.uid if now is not None and now.uid != snapshot.meta.uid else ""
    if over and (first := next((each for each in seen.others if each.meta.uid == over), None)) is not None:
        return (), Blocked(Reason.WAITING_FOR_SNAPSHOT, f"VirtualMachineSnapshot {first.meta.name} is not done yet")
    action = TakeTurn(snapshot, seen.vm, seen.instance, purpose, over)
    return (action,), Blocked(Reason.PROGRESSING, "it is about to begin")


def stuck(snapshot: SnapshotObj, seen: Seen) -> bool:
    """Whether somebody has to do something before it can be finished."""
    for part in snapshot.status.parts:
        disk = seen.made.get(part.volume_snapshot)
        if disk is None or disk.meta.deleting:
            return True
        said = condition(disk.status.conditions, Type.REVERTED)
        failed = said is not None and not said.true and said.reason not in ON_THE_WAY
        if failed and disk.status.revert_observed < part.revert:
            return True
    if not snapshot.status.resume_start or seen.instance is None:
        return False
    told = condition(seen.instance.status.conditions, Type.REALISED)  # all disks are back, and the guest is to go on
    return told is not None and not told.true and told.reason not in ON_THE_WAY


def plan(snapshot: SnapshotObj, seen: Seen) -> Back:
    """The next step on the way back."""
    status, request = snapshot.status, snapshot.spec.revert_request
    if under_way(snapshot):
        return _go_on(snapshot, seen)
    if request <= status.revert_observed:
        done = f"request {status.revert_observed} was done"
        said = Condition(Type.REVERTED, "True", Reason.AS_SPECIFIED, done) if status.revert_observed else None
        return (), status, said, None
    if (why := _refused(snapshot, seen)) is not None:
        return (), status, why, None
    if (step := turn(snapshot, seen, Purpose.REVERT)) is not None:
        return step[0], status, _doing(request), None
    parts = tuple(replace(part, revert=_next(part, seen)) for part in status.parts)
    return (), replace(status, reverting=request, resume_start=0, parts=parts), _doing(request), None


def _next(part: SnapshotPart, seen: Seen) -> int:
    """A request of the VolumeSnapshot that nobody has made, whatever somebody did with it by itself."""
    disk = seen.made[part.volume_snapshot]
    return max(disk.spec.revert_request, disk.status.revert_observed) + 1


def _doing(request: int) -> Condition:
    return Condition(Type.REVERTED, "False", Reason.REVERTING, f"request {request} is being done")


def _go_on(snapshot: SnapshotObj, seen: Seen) -> Back:
    status = snapshot.status
    if status.resume_start:
        return _resume(snapshot, seen)
    if snapshot.spec.memory and not seen.stopped:
        message = f"request {status.reverting}: the power of its guest is cut"
        return (), status, Condition(Type.REVERTED, "False", Reason.REVERTING, message), None
    if seen.starting:  # decided before it was known that the disks are brought back
        return (), status, _doing(status.reverting), LOOK
    actions: list[Action] = []
    said = _doing(status.reverting)
    done = 0
    for part in status.parts:
        disk = seen.made.get(part.volume_snapshot)
        if disk is None:
            message = (
                f"VolumeSnapshot {part.volume_snapshot} was deleted by someone; delete this, then start the machine"
            )
            return (), status, Condition(Type.REVERTED, "False", Reason.SNAPSHOT_NOT_FOUND, message), None
        if disk.status.revert_observed >= part.revert:
            done += 1
            continue
        if disk.spec.revert_request < part.revert:
            actions.append(BringBack(disk, part.revert))
        told = condition(disk.status.conditions, Type.REVERTED)
        if told is not None and not told.true and disk.spec.revert_request >= part.revert:
            said = Condition(Type.REVERTED, "False", told.reason, f"{part.volume}: {told.message}")
    if done == len(status.parts) and snapshot.spec.memory and seen.instance is not None:
        return (), replace(status, resume_start=seen.instance.spec.start_request + 1), said, None
    if done == len(status.parts):
        now = replace(status, revert_observed=status.reverting, current_since=seen.now)
        message = f"request {status.reverting} was done"
        return (), now, Condition(Type.REVERTED, "True", Reason.AS_SPECIFIED, message), LOOK
    return tuple(actions), status, said, None


def _refused(snapshot: SnapshotObj, seen: Seen) -> Condition | None:
    """Why the disks cannot be brought back at present: then none of them is touched."""
    reason, message = _why_not(snapshot, seen)
    return Condition(Type.REVERTED, "False", reason, message) if reason else None


def _why_not(snapshot: SnapshotObj, seen: Seen) -> tuple[str, str]:
    name, vm = snapshot.spec.virtual_machine, seen.vm
    instead = "make new Volumes of its VolumeSnapshots (spec.source.snapshot)"
    if vm is None or vm.meta.deleting or vm.meta.uid != snapshot.status.virtual_machine_uid:
        return Reason.VIRTUAL_MACHINE_NOT_FOUND, f"VirtualMachine {name} that it was taken of is gone; {instead}"
    for part in snapshot.status.parts:
        volume, disk = seen.volumes.get(part.volume), seen.made.get(part.volume_snapshot)
        if disk is None or disk.meta.deleting:
            return Reason.SNAPSHOT_NOT_FOUND, f"VolumeSnapshot {part.volume_snapshot} was deleted by someone"
        if volume is None or volume.meta.deleting or volume.meta.uid != part.volume_uid:
            return Reason.VOLUME_NOT_FOUND, f"Volume {part.volume} that it was taken of is gone; {instead}"
        if volume.status.attached_to not in ("", name):
            return Reason.STILL_ATTACHED, f"detach Volume {part.volume} from VirtualMachine {volume.status.attached_to}"
        if volume.status.pool != disk.status.pool:
            return Reason.UNSUPPORTED, f"Volume {part.volume} is on another pool by now; {instead}"
    if snapshot.spec.memory:
        return _why_no_memory(snapshot, seen, vm)
    if other := next((each for each in seen.others if under_way(each) or taking(each)), None):
        return Reason.WAITING_FOR_SNAPSHOT, f"VirtualMachineSnapshot {other.meta.name} is not done yet"
    if vm.spec.wanted is not RunPolicy.STOPPED or not seen.stopped or seen.starting or seen.moving:
        return Reason.STILL_ATTACHED, f"stop VirtualMachine {name} first (spec.runPolicy: Stopped)"
    if seen.instance is None:
        return Reason.STARTING, f"VirtualMachine {name} has no host just now"
    return "", ""


def _why_no_memory(snapshot: SnapshotObj, seen: Seen, vm: VM) -> tuple[str, str]:
    """The same of a guest that is to go on from where it was: it must be as it was then, but for what is in it."""
    name, instance, had = snapshot.spec.virtual_machine, seen.instance, snapshot.status.guest
    if other := next((each for each in seen.others if under_way(each) or taking(each)), None):
        return Reason.WAITING_FOR_SNAPSHOT, f"VirtualMachineSnapshot {other.meta.name} is not done yet"
    if vm.spec.wanted is RunPolicy.STOPPED:
        message = f"with its memory VirtualMachine {name} goes on running: let it run first (spec.runPolicy: Running)"
        return Reason.STOPPED, message
    if instance is None or instance.meta.deleting or seen.starting:
        return Reason.STARTING, f"VirtualMachine {name} is being given a host"
    if seen.moving:
        return Reason.WAITING_FOR_MIGRATION, f"the guest of VirtualMachine {name} moves to another host"
    kept = seen.made[snapshot.status.parts[0].volume_snapshot].status.host_name
    if instance.spec.host_name != kept:
        message = f"its memory is on host {kept}, and VirtualMachine {name} on {instance.spec.host_name}: migrate it"
        return Reason.UNSUPPORTED, f"{message} back first"
    parts = {part.volume for part in snapshot.status.parts}
    if parts != set(seen.wanted):
        return Reason.UNSUPPORTED, f"VirtualMachine {name} had other Volumes then: list {', '.join(sorted(parts))}"
    if had is None or set(had.ports) != {nic.port for nic in instance.spec.nics}:
        return Reason.UNSUPPORTED, f"VirtualMachine {name} had other NICs then, which its guest remembers"
    return "", ""


def _resume(snapshot: SnapshotObj, seen: Seen) -> Back:
    """All disks are back: the guest goes on from where it was, unless nobody wants it to any more."""
    status, vm, instance = snapshot.status, seen.vm, seen.instance
    done = replace(status, revert_observed=status.reverting, current_since=seen.now)
    there = vm is not None and not vm.meta.deleting and vm.meta.uid == status.virtual_machine_uid
    if not there or instance is None or (vm is not None and vm.spec.wanted is RunPolicy.STOPPED and seen.stopped):
        message = f"request {status.reverting} was done, but for the memory: it is not to run any more"
        return (), done, Condition(Type.REVERTED, "True", Reason.AS_SPECIFIED, message), LOOK
    if instance.status.start_observed >= status.resume_start:
        message = f"request {status.reverting} was done"
        return (), done, Condition(Type.REVERTED, "True", Reason.AS_SPECIFIED, message), LOOK
    told = condition(instance.status.conditions, Type.REALISED)
    if told is not None and not told.true and instance.spec.resume_from is not None:
        message = f"host {instance.spec.host_name}: {told.message}"
        return (), status, Condition(Type.REVERTED, "False", told.reason, message), None
    return (), status, _doing(status.reverting), None
