"""Read a VirtualMachine and its newest Flow from the cache."""

from __future__ import annotations

from operators.contract import names
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Key
from operators.contract.orchestration import FLOW, FlowState, OnFailure, StepState
from operators.contract.quantity import Duration
from operators.kernel.cache import Cache
from operators.orchestration.intents.model import Last, Seen, Wanted
from operators.orchestration.record import VM, Flow, Intent, ended, intent_of, newest

GENERATION = "generation"
"""In the result of a Flow that was given up: the target's generation by then."""


def observe(cache: Cache, key: Key) -> tuple[Wanted, Seen] | None:
    """What is asked for, and what was done last; None for a VirtualMachine that is gone."""
    vm = cache.get(VIRTUAL_MACHINE, key)
    if vm is None:
        return None
    flow = newest(cache.by(FLOW, "target", vm.meta.uid))
    return wanted(vm), Seen(None if flow is None else last(flow))


def wanted(vm: VM) -> Wanted:
    """The user's side. An annotation that makes no sense is passed over: it may not keep anything from being made."""
    annotations = vm.meta.annotations
    on_failure = annotations.get(names.ANNOTATION_DEPLOY_ON_FAILURE, "")
    return Wanted(
        vm.meta,
        Intent(vm.spec.run_policy, vm.spec.reboot_request),
        _duration(annotations.get(names.ANNOTATION_DEPLOY_DEADLINE, "")),
        OnFailure(on_failure) if on_failure in tuple(OnFailure) else OnFailure.STOP,
    )


def last(flow: Flow) -> Last:
    """What the newest Flow establishes, and how far it is."""
    status = flow.status
    generation = status.result.get(GENERATION, "")
    given_up = status.state == FlowState.CANCELLED or (
        status.state == FlowState.FAILED and flow.spec.on_failure is OnFailure.COMPENSATE
    )
    return Last(
        flow.spec.operation,
        intent_of(flow),
        ended=ended(flow),
        succeeded=status.state == FlowState.SUCCEEDED,
        undone=not given_up or all(step.state in (StepState.COMPENSATED, StepState.SKIPPED) for step in status.steps),
        ended_at=int(generation) if generation.isdecimal() else flow.spec.target_generation,
    )


def _duration(text: str) -> Duration | None:
    try:
        return Duration.parse(text) if text else None
    except ValueError:
        return None
