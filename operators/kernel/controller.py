"""One controller: observe → plan → act → report for one key at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import structlog

from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.meta import Condition, Key, Kind, Obj
from operators.contract.reasons import Reason, Type
from operators.kernel import metrics
from operators.kernel.cache import Cache
from operators.kernel.clock import Clock, stamp
from operators.kernel.outcome import (
    Blocked,
    Done,
    Outcome,
    Problem,
    Rejected,
    Retry,
    kstatus,
    settled,
    verdict_condition,
)
from operators.kernel.queue import WorkQueue
from operators.kernel.store import Conflict, Deposed, Invalid, NotFound, Store, StoreError

log = structlog.get_logger()

UNREPORTED_RUNS = 3
"""Runs in a row that may leave their report to the next one."""

WantedT = TypeVar("WantedT")
SeenT = TypeVar("SeenT")
ActionT = TypeVar("ActionT")


@dataclass(frozen=True, slots=True)
class Watch:
    """A kind that a process watches, and which part of it."""

    kind: Kind[Any, Any]
    field_selector: str = ""
    label_selector: str = ""


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


class Controller(Protocol[WantedT, SeenT, ActionT]):
    """The specific part of a reconciliation; a component's room implements it, the kernel runs it.

    A run is: `observe` the key (None: there is nothing to do for it), `plan` the actions and the outcome, `act` each
    action in turn, `report`. All of it may happen any number of times, and be cut off anywhere.
    """

    name: str
    kind: Kind[Any, Any]
    """The kind whose keys it works on."""
    workers: int
    """How many keys run side by side; 1 where a plan claims what another plan may claim."""

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """For each watched kind, the keys that an object of it concerns. Called with the state before and after."""

    async def observe(self, key: Key) -> tuple[WantedT, SeenT] | None:
        """Read the cache (or the host) into the model; never modifies. A Problem ends the run without a report."""

    def plan(self, wanted: WantedT, seen: SeenT) -> tuple[Sequence[ActionT], Outcome]:
        """Decide, purely."""

    async def act(self, action: ActionT) -> None:
        """Do one action, safe to repeat. Raises Problem for an outcome of its own."""

    def report(self, wanted: WantedT, seen: SeenT, outcome: Outcome) -> Sequence[Report]:
        """What the statuses should say now."""


@dataclass
class Runner(Generic[WantedT, SeenT, ActionT]):
    """Runs one controller's keys from its queue."""

    controller: Controller[WantedT, SeenT, ActionT]
    store: Store
    cache: Cache
    clock: Clock
    queue: WorkQueue[Key] = field(default_factory=WorkQueue)
    _unreported: dict[Key, int] = field(default_factory=dict)

    async def worker(self) -> None:
        """Work on one key after another, for ever."""
        while True:
            key = await self.queue.get()
            try:
                await self.run(key)
            finally:
                self.queue.done(key)

    async def run(self, key: Key) -> None:
        """One run of one key; whatever happens, the key comes back when it must."""
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(**self._log_context(key)):
            outcome: Outcome | None = None
            try:
                outcome = await self._reconcile(key)
                self._again(key, outcome)
            except Problem as problem:
                # Seen while observing, before there is anything to report about.
                log.warning("cannot_observe", error=str(problem))
                self._again(key, problem.outcome)
            except Conflict as error:
                log.debug("conflict", error=str(error))
                self.queue.add_backoff(key)
            except Deposed as error:
                log.info("deposed", error=str(error))
            except StoreError as error:
                log.warning("api_server_trouble", error=str(error), retry_in=round(self.queue.add_backoff(key), 2))
            except Exception:
                log.exception("reconcile_failed", retry_in=round(self.queue.add_backoff(key), 2))
        name = type(outcome).__name__ if outcome else "Failed"
        metrics.RECONCILE_SECONDS.labels(self.controller.name).observe(time.perf_counter() - started)
        metrics.OUTCOMES.labels(self.controller.name, name).inc()

    def _log_context(self, key: Key) -> dict[str, str]:
        """What every log line of this run says: whose run, of what, and in which Flow where its object knows."""
        context = {"controller": self.controller.name, "key": str(key)}
        obj = self.cache.get(self.controller.kind, key) if self.controller.kind in self.cache.kinds else None
        flow = obj.meta.labels.get(names.LABEL_FLOW) if obj else None
        return context | {"flow": flow} if flow else context

    async def _reconcile(self, key: Key) -> Outcome:
        observed = await self.controller.observe(key)
        if observed is None:
            return Done()
        wanted, seen = observed
        actions, outcome = self.controller.plan(wanted, seen)
        try:
            for action in actions:
                log.info("act", action=type(action).__name__, detail=str(action)[:300])
                await self.controller.act(action)
        except Problem as problem:
            outcome = problem.outcome
        except Invalid as error:
            outcome = Retry(Reason.INTERNAL_ERROR, f"the API server refused what was planned: {error}", 30.0)
            log.error("refused_by_api_server", error=str(error))
        if not isinstance(outcome, Done):
            log.info("not_done", outcome=type(outcome).__name__, reason=outcome.reason, message=outcome.message)
        if not self._superseded(key):
            for report in self.controller.report(wanted, seen, outcome):
                await self._write(report, outcome)
        return outcome

    def _superseded(self, key: Key) -> bool:
        """Whether what was observed is outdated already, mostly by our own actions.

        The run that follows at once reports what came of them, and the API server is saved a write.
        """
        times = self._unreported.pop(key, 0)
        if not self.queue.marked(key) or times >= UNREPORTED_RUNS:
            return False
        self._unreported[key] = times + 1
        return True

    async def _write(self, report: Report, outcome: Outcome) -> None:
        about = report.about
        status = status_of(report, outcome, stamp(self.clock.now()))
        if unchanged(status, report) or self._outdated(about):
            return
        try:
            await self.store.apply_status(
                about.kind, about.key, status, resource_version=about.meta.resource_version, manager=report.part
            )
        except NotFound:
            log.debug("gone_before_report")

    def _outdated(self, about: Obj[Any, Any]) -> bool:
        """Whether the object moved on since it was observed, by our own action say; its key is then marked anyway."""
        if about.kind not in self.cache.kinds:
            return False
        newest = self.cache.get(about.kind, about.key)
        return newest is None or newest.meta.resource_version != about.meta.resource_version

    def _again(self, key: Key, outcome: Outcome) -> None:
        """When the key comes back by itself; Done, Blocked and Rejected wait for an event."""
        match outcome:
            case Retry(after=None):
                self.queue.add_backoff(key)
            case Retry(after=float() | int() as seconds) | Done(after=float() | int() as seconds):
                self.queue.forget(key)
                self.queue.add_after(key, seconds)
            case Done() | Blocked() | Rejected():
                self.queue.forget(key)


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
