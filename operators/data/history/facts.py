"""What the state of an object means for history: events that it tells of, and what it uses.

Everything here is a function of one object, so that looking again after a restart, at the same state or a later one,
gives the same entries with the same ids: writing them twice is writing them once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from operators.contract import names
from operators.contract.compute import COMPUTE_OFFERING, USER_DATA, VIRTUAL_MACHINE, RunPolicy
from operators.contract.fabric import HOST, STORAGE_POOL, ZONE
from operators.contract.identity import ACCOUNT, DOMAIN, PROJECT, USER
from operators.contract.instancegroups import INSTANCE_GROUP
from operators.contract.meta import Kind, Obj, condition
from operators.contract.networking import NETWORK
from operators.contract.orchestration import FLOW, FlowState
from operators.contract.reasons import Type
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import DISK_OFFERING, IMAGE, VOLUME

INFO, WARN, ERROR = "INFO", "WARN", "ERROR"
STARTED, COMPLETED = "Started", "Completed"

RUNNING_VM, ALLOCATED_VM, IP_ADDRESS, VOLUME_SIZE, TEMPLATE, SNAPSHOT = 1, 2, 3, 6, 7, 9
"""CloudStack's numbers of what is metered."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the history. Its id follows from what it is about, so the same one is never there twice."""

    id: str
    type: str
    """As CloudStack names them: `VM.CREATE`."""
    created: str
    description: str
    level: str = INFO
    state: str = COMPLETED
    parent: str = ""
    """The id of the event that began it."""
    about_kind: str = ""
    about_id: str = ""
    about_name: str = ""


@dataclass(frozen=True, slots=True)
class Meter:
    """Something that is used from now on, until it is not there any more or is another amount."""

    type: int
    amount: int = 1
    """Of what is multiplied by time: 1 for a virtual machine, bytes for a volume."""
    detail: str = ""
    """The offering's name, or the address."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What one object means now."""

    kind: str
    namespace: str
    name: str
    uid: str
    created: str
    events: tuple[Event, ...] = ()
    meters: tuple[Meter, ...] = ()


AnyObj: TypeAlias = Obj[Any, Any]

WORDS: Mapping[Kind[Any, Any], str] = {
    VOLUME: "VOLUME",
    VOLUME_SNAPSHOT: "SNAPSHOT",
    NETWORK: "NETWORK",
    IMAGE: "TEMPLATE",
    USER_DATA: "USER.DATA",
    INSTANCE_GROUP: "VM.GROUP",
    ACCOUNT: "ACCOUNT",
    PROJECT: "PROJECT",
    USER: "USER",
    DOMAIN: "DOMAIN",
    ZONE: "ZONE",
    HOST: "HOST",
    STORAGE_POOL: "STORAGE.POOL",
    COMPUTE_OFFERING: "SERVICE.OFFERING",
    DISK_OFFERING: "DISK.OFFERING",
}
"""Kinds whose objects' coming and going are events, in CloudStack's words."""
OPERATIONS = {
    "Deploy": "VM.CREATE",
    "Start": "VM.START",
    "Stop": "VM.STOP",
    "Reboot": "VM.REBOOT",
    "Reinstall": "VM.RESTORE",
    "Destroy": "VM.DESTROY",
}
DOING = {
    "Deploy": "deploying",
    "Start": "starting",
    "Stop": "stopping",
    "Reboot": "rebooting",
    "Destroy": "destroying",
}
RECORDED: tuple[Kind[Any, Any], ...] = (*WORDS, VIRTUAL_MACHINE, FLOW)


def facts_of(obj: AnyObj) -> Facts:
    """What an object that is there means."""
    meta = obj.meta
    tell: Callable[[AnyObj], tuple[Event, ...]] = _TELL.get(obj.kind, _came)
    meter: Callable[[AnyObj], tuple[Meter, ...]] = _METER.get(obj.kind, lambda _: ())
    return Facts(obj.kind.kind, meta.namespace, meta.name, meta.uid, meta.creation_timestamp, tell(obj), meter(obj))


def went(kind: Kind[Any, Any], uid: str, name: str, now: str) -> tuple[Event, ...]:
    """The event of an object's end. That of a VirtualMachine is its Flow's to tell, and a Flow's own end is none."""
    if kind not in WORDS:
        return ()
    type_ = f"{WORDS[kind]}.DELETE"
    text = f"{kind.kind} {name} was deleted"
    return (Event(id_of(uid, "went"), type_, now, text, about_kind=kind.kind, about_id=uid, about_name=name),)


def id_of(uid: str, what: str) -> str:
    """An event's id."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{uid}:{what}"))


def shown(obj: AnyObj) -> str:
    """What people call an object."""
    display = getattr(obj.spec, "display_name", "")
    return obj.meta.annotations.get(names.ANNOTATION_NAME) or display or obj.meta.name


def _came(obj: AnyObj) -> tuple[Event, ...]:
    meta = obj.meta
    return (
        Event(
            id_of(meta.uid, "came"),
            f"{WORDS[obj.kind]}.CREATE",
            meta.creation_timestamp,
            f"{obj.kind.kind} {shown(obj)} was created",
            about_kind=obj.kind.kind,
            about_id=meta.uid,
            about_name=shown(obj),
        ),
    )


def _of_flow(flow: AnyObj) -> tuple[Event, ...]:
    """Its start, and how it ended."""
    spec, status, uid = flow.spec, flow.status, flow.meta.uid
    type_, doing = OPERATIONS.get(spec.operation, f"VM.{spec.operation.upper()}"), DOING.get(spec.operation, "changing")
    about = {"about_kind": spec.target.kind or VIRTUAL_MACHINE.kind, "about_id": spec.target.uid}
    first = Event(
        id_of(uid, "began"),
        type_,
        flow.meta.creation_timestamp,
        f"{doing} virtual machine {spec.target.name}",
        state=STARTED,
        about_name=spec.target.name,
        **about,
    )
    if status.state not in tuple(FlowState) or not FlowState(status.state).terminal:
        return (first,)
    good = status.state == FlowState.SUCCEEDED
    why = "" if good else f": {status.error.text if status.error else status.state.lower()}"
    last = Event(
        id_of(uid, "ended"),
        type_,
        status.finished_at or flow.meta.creation_timestamp,
        f"{'Successfully completed' if good else 'Error while'} {doing} virtual machine {spec.target.name}{why}"[:1000],
        level=INFO if good else ERROR,
        parent=first.id,
        about_name=spec.target.name,
        **about,
    )
    return first, last


def _of_host(host: AnyObj) -> tuple[Event, ...]:
    """Its coming, and each turn of what is known of it."""
    reachable = condition(host.status.conditions, Type.REACHABLE)
    if reachable is None or not reachable.last_transition_time:
        return _came(host)
    up = reachable.true
    turn = Event(
        id_of(host.meta.uid, f"reachable {reachable.status} {reachable.last_transition_time}"),
        "HOST.UP" if up else "HOST.DOWN",
        reachable.last_transition_time,
        f"Host {host.meta.name} is {'reachable' if up else 'not reachable: ' + reachable.message}"[:1000],
        level=INFO if up else ERROR,
        about_kind=host.kind.kind,
        about_id=host.meta.uid,
        about_name=host.meta.name,
    )
    return (*_came(host), turn)


def _silent(_: AnyObj) -> tuple[Event, ...]:
    return ()


def _of_machine(vm: AnyObj) -> tuple[Meter, ...]:
    allocated = Meter(ALLOCATED_VM, 1, vm.spec.offering)
    ready = condition(vm.status.conditions, Type.READY)
    runs = vm.spec.run_policy is RunPolicy.RUNNING and ready is not None and ready.true
    return (allocated, Meter(RUNNING_VM, 1, vm.spec.offering)) if runs and not vm.meta.deleting else (allocated,)


def _of_volume(volume: AnyObj) -> tuple[Meter, ...]:
    size = int(volume.status.size or volume.spec.size or 0)
    return (Meter(VOLUME_SIZE, size, volume.spec.disk_offering),) if size else ()


def _of_image(image: AnyObj) -> tuple[Meter, ...]:
    size = int(image.status.virtual_size or 0)
    return (Meter(TEMPLATE, size),) if size else ()


def _of_snapshot(snapshot: AnyObj) -> tuple[Meter, ...]:
    size = int(snapshot.status.stored or 0)
    return (Meter(SNAPSHOT, size),) if size else ()


def _of_network(network: AnyObj) -> tuple[Meter, ...]:
    address = network.status.source_nat_address
    return (Meter(IP_ADDRESS, 1, address),) if address else ()


_TELL: Mapping[Kind[Any, Any], Callable[[AnyObj], tuple[Event, ...]]] = {
    FLOW: _of_flow,
    HOST: _of_host,
    VIRTUAL_MACHINE: _silent,
}
_METER: Mapping[Kind[Any, Any], Callable[[AnyObj], tuple[Meter, ...]]] = {
    VIRTUAL_MACHINE: _of_machine,
    VOLUME: _of_volume,
    IMAGE: _of_image,
    VOLUME_SNAPSHOT: _of_snapshot,
    NETWORK: _of_network,
}
