"""The words in which invariants are said: kinds, and what an object says of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from operators.contract import names
from operators.contract.orchestration import FlowState
from sim.store.schema import Json
from sim.store.server import Event, Table

if TYPE_CHECKING:
    from sim.run import Run

Complaints = Iterator[str]
VM, INSTANCE = (names.COMPUTE, "virtualmachines"), (names.COMPUTE, "instances")
MIGRATION, VM_SNAPSHOT = (names.COMPUTE, "migrations"), (names.COMPUTE, "virtualmachinesnapshots")
OFFERING = (names.COMPUTE, "computeofferings")
VOLUME, DISK = (names.STORAGE, "volumes"), (names.STORAGE, "disks")
SNAPSHOT, DISK_SNAPSHOT = (names.STORAGE, "volumesnapshots"), (names.STORAGE, "disksnapshots")
BACKUP, DISK_BACKUP = (names.STORAGE, "volumebackups"), (names.STORAGE, "diskbackups")
SCHEDULE = (names.STORAGE, "snapshotschedules")
IMAGE, COPY = (names.STORAGE, "images"), (names.STORAGE, "imagecopies")
NETWORK, PORT, ROUTER = (names.NETWORKING, "networks"), (names.NETWORKING, "ports"), (names.NETWORKING, "routers")
BINDING, HOST_NETWORK = (names.NETWORKING, "portbindings"), (names.NETWORKING, "hostnetworks")
CLAIM, FLOW = (names.NETWORKING, "claims"), (names.ORCHESTRATION, "flows")
NAMESPACE = ("", "namespaces")
POOL = (names.FABRIC, "storagepools")
HOST, REPORT = (names.FABRIC, "hosts"), (names.FABRIC, "hostreports")
USERS = {
    *(kind[1] for kind in (VM, VOLUME, NETWORK, IMAGE, SNAPSHOT, VM_SNAPSHOT, BACKUP, SCHEDULE, OFFERING)),
    "zones",
    "racks",
    "hostgroups",
    "ipranges",
}
PEOPLE = ("user", "garbage-collector", "namespace-controller")
TERMINAL = {state.value for state in FlowState if state.terminal}


AtWrite = Callable[["Run", Table, Event, str], Complaints]
OF: dict[str, tuple[str, ...]] = {}
"""The resources that an invariant is about, by its name."""


def of(*plurals: str) -> Callable[[AtWrite], AtWrite]:
    """An invariant that only writes of some resources can break; the others are looked at with every write."""

    def note(invariant: AtWrite) -> AtWrite:
        OF[invariant.__name__] = plurals
        return invariant

    return note


def name_of(obj: Json) -> str:
    """What messages call an object."""
    meta = obj["metadata"]
    return f"{obj['kind']} {meta.get('namespace', '')}/{meta['name']}".replace(" /", " ")


def status_of(obj: Json) -> Json:
    """Its status, empty when it has none."""
    return obj.get("status") or {}


def deleting(obj: Json) -> bool:
    """Whether it is being deleted."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def condition(obj: Json, type_: str) -> str:
    """The status of its condition of a type, `True` for example; empty without one."""
    return str(_find(obj, type_).get("status", ""))


def says_ready(obj: Json) -> bool:
    """Whether it does."""
    return condition(obj, "Ready") == "True"


def reason(obj: Json, type_: str) -> str:
    """The condition's reason."""
    return str(_find(obj, type_).get("reason", ""))


def _find(obj: Json, type_: str) -> Json:
    return next((each for each in status_of(obj).get("conditions", ()) if each["type"] == type_), {})


def why(obj: Json, type_: str = "") -> str:
    """What it says of itself, by its condition of that type or the one that tells most."""
    for name in (type_, "Ready", "Provisioned", "Programmed", "Realised", "Released", "Succeeded"):
        if (found := _find(obj, name)) and name:
            return f"{name}={found['status']} {found['reason']}: {found.get('message', '')}"
    return "it says nothing"


def flows_of(run: Run, vm: Json) -> str:
    """How the Flows of a VirtualMachine stand."""
    mine = [each for each in run.all(FLOW) if each["spec"]["target"]["uid"] == vm["metadata"]["uid"]]
    return (
        "; ".join(f"{each['spec']['operation']} is {status_of(each).get('state', 'not begun')}" for each in mine)
        or "no Flow"
    )


def volume_uid(obj: Json) -> str:
    """The uid of a Disk's Volume, or of an ImageCopy itself."""
    return str(obj["spec"].get("volume", obj["metadata"])["uid"])


def ever_started(run: Run, uid: str) -> bool:
    """On any host: a guest that moved was started elsewhere."""
    return any(each.uuid == uid for host in run.world.hosts.values() for each in host.machine.starts)


def folder_of(each: Json) -> str:
    """The folder of its pool, beneath the root of all of them."""
    pool: str = each["spec"]["pool"]
    return "local" if pool.startswith("local-") else pool
