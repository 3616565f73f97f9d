"""Zones, pods, clusters, hosts and pools."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api.call import Call, ListArgs, contains, is_or_any, listing
from operators.api.cloud import VM, Host, HostGroup, Pool, Rack, Zone
from operators.api.declare import ROOT_ADMIN, Answer, Command, boolean, command, string, uuid, uuids
from operators.api.responses import fabric as respond
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.fabric import HOST, HOST_GROUP, RACK, STORAGE_POOL, ZONE

ENABLED = "enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListZones(ListArgs):
    """Arguments."""

    id: Zone | None = uuid("ID of the zone", ZONE)
    ids: tuple[Zone, ...] = uuids("IDs of zones", ZONE)
    name: str = string("Name of the zone")
    networktype: str = string("Advanced; there is no other")
    available: bool = boolean("Whether to list all that can be used; the others are for the root admin alone")


@command(
    "listZones",
    "Lists zones.",
    item=respond.ZoneResponse,
    key="zone",
    refused="domainid showcapacities storageaccessgroup tags",
    ignored="showicon",
)
async def list_zones(call: Call, args: ListZones) -> Answer:
    """A zone that is not enabled is only for the root admin to see."""
    ids = {each.meta.uid for each in args.ids}

    def wanted(obj: Zone) -> bool:
        return (
            (obj.spec.enabled or call.caller.root)
            and is_or_any(args.id, obj.meta.name)
            and (not ids or obj.meta.uid in ids)
            and args.name in ("", obj.meta.name)
            and args.networktype.lower() in ("", "advanced")
            and contains(args.keyword, obj.meta.name)
        )

    return listing(args, call.cloud.all(ZONE, None, wanted), respond.zone)


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
            is_or_any(args.id, obj.meta.name)
            and args.name in ("", obj.meta.name)
            and is_or_any(args.zoneid, obj.spec.zone)
            and args.allocationstate.lower() in ("", ENABLED)
            and contains(args.keyword, obj.meta.name)
        )

    return listing(args, call.cloud.all(RACK, None, wanted), lambda obj: respond.pod(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListClusters(ListArgs):
    """Arguments."""

    id: HostGroup | None = uuid("ID of the cluster", HOST_GROUP)
    name: str = string("Name of the cluster")
    zoneid: Zone | None = uuid("Clusters of this zone", ZONE)
    podid: Rack | None = uuid("Clusters of this pod", RACK)
    hypervisor: str = string("Clusters of this hypervisor")
    allocationstate: str = string("Enabled or Disabled; all are enabled")


@command(
    "listClusters",
    "Lists clusters, which are HostGroups.",
    item=respond.ClusterResponse,
    key="cluster",
    roles=ROOT_ADMIN,
    refused="arch clustertype managedstate showcapacities storageaccessgroup",
)
async def list_clusters(call: Call, args: ListClusters) -> Answer:
    """HostGroups."""

    def wanted(obj: HostGroup) -> bool:
        return (
            is_or_any(args.id, obj.meta.name)
            and args.name in ("", obj.meta.name)
            and is_or_any(args.zoneid, obj.spec.zone)
            and is_or_any(args.podid, obj.spec.rack)
            and args.hypervisor.lower() in ("", obj.spec.hypervisor.lower())
            and args.allocationstate.lower() in ("", ENABLED)
            and contains(args.keyword, obj.meta.name)
        )

    return listing(args, call.cloud.all(HOST_GROUP, None, wanted), lambda obj: respond.cluster(call, obj))


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
            is_or_any(args.id, obj.meta.name)
            and args.name in ("", obj.meta.name)
            and is_or_any(args.zoneid, obj.spec.zone)
            and is_or_any(args.podid, obj.spec.rack)
            and is_or_any(args.clusterid, obj.spec.group)
            and args.type.lower() in ("", "routing")
            and args.state.lower() in ("", shown.state.lower())
            and args.resourcestate.lower() in ("", shown.resourcestate.lower())
            and args.hypervisor.lower() in ("", shown.hypervisor.lower())
            and (machine is None or machine.status.host_name == obj.meta.name)
            and contains(args.keyword, obj.meta.name)
        )

    return listing(args, call.cloud.all(HOST, None, wanted), lambda obj: respond.host(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListStoragePools(ListArgs):
    """Arguments."""

    id: Pool | None = uuid("ID of the pool", STORAGE_POOL)
    name: str = string("Name of the pool")
    zoneid: Zone | None = uuid("Pools of this zone", ZONE)
    path: str = string("Path of the pool on its hosts")
    scope: str = string("HOST or ZONE")
    status: str = string("Up, Down or Disabled")
    hostid: Host | None = uuid("Pools that this host reaches", HOST)


@command(
    "listStoragePools",
    "Lists pools of primary storage.",
    item=respond.StoragePoolResponse,
    key="storagepool",
    roles=ROOT_ADMIN,
    refused="clusterid ipaddress podid storageaccessgroup storagecustomstats",
)
async def list_storage_pools(call: Call, args: ListStoragePools) -> Answer:
    """Storage pools."""
    host = args.hostid

    def wanted(obj: Pool) -> bool:
        reached = host is None or obj.spec.host_name in ("", host.meta.name)
        return (
            reached
            and is_or_any(args.id, obj.meta.name)
            and args.name in ("", obj.meta.name)
            and is_or_any(args.zoneid, obj.spec.zone)
            and args.path in ("", obj.spec.path)
            and args.scope.upper() in ("", respond.scope_of(obj))
            and args.status.lower() in ("", respond.pool_state(obj).lower())
            and contains(args.keyword, obj.meta.name)
        )

    return listing(args, call.cloud.all(STORAGE_POOL, None, wanted), lambda obj: respond.storage_pool(call, obj))


COMMANDS: tuple[Command, ...] = (list_zones, list_pods, list_clusters, list_hosts, list_storage_pools)
