"""Read a VirtualMachine and its newest Flow from the cache."""

from __future__ import annotations

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Key
from operators.contract.orchestration import FLOW, FlowState, OnFailure, StepState
from operators.kernel.cache import Cache
from operators.orchestration.intents.model import Last, Seen, Wanted
from operators.orchestration.record import Flow, ended, intent_of, newest

GENERATION = "generation"
"""In the result of a Flow that was given up: the target's generation by then."""


def observe(cache: Cache, key: Key) -> tuple[Wanted, Seen] | None:
    """What is asked for, and what was done last; None for a VirtualMachine that is gone."""
    vm = cache.get(VIRTUAL_MACHINE, key)
    if vm is None:
        return None
    flow = newest(cache.by(FLOW, "target", vm.meta.uid))
    return Wanted(vm), Seen(None if flow is None else last(flow))


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
