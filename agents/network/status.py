"""What the agent says of an object: the verdict and the digest of what it made."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any

import orjson

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.meta import Key, Obj, condition, holds
from operators.contract.networking import HostSideStatus
from operators.contract.reasons import Type
from operators.kernel.cache import Cache
from operators.kernel.controller import Report
from operators.kernel.outcome import Done, Outcome, verdict_condition


@lru_cache(maxsize=4096)
def digest(spec: Hashable) -> str:
    """A short digest of a spec, for `status.applied`."""
    return names.digest(orjson.dumps(to_wire(spec), option=orjson.OPT_SORT_KEYS).decode(), length=12)


def verdict(obj: Obj[Any, HostSideStatus]) -> Type:
    """The condition that states the outcome: whether it is there, or for a deleting object whether it is gone."""
    return Type.RELEASED if obj.meta.deleting else Type.PROGRAMMED


class Echoes:
    """Tells news of an object from the echo of our own report of it, which is no reason to look at the host again.

    What else may change on the host is looked at every minute (`wakeups`).
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._made: dict[Key, tuple[str, str]] = {}

    def made(self, obj: Obj[Any, HostSideStatus], outcome: Outcome) -> None:
        """Note how a run ended for an object."""
        if isinstance(outcome, Done) and not obj.meta.deleting:
            self._made[obj.key] = (obj.meta.uid, digest(obj.spec))
        else:
            self._made.pop(obj.key, None)

    def news(self, obj: Obj[Any, HostSideStatus]) -> bool:
        """Whether an event of an object says anything that this process has not made so, and said so."""
        if obj.meta.deleting or self._cache.get(obj.kind, obj.key) is None:
            self._made.pop(obj.key, None)
            return True
        applied = digest(obj.spec)
        said = obj.status.applied == applied and holds(obj.status.conditions, Type.PROGRAMMED)
        return not said or self._made.get(obj.key) != (obj.meta.uid, applied)


def report(obj: Obj[Any, HostSideStatus], outcome: Outcome, applied: str = "") -> Sequence[Report]:
    """The report of one object, unless its status says all of that already, of whichever generation.

    `applied` is the digest of what was made: of the spec, unless given.
    """
    made = (applied or digest(obj.spec)) if isinstance(outcome, Done) else obj.status.applied
    type_ = Type.RELEASED if obj.meta.deleting else Type.PROGRAMMED
    new = verdict_condition(type_, outcome)
    old = condition(obj.status.conditions, type_)
    if (
        old
        and (old.status, old.reason, old.message) == (new.status, new.reason, new.message)
        and obj.status.applied == made
    ):
        return []
    return [Report(obj, HostSideStatus(applied=made), (new,), verdict="")]
