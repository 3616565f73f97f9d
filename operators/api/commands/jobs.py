"""Async jobs: what became of what was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from operators.api import errors
from operators.api.call import Call, OwnedListArgs, contains, listing, namespaces
from operators.api.cloud import Flow, Network, Volume
from operators.api.declare import Answer, Command, Single, command, date, identifier
from operators.api.jobs import CREATION, FAILED, PENDING, SUCCEEDED, object_of, status_of
from operators.api.responses.done import Done
from operators.api.responses.virtualmachine import virtual_machine
from operators.api.responses.volume import volume
from operators.api.wire import Date, plain
from operators.api.wire import date as written
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.networking import NETWORK
from operators.contract.orchestration import FLOW, FlowError
from operators.contract.storage import VOLUME
from operators.kernel.clock import parse_stamp

COMMAND_OF = {
    "Deploy": "deployVirtualMachine",
    "Start": "startVirtualMachine",
    "Stop": "stopVirtualMachine",
    "Reboot": "rebootVirtualMachine",
    "Destroy": "destroyVirtualMachine",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryAsyncJobResult:
    """Arguments."""

    jobid: str = identifier("ID of the job", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorResponse:
    """Why a job failed."""

    errorcode: int
    errortext: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResponse:
    """A job."""

    accountid: str | None
    account: str
    domainid: str | None
    domainpath: str
    userid: str | None
    cmd: str
    jobprocstatus: int = 0
    jobresultcode: int
    jobresulttype: str | None
    jobresult: Any
    jobinstancetype: str
    jobinstanceid: str | None
    created: Date | None
    completed: Date | None
    jobid: str
    jobstatus: int


@command("queryAsyncJobResult", "Tells how a job is, and what came of it.", item=JobResponse)
async def query_async_job_result(call: Call, args: QueryAsyncJobResult) -> Answer:
    """A Flow, or an object that tells of its own making or end."""
    uid, what = object_of(args.jobid)
    if what:
        return Single(_of_object(call, args.jobid, uid, what))
    flow = call.find(FLOW, uid)
    if flow is None:
        raise errors.no_entity("queryAsyncJobResult", "jobid", args.jobid)
    return Single(_of_flow(call, flow))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAsyncJobs(OwnedListArgs):
    """Arguments."""

    startdate: datetime | None = date("Jobs begun since then")


@command(
    "listAsyncJobs",
    "Lists jobs that are under way or ended lately: operations on virtual machines.",
    item=JobResponse,
    key="asyncjobs",
    refused="managementserverid",
)
async def list_async_jobs(call: Call, args: ListAsyncJobs) -> Answer:
    """Flows; what a single object tells of is not listed."""

    def wanted(flow: Flow) -> bool:
        since = args.startdate is None or parse_stamp(flow.meta.creation_timestamp) >= args.startdate
        return since and contains(args.keyword, COMMAND_OF[flow.spec.operation])

    return listing(args, call.cloud.all(FLOW, namespaces(call, args), wanted), lambda flow: _of_flow(call, flow))


def _of_flow(call: Call, flow: Flow) -> JobResponse:
    owner, account = call.directory.owner(flow.meta.namespace), call.directory.account_of(flow.meta.namespace)
    status = status_of(flow)
    error = flow.status.error or FlowError(530, "the job failed")
    result = _machine(call, flow) if status == SUCCEEDED else _failure(error) if status == FAILED else None
    return JobResponse(
        accountid=account.meta.uid if account else None,
        account=owner.account,
        domainid=owner.domainid,
        domainpath=owner.domainpath,
        userid=None,
        cmd=COMMAND_OF[flow.spec.operation],
        jobresultcode=error.code if status == FAILED else 0,
        jobresulttype="object" if result is not None else None,
        jobresult=result,
        jobinstancetype="VirtualMachine",
        jobinstanceid=flow.spec.target.uid,
        created=written(flow.meta.creation_timestamp),
        completed=written(flow.status.finished_at) if status != PENDING else None,
        jobid=flow.meta.uid,
        jobstatus=status,
    )


def _machine(call: Call, flow: Flow) -> Any:
    """The virtual machine as it is now; of one that was destroyed, as little as CloudStack tells."""
    vm = call.cloud.by_uid(VIRTUAL_MACHINE, flow.spec.target.uid)
    if vm is None:
        nothing: tuple[str, ...] = ()
        empty = {"securitygroup": nothing, "nic": nothing, "affinitygroup": nothing, "tags": nothing}
        return {"virtualmachine": {"id": flow.spec.target.uid, "deleteprotection": False, **empty}}
    # A destroyed one may still be in the cache for a moment; the Flow knows better.
    about = {"state": "Destroyed"} if flow.spec.operation == "Destroy" else {}
    job = {"jobid": flow.meta.uid, "jobstatus": SUCCEEDED}
    return {"virtualmachine": {**plain(virtual_machine(call, vm)), **about, **job}}


def _failure(error: FlowError) -> ErrorResponse:
    return ErrorResponse(errorcode=error.code, errortext=error.text)


def _made(call: Call, uid: str) -> Volume | Network | None:
    return call.find(VOLUME, uid) or call.find(NETWORK, uid)


def _of_object(call: Call, jobid: str, uid: str, what: str) -> JobResponse:
    """A creation is done while its object is there, a deletion once it is not."""
    found = _made(call, uid)
    if what == CREATION and found is None:
        raise errors.no_entity("queryAsyncJobResult", "jobid", jobid)
    done = what == CREATION or found is None
    made = call.find(VOLUME, uid) if what == CREATION else None
    result = {"volume": volume(call, made)} if made is not None else Done()
    account, domain = call.caller.account, call.caller.domain
    owner = call.directory.owner(found.meta.namespace if found is not None else account.meta.name)
    return JobResponse(
        accountid=None if found is not None else account.meta.uid,
        account=owner.account,
        domainid=owner.domainid,
        domainpath=owner.domainpath or call.directory.path(domain),
        userid=None,
        cmd="createVolume" if what == CREATION else "deleteNetwork",
        jobresultcode=0,
        jobresulttype="object" if done else None,
        jobresult=result if done else None,
        jobinstancetype="Volume" if what == CREATION else "Network",
        jobinstanceid=uid if what == CREATION else None,
        created=written(found.meta.creation_timestamp) if found is not None and what == CREATION else None,
        completed=written(found.meta.creation_timestamp) if found is not None and what == CREATION else None,
        jobid=jobid,
        jobstatus=SUCCEEDED if done else PENDING,
    )


COMMANDS: tuple[Command, ...] = (query_async_job_result, list_async_jobs)
