"""Decides how the disk of a running guest is copied for a DiskSnapshot.

The storage agent says where to (`status.target`) once it has found that a guest has the disk open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agents.hypervisor.captures.model import Action, Begin, End, Guest, SaveMemory, Seen, SnapshotObj, Still, Thaw
from operators.contract.meta import holds
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Done, Outcome, Retry

LOOK = 0.5
"""Seconds between looks at a copy that is being made."""
STILL = 0.1
"""Seconds between looks at a guest that is to stand still."""
BUSY = 2.0
"""Seconds between looks at a guest of which another copy is being made."""


_PASSED = "other disks were copied at a moment that has passed; all are to be taken anew"


def wanted(snapshot: SnapshotObj) -> bool:
    """Whether a copy is asked of us."""
    status = snapshot.status
    return bool(status.target) and not snapshot.meta.deleting and not holds(status.conditions, Type.CAPTURED)


def plan(snapshot: SnapshotObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """The next step, and how it stands then; `Done(Captured)` alone means that the copy is whole."""
    guest, target = seen.guest, snapshot.status.target
    if seen.trouble:
        return (), Retry(Reason.HYPERVISOR_ERROR, seen.trouble, after=BUSY)
    if guest is not None and seen.remembered and wanted(snapshot):
        return (), Done(Reason.CAPTURED, f"copied with the memory of VirtualMachine {guest.virtual_machine}")
    if guest is None or not guest.active:
        # One that ended and was started anew before the storage agent looked again changes nothing that is watched.
        message = "no guest of this host runs on it"
        return (), Retry(Reason.STOPPED, message, after=BUSY) if wanted(snapshot) else Blocked(Reason.STOPPED, message)
    ours = seen.backup is not None and bool(seen.backup.into(target))
    if not wanted(snapshot):
        return ((End(guest),) if ours else ()), Done()
    thaw: tuple[Action, ...] = () if seen.thawed else (Thaw(guest),)
    kept = snapshot.spec.moment is not None and bool(snapshot.spec.moment.memory)
    if kept and (step := _with_memory(snapshot, seen, guest, ours=ours)) is not None:
        return (*thaw, *step[0]), step[1]
    if ours:
        return thaw, Retry(Reason.CAPTURING, _capturing(guest.virtual_machine), after=LOOK)
    if seen.backup is not None:
        message = f"another disk of VirtualMachine {guest.virtual_machine} is being copied"
        return thaw, Retry(Reason.CAPTURING, message, after=BUSY)
    if seen.known and seen.failure == "" and not kept:
        return thaw, Done(Reason.CAPTURED, f"copied while VirtualMachine {guest.virtual_machine} ran")
    if seen.passed:
        return thaw, Blocked(Reason.MOMENT_PASSED, _PASSED)
    if seen.lacking:
        message = f"{seen.lacking} more disks of VirtualMachine {guest.virtual_machine} are to be copied with it"
        return thaw, Blocked(Reason.CAPTURING, message)
    if seen.hold > 0:
        return thaw, Retry(Reason.HYPERVISOR_ERROR, seen.held, after=seen.hold)
    if seen.parts[0].uid != snapshot.meta.uid:
        return thaw, Retry(Reason.CAPTURING, _capturing(guest.virtual_machine), after=LOOK)  # the first one begins it
    if kept and not guest.stands:
        return (*thaw, Still(guest)), Retry(Reason.CAPTURING, _capturing(guest.virtual_machine), after=STILL)
    begin = Begin(guest, seen.parts, seen.token, snapshot.spec.quiesce)
    return (*thaw, begin), Retry(Reason.CAPTURING, _capturing(guest.virtual_machine), after=LOOK)


def _with_memory(
    snapshot: SnapshotObj, seen: Seen, guest: Guest, *, ours: bool
) -> tuple[Sequence[Action], Outcome] | None:
    """What follows once its copy was begun; None where that is still to be.

    First the disks, then the memory, the guest standing still all the while. The other way round QEMU would copy disks
    that it has closed, as it does at the end of writing memory down, and ends itself when the guest goes on meanwhile.
    """
    waits = Retry(Reason.CAPTURING, f"VirtualMachine {guest.virtual_machine} stands still while it is copied", LOOK)
    if ours:
        return ([Still(guest)] if seen.stood else [End(guest)]), waits
    if seen.backup is not None or not (seen.known and seen.failure == ""):
        return None
    if not seen.stood:
        return None  # it has gone on, so its memory is of another moment
    if any(part.memory and part.uid == snapshot.meta.uid for part in seen.parts):
        return [SaveMemory(guest, snapshot.status.target)], replace(waits, after=STILL)
    return [Still(guest)], waits


def _capturing(name: str) -> str:
    return f"the disk is being copied while VirtualMachine {name} runs"
