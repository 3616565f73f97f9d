"""A VirtualMachine, as far as it says what is to be done with it, and what was done last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from operators.contract.meta import Meta
from operators.contract.orchestration import Operation
from operators.orchestration.drafts import Draft
from operators.orchestration.record import VM, Intent


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asks for."""

    vm: VM

    @property
    def intent(self) -> Intent:
        """What it asks of the machine's power."""
        spec = self.vm.spec
        return Intent(spec.wanted, spec.reboot_request, spec.reinstall_request)


@dataclass(frozen=True, slots=True)
class Last:
    """The newest Flow of this VirtualMachine."""

    operation: Operation
    intent: Intent | None
    ended: bool = False
    succeeded: bool = False
    undone: bool = True
    """Whether nothing is left of what it had to take back."""
    ended_at: int = 0
    """The VirtualMachine's generation when a failed or cancelled deployment ended."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was done so far."""

    last: Last | None


@dataclass(frozen=True, slots=True)
class Begin:
    """Make the Flow of an operation."""

    vm: VM
    operation: Operation
    drafts: tuple[Draft, ...] = ()
    """What it will ask for at once; the Flow sees to all of it, whoever made it."""


@dataclass(frozen=True, slots=True)
class Take:
    """Hold the VirtualMachine by our finalizer and begin a Flow, side by side; either may be left out."""

    hold: Meta | None
    begin: Begin | None


Action: TypeAlias = Take
