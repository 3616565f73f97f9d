"""Pods, which are Racks."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, ListArgs, asked, is_or_any, listing
from operators.api.changing import remove, update
from operators.api.cloud import Rack, Zone, name_of
from operators.api.declare import ROOT_ADMIN, Answer, Single, command, string, uuid
from operators.api.responses import fabric as respond
from operators.api.responses.done import Done
from operators.contract.codec import to_wire
from operators.contract.fabric import HOST, HOST_GROUP, RACK, ZONE, RackSpec

ENABLED = "enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPods(ListArgs):
    """Arguments."""

    id: Rack | None = uuid("ID of the pod", RACK)
    name: str = string("Name of the pod")
    zoneid: Zone | None = uuid("Pods of this zone", ZONE)
    allocationstate: str = string("Enabled or Disabled; all are enabled")


@command(
    "listPods",
    "Lists pods, which are Racks.",
    item=respond.PodResponse,
    key="pod",
    roles=ROOT_ADMIN,
    refused="showcapacities storageaccessgroup",
)
async def list_pods(call: Call, args: ListPods) -> Answer:
    """Racks."""

    def wanted(obj: Rack) -> bool:
        return (
            asked(args, obj, name_of(obj))
            and is_or_any(args.zoneid, obj.spec.zone)
            and args.allocationstate.lower() in ("", ENABLED)
        )

    return listing(args, call.cloud.all(RACK, None, wanted), lambda obj: respond.pod(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePod:
    """Arguments."""

    name: str = string("Name of the pod", required=True)
    zoneid: Zone = uuid("ID of the zone", ZONE, required=True)


@command(
    "createPod",
    "Creates a pod. Hosts join it by the label cloudstack.dev/rack of their nodes, which have their addresses already.",
    item=respond.PodResponse,
    key="pod",
    roles=ROOT_ADMIN,
    refused="allocationstate storageaccessgroups",
    ignored="startip endip gateway netmask",
)
async def create_pod(call: Call, args: CreatePod) -> Answer:
    """The Rack that kubectl would make."""
    spec = to_wire(RackSpec(zone=args.zoneid.meta.name))
    return Single(respond.pod(call, RACK.parse(await naming.create(call, RACK, "", args.name, spec))))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePod:
    """Arguments."""

    id: Rack = uuid("ID of the pod", RACK, required=True)
    name: str = string("What the pod is called from now on")


@command(
    "updatePod",
    "Gives a pod another name.",
    item=respond.PodResponse,
    key="pod",
    roles=ROOT_ADMIN,
    refused="allocationstate",
    ignored="startip endip gateway netmask",
)
async def update_pod(call: Call, args: UpdatePod) -> Answer:
    """The name for people alone can change."""
    return Single(respond.pod(call, await update(call, args.id, {}, name=args.name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePod:
    """Arguments."""

    id: Rack = uuid("ID of the pod", RACK, required=True)


@command("deletePod", "Deletes a pod that nothing is in.", item=Done, roles=ROOT_ADMIN)
async def delete_pod(call: Call, args: DeletePod) -> Answer:
    """Refuse what is in use; a deletion cannot be taken back."""
    name = args.id.meta.name
    groups = call.cloud.all(HOST_GROUP, None, lambda obj: obj.spec.rack == name)
    hosts = call.cloud.all(HOST, None, lambda obj: obj.spec.rack == name)
    if groups or hosts:
        raise errors.in_use(f"Can't delete pod {name_of(args.id)}: {name_of([*groups, *hosts][0])} is in it")
    await remove(call, args.id)
    return Single(Done())
