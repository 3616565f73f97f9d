"""What the agent says of an object: the verdict and the digest of what it made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.meta import Obj, condition
from operators.contract.networking import HostSideStatus
from operators.contract.reasons import Type
from operators.kernel.controller import Report
from operators.kernel.outcome import Done, Outcome, verdict_condition


def digest(spec: object) -> str:
    """A short digest of a spec, for `status.applied`."""
    return names.digest(orjson.dumps(to_wire(spec), option=orjson.OPT_SORT_KEYS).decode(), length=12)


def verdict(obj: Obj[Any, HostSideStatus]) -> Type:
    """The condition that states the outcome: whether it is there, or for a deleting object whether it is gone."""
    return Type.RELEASED if obj.meta.deleting else Type.PROGRAMMED


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
