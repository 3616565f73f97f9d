"""Where a Flow is, as a pure function of what is seen; `plan` acts upon it and `report` writes it down."""

from __future__ import annotations

from datetime import datetime, timedelta

from operators.contract.orchestration import FlowError, FlowState, OnFailure, Operation, StepState
from operators.contract.reasons import Reason
from operators.kernel.clock import parse_stamp
from operators.kernel.outcome import Blocked, Done, Rejected
from operators.orchestration.flows.model import Judgement, Seen, StepNow, Wanted
from operators.orchestration.flows.steps import steps_of
from operators.orchestration.record import FINALIZER, Flow, genuine

BAD_PARAMETER, UNSUPPORTED, INTERNAL, NO_CAPACITY, UNAVAILABLE, IN_USE = 431, 432, 530, 533, 534, 536
"""Error codes of the CloudStack API (`ApiErrorCode`)."""

CODES = {
    **dict.fromkeys(
        (
            Reason.NO_HOST_FITS,
            Reason.NO_POOL_FITS,
            Reason.LIMIT_EXCEEDED,
            Reason.NO_ADDRESS_LEFT,
            Reason.NO_SEGMENT_LEFT,
            Reason.NO_PUBLIC_ADDRESS,
            Reason.POOL_FULL,
        ),
        NO_CAPACITY,
    ),
    **dict.fromkeys(
        (
            Reason.OFFERING_NOT_FOUND,
            Reason.IMAGE_NOT_FOUND,
            Reason.NETWORK_NOT_FOUND,
            Reason.VOLUME_NOT_FOUND,
            Reason.ZONE_NOT_FOUND,
            Reason.CIDR_OVERLAP,
            Reason.CHECKSUM_MISMATCH,
            Reason.UNSAFE_IMAGE,
            Reason.IMAGE_TOO_LARGE,
            Reason.SIZE_TOO_SMALL,
            Reason.NAME_TAKEN,
            Reason.INVALID,
        ),
        BAD_PARAMETER,
    ),
    **dict.fromkeys(
        (
            Reason.SOURCE_UNREACHABLE,
            Reason.POOL_OFFLINE,
            Reason.HOST_DOWN,
            Reason.HOST_MAINTENANCE,
            Reason.AGENT_SILENT,
        ),
        UNAVAILABLE,
    ),
    **dict.fromkeys((Reason.ADDRESS_IN_USE, Reason.STILL_ATTACHED, Reason.STILL_IN_USE), IN_USE),
}

INSTEAD = {
    Operation.DEPLOY: "apply a VirtualMachine",
    Operation.START: "set spec.runPolicy of the VirtualMachine to Running",
    Operation.STOP: "set spec.runPolicy of the VirtualMachine to Stopped",
    Operation.REBOOT: "raise spec.rebootRequest of the VirtualMachine by one",
    Operation.REINSTALL: "raise spec.reinstallRequest of the VirtualMachine by one",
    Operation.DESTROY: "delete the VirtualMachine",
    Operation.MIGRATE: "make a Migration",
}
"""What to do in place of making a Flow by hand; a Flow follows what a spec says, and never writes one."""


def judge(want: Wanted, seen: Seen) -> Judgement:
    """Where a Flow that has not ended is."""
    flow = want.flow
    if not genuine(flow):
        text = f"Flows follow what specs say and are made by the engine: {INSTEAD[flow.spec.operation]} instead"
        return _failed(Reason.UNSUPPORTED, text, UNSUPPORTED, ())
    steps = steps_of(flow, seen)
    if flow.spec.operation is Operation.DESTROY:
        return _destroying(want, seen, steps)
    given_up = _given_up(want, seen, steps)
    if given_up is not None:
        return given_up
    if all(_done(step) for step in steps):
        return Judgement(FlowState.SUCCEEDED, Done(Reason.SUCCEEDED), steps)
    if flow.spec.suspend:
        return _suspended(steps)
    return _running(steps)


def blocker(steps: tuple[StepNow, ...]) -> StepNow | None:
    """The step to name when asked why a Flow is not done: what somebody must see to first, then what was begun."""
    for state in (StepState.BLOCKED, StepState.RUNNING, StepState.PENDING):
        for step in steps:
            if step.state is state:
                return step
    return None


def age(flow: Flow, now: datetime) -> timedelta:
    """How long ago a Flow was made."""
    created = flow.meta.creation_timestamp
    return now - parse_stamp(created) if created else timedelta(0)


def overdue_in(flow: Flow, now: datetime) -> timedelta | None:
    """How long a Flow may still take; None when it may take for ever."""
    if flow.spec.deadline is None or flow.spec.operation is Operation.DESTROY:
        return None
    return timedelta(seconds=int(flow.spec.deadline)) - age(flow, now)


def _given_up(want: Wanted, seen: Seen, steps: tuple[StepNow, ...]) -> Judgement | None:
    flow = want.flow
    if seen.newest not in ("", flow.meta.name):
        return _cancelled(f"superseded by Flow {seen.newest}", steps)
    if seen.vm is None:
        return _cancelled("its VirtualMachine is gone", steps)
    if flow.spec.cancel:
        follows = flow.spec.operation is not Operation.DEPLOY
        return _cancelled(
            "cancelled; the spec of the VirtualMachine still asks for it" if follows else "cancelled by its user", steps
        )
    if all(_done(step) for step in steps):
        return None
    held_up = blocker(steps)
    why = f": {held_up.message}" if held_up and held_up.message else ""
    code = CODES.get(Reason(held_up.reason), INTERNAL) if held_up and held_up.reason in tuple(Reason) else INTERNAL
    left = overdue_in(flow, seen.now)
    if left is not None and left <= timedelta(0):
        text = f"not done within {flow.spec.deadline}{why}"
        return _failed(Reason.DEADLINE_EXCEEDED, text, code, steps)
    final = next((step for step in steps if step.final), None)
    if final is not None and flow.spec.on_failure is OnFailure.COMPENSATE:
        return _failed(Reason.FAILED, final.message, code, steps)
    return None


def _destroying(want: Wanted, seen: Seen, steps: tuple[StepNow, ...]) -> Judgement:
    """A deletion cannot be taken back: it heeds neither cancel nor deadline, and waits for as long as it takes."""
    vm = seen.vm
    if vm is None or FINALIZER not in vm.meta.finalizers:
        done = tuple(StepNow(step.name, step.component, StepState.DONE) for step in steps)
        return Judgement(FlowState.SUCCEEDED, Done(Reason.SUCCEEDED), done)
    if want.flow.spec.suspend:
        return _suspended(steps)
    if seen.unfinished:
        waits = f"Flow {seen.unfinished[0]} is being ended first"
        return Judgement(FlowState.RUNNING, Blocked(Reason.WAITING_FOR_FLOW, waits), steps)
    return _running(steps)


def _running(steps: tuple[StepNow, ...]) -> Judgement:
    step = blocker(steps)
    if step is None:
        return Judgement(FlowState.RUNNING, Blocked(Reason.PROGRESSING, "the last step is being ended"), steps)
    reason = step.reason or Reason.PROGRESSING
    message = step.message or f"waits for {step.object}"
    return Judgement(FlowState.RUNNING, Blocked(reason, message), steps)


def _suspended(steps: tuple[StepNow, ...]) -> Judgement:
    message = "no further step is begun until spec.suspend is taken back"
    return Judgement(FlowState.SUSPENDED, Blocked(Reason.SUSPENDED, message), steps)


def _cancelled(text: str, steps: tuple[StepNow, ...]) -> Judgement:
    return Judgement(FlowState.CANCELLED, Rejected(Reason.CANCELLED, text), steps, FlowError(INTERNAL, text))


def _failed(reason: Reason, text: str, code: int, steps: tuple[StepNow, ...]) -> Judgement:
    return Judgement(FlowState.FAILED, Rejected(reason, text), steps, FlowError(code, text))


def _done(step: StepNow) -> bool:
    return step.state in (StepState.DONE, StepState.SKIPPED)
