"""Decides what brings one DiskSnapshot closer to its spec.

Not there → (no guest: copy; a guest: have its hypervisor copy) → published. There, it is never taken again, and
brought back into its Disk as often as it is asked to.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.storage.failure import Failed
from agents.storage.snapshots.model import (
    Action,
    Copy,
    Prepare,
    Publish,
    Remove,
    Revert,
    Seen,
    SnapshotObj,
    Tidy,
    captured_memory,
    revert,
)
from operators.contract.meta import holds
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Done, Outcome, Retry

OFFLINE = 15.0
"""Seconds between looks at a pool that is offline."""
BROKEN = 60.0
"""Seconds between looks at what only an administrator can mend."""
CAPTURING = 5.0
"""Seconds between looks at a file that a guest has open; that the guest has ended, nothing tells this agent."""

Plan = tuple[Sequence[Action], Outcome]


def plan(snapshot: SnapshotObj, seen: Seen) -> Plan:
    """The next step for one DiskSnapshot, and how it stands once that is done."""
    if snapshot.meta.deleting and holds(snapshot.status.conditions, Type.RELEASED):
        return (), Done(Reason.RELEASED)
    if seen.offline or seen.place is None or seen.source is None:
        return (), Retry(Reason.POOL_OFFLINE, f"pool {snapshot.spec.pool}: {seen.offline}", after=OFFLINE)
    if seen.failed is not None:
        return (), _refused(snapshot, seen.failed)
    if snapshot.meta.deleting:
        return (Remove(snapshot, seen.place),), Done(Reason.RELEASED)
    if seen.strange:
        return (), Retry(Reason.STORAGE_ERROR, f"{seen.strange}. It was left alone; move it away", after=BROKEN)
    if seen.file is not None:
        return _keep(snapshot, seen)
    if snapshot.status.path:
        # Taken again it would be of another moment, and pass for the one that it says it is of.
        message = f"{seen.place.absolute} was taken and is gone; put it back (is the pool mounted?) or delete it"
        return (), Retry(Reason.STORAGE_ERROR, message, after=BROKEN)
    return _take(snapshot, seen)


def _refused(snapshot: SnapshotObj, failed: Failed) -> Outcome:
    """Its pool's driver has no snapshots, so there is nothing to remove either."""
    return Done(Reason.RELEASED) if snapshot.meta.deleting else Retry(failed.reason, failed.message, after=BROKEN)


def _take(snapshot: SnapshotObj, seen: Seen) -> Plan:
    assert seen.place is not None and seen.source is not None
    copying = seen.copying
    captured = snapshot.status.capture.file
    if holds(snapshot.status.conditions, Type.CAPTURED) and captured in seen.leftovers:
        kept = captured_memory(snapshot.meta.uid) if snapshot.status.capture.memory else ""
        return (Publish(snapshot, seen.place, captured, kept),), Blocked(Reason.COPYING, "what was copied is looked at")
    if copying is not None and copying.running:
        return (), Blocked(copying.reason or Reason.COPYING, copying.message or _copying(snapshot))
    if seen.source_gone:
        message = f"{seen.source.absolute} is not there, so nothing can be taken of it"
        return (), Retry(Reason.VOLUME_NOT_FOUND, message, after=OFFLINE)
    if seen.in_use or with_memory(snapshot):
        message = "a guest runs on it, so the hypervisor copies it"
        return (Prepare(seen.place),), Retry(Reason.CAPTURING, message, after=CAPTURING)
    if copying is not None and copying.again_in > 0:
        return (), Retry(copying.reason, copying.message, after=copying.again_in)
    failed = copying.reason if copying is not None else ""
    said = Blocked(failed, copying.message) if copying and failed else Blocked(Reason.COPYING, _copying(snapshot))
    return (Copy(snapshot, seen.source, seen.place),), said


def with_memory(snapshot: SnapshotObj) -> bool:
    """Whether it is of a guest whose memory is kept. While that is written QEMU has no lock on its disks."""
    return snapshot.spec.moment is not None and bool(snapshot.spec.moment.memory)


def _copying(snapshot: SnapshotObj) -> str:
    return f"{snapshot.spec.source} is copied in pool {snapshot.spec.pool}; no guest can start on it meanwhile"


def _keep(snapshot: SnapshotObj, seen: Seen) -> Plan:
    """It is there: what is left of taking it goes, and its content comes back into the Disk when that is asked for."""
    assert seen.place is not None and seen.source is not None
    said = snapshot.status.revert_observed
    beside = tuple(file for file in seen.leftovers if not file.endswith((".revert", ".swap")))
    tidy: list[Action] = [Tidy(seen.place, beside)] if beside else []
    if snapshot.spec.revert_request > seen.brought_back:
        return (*tidy, *_back(snapshot, seen)), Done(after=seen.reverting.again_in if seen.reverting else None)
    spent = revert(snapshot.meta.uid, said)
    if spent in seen.leftovers:
        tidy.append(Tidy(seen.source, (spent,)))
    return tidy, Done()


def _back(snapshot: SnapshotObj, seen: Seen) -> Sequence[Action]:
    assert seen.place is not None and seen.source is not None
    if seen.reverting is not None and (seen.reverting.running or seen.reverting.again_in > 0):
        return ()
    return (Revert(snapshot, seen.place, seen.source),)
