"""Decides what brings one ImageCopy to its spec."""

from __future__ import annotations

from collections.abc import Sequence

from agents.storage.copies.model import Action, CopyObj, Fetch, Remove, Seen, Tidy
from operators.contract.meta import condition, holds
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Done, Outcome, Retry

OFFLINE = 15.0
"""Seconds between looks at a pool that is offline."""
BROKEN = 60.0
"""Seconds between looks at what only an administrator can mend."""
SHOWN = 5


def plan(copy: CopyObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """The next step for one ImageCopy, and how it stands once that is done."""
    if copy.meta.deleting and holds(copy.status.conditions, Type.RELEASED):
        return (), Done(Reason.RELEASED)
    if seen.offline or seen.place is None:
        return (), Retry(Reason.POOL_OFFLINE, f"pool {copy.spec.pool}: {seen.offline}", after=OFFLINE)
    if seen.failed is not None and copy.meta.deleting:
        return (), Done(Reason.RELEASED)  # Its pool's driver has no images, so there is nothing to remove.
    if seen.failed is not None:
        return (), Retry(seen.failed.reason, seen.failed.message, after=BROKEN)
    if copy.meta.deleting:
        if seen.disks:
            listed = ", ".join(seen.disks[:SHOWN]) + (" …" if len(seen.disks) > SHOWN else "")
            return (), Retry(Reason.STILL_IN_USE, f"disks are made from it: {listed}", after=BROKEN)
        return (Remove(copy, seen.place),), Done(Reason.RELEASED)
    if seen.strange:
        return (), Retry(Reason.STORAGE_ERROR, f"{seen.strange}. It was left alone; move it away", after=BROKEN)
    if copy.spec.evict and not seen.disks:
        # Even without a file: what an import had fetched by then goes, too.
        again = "it is fetched again when a Volume needs it on this pool"
        return (Remove(copy, seen.place),), Blocked(Reason.UNUSED, f"nothing is made from it; {again}")
    first = is_first(copy)
    if seen.file is None and first and copy.status.checksum:
        # What it was made of may have changed since, and disks here and elsewhere rest on what it was.
        message = (
            f"its file {seen.place.absolute} is gone; bring it back from a backup of the pool, or make a new Image"
        )
        return (), Retry(Reason.STORAGE_ERROR, message, after=BROKEN)
    if seen.file is not None and (seen.checksum or not first):
        tidy = (Tidy(seen.place, seen.leftovers),) if seen.leftovers and seen.importing is None else ()
        return tidy, Done()
    return _import(copy, seen)


def _import(copy: CopyObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """While a failed import is tried again its failure stays said, or the status would flap at each attempt.

    So does one that an earlier agent met: after a restart, too, nothing is news but a success or another failure."""
    assert seen.place is not None
    now = seen.importing
    fetch = Fetch(copy, seen.place, seen.source)
    importing = Blocked(Reason.IMPORTING, _how(copy))
    said = condition(copy.status.conditions, Type.PROVISIONED)
    before = Blocked(said.reason, said.message) if said is not None and not said.true else importing
    if before.reason in (Reason.POOL_OFFLINE, Reason.STORAGE_ERROR):
        before = importing  # Of the pool, not of the source, and the pool is well by now.
    if now is None:
        return (fetch,), before
    failed = Blocked(now.reason, now.message) if now.reason else before
    if now.running:
        return (), failed
    if now.again_in > 0:
        return (), Retry(failed.reason, failed.message, after=now.again_in)
    return (fetch,), failed


def _how(copy: CopyObj) -> str:
    pool, source = copy.spec.pool, copy.spec.source
    if source is None:
        return f"it is being fetched to pool {pool}"
    return f"it is being copied from {'a disk on ' if is_first(copy) else ''}pool {source.pool} to pool {pool}"


def is_first(copy: CopyObj) -> bool:
    """Whether it is the one that is made of a disk, and so the one that says what all others must be."""
    return copy.spec.source is not None and not copy.spec.checksum
