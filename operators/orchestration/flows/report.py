"""Write down where a Flow is: as its status, for people, for the API, and for the engine after a restart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from operators.contract.meta import condition
from operators.contract.orchestration import FlowState, FlowStatus, Operation, Step, StepState
from operators.contract.reasons import Type
from operators.kernel.clock import stamp
from operators.kernel.controller import Report
from operators.orchestration.flows.judge import judge
from operators.orchestration.flows.model import Judgement, Seen, StepNow, Wanted
from operators.orchestration.flows.plan import takes_back, undoing, young
from operators.orchestration.intents.observe import GENERATION
from operators.orchestration.record import Flow, ended

BEGUN = (StepState.RUNNING, StepState.BLOCKED, StepState.DONE)
OVER = (StepState.DONE, StepState.SKIPPED)


def report(want: Wanted, seen: Seen) -> Sequence[Report]:
    """The status to write, if it is worth a write."""
    flow = want.flow
    if ended(flow):
        return _taken_back(flow, seen)
    verdict = judge(want, seen)
    if young(flow, seen, verdict):
        return ()
    return (Report(flow, status_of(flow, seen, verdict), verdict=Type.SUCCEEDED),)


def status_of(flow: Flow, seen: Seen, verdict: Judgement) -> FlowStatus:
    """The whole status of a Flow that has not ended before now."""
    now = stamp(seen.now)
    steps = _steps(flow, verdict.steps, now)
    return FlowStatus(
        state=verdict.state.value,
        steps=steps,
        progress=_progress(steps),
        started_at=flow.status.started_at or flow.meta.creation_timestamp or now,
        finished_at=now if verdict.state.terminal else "",
        error=verdict.error,
        result=_result(flow, seen, verdict.state),
    )


def _steps(flow: Flow, seen: Sequence[StepNow], now: str) -> tuple[Step, ...]:
    before = {step.name: step for step in flow.status.steps}
    # Those of an undoing run one after another; all others began when the Flow did.
    begun = (
        now if flow.spec.operation is Operation.DESTROY and flow.status.state else flow.meta.creation_timestamp or now
    )
    return tuple(_step(step, before.get(step.name), begun, now) for step in seen)


def _step(seen: StepNow, before: Step | None, begun: str, now: str) -> Step:
    """A step with its times, which stay what they were once they are written."""
    last = before or Step(seen.name, seen.component, StepState.PENDING)
    running = seen.state in (StepState.RUNNING, StepState.BLOCKED)
    # Whatever it was held up by is gone, so it is tried again.
    again = last.state is StepState.BLOCKED and seen.state is not StepState.BLOCKED
    first = last.attempts == 0 and seen.state in BEGUN
    return Step(
        seen.name,
        seen.component,
        seen.state,
        seen.object or last.object,
        seen.message if seen.state is not StepState.DONE else "",
        last.attempts + (1 if again or first else 0),
        last.started_at or (begun if seen.state in BEGUN else ""),
        "" if running or seen.state not in OVER else last.finished_at or seen.since or now,
    )


def _progress(steps: Sequence[Step]) -> str:
    return f"{sum(step.state in OVER for step in steps)}/{len(steps)}" if steps else ""


def _result(flow: Flow, seen: Seen, state: FlowState) -> Mapping[str, str]:
    vm = seen.vm
    if vm is None or not state.terminal:
        return {}
    if state is not FlowState.SUCCEEDED:
        # Whether the user has changed the spec since, and so wants another try, is told by this.
        return {GENERATION: str(vm.meta.generation)} if flow.spec.operation is Operation.DEPLOY else {}
    result = {"hostName": vm.status.host_name, "addresses": ",".join(vm.status.addresses)}
    return {name: value for name, value in result.items() if value and flow.spec.operation is not Operation.DESTROY}


def _taken_back(flow: Flow, seen: Seen) -> Sequence[Report]:
    """After a deployment was given up: say when nothing is left of it. Its state and error stay what they are."""
    if not takes_back(flow, seen) or undoing(flow, seen):
        return ()
    steps = tuple(
        step if step.state is StepState.SKIPPED else replace(step, state=StepState.COMPENSATED, message="")
        for step in flow.status.steps
    )
    succeeded = condition(flow.status.conditions, Type.SUCCEEDED)
    status = replace(flow.status, steps=steps, progress=_progress(steps))
    return (Report(flow, status, conditions=(succeeded,) if succeeded else (), verdict=""),)
