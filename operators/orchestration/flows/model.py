"""A Flow, the objects that its steps wait for, and what can be done to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from operators.contract.instances import InstanceSpec, InstanceStatus
from operators.contract.meta import Kind, Meta, Obj, ObjectRef
from operators.contract.networking import PortSpec, PortStatus
from operators.contract.orchestration import FlowError, FlowState, StepState
from operators.contract.storage import VolumeSpec, VolumeStatus
from operators.kernel.outcome import Outcome
from operators.orchestration.drafts import Draft
from operators.orchestration.record import VM, Flow

Port: TypeAlias = Obj[PortSpec, PortStatus]
Volume: TypeAlias = Obj[VolumeSpec, VolumeStatus]
Instance: TypeAlias = Obj[InstanceSpec, InstanceStatus]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be carried out."""

    flow: Flow
    ttl: float
    """Seconds for which an ended Flow is kept."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is of it."""

    now: datetime
    vm: VM | None
    """The very target; None when it is gone."""
    ports: Mapping[str, Port]
    """Those owned by the VirtualMachine, by name."""
    roots: Mapping[str, Volume]
    """Root disks: the Volumes owned by the VirtualMachine, by name."""
    volumes: Mapping[str, Volume | None]
    """The Volumes that the VirtualMachine names in its spec."""
    instances: tuple[Instance, ...]
    taken: frozenset[str] = frozenset()
    """`Kind/name` of objects that the VirtualMachine needs and somebody else has."""
    newest: str = ""
    """The Flow that counts for this target; another name than the Flow's own: it is superseded."""
    unfinished: tuple[str, ...] = ()
    """Other Flows of this target that have not ended, and that a deletion waits for."""


@dataclass(frozen=True, slots=True)
class StepNow:
    """Where a step is, as seen now."""

    name: str
    component: str
    state: StepState
    object: str = ""
    reason: str = ""
    message: str = ""
    since: str = ""
    """When it was done, if its object says so."""
    final: bool = False
    """Whether it cannot go on until the user changes a spec."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Where a Flow is, as seen now."""

    state: FlowState
    outcome: Outcome
    steps: tuple[StepNow, ...]
    error: FlowError | None = None


@dataclass(frozen=True, slots=True)
class Make:
    """Make objects side by side."""

    drafts: tuple[Draft, ...]


@dataclass(frozen=True, slots=True)
class Doomed:
    """An object to be deleted."""

    kind: Kind[Any, Any]
    ref: ObjectRef


@dataclass(frozen=True, slots=True)
class Unmake:
    """Delete objects side by side."""

    objects: tuple[Doomed, ...]


@dataclass(frozen=True, slots=True)
class LetGo:
    """Take our finalizer off the VirtualMachine."""

    vm: Meta


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete the Flow itself."""

    flow: Meta


Action: TypeAlias = Make | Unmake | LetGo | Forget
