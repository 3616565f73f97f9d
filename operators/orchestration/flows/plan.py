"""Decide what brings one Flow further, and what is left to do when it has ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from operators.contract import names
from operators.contract.orchestration import FlowState, OnFailure, Operation
from operators.contract.reasons import Reason
from operators.contract.storage import VOLUME
from operators.kernel.clock import parse_stamp
from operators.kernel.outcome import Blocked, Done, Outcome, Retry
from operators.orchestration.drafts import Draft, drafts
from operators.orchestration.flows import nics
from operators.orchestration.flows.judge import age, judge, overdue_in
from operators.orchestration.flows.model import (
    Action,
    Doomed,
    Forget,
    Judgement,
    LetGo,
    Make,
    Port,
    Seen,
    Unmake,
    Volume,
    Wanted,
)
from operators.orchestration.record import FINALIZER, VM, Flow, ended

PATIENCE = timedelta(seconds=3)
"""A Flow that is done sooner is written once, at its end; one that takes longer shows its steps live.

The API server cuts creation times to whole seconds, so this is between two and three."""

SAME_TIME = timedelta(minutes=1)
"""How far the clocks of two API servers may be apart."""


def plan(want: Wanted, seen: Seen) -> tuple[list[Action], Outcome]:
    """The next steps of a Flow. It ends first, and is taken back after: Compute waits for that word too."""
    if ended(want.flow):
        return _after(want, seen)
    verdict = judge(want, seen)
    if verdict.state.terminal:
        return [], verdict.outcome
    actions = [] if verdict.state is FlowState.SUSPENDED else list(_due(want, seen))
    return actions, _waking(want.flow, seen, verdict)


def _due(want: Wanted, seen: Seen) -> Iterator[Action]:
    vm = seen.vm
    if vm is None or FINALIZER not in vm.meta.finalizers:
        return
    if not vm.meta.deleting and (missing := _missing(want, seen, vm)):
        yield Make(missing)
    else:
        yield from nics.follow(want.flow, seen)
    if former := _former(vm, seen):
        yield Unmake(_doomed(former))
    if want.flow.spec.operation is Operation.DESTROY and not seen.instances and not seen.unfinished:
        left = _dependents(seen)
        if standing := tuple(obj for obj in left if not obj.meta.deleting):
            yield Unmake(_doomed(standing))
        elif not left:
            yield LetGo(vm.meta)


def _missing(want: Wanted, seen: Seen, vm: VM) -> tuple[Draft, ...]:
    """What is still to be made. A root disk that was asked for anew is made whatever Flow is the newest by now."""
    there = seen.ports.keys() | seen.roots.keys()
    wanted = drafts(vm, want.flow.meta.name)
    if want.flow.spec.operation is not Operation.DEPLOY:
        anew = vm.status.reinstall_observed < vm.spec.reinstall_request
        wanted = tuple(draft for draft in wanted if anew and draft.kind is VOLUME)
    return tuple(draft for draft in wanted if draft.key.name not in there and str(draft) not in seen.taken)


def _former(vm: VM, seen: Seen) -> tuple[Volume, ...]:
    """Root disks whose place another one has taken: they go once Compute says that this one is there, not before."""
    request = vm.spec.reinstall_request
    if vm.meta.deleting or not request or vm.status.reinstall_observed < request or len(seen.roots) == 1:
        return ()
    names_ = {names.root_volume(vm.meta.name, former) for former in range(request)}
    return tuple(each for name, each in seen.roots.items() if name in names_ and not each.meta.deleting)


def _waking(flow: Flow, seen: Seen, verdict: Judgement) -> Outcome:
    """The verdict, with a look at the clock for when the Flow is to show its steps or has run out of time."""
    outcome = verdict.outcome
    times = [PATIENCE - age(flow, seen.now)] if young(flow, seen, verdict) else []
    left = overdue_in(flow, seen.now)
    if left is not None:
        times.append(left)
    if not times or not isinstance(outcome, Blocked):
        return outcome
    return Retry(outcome.reason, outcome.message, max(min(times).total_seconds(), 0.1))


def young(flow: Flow, seen: Seen, verdict: Judgement) -> bool:
    """Whether it is too early to write about a Flow that has not ended."""
    unsaid = flow.status.state == "" and verdict.state is FlowState.RUNNING
    return unsaid and age(flow, seen.now) < PATIENCE


# What is left when it has ended.


def _after(want: Wanted, seen: Seen) -> tuple[list[Action], Outcome]:
    flow = want.flow
    if undoing(flow, seen):
        if seen.instances:
            return [], Blocked(Reason.DELETING, "taken back once Compute has removed the guest")
        standing = tuple(each for each in _made(flow, seen) if not each.meta.deleting)
        return [Unmake(_doomed(standing))] if standing else [], Blocked(
            Reason.DELETING, "what it made is being removed"
        )
    if seen.vm is not None and seen.newest == flow.meta.name:
        former = _former(seen.vm, seen) if FINALIZER in seen.vm.meta.finalizers else ()
        follow = [] if takes_back(flow, seen) else nics.follow(flow, seen)
        # The record of what was last done to it.
        return [*follow, *([Unmake(_doomed(former))] if former else [])], Done()
    end = flow.status.finished_at or flow.meta.creation_timestamp
    left = timedelta(seconds=want.ttl) - (seen.now - parse_stamp(end) if end else timedelta(0))
    if left <= timedelta(0):
        return [Forget(flow.meta)], Done()
    return [], Done(Reason.SUCCEEDED, "kept until its time-to-live has passed", left.total_seconds())


def takes_back(flow: Flow, seen: Seen) -> bool:
    """Whether a Flow that has ended takes back what it made: a deployment that was given up, with nothing newer."""
    if flow.spec.operation is not Operation.DEPLOY or seen.newest != flow.meta.name:
        return False
    if seen.vm is None or seen.vm.meta.deleting:
        return False  # The end of the VirtualMachine takes it all with it.
    state, compensates = flow.status.state, flow.spec.on_failure is OnFailure.COMPENSATE
    return state == FlowState.CANCELLED or (state == FlowState.FAILED and compensates)


def undoing(flow: Flow, seen: Seen) -> bool:
    """Whether there is still something to take back."""
    return takes_back(flow, seen) and bool(seen.instances or _made(flow, seen))


def _made(flow: Flow, seen: Seen) -> tuple[Port | Volume, ...]:
    """What this very Flow made: never a disk that was there before it, whatever the labels say."""
    begun = parse_stamp(flow.meta.creation_timestamp) - SAME_TIME
    return tuple(
        obj
        for obj in _dependents(seen)
        if obj.meta.labels.get(names.LABEL_FLOW) == flow.meta.name and parse_stamp(obj.meta.creation_timestamp) >= begun
    )


def _dependents(seen: Seen) -> tuple[Port | Volume, ...]:
    return *seen.ports.values(), *seen.roots.values()


def _doomed(objects: Iterable[Port | Volume]) -> tuple[Doomed, ...]:
    return tuple(Doomed(obj.kind, obj.ref) for obj in objects)
