"""Decides how an Image stands, and sees to the end of its copies. Copies are made when a Volume first needs one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from operators.contract import names
from operators.contract.meta import Condition, condition
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Done, Outcome
from operators.storage.images.lookup import CopyObj, ImageObj, is_first, unchecked
from operators.storage.images.model import Action, DeleteCopy, Protect, Seen, Unprotect
from operators.storage.images.source import Material
from operators.storage.volumes.model import MakeCopy

FINALIZER = names.finalizer("storage")
SHOWN = 5
"""How many users a message names."""


def plan(image: ImageObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """The next steps for one Image, and how it stands."""
    if image.meta.deleting:
        return _end(image, seen)
    actions: list[Action] = [] if FINALIZER in image.meta.finalizers else [Protect(image)]
    if seen.material is not None:
        steps, outcome = _make(image, seen, seen.material)
        return [*actions, *steps], outcome
    there = {copy.spec.pool for copy in seen.copies}
    actions += (MakeCopy.like(image, pool, host, seen.original) for pool, host in seen.seeds if pool not in there)
    actions += seen.sorting
    outcome = _standing(image, seen)
    if isinstance(outcome, Done) and seen.again_in is not None:
        outcome = replace(outcome, after=seen.again_in)
    if isinstance(outcome, Done) and seen.unknown:
        message = f"it cannot be brought to pools: {', '.join(seen.unknown)}; are they there, and online?"
        if seen.original is not None:
            message += f" It has no url, so it takes a host that reaches pool {seen.original.spec.pool}, too"
        return actions, Done(Reason.WAITING_FOR_HOST, message, after=seen.again_in)
    return actions, outcome


def _make(image: ImageObj, seen: Seen, material: Material) -> tuple[Sequence[Action], Outcome]:
    """Have the first copy made of a disk: once, and never again, since what the disk holds later is another image."""
    first = next((copy for copy in seen.copies if is_first(copy)), None)
    if first is None and image.status.checksum:
        message = "the copy that all others are made from was deleted by someone; make a new Image"
        return (), Blocked(Reason.STORAGE_ERROR, message)
    if first is None:
        return _begin(image, material)
    verdict = _verdict(first)
    said = Blocked(verdict.reason, f"on pool {first.spec.pool}: {verdict.message or 'it is being copied'}")
    if first.meta.deleting:
        return (), Blocked(Reason.RETRYING, f"an attempt on pool {first.spec.pool} is being cleared up")
    if image.status.checksum or first.status.checksum:
        return (), said
    if material.file not in (None, first.spec.source):
        return (DeleteCopy(first),), Blocked(Reason.RETRYING, f"the disk is on pool {first.spec.pool} no longer")
    if material.lack is not None and verdict.reason == Reason.STILL_ATTACHED:
        # A guest was faster. Another attempt begins when that is stopped, and not at the agent's next look.
        return (DeleteCopy(first),), material.lack
    return (), said


def _begin(image: ImageObj, material: Material) -> tuple[Sequence[Action], Outcome]:
    if material.lack is not None or material.file is None:
        return (), material.lack or Blocked(Reason.WAITING_FOR_VOLUMES, "there is no disk yet")
    make = MakeCopy(image, material.file.pool, material.host, material.file)
    return (make,), Blocked(Reason.IMPORTING, f"host {material.host} copies it on pool {material.file.pool}")


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


def _standing(image: ImageObj, seen: Seen) -> Outcome:
    """Ready when it can be used: it has been checked on some pool, or nobody has needed it yet."""
    if others := _others(image, seen):
        message = f"{others}: its url served another file meanwhile, and has no checksum. Make a new Image with one"
        return Blocked(Reason.CHECKSUM_MISMATCH, message)
    verdicts = [(copy, _verdict(copy)) for copy in seen.copies if not copy.spec.evict]
    checked = (
        "fetched and checked" if image.spec.checksum or image.spec.source else "fetched (not checked: no checksum)"
    )
    if not verdicts:
        return Done(message=f"{checked} when a Volume needs it")
    if any(verdict.true for _, verdict in verdicts):
        return Done(message=_whereabouts(seen) or _taken(image))
    for copy, verdict in verdicts:
        if verdict.reason != Reason.IMPORTING:
            return Blocked(verdict.reason, f"on pool {copy.spec.pool}: {verdict.message}")
    pools = ", ".join(copy.spec.pool for copy, _ in verdicts)
    return Blocked(Reason.IMPORTING, f"it is being fetched to pools: {pools}")


def _taken(image: ImageObj) -> str:
    """What is said of a file that was taken as it came."""
    if image.spec.checksum or not image.status.checksum:
        return ""
    return f"it has no checksum; what came has {image.status.checksum}, and every further copy must have that, too"


def _others(image: ImageObj, seen: Seen) -> str:
    """The pools that have another file than was taken first, both fetched at once without a checksum."""
    first = image.status.checksum
    odd = [each for each in unchecked(seen.copies) if first and each.status.checksum not in ("", first)]
    return ", ".join(f"pool {each.spec.pool} has {each.status.checksum[:15]}…, not {first[:15]}…" for each in odd)


def _whereabouts(seen: Seen) -> str:
    """Where alone an Image can be had that cannot be fetched."""
    if seen.original is None:
        return ""
    pools = ", ".join(sorted(copy.spec.pool for copy in seen.copies))
    return f"it is on pool {pools}; having no url, it comes to others only by a host that reaches one of these, too"


def _verdict(copy: CopyObj) -> Condition:
    found = condition(copy.status.conditions, Type.PROVISIONED)
    return found or Condition(Type.PROVISIONED, "Unknown", Reason.IMPORTING)
