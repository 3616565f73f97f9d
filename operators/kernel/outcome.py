"""How a reconciliation may end, as values, and the one place where they become conditions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from operators.contract.meta import Condition, condition
from operators.contract.reasons import Reason, Type


@dataclass(frozen=True, slots=True)
class Done:
    """The object is as it was asked to be."""

    reason: str = Reason.AS_SPECIFIED
    message: str = ""
    after: float | None = None
    """Seconds after which to look again all the same: for what a clock ends."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Something else must happen first; that will wake the object, so nobody polls."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Retry:
    """The outside world failed, which sends no events: look again `after` seconds, or by back-off when None."""

    reason: str
    message: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The spec cannot be satisfied, whatever happens, until its user changes it."""

    reason: str
    message: str


Outcome: TypeAlias = Done | Blocked | Retry | Rejected


class Problem(Exception):
    """Raised by an action that found an outcome of its own, which is then reported instead of the plan's."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


def verdict_condition(type_: str, outcome: Outcome) -> Condition:
    """The condition that states an outcome under the given type: True only when done."""
    return Condition(type_, "True" if isinstance(outcome, Done) else "False", outcome.reason, outcome.message)


def kstatus(outcome: Outcome) -> tuple[Condition, ...]:
    """`Ready` with `Reconciling` or `Stalled`, as the kstatus convention has them (present only when True)."""
    ready = verdict_condition(Type.READY, outcome)
    match outcome:
        case Done():
            return (ready,)
        case Rejected():
            return ready, Condition(Type.STALLED, "True", outcome.reason, outcome.message)
        case Blocked() | Retry():
            return ready, Condition(Type.RECONCILING, "True", outcome.reason, outcome.message)


def settled(
    new: Iterable[Condition], before: tuple[Condition, ...], generation: int, now: str
) -> tuple[Condition, ...]:
    """Conditions ready to be written: sorted by type, and with the time when their status last changed."""
    out = []
    for each in sorted(new, key=lambda entry: entry.type):
        last = condition(before, each.type)
        since = last.last_transition_time if last and last.status == each.status else now
        out.append(replace(each, last_transition_time=since or now, observed_generation=generation))
    return tuple(out)
