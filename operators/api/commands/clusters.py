"""Clusters, which are HostGroups."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, ListArgs, asked, is_or_any, listing
from operators.api.changing import remove, update
from operators.api.cloud import HostGroup, Rack, Zone, name_of
from operators.api.declare import ROOT_ADMIN, Answer, Listing, Single, command, string, uuid
from operators.api.responses import fabric as respond
from operators.api.responses.done import Done
from operators.contract.codec import to_wire
from operators.contract.fabric import HOST, HOST_GROUP, RACK, ZONE, HostGroupSpec

ENABLED = "enabled"


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
            asked(args, obj, name_of(obj))
            and is_or_any(args.zoneid, obj.spec.zone)
            and is_or_any(args.podid, obj.spec.rack)
            and args.hypervisor.lower() in ("", obj.spec.hypervisor.lower())
            and args.allocationstate.lower() in ("", ENABLED)
        )

    return listing(args, call.cloud.all(HOST_GROUP, None, wanted), lambda obj: respond.cluster(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCluster:
    """Arguments."""

    clustername: str = string("Name of the cluster", required=True)
    clustertype: str = string("CloudManaged; there is no other", required=True)
    hypervisor: str = string("KVM; there is no other", required=True)
    podid: Rack = uuid("ID of the pod", RACK, required=True)
    zoneid: Zone = uuid("ID of the zone", ZONE, required=True)


@command(
    "addCluster",
    "Creates a cluster. Hosts join it by the label cloudstack.dev/host-group of their nodes.",
    item=respond.ClusterResponse,
    key="cluster",
    roles=ROOT_ADMIN,
    refused="""allocationstate arch extensionid externaldetails guestvswitchname guestvswitchtype ovm3cluster
        ovm3pool ovm3vip password publicvswitchname publicvswitchtype storageaccessgroups url username
        vsmipaddress vsmpassword vsmusername""",
)
async def add_cluster(call: Call, args: AddCluster) -> Answer:
    """The HostGroup that kubectl would make. CloudStack answers with a list of one."""
    if args.hypervisor.lower() != "kvm" or args.clustertype.lower() != "cloudmanaged":
        raise errors.ApiError(432, "hypervisor must be KVM and clustertype CloudManaged: there are no others")
    if args.podid.spec.zone != args.zoneid.meta.name:
        raise errors.invalid(f"pod {name_of(args.podid)} is in zone {args.podid.spec.zone}")
    spec = to_wire(HostGroupSpec(zone=args.zoneid.meta.name, rack=args.podid.meta.name))
    made = HOST_GROUP.parse(await naming.create(call, HOST_GROUP, "", args.clustername, spec))
    return Listing(1, [respond.cluster(call, made)])


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateCluster:
    """Arguments."""

    id: HostGroup = uuid("ID of the cluster", HOST_GROUP, required=True)
    clustername: str = string("What the cluster is called from now on")


@command(
    "updateCluster",
    "Gives a cluster another name.",
    item=respond.ClusterResponse,
    key="cluster",
    roles=ROOT_ADMIN,
    refused="allocationstate arch clustertype externaldetails hypervisor managedstate",
)
async def update_cluster(call: Call, args: UpdateCluster) -> Answer:
    """The name for people alone can change."""
    return Single(respond.cluster(call, await update(call, args.id, {}, name=args.clustername)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteCluster:
    """Arguments."""

    id: HostGroup = uuid("ID of the cluster", HOST_GROUP, required=True)


@command("deleteCluster", "Deletes a cluster that no host is in.", item=Done, roles=ROOT_ADMIN)
async def delete_cluster(call: Call, args: DeleteCluster) -> Answer:
    """Refuse what is in use; a deletion cannot be taken back."""
    if hosts := call.cloud.all(HOST, None, lambda obj: obj.spec.group == args.id.meta.name):
        raise errors.in_use(f"Can't delete cluster {name_of(args.id)}: host {hosts[0].meta.name} is in it")
    await remove(call, args.id)
    return Single(Done())
