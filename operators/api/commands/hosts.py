"""Hosts. They come and go with the nodes of the Kubernetes cluster, so there is no addHost."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors
from operators.api.call import Call, ListArgs, asked, is_or_any, listing
from operators.api.changing import given, remove, update
from operators.api.cloud import VM, Host, HostGroup, Rack, Zone, name_of
from operators.api.declare import ROOT_ADMIN, Answer, Single, Started, command, string, uuid, words
from operators.api.jobs import changed
from operators.api.responses import fabric as respond
from operators.api.responses.done import Done
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.fabric import HOST, HOST_GROUP, RACK, ZONE


@dataclass(frozen=True, slots=True, kw_only=True)
class ListHosts(ListArgs):
    """Arguments."""

    id: Host | None = uuid("ID of the host", HOST)
    name: str = string("Name of the host")
    zoneid: Zone | None = uuid("Hosts of this zone", ZONE)
    podid: Rack | None = uuid("Hosts of this pod", RACK)
    clusterid: HostGroup | None = uuid("Hosts of this cluster", HOST_GROUP)
    type: str = string("Routing: hosts of virtual machines, of which there are some; there are none of another type")
    state: str = string("Up, Down or Alert")
    resourcestate: str = string("Enabled, Disabled or Maintenance")
    hypervisor: str = string("Hosts of this hypervisor")
    virtualmachineid: VM | None = uuid("The host of this virtual machine", VIRTUAL_MACHINE)


@command(
    "listHosts",
    "Lists hosts.",
    item=respond.HostResponse,
    key="host",
    roles=ROOT_ADMIN,
    refused="""arch hahost managementserverid outofbandmanagementenabled outofbandmanagementpowerstate
        storageaccessgroup""",
    ignored="details",
)
async def list_hosts(call: Call, args: ListHosts) -> Answer:
    """Hypervisor hosts."""
    machine = args.virtualmachineid

    def wanted(obj: Host) -> bool:
        shown = respond.host(call, obj)
        return (
            asked(args, obj, name_of(obj))
            and is_or_any(args.zoneid, obj.spec.zone)
            and is_or_any(args.podid, obj.spec.rack)
            and is_or_any(args.clusterid, obj.spec.group)
            and args.type.lower() in ("", "routing")
            and args.state.lower() in ("", shown.state.lower())
            and args.resourcestate.lower() in ("", shown.resourcestate.lower())
            and args.hypervisor.lower() in ("", shown.hypervisor.lower())
            and (machine is None or machine.status.host_name == obj.meta.name)
        )

    return listing(args, call.cloud.all(HOST, None, wanted), lambda obj: respond.host(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class One:
    """Arguments: a host."""

    id: Host = uuid("ID of the host", HOST, required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateHost(One):
    """Arguments."""

    allocationstate: str = string("Enable or Disable: whether new virtual machines may go there")
    hosttags: tuple[str, ...] = words("Its tags from now on, which offerings may ask for")


@command(
    "updateHost",
    "Changes a host.",
    item=respond.HostResponse,
    key="host",
    roles=ROOT_ADMIN,
    refused="annotation cleanupexternaldetails externaldetails istagarule name url",
    ignored="oscategoryid",
)
async def update_host(call: Call, args: UpdateHost) -> Answer:
    """The operator's own `spec.schedulable` and `spec.tags`."""
    states = {"": None, "enable": True, "enabled": True, "disable": False, "disabled": False}
    state = args.allocationstate.lower()
    if state not in states:
        raise errors.invalid(f"allocationstate must be Enable or Disable, not {args.allocationstate}")
    spec = given(schedulable=states[state], tags=sorted(args.hosttags) or None)
    return Single(respond.host(call, await update(call, args.id, spec)))


@command(
    "prepareHostForMaintenance",
    "Takes a host out of service: nothing new goes there.",
    item=respond.HostResponse,
    key="host",
    roles=ROOT_ADMIN,
    asynchronous=True,
)
async def prepare_for_maintenance(call: Call, args: One) -> Answer:
    """The operator's own `spec.maintenance`."""
    return Started(changed(await update(call, args.id, {"maintenance": True})))


@command(
    "cancelHostMaintenance",
    "Puts a host back into service.",
    item=respond.HostResponse,
    key="host",
    roles=ROOT_ADMIN,
    asynchronous=True,
)
async def cancel_maintenance(call: Call, args: One) -> Answer:
    """The operator's own `spec.maintenance`."""
    return Started(changed(await update(call, args.id, {"maintenance": False})))


@command(
    "deleteHost",
    "Forgets a host whose node is gone.",
    item=Done,
    roles=ROOT_ADMIN,
    refused="forced forcedestroylocalstorage",
)
async def delete_host(call: Call, args: One) -> Answer:
    """Fabric Admin lets it go once nothing is on it, and makes it again while its node runs agents."""
    if respond.state_of(args.id) == respond.UP:
        raise errors.in_use(f"Host {name_of(args.id)} is up: take its node out of the cluster first")
    await remove(call, args.id)
    return Single(Done())
