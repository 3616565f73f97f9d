"""Async jobs: what became of what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from operators.api import errors
from operators.api.call import Call, ScopedListArgs, contains, listing, namespaces
from operators.api.changing import newest
from operators.api.cloud import Flow
from operators.api.commands.affinity_groups import affinity_group
from operators.api.declare import Answer, Single, command, date, identifier
from operators.api.jobs import (
    ATTACHING,
    CHANGE,
    CREATION,
    DELETION,
    DETACHING,
    DONE,
    EXTRACTION,
    FAILED,
    PENDING,
    RESET,
    REVERTING,
    SCALING,
    SUCCEEDED,
    attached,
    detached,
    object_of,
    reverted,
    scaled,
    settled,
    status_of,
)
from operators.api.responses.done import Done
from operators.api.responses.fabric import host, storage_pool
from operators.api.responses.identity import project
from operators.api.responses.network import network
from operators.api.responses.offerings import extract, template
from operators.api.responses.snapshot import snapshot
from operators.api.responses.snapshot_policy import policies
from operators.api.responses.virtualmachine import state_of, virtual_machine
from operators.api.responses.vm_snapshot import vm_snapshot
from operators.api.responses.volume import volume
from operators.api.wire import Date, plain
from operators.api.wire import date as written
from operators.contract import names
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.core import SECRET
from operators.contract.fabric import HOST, STORAGE_POOL
from operators.contract.identity import ACCOUNT, DOMAIN, PROJECT
from operators.contract.meta import Kind, Obj
from operators.contract.networking import NETWORK
from operators.contract.orchestration import FLOW, FlowError, Operation
from operators.contract.passwords import read, secret_key
from operators.contract.placement import AFFINITY_GROUP
from operators.contract.snapshots import SNAPSHOT_SCHEDULE, VOLUME_SNAPSHOT
from operators.contract.storage import IMAGE, VOLUME
from operators.contract.vmsnapshots import VIRTUAL_MACHINE_SNAPSHOT
from operators.kernel.clock import parse_stamp

COMMAND_OF = {
    "Deploy": "deployVirtualMachine",
    "Start": "startVirtualMachine",
    "Stop": "stopVirtualMachine",
    "Reboot": "rebootVirtualMachine",
    "Reinstall": "restoreVirtualMachine",
    "Destroy": "destroyVirtualMachine",
    "Migrate": "migrateVirtualMachine",
}


SHOWN: Mapping[Kind[Any, Any], tuple[str, Callable[[Call, Any], object]]] = {
    VIRTUAL_MACHINE: ("virtualmachine", virtual_machine),
    VOLUME: ("volume", volume),
    NETWORK: ("network", network),
    HOST: ("host", host),
    STORAGE_POOL: ("storagepool", storage_pool),
    VOLUME_SNAPSHOT: ("snapshot", snapshot),
    VIRTUAL_MACHINE_SNAPSHOT: ("vmsnapshot", vm_snapshot),
    AFFINITY_GROUP: ("affinitygroup", affinity_group),
    PROJECT: ("project", project),
    IMAGE: ("template", lambda call, obj: template(call, obj, None)),
    SNAPSHOT_SCHEDULE: ("snapshotpolicy", lambda call, obj: next(iter(policies(call, obj)), None)),
}
"""How the object of a job is shown once that is done."""
ENDS = {"Start": "Running", "Stop": "Stopped", "Reboot": "Running"}
"""The state in which an operation leaves a virtual machine."""
LAG = 2.0
"""Seconds for which a job that nobody knows is waited for: another replica may have begun it just now."""
STAYING = (ATTACHING, DETACHING, CREATION, CHANGE, SCALING, EXTRACTION, REVERTING, RESET)
"""What leaves its object there."""
TOLD_OF: tuple[Kind[Any, Any], ...] = (*SHOWN, ACCOUNT, DOMAIN)
"""The kinds whose objects tell of jobs."""


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
    account: str | None
    domainid: str | None
    domainpath: str
    userid: str | None
    cmd: str
    jobprocstatus: int = 0
    jobresultcode: int
    jobresulttype: str | None
    jobresult: Any
    jobinstancetype: str | None
    jobinstanceid: str | None
    created: Date | None
    completed: Date | None
    jobid: str
    jobstatus: int


@command("queryAsyncJobResult", "Tells how a job is, and what came of it.", item=JobResponse)
async def query_async_job_result(call: Call, args: QueryAsyncJobResult) -> Answer:
    """A Flow, or an object that tells of its own making or end."""
    uid, what = object_of(args.jobid)
    if not what or what in STAYING:
        await call.cloud.appearing((FLOW,) if not what else TOLD_OF, uid, LAG)
    if what:
        told = _of_object(call, args.jobid, uid, what)
        return Single(await _with_password(call, told, uid) if what == RESET else told)
    flow = call.find(FLOW, uid)
    if flow is None:
        raise errors.no_entity("queryAsyncJobResult", "jobid", args.jobid)
    await _up_to_date(call, flow)
    return Single(_of_flow(call, flow))


async def _with_password(call: Call, told: JobResponse, uid: str) -> JobResponse:
    """The one place where a password is told: to whoever knows the job of its making."""
    vm = call.find(VIRTUAL_MACHINE, uid)
    if vm is None:
        return told
    vm = await newest(call, vm)
    body = await call.store.get(SECRET, secret_key(vm, vm.spec.password_request))
    password = {"password": read(body)} if body is not None else {}
    return replace(told, jobresult={"virtualmachine": plain(virtual_machine(call, vm)) | password})


async def _up_to_date(call: Call, flow: Flow) -> None:
    """Of a job that is done, read its virtual machine past the cache where that does not show it yet.

    The watches of two kinds are not in step, and a caller who was told of the end lists at once."""
    vm = call.cloud.machine_of(flow)
    ended = ENDS.get(flow.spec.operation)
    moved_to = flow.status.result.get("hostName", "") if flow.spec.operation is Operation.MIGRATE else ""
    if status_of(flow) != SUCCEEDED or vm is None:
        return
    if (ended and state_of(call, vm) != ended) or moved_to not in ("", vm.status.host_name):
        await call.store.get(VIRTUAL_MACHINE, vm.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAsyncJobs(ScopedListArgs):
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
        jobinstanceid=_machine_id(flow),
        created=written(flow.meta.creation_timestamp),
        completed=written(flow.status.finished_at) if status != PENDING else None,
        jobid=flow.meta.uid,
        jobstatus=status,
    )


def _machine(call: Call, flow: Flow) -> Any:
    """The virtual machine as it is now; of one that was destroyed, as little as CloudStack tells."""
    vm = call.cloud.machine_of(flow)
    if vm is None:
        nothing: tuple[str, ...] = ()
        empty = {"securitygroup": nothing, "nic": nothing, "affinitygroup": nothing, "tags": nothing}
        return {"virtualmachine": {"id": _machine_id(flow), "deleteprotection": False, **empty}}
    # A destroyed one may still be in the cache for a moment; the Flow knows better.
    about = {"state": "Destroyed"} if flow.spec.operation == "Destroy" else {}
    on_its_way = state_of(call, vm) in ("Starting", "Stopping")
    if flow.spec.operation in ENDS and on_its_way and vm.meta.generation == flow.spec.target_generation:
        about = {"state": ENDS[flow.spec.operation]}
    job = {"jobid": flow.meta.uid, "jobstatus": SUCCEEDED}
    return {"virtualmachine": {**plain(virtual_machine(call, vm)), **about, **job}}


def _machine_id(flow: Flow) -> str:
    """The uid of the virtual machine that a Flow is about, which may be gone."""
    return flow.meta.labels.get(names.LABEL_VM_UID) or flow.spec.target.uid


def _failure(error: FlowError) -> ErrorResponse:
    return ErrorResponse(errorcode=error.code, errortext=error.text)


def _of_object(call: Call, jobid: str, uid: str, what: str) -> JobResponse:
    """A creation is done while its object is there, a deletion once it is not, a change when the object says so."""
    found = next((each for kind in TOLD_OF if (each := call.find(kind, uid)) is not None), None)
    if found is None and what in STAYING:
        raise errors.no_entity("queryAsyncJobResult", "jobid", jobid)
    status, message = _judged(call, found, what)
    account = call.caller.account
    owner = call.directory.owner(found.meta.namespace if found and found.meta.namespace else account.meta.name)
    result = _result(call, found, what) if status == SUCCEEDED else None
    failure = ErrorResponse(errorcode=530, errortext=message) if status == FAILED else None
    known = found if what in STAYING else None
    return JobResponse(
        accountid=None if found is not None else account.meta.uid,
        account=owner.account,
        domainid=owner.domainid,
        domainpath=owner.domainpath,
        userid=None,
        cmd="",
        jobresultcode=failure.errorcode if failure else 0,
        jobresulttype="object" if status != PENDING else None,
        jobresult=failure or result,
        jobinstancetype=known.kind.kind if known else None,
        jobinstanceid=uid if known else None,
        created=written(known.meta.creation_timestamp) if known and what == CREATION else None,
        completed=written(known.meta.creation_timestamp) if known and what == CREATION else None,
        jobid=jobid,
        jobstatus=status,
    )


def _judged(call: Call, found: Obj[Any, Any] | None, what: str) -> tuple[int, str]:
    if found is not None and what == CHANGE:
        return settled(found)
    if found is not None and what == SCALING:
        return scaled(found)
    if found is not None and what == REVERTING:
        return reverted(found)
    if found is not None and what in (ATTACHING, DETACHING):
        return (attached if what == ATTACHING else detached)(call, found)
    return (PENDING if what == DELETION and found is not None else SUCCEEDED), ""


def _result(call: Call, found: Obj[Any, Any] | None, what: str) -> Any:
    restarted = found is not None and found.kind is NETWORK and what == CHANGE
    if found is None or what in (DELETION, DONE) or found.kind not in SHOWN or restarted:
        return Done()
    if what == REVERTING and found.kind == VIRTUAL_MACHINE_SNAPSHOT:
        vm = call.cloud.named(VIRTUAL_MACHINE, found.spec.virtual_machine, found.meta.namespace)
        return {"virtualmachine": virtual_machine(call, vm)} if vm is not None else Done()
    key, show = SHOWN[found.kind] if what != EXTRACTION else ("template", extract)
    return {key: show(call, found)}
