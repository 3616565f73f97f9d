"""Async jobs. One of several components is a Flow; one that a single object tells of is that object itself.

A Flow's uid is its job id. What one object can tell by itself needs no Flow: the job's id is then the object's own uid
with another version digit, so that any replica, even one that was started since, can tell from what exists:

- `a` a volume that is attached: done once it is, or at once where its virtual machine is off;
- `b` a volume that is detached: done once nobody has it;
- `c` a creation: done while the object exists;
- `d` a deletion: done once it does not;
- `e` something that is done already, with nothing to tell of it;
- `f` a change: done when the object says that it is as its spec says, failed when it says that it never will be;
- `8` a template that is to be fetched: done, and its result tells where from;
- `7` the way back to a snapshot, of a volume or of a machine: failed when the snapshot says why it cannot be;
- `6` a new password of a virtual machine: done, and its result has it;
- `9` another size for a virtual machine: a change that has failed, too, when it takes a restart.
"""

from __future__ import annotations

from typing import Any

from operators.api import errors
from operators.api.call import Call
from operators.api.cloud import VM, Flow, Migration, Snapshot, VMSnapshot, Volume
from operators.contract import flows
from operators.contract.codec import Json
from operators.contract.compute import RunPolicy
from operators.contract.meta import Key, Obj, condition
from operators.contract.orchestration import FLOW, FlowState, Operation
from operators.contract.reasons import ON_THE_WAY, Reason, Type
from operators.kernel.store import AlreadyExists

PENDING, SUCCEEDED, FAILED = 0, 1, 2

ATTACHING, DETACHING, CREATION, DELETION, DONE, CHANGE = "a", "b", "c", "d", "e", "f"
SCALING, EXTRACTION, REVERTING = "9", "8", "7"
RESET = "6"
KNOWN = frozenset({ATTACHING, DETACHING, CREATION, DELETION, DONE, CHANGE, SCALING, EXTRACTION, REVERTING, RESET})
_VERSION = 14
"""Where a uuid has its version, which is 4 for all that the API server makes."""


async def job_of(call: Call, vm: VM, operation: Operation) -> str:
    """The uid of the Flow of an operation: ours, or Orchestration's, whoever was first."""
    return await _made(call, flows.flow_of(vm, operation), vm)


async def job_of_migration(call: Call, migration: Migration, vm: VM) -> str:
    """The uid of the Flow of a Migration, whoever was first."""
    return await _made(call, flows.flow_of_migration(migration, vm.meta.uid), migration)


async def _made(call: Call, body: Json, target: Obj[Any, Any]) -> str:
    try:
        return _uid(await call.store.create(FLOW, body))
    except AlreadyExists:
        found = await call.store.get(FLOW, Key(body["metadata"]["namespace"], body["metadata"]["name"]))
        if found is None or FLOW.parse(found).spec.target.uid != target.meta.uid:
            raise errors.internal() from None
        return _uid(found)


def job_id(uid: str, what: str) -> str:
    """The job of what was done to an object."""
    return uid[:_VERSION] + what + uid[_VERSION + 1 :]


def changed(obj: Obj[Any, Any]) -> str:
    """The job of a change of an object's spec."""
    return job_id(obj.meta.uid, CHANGE)


def done(uid: str) -> str:
    """A job that is done already."""
    return job_id(uid, DONE)


def settled(obj: Obj[Any, Any]) -> tuple[int, str]:
    """Where the change of an object is, and what it says of it."""
    conditions = obj.status.conditions
    ready, stalled = condition(conditions, Type.READY), condition(conditions, Type.STALLED)
    if stalled is not None and stalled.true and stalled.observed_generation >= obj.meta.generation:
        return FAILED, stalled.message
    if ready is None or ready.observed_generation < obj.meta.generation:
        return PENDING, ""
    # What waits for its first use is as it was asked to be: nothing more will come of it until then.
    waits = any(each.reason == Reason.WAITING_FOR_FIRST_CONSUMER for each in conditions)
    if ready.reason == Reason.UNSUPPORTED:
        return FAILED, ready.message  # It would be done once a pool can do it: nothing that a caller waits for.
    return (SUCCEEDED if ready.true or waits else PENDING), ready.message


def scaled(vm: VM) -> tuple[int, str]:
    """Where another size is; one that the guest can have only by a restart is a failure of what was to come at once."""
    status, message = settled(vm)
    waits = condition(vm.status.conditions, Type.RESTART_REQUIRED)
    if status == SUCCEEDED and waits is not None and waits.true:
        return FAILED, waits.message
    return status, message


def reverted(snapshot: Snapshot | VMSnapshot) -> tuple[int, str]:
    """Where the way back to a snapshot is."""
    request, said = snapshot.spec.revert_request, condition(snapshot.status.conditions, Type.REVERTED)
    if snapshot.status.revert_observed >= request:
        return SUCCEEDED, ""
    if said is None or said.true or said.observed_generation < snapshot.meta.generation or said.reason in ON_THE_WAY:
        return PENDING, ""
    return FAILED, said.message


def object_of(jobid: str) -> tuple[str, str]:
    """The object's uid and what was done to it, or "" for a job that is a Flow."""
    what = jobid[_VERSION : _VERSION + 1]
    if len(jobid) != 36 or what not in KNOWN:
        return jobid, ""
    return job_id(jobid, "4"), what


def status_of(flow: Flow) -> int:
    """CloudStack's number for where a job is."""
    state = flow.status.state
    if state == FlowState.SUCCEEDED:
        return SUCCEEDED
    return FAILED if state in (FlowState.FAILED, FlowState.CANCELLED) else PENDING


def attached(call: Call, volume: Volume) -> tuple[int, str]:
    """Where the attaching of a volume is."""
    vm = next(iter(call.cloud.machines_with(volume)), None)
    if vm is None:
        return FAILED, "the volume was detached again"
    if volume.status.attached_to or vm.spec.wanted is RunPolicy.STOPPED:
        return SUCCEEDED, ""
    status, message = settled(vm)
    return (FAILED, message) if status == FAILED else (PENDING, "")


def detached(call: Call, volume: Volume) -> tuple[int, str]:
    """Where the detaching of a volume is."""
    if call.cloud.machines_with(volume):
        return FAILED, "the volume was attached again"
    return (PENDING if volume.status.attached_to else SUCCEEDED), ""


def _uid(body: Json) -> str:
    uid: str = body["metadata"]["uid"]
    return uid
