"""The orchestration group: the Flow, one operation over several components with visible steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from operators.contract import names
from operators.contract.meta import Condition, Kind, ObjectRef
from operators.contract.quantity import Duration


class Operation(StrEnum):
    """What a Flow does to its target."""

    DEPLOY = "Deploy"
    START = "Start"
    STOP = "Stop"
    REBOOT = "Reboot"
    REINSTALL = "Reinstall"
    DESTROY = "Destroy"
    MIGRATE = "Migrate"


class OnFailure(StrEnum):
    """What a Flow does with what it made when it fails."""

    COMPENSATE = "Compensate"
    STOP = "Stop"


class FlowState(StrEnum):
    """Where a Flow is; the last three are terminal."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    COMPENSATING = "Compensating"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing will change any more."""
        return self in (FlowState.SUCCEEDED, FlowState.FAILED, FlowState.CANCELLED)


class StepState(StrEnum):
    """Where one step of a Flow is."""

    PENDING = "Pending"
    RUNNING = "Running"
    BLOCKED = "Blocked"
    DONE = "Done"
    COMPENSATED = "Compensated"
    SKIPPED = "Skipped"


@dataclass(frozen=True, slots=True)
class FlowSpec:
    """An operation on one object. Everything but `cancel` and `suspend` is immutable."""

    operation: Operation
    target: ObjectRef
    target_generation: int = 0
    inputs: Mapping[str, str] = field(default_factory=dict)
    deadline: Duration | None = None
    """How long it may take, from creation; it waits for ever when empty."""
    on_failure: OnFailure = OnFailure.STOP
    cancel: bool = False
    suspend: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One step, with the component and object that it waits for."""

    name: str
    component: str
    state: StepState
    object: str = ""
    """`Kind/name`."""
    message: str = ""
    attempts: int = 0
    started_at: str = ""
    finished_at: str = ""


@dataclass(frozen=True, slots=True)
class FlowError:
    """Why a Flow failed, with a code of the CloudStack API."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """Written by Orchestration."""

    observed_generation: int = 0
    state: str = ""
    steps: tuple[Step, ...] = ()
    progress: str = ""
    """Steps done of steps in all, for printing."""
    started_at: str = ""
    finished_at: str = ""
    error: FlowError | None = None
    result: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()


FLOW = Kind(names.ORCHESTRATION, "Flow", "flows", FlowSpec, FlowStatus)

KINDS: tuple[Kind[object, object], ...] = (FLOW,)
