"""What a Flow records: the intent of a VirtualMachine that it establishes.

The newest Flow of a living VirtualMachine is the memory of what was last done to it, so it is kept for as long as the
VirtualMachine lives. Comparing its record with the spec tells which operation is due, whatever happened in between.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from operators.contract import names
from operators.contract.compute import RunPolicy, VirtualMachineSpec, VirtualMachineStatus
from operators.contract.flows import REBOOT_REQUEST, REINSTALL_REQUEST, RUN_POLICY
from operators.contract.meta import Key, Obj
from operators.contract.orchestration import FlowSpec, FlowState, FlowStatus, Operation

VM: TypeAlias = Obj[VirtualMachineSpec, VirtualMachineStatus]
Flow: TypeAlias = Obj[FlowSpec, FlowStatus]

COMPONENT = "orchestration"
FINALIZER = names.finalizer(COMPONENT)


@dataclass(frozen=True, slots=True)
class Intent:
    """What a user asks of a VirtualMachine's power."""

    run_policy: RunPolicy
    reboot_request: int
    reinstall_request: int = 0


def intent_of(flow: Flow) -> Intent | None:
    """The intent that a Flow records, None when its inputs do not say it."""
    policy, reboot = flow.spec.inputs.get(RUN_POLICY, ""), flow.spec.inputs.get(REBOOT_REQUEST, "")
    if policy not in tuple(RunPolicy) or not reboot.isdecimal():
        return None
    reinstall = flow.spec.inputs.get(REINSTALL_REQUEST, "0")
    return Intent(RunPolicy(policy), int(reboot), int(reinstall)) if reinstall.isdecimal() else None


def genuine(flow: Flow) -> bool:
    """Whether a Flow is one of the engine's (or made just as the engine would), and not a hand-made one."""
    spec = flow.spec
    named = flow.meta.name == names.flow(
        spec.target.name, spec.target.uid, spec.operation.value, spec.target_generation
    )
    here = spec.target.namespace in ("", flow.meta.namespace) and spec.target.kind == "VirtualMachine"
    return named and here and (spec.operation is Operation.DESTROY or intent_of(flow) is not None)


def newest(flows: Iterable[Flow]) -> Flow | None:
    """The Flow that counts among those of one target; the end of a target is always its newest."""
    return max(filter(genuine, flows), key=_age, default=None)


def _age(flow: Flow) -> tuple[bool, int, str, str]:
    spec = flow.spec
    return spec.operation is Operation.DESTROY, spec.target_generation, flow.meta.creation_timestamp, flow.meta.name


def ended(flow: Flow) -> bool:
    """Whether a Flow has said its last word."""
    state = flow.status.state
    return state in tuple(FlowState) and FlowState(state).terminal


def target_key(flow: Flow) -> Key:
    """Where the target of a Flow is."""
    return Key(flow.meta.namespace, flow.spec.target.name)
