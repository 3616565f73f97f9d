"""Decides how an Image stands, and sees to the end of its copies. Copies are made when a Volume first needs one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from operators.contract import names
from operators.contract.meta import Condition, condition
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Done, Outcome
from operators.storage.images.lookup import CopyObj, ImageObj
from operators.storage.images.model import Action, DeleteCopy, Protect, Seen, Unprotect
from operators.storage.volumes.model import MakeCopy

FINALIZER = names.finalizer("storage")
SHOWN = 5
"""How many users a message names."""


def plan(image: ImageObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """The next steps for one Image, and how it stands."""
    if image.meta.deleting:
        return _end(image, seen)
    there = {copy.spec.pool for copy in seen.copies}
    actions: list[Action] = [] if FINALIZER in image.meta.finalizers else [Protect(image)]
    actions += (MakeCopy(image, pool, host) for pool, host in seen.seeds if pool not in there)
    actions += seen.sorting
    outcome = _standing(seen)
    if isinstance(outcome, Done) and seen.again_in is not None:
        outcome = replace(outcome, after=seen.again_in)
    if isinstance(outcome, Done) and seen.unknown:
        message = f"it cannot be brought to pools: {', '.join(seen.unknown)}; are they there, and online?"
        return actions, Done(Reason.WAITING_FOR_HOST, message, after=seen.again_in)
    return actions, outcome


def _end(image: ImageObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    if seen.users:
        more = f" and {len(seen.users) - SHOWN} more" if len(seen.users) > SHOWN else ""
        listed = ", ".join(seen.users[:SHOWN]) + more
        return (), Blocked(Reason.STILL_IN_USE, f"Volumes are made from it: {listed}. It goes when they are deleted")
    if not seen.copies:
        return (Unprotect(image),), Done(Reason.RELEASED)
    for copy in seen.copies:
        released = condition(copy.status.conditions, Type.RELEASED)
        if copy.meta.deleting and released is not None and not released.true:
            return _going(seen), Blocked(released.reason, f"its copy on pool {copy.spec.pool}: {released.message}")
    pools = ", ".join(copy.spec.pool for copy in seen.copies)
    return _going(seen), Blocked(Reason.DELETING, f"its copies are being removed from pools: {pools}")


def _going(seen: Seen) -> Sequence[Action]:
    return tuple(DeleteCopy(copy) for copy in seen.copies if not copy.meta.deleting)


def _standing(seen: Seen) -> Outcome:
    """Ready when it can be used: it has been checked on some pool, or nobody has needed it yet."""
    verdicts = [(copy, _verdict(copy)) for copy in seen.copies if not copy.spec.evict]
    if not verdicts:
        return Done(message="fetched and checked when a Volume needs it")
    if any(verdict.true for _, verdict in verdicts):
        return Done()
    for copy, verdict in verdicts:
        if verdict.reason != Reason.IMPORTING:
            return Blocked(verdict.reason, f"on pool {copy.spec.pool}: {verdict.message}")
    pools = ", ".join(copy.spec.pool for copy, _ in verdicts)
    return Blocked(Reason.IMPORTING, f"it is being fetched to pools: {pools}")


def _verdict(copy: CopyObj) -> Condition:
    found = condition(copy.status.conditions, Type.PROVISIONED)
    return found or Condition(Type.PROVISIONED, "Unknown", Reason.IMPORTING)
