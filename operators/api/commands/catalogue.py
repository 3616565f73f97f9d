"""Offerings and templates."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors
from operators.api.call import Call, ListArgs, OwnedListArgs, contains, listing
from operators.api.cloud import (
    VM,
    ComputeOffering,
    DiskOffering,
    Image,
    Network,
    NetworkOffering,
    Volume,
    Zone,
)
from operators.api.declare import (
    Answer,
    Command,
    boolean,
    command,
    integer,
    string,
    uuid,
    uuids,
    words,
)
from operators.api.responses.network import NetworkOfferingResponse, network_offering, offering_name
from operators.api.responses.offerings import (
    DiskOfferingResponse,
    ServiceOfferingResponse,
    TemplateResponse,
    disk_offering,
    service_offering,
    template,
)
from operators.api.responses.virtualmachine import HYPERVISOR, MIB
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE
from operators.contract.fabric import ZONE
from operators.contract.networking import NETWORK, NETWORK_OFFERING
from operators.contract.storage import DISK_OFFERING, IMAGE, VOLUME


@dataclass(frozen=True, slots=True, kw_only=True)
class ListServiceOfferings(OwnedListArgs):
    """Arguments."""

    id: ComputeOffering | None = uuid("ID of the service offering", COMPUTE_OFFERING)
    name: str = string("Name of the service offering")
    cpunumber: int | None = integer("Offerings with so many CPUs")
    memory: int | None = integer("Offerings with so much memory, in MB")
    zoneid: Zone | None = uuid("Offerings of this zone; all are in every zone", ZONE)
    virtualmachineid: VM | None = uuid("Offerings that this virtual machine could change to", VIRTUAL_MACHINE)
    issystem: bool = boolean("Whether to list those of system virtual machines, of which there are none")


@command(
    "listServiceOfferings",
    "Lists the sizes of virtual machines.",
    item=ServiceOfferingResponse,
    key="serviceoffering",
    refused="cpuspeed gpuenabled vgpuprofileid encryptroot systemvmtype templateid projectid",
    ignored="state storagetype",
)
async def list_service_offerings(call: Call, args: ListServiceOfferings) -> Answer:
    """Offerings are for everybody, so account and domain leave all of them."""

    def wanted(obj: ComputeOffering) -> bool:
        return (
            (args.id is None or obj.meta.uid == args.id.meta.uid)
            and args.name in ("", obj.meta.name, obj.spec.display_name)
            and args.cpunumber in (None, obj.spec.cpus)
            and args.memory in (None, int(obj.spec.memory) // MIB)
            and (args.virtualmachineid is None or args.virtualmachineid.spec.offering != obj.meta.name)
            and not args.issystem
            and contains(args.keyword, obj.meta.name, obj.spec.display_name)
        )

    return listing(args, call.cloud.all(COMPUTE_OFFERING, None, wanted), service_offering)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListDiskOfferings(OwnedListArgs):
    """Arguments."""

    id: DiskOffering | None = uuid("ID of the disk offering", DISK_OFFERING)
    name: str = string("Name of the disk offering")
    zoneid: Zone | None = uuid("Offerings of this zone; all are in every zone", ZONE)
    volumeid: Volume | None = uuid("Offerings that this volume could change to", VOLUME)


@command(
    "listDiskOfferings",
    "Lists the classes of disks.",
    item=DiskOfferingResponse,
    key="diskoffering",
    refused="encrypt storageid virtualmachineid projectid",
    ignored="state storagetype",
)
async def list_disk_offerings(call: Call, args: ListDiskOfferings) -> Answer:
    """Offerings are for everybody, so account and domain leave all of them."""

    def wanted(obj: DiskOffering) -> bool:
        return (
            (args.id is None or obj.meta.uid == args.id.meta.uid)
            and args.name in ("", obj.meta.name, obj.spec.display_name)
            and (args.volumeid is None or args.volumeid.spec.disk_offering != obj.meta.name)
            and contains(args.keyword, obj.meta.name, obj.spec.display_name)
        )

    return listing(args, call.cloud.all(DISK_OFFERING, None, wanted), disk_offering)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNetworkOfferings(ListArgs):
    """Arguments."""

    id: NetworkOffering | None = uuid("ID of the network offering", NETWORK_OFFERING)
    name: str = string("Name of the network offering")
    displaytext: str = string("Display text of the network offering")
    guestiptype: str = string("Isolated, Shared or L2")
    state: str = string("Enabled or Disabled; all are enabled")
    traffictype: str = string("Guest; there is no other")
    forvpc: bool = boolean("Whether they are for networks of VPCs, of which there are none")
    supportedservices: tuple[str, ...] = words("Offerings with all these services")
    sourcenatsupported: bool | None = boolean("Whether source NAT is among their services", default=None)
    zoneid: Zone | None = uuid("Offerings of this zone; all are in every zone", ZONE)
    networkid: Network | None = uuid("Offerings that this network could change to", NETWORK)
    specifyvlan: bool = boolean("Whether the caller chooses the VLAN, which none lets")
    specifyipranges: bool = boolean("Whether the caller gives the address ranges, which none lets")


@command(
    "listNetworkOfferings",
    "Lists the classes of networks.",
    item=NetworkOfferingResponse,
    key="networkoffering",
    refused="domainid routingmode tags istagged isdefault",
    ignored="availability",
)
async def list_network_offerings(call: Call, args: ListNetworkOfferings) -> Answer:
    """Offerings are for everybody."""

    def wanted(obj: NetworkOffering) -> bool:
        services = {each.lower() for each in obj.spec.services}
        return (
            (args.id is None or obj.meta.uid == args.id.meta.uid)
            and args.name in ("", obj.meta.name, offering_name(obj))
            and args.displaytext in ("", offering_name(obj))
            and args.guestiptype.lower() in ("", obj.spec.guest_type)
            and args.state.lower() in ("", "enabled")
            and args.traffictype.lower() in ("", "guest")
            and {each.lower() for each in args.supportedservices} <= services
            and args.sourcenatsupported in (None, "sourcenat" in services)
            and (args.networkid is None or args.networkid.spec.offering != obj.meta.name)
            and not (args.forvpc or args.specifyvlan or args.specifyipranges)
            and contains(args.keyword, obj.meta.name, offering_name(obj))
        )

    return listing(args, call.cloud.all(NETWORK_OFFERING, None, wanted), network_offering)


FILTERS = frozenset(["featured", "self", "selfexecutable", "sharedexecutable", "executable", "community", "all"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTemplates(OwnedListArgs):
    """Arguments."""

    templatefilter: str = string(
        "featured, self, selfexecutable, sharedexecutable, executable, community or (for admins) all", required=True
    )
    id: Image | None = uuid("ID of the template", IMAGE)
    ids: tuple[Image, ...] = uuids("IDs of templates", IMAGE)
    name: str = string("Name of the template")
    zoneid: Zone | None = uuid("The zone to show them in; they are in every zone", ZONE)
    hypervisor: str = string("Templates of this hypervisor; all are of KVM")
    isready: bool | None = boolean("Whether they can be used now", default=None)


@command(
    "listTemplates",
    "Lists templates of root disks.",
    item=TemplateResponse,
    key="template",
    refused="""arch extensionid forcks imagestoreid isvnf oscategoryid parenttemplateid projectid storageid tags
        templatetype""",
    ignored="details showicon showremoved showunique",
)
async def list_templates(call: Call, args: ListTemplates) -> Answer:
    """Those of the catalogue are featured and everybody's; others are their account's, unless public."""
    filter_ = args.templatefilter.lower()
    if filter_ not in FILTERS:
        raise errors.invalid(f"Please specify a valid template filter: one of {', '.join(sorted(FILTERS))}")
    if filter_ == "all" and not call.caller.root:
        raise errors.denied("Only ROOT admins are allowed to specify template filter all")
    zones = call.cloud.all(ZONE)
    zone = args.zoneid or (zones[0] if len(zones) == 1 else None)
    ids = {each.meta.uid for each in args.ids}

    def wanted(obj: Image) -> bool:
        return (
            call.directory.sees(call.caller, obj)
            and (args.id is None or obj.meta.uid == args.id.meta.uid)
            and (not ids or obj.meta.uid in ids)
            and args.name in ("", obj.meta.name)
            and args.hypervisor.lower() in ("", HYPERVISOR.lower())
            and args.isready in (None, template(call, obj, zone).isready)
            and contains(args.keyword, obj.meta.name, obj.spec.display_name)
            and _filtered(call, obj, filter_)
        )

    return listing(args, call.cloud.all(IMAGE, None, wanted), lambda obj: template(call, obj, zone))


def _filtered(call: Call, obj: Image, filter_: str) -> bool:
    featured = obj.meta.namespace == call.cloud.catalogue
    mine = obj.meta.namespace == call.caller.account.meta.name
    match filter_:
        case "featured":
            return featured
        case "self" | "selfexecutable":
            return mine
        case "sharedexecutable":
            return False
        case "community":
            return obj.spec.public and not featured
        case "executable":
            return featured or mine or obj.spec.public
    return True


COMMANDS: tuple[Command, ...] = (
    list_service_offerings,
    list_disk_offerings,
    list_network_offerings,
    list_templates,
)
