"""Decide which Flow a VirtualMachine asks for, if any."""

from __future__ import annotations

from operators.contract.compute import RunPolicy
from operators.contract.flows import key_of
from operators.contract.orchestration import Operation
from operators.kernel.outcome import Done, Outcome
from operators.orchestration.drafts import drafts
from operators.orchestration.intents.model import Action, Begin, Last, Seen, Take, Wanted
from operators.orchestration.record import FINALIZER


def plan(want: Wanted, seen: Seen) -> tuple[list[Action], Outcome]:
    """Hold the VirtualMachine, and begin the Flow that is due. Nothing is reported: its status is Compute's alone."""
    vm = want.vm
    held = FINALIZER in vm.meta.finalizers
    if vm.meta.deleting:
        # Without our finalizer nothing of ours was made, or all of it is gone.
        destroying = seen.last is not None and seen.last.operation is Operation.DESTROY
        return ([Take(None, Begin(vm, Operation.DESTROY))] if held and not destroying else []), Done()
    hold = None if held else vm.meta
    operation = due(want, seen.last)
    if operation is not None:
        # What a held VirtualMachine needs need not wait for the Flow to be there; nothing of it outlives its owner.
        wanted = drafts(vm, key_of(vm, operation).name) if held and operation is Operation.DEPLOY else ()
        return [Take(hold, Begin(vm, operation, wanted))], Done()
    return ([Take(hold, None)] if hold else []), Done()


def due(want: Wanted, last: Last | None) -> Operation | None:
    """The operation that leads from what the last Flow established to what the spec says."""
    if last is None or last.intent is None:
        return Operation.DEPLOY
    if last.operation is Operation.DEPLOY and not last.succeeded:
        # A running deployment follows the spec by itself. One that was given up is begun anew when the user has changed
        # the spec since, and once it has been taken back.
        anew = last.ended and last.undone and want.vm.meta.generation > last.ended_at
        return Operation.DEPLOY if anew else None
    if want.intent.reinstall_request > last.intent.reinstall_request:
        return Operation.REINSTALL  # Which follows the run policy, too.
    if want.intent.run_policy is not last.intent.run_policy:
        return Operation.START if want.intent.run_policy is RunPolicy.RUNNING else Operation.STOP
    if want.intent.run_policy is RunPolicy.RUNNING and want.intent.reboot_request > last.intent.reboot_request:
        return Operation.REBOOT
    return None
