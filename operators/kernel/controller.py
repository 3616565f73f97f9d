"""One controller: observe → plan → act → report for one key at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import structlog

from operators.contract import names
from operators.contract.meta import Key, Kind, Obj
from operators.contract.reasons import Reason
from operators.kernel import metrics, trouble
from operators.kernel.cache import Cache
from operators.kernel.clock import Clock, stamp
from operators.kernel.outcome import Blocked, Done, Outcome, Problem, Rejected, Retry
from operators.kernel.queue import WorkQueue
from operators.kernel.report import Report as Report
from operators.kernel.report import Speaks, status_of, unchanged
from operators.kernel.store import Conflict, Deposed, Invalid, NotFound, Store, StoreError, Unavailable

log = structlog.get_logger()

UNREPORTED_RUNS = 3
"""Runs in a row that may leave their report to the next one."""
TOLERATED = 1
"""Failures in a row that nobody foresaw and that are only logged: most are over at the next look."""

WantedT = TypeVar("WantedT")
SeenT = TypeVar("SeenT")
ActionT = TypeVar("ActionT")


@dataclass(frozen=True, slots=True)
class Watch:
    """A kind that a process watches, and which part of it."""

    kind: Kind[Any, Any]
    field_selector: str = ""
    label_selector: str = ""


class Controller(Protocol[WantedT, SeenT, ActionT]):
    """The specific part of a reconciliation; a component's room implements it, the kernel runs it.

    A run is: `observe` the key (None: there is nothing to do for it), `plan` the actions and the outcome, `act` each
    action in turn, `report`. All of it may happen any number of times, and be cut off anywhere. A controller that says
    how its objects are also has a `voice` (see `Speaks`), by which the kernel says there what a failed run cannot.
    """

    name: str
    kind: Kind[Any, Any]
    """The kind whose keys it works on."""
    workers: int
    """How many keys run side by side; 1 where a plan claims what another plan may claim."""

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """For each watched kind, the keys that an object of it concerns. Called with the state before and after."""

    async def observe(self, key: Key) -> tuple[WantedT, SeenT] | None:
        """Read the cache (or the host) into the model; never modifies. A Problem ends the run; see `Voice`."""

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
    _troubled: dict[Key, int] = field(default_factory=dict)
    _noted: dict[Key, str] = field(default_factory=dict)

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
                self._troubled.pop(key, None)
            except Conflict as error:
                log.debug("conflict", error=str(error))
                self.queue.add_backoff(key)
            except Deposed as error:
                log.info("deposed", error=str(error))
            except Unavailable as error:
                log.warning("api_server_trouble", error=str(error), retry_in=round(self.queue.add_backoff(key), 2))
            except Exception as error:
                await self._trouble(key, error)
        name = type(outcome).__name__ if outcome else "Failed"
        metrics.RECONCILE_SECONDS.labels(self.controller.name).observe(time.perf_counter() - started)
        metrics.OUTCOMES.labels(self.controller.name, name).inc()

    async def _trouble(self, key: Key, error: Exception) -> None:
        """Log a failure that left nothing to report, say it on the object if it lasts, and come back later."""
        outcome = trouble.outcome_of(error)
        self._again(key, outcome)
        if isinstance(error, Problem | StoreError):
            log.warning("cannot_go_on", error=str(error))
        else:
            log.exception("reconcile_failed")
        times = self._troubled[key] = self._troubled.get(key, 0) + 1
        about = self.cache.get(self.controller.kind, key) if self.controller.kind in self.cache.kinds else None
        if times <= TOLERATED or about is None or not isinstance(self.controller, Speaks):
            return
        if (report := self.controller.voice.again(about)) is not None:
            try:
                await self._write(report, outcome)
            except StoreError as unsaid:
                log.warning("trouble_not_said", error=str(unsaid))

    def _log_context(self, key: Key) -> dict[str, str]:
        """What every log line of this run says: whose run, of what, and in which Flow where its object knows."""
        context = {"controller": self.controller.name, "key": str(key)}
        obj = self.cache.get(self.controller.kind, key) if self.controller.kind in self.cache.kinds else None
        flow = obj.meta.labels.get(names.LABEL_FLOW) if obj else None
        return context | {"flow": flow} if flow else context

    async def _reconcile(self, key: Key) -> Outcome:
        observed = await self.controller.observe(key)
        if observed is None:
            self._noted.pop(key, None)
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
        self._note(key, outcome)
        if not self._superseded(key):
            for report in self.controller.report(wanted, seen, outcome):
                await self._write(report, outcome)
        return outcome

    def _note(self, key: Key, outcome: Outcome) -> None:
        """Log how a run ended that is not done, once for each reason: most keys are on their way for several runs."""
        if isinstance(outcome, Done):
            self._noted.pop(key, None)
        elif self._noted.get(key) != outcome.reason:
            self._noted[key] = outcome.reason
            log.info("not_done", outcome=type(outcome).__name__, reason=outcome.reason, message=outcome.message)

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
