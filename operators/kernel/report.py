"""What a run writes into a status: fields, the verdict's condition and its family, and whether it is news at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from operators.contract.codec import Json, to_wire
from operators.contract.meta import Condition, Obj
from operators.contract.reasons import Type
from operators.kernel.outcome import Outcome, kstatus, settled, verdict_condition


@dataclass(frozen=True, slots=True)
class Report:
    """What to write into an object's status. The kernel adds `observedGeneration` and the verdict's condition."""

    about: Obj[Any, Any]
    """The very state that was observed; a newer one refuses the write, and the key comes back."""
    fields: object = None
    """A status dataclass or mapping; its own `conditions` and `observedGeneration` are not used."""
    conditions: tuple[Condition, ...] = ()
    """Besides the verdict's."""
    verdict: str = "Ready"
    """The type of the condition that states the verdict. With `Ready`, kstatus's others follow; "" for none."""
    part: str = ""
    """A name for this part of a status that several controllers of one process write."""
    observed_generation: bool = True
    """Left out where another component writes it."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How a controller speaks in the status of the objects whose keys it works on, whatever else a run came to."""

    verdict: str = Type.READY
    """The condition that states how it is; of a host-side object that is being deleted, `Released` does."""
    others: frozenset[str] = frozenset()
    """Conditions that have other writers."""
    fields: bool = True
    """Whether the rest of the status is its own."""
    silent: Callable[[Obj[Any, Any]], bool] = lambda about: False
    """Whether the last word on an object has been said."""

    def again(self, about: Obj[Any, Any]) -> Report | None:
        """The report that says what was said before, and leaves the verdict to whatever came of the run."""
        if self.silent(about):
            return None
        verdict = Type.RELEASED if about.kind.host_side and about.meta.deleting else self.verdict
        family = {verdict, *((Type.RECONCILING, Type.STALLED) if verdict == Type.READY else ())}
        if not self.fields:
            return Report(about, verdict=verdict, observed_generation=False)
        kept = tuple(each for each in about.status.conditions if each.type not in family | self.others)
        return Report(about, about.status, kept, verdict)


@runtime_checkable
class Speaks(Protocol):
    """A controller with a voice: what goes wrong in a run before it can report is said on the object all the same."""

    voice: Voice


def status_of(report: Report, outcome: Outcome, now: str) -> Json:
    """The whole status that a report applies."""
    about = report.about
    status: Json = {} if report.fields is None else dict(to_wire(report.fields))
    status.pop("observedGeneration", None)
    verdict: tuple[Condition, ...] = ()
    if report.verdict == "Ready":
        verdict = kstatus(outcome)
    elif report.verdict:
        verdict = (verdict_condition(report.verdict, outcome),)
    named = {each.type: each for each in (*verdict, *report.conditions)}
    before = getattr(about.status, "conditions", ())
    status["conditions"] = to_wire(settled(named.values(), before, about.meta.generation, now))
    if not status["conditions"]:
        del status["conditions"]
    if report.observed_generation:
        status["observedGeneration"] = about.meta.generation
    return status


def unchanged(status: Json, report: Report) -> bool:
    """Whether the object already says all of that: an apply that changes nothing still costs the server a write.

    A status dataclass speaks for all its fields, so one that became empty is a change; a mapping only for those it
    names. Of conditions, only those named here and the verdict's own family are compared: the rest have other writers.
    """
    said = to_wire(report.about.status)
    mine = {each["type"]: each for each in status.get("conditions", ())}
    theirs = {each["type"]: each for each in said.pop("conditions", ())}
    family = {Type.RECONCILING, Type.STALLED} if report.verdict == Type.READY else set()
    if any(theirs.get(type_) != mine.get(type_) for type_ in mine.keys() | family):
        return False
    fields = {name: value for name, value in status.items() if name != "conditions"}
    if report.fields is None or isinstance(report.fields, Mapping):
        said = {name: value for name, value in said.items() if name in fields}
    elif not report.observed_generation:
        said.pop("observedGeneration", None)
    return bool(said == fields)
