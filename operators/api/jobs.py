"""Async jobs. One of several components is a Flow; one that a single object tells of is that object itself.

A Flow's uid is its job id. The making or deleting of a Volume or Network needs no Flow: the job's id is then the
object's own uid with another version digit, so that any replica, even one that was started since, can tell from what
exists: `c` for a creation (done while the object exists), `d` for a deletion (done once it does not).
"""

from __future__ import annotations

from operators.api import errors
from operators.api.call import Call
from operators.api.cloud import VM, Flow
from operators.contract import flows
from operators.contract.codec import Json
from operators.contract.meta import Key
from operators.contract.orchestration import FLOW, FlowState, Operation
from operators.kernel.store import AlreadyExists

PENDING, SUCCEEDED, FAILED = 0, 1, 2

CREATION, DELETION = "c", "d"
_VERSION = 14
"""Where a uuid has its version, which is 4 for all that the API server makes."""


async def job_of(call: Call, vm: VM, operation: Operation) -> str:
    """The uid of the Flow of an operation: ours, or Orchestration's, whoever was first."""
    body = flows.flow_of(vm, operation)
    key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
    try:
        return _uid(await call.store.create(FLOW, body))
    except AlreadyExists:
        found = await call.store.get(FLOW, key)
        if found is None or FLOW.parse(found).spec.target.uid != vm.meta.uid:
            raise errors.internal() from None
        return _uid(found)


def job_id(uid: str, what: str) -> str:
    """The job of an object's creation or deletion."""
    return uid[:_VERSION] + what + uid[_VERSION + 1 :]


def object_of(jobid: str) -> tuple[str, str]:
    """The object's uid and CREATION or DELETION, or "" for a job that is a Flow."""
    what = jobid[_VERSION : _VERSION + 1]
    if len(jobid) != 36 or what not in (CREATION, DELETION):
        return jobid, ""
    return job_id(jobid, "4"), what


def status_of(flow: Flow) -> int:
    """CloudStack's number for where a job is."""
    state = flow.status.state
    if state == FlowState.SUCCEEDED:
        return SUCCEEDED
    return FAILED if state in (FlowState.FAILED, FlowState.CANCELLED) else PENDING


def _uid(body: Json) -> str:
    uid: str = body["metadata"]["uid"]
    return uid
