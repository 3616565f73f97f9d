"""A destroyed virtual machine: off, recoverable for a while, then gone for good.

CloudStack keeps a destroyed virtual machine for `expunge.delay`, so that `recoverVirtualMachine` can bring it back. A
deleted object of Kubernetes cannot come back, so destruction is a field of the spec, and only its end is a deletion.
"""

from __future__ import annotations

from datetime import UTC, datetime

from operators.compute.model import VM, Action, Expunge, Seen
from operators.contract.reasons import Reason
from operators.kernel.clock import parse_stamp, stamp
from operators.kernel.outcome import Blocked, Done, Outcome


def since(vm: VM, seen: Seen) -> str:
    """When its grace period began, as the status says it; empty when it is not destroyed."""
    if not vm.spec.destroyed:
        return ""
    return vm.status.destroyed_at or stamp(datetime.fromtimestamp(seen.now, UTC))


def expire(vm: VM, seen: Seen, outcome: Outcome) -> tuple[list[Action], Outcome]:
    """What becomes of it, once it is off; it goes when its grace period is over and its status had said so."""
    ends = parse_stamp(since(vm, seen)).timestamp() + seen.grace
    if vm.status.destroyed_at and seen.now >= ends:
        return [Expunge(vm)], Blocked(Reason.DELETING, "its grace period is over: it is being deleted for good")
    if not isinstance(outcome, Done):
        return [], outcome
    until = datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    message = f"it is deleted for good at {until}; until then, spec.destroyed: false recovers it"
    return [], Done(Reason.DESTROYED, message, after=max(0.0, ends - seen.now))
