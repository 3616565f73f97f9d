"""Decides what the Flow of one Migration says. It is read off the Migration alone, and goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from operators.contract.meta import Obj, condition
from operators.contract.migrations import MigrationSpec, MigrationStatus
from operators.contract.orchestration import FlowError, FlowState, FlowStatus, Step, StepState
from operators.contract.reasons import ON_THE_WAY, Reason, Type
from operators.kernel.outcome import Blocked, Done, Outcome, Rejected
from operators.orchestration.flows.judge import BAD_PARAMETER, INTERNAL
from operators.orchestration.record import Flow, ended

Migration: TypeAlias = Obj[MigrationSpec, MigrationStatus]
SCHEDULE, PREPARE, MOVE = "schedule", "prepare", "move"


@dataclass(frozen=True, slots=True)
class Begin:
    """Make the Flow."""

    migration: Migration


def plan(migration: Migration, flow: Flow | None) -> tuple[list[Begin], Outcome]:
    """Make the Flow once; how it stands is how the Migration stands."""
    if flow is None:
        begins = not migration.meta.deleting and not migration.status.finished_at
        return [Begin(migration)] if begins else [], Done()
    said = condition(migration.status.conditions, Type.SUCCEEDED)
    if said is None:
        return [], Blocked(Reason.PROGRESSING, "Compute has yet to take the Migration up")
    if said.true:
        return [], Done(Reason.SUCCEEDED, said.message)
    if migration.status.finished_at:
        return [], Rejected(said.reason, said.message)
    return [], Blocked(said.reason, said.message)


def status_of(migration: Migration, flow: Flow, outcome: Outcome, now: str) -> FlowStatus:
    """The whole status of a Flow that has not ended before now."""
    state = _state(outcome)
    steps = _steps(migration, flow, outcome, now)
    error = None
    if isinstance(outcome, Rejected):
        error = FlowError(BAD_PARAMETER if outcome.reason == Reason.INVALID else INTERNAL, outcome.message)
    return FlowStatus(
        state=state.value,
        steps=steps,
        progress=f"{sum(step.state is StepState.DONE for step in steps)}/{len(steps)}",
        started_at=flow.status.started_at or flow.meta.creation_timestamp or now,
        finished_at=now if state.terminal else "",
        error=error,
        result={"hostName": migration.status.target_host} if isinstance(outcome, Done) else {},
    )


def _state(outcome: Outcome) -> FlowState:
    if isinstance(outcome, Done):
        return FlowState.SUCCEEDED
    if isinstance(outcome, Rejected):
        return FlowState.CANCELLED if outcome.reason == Reason.CANCELLED else FlowState.FAILED
    return FlowState.RUNNING


def _steps(migration: Migration, flow: Flow, outcome: Outcome, now: str) -> tuple[Step, ...]:
    status = migration.status
    done = {SCHEDULE: bool(status.target_host), PREPARE: bool(status.storage), MOVE: isinstance(outcome, Done)}
    before = {step.name: step for step in flow.status.steps}
    steps: list[Step] = []
    for name, over in done.items():
        last = before.get(name)
        first = all(step.state is StepState.DONE for step in steps)
        if over:
            state = StepState.DONE
        elif isinstance(outcome, Rejected):
            state = StepState.SKIPPED
        elif not first:
            state = StepState.PENDING
        else:
            state = StepState.RUNNING if outcome.reason in ON_THE_WAY else StepState.BLOCKED
        begun = state not in (StepState.PENDING, StepState.SKIPPED)
        steps.append(
            Step(
                name,
                "compute",
                state,
                f"Migration/{migration.meta.name}",
                outcome.message if state in (StepState.RUNNING, StepState.BLOCKED) else "",
                attempts=1 if begun else 0,
                started_at=(last.started_at if last else "") or (now if begun else ""),
                finished_at=((last.finished_at if last else "") or now) if over else "",
            )
        )
    return tuple(steps)


def reportable(flow: Flow | None) -> bool:
    """Whether there is a Flow that has not said its last word."""
    return flow is not None and not ended(flow)
