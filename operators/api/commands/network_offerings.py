"""Network offerings."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, ListArgs, asked, listing
from operators.api.changing import given, remove, update
from operators.api.cloud import Network, NetworkOffering, Zone
from operators.api.declare import ROOT_ADMIN, Answer, Single, boolean, command, string, uuid, words
from operators.api.responses.done import Done
from operators.api.responses.network import SERVICES, NetworkOfferingResponse, network_offering, offering_name
from operators.contract.codec import to_wire
from operators.contract.fabric import ZONE
from operators.contract.networking import NETWORK, NETWORK_OFFERING, NetworkOfferingSpec


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
    refused="domainid isdefault istagged routingmode tags",
    ignored="availability",
)
async def list_network_offerings(call: Call, args: ListNetworkOfferings) -> Answer:
    """Offerings are for everybody."""

    def wanted(obj: NetworkOffering) -> bool:
        services = {each.lower() for each in obj.spec.services}
        return (
            asked(args, obj, obj.meta.name, offering_name(obj))
            and args.displaytext in ("", offering_name(obj))
            and args.guestiptype.lower() in ("", obj.spec.guest_type)
            and args.state.lower() in ("", "enabled")
            and args.traffictype.lower() in ("", "guest")
            and {each.lower() for each in args.supportedservices} <= services
            and args.sourcenatsupported in (None, "sourcenat" in services)
            and (args.networkid is None or args.networkid.spec.offering != obj.meta.name)
            and not (args.forvpc or args.specifyvlan or args.specifyipranges)
        )

    return listing(args, call.cloud.all(NETWORK_OFFERING, None, wanted), network_offering)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateNetworkOffering:
    """Arguments."""

    name: str = string("Name of the offering", required=True)
    displaytext: str = string("What people read in place of the name")
    guestiptype: str = string("Isolated; there is no other yet", required=True)
    traffictype: str = string("Guest; there is no other", required=True)
    supportedservices: tuple[str, ...] = words("Services of its networks: Dhcp, Dns and SourceNat, or some of them")


@command(
    "createNetworkOffering",
    "Creates a class of networks.",
    item=NetworkOfferingResponse,
    key="networkoffering",
    roles=ROOT_ADMIN,
    refused="""details domainid fornsx fortungsten forvpc internetprotocol keepaliveenabled maxconnections
        networkmode networkrate nsxsupportlb nsxsupportsinternallb provider routingmode
        servicecapabilitylist serviceofferingid specifyasnumber specifyipranges specifyvlan tags zoneid""",
    ignored="availability conservemode egressdefaultpolicy enable ispersistent serviceproviderlist",
)
async def create_network_offering(call: Call, args: CreateNetworkOffering) -> Answer:
    """The NetworkOffering that kubectl would make. Every service is the router's, whatever provider is named."""
    if args.guestiptype.lower() != "isolated" or args.traffictype.lower() != "guest":
        raise errors.ApiError(432, "guestiptype must be Isolated and traffictype Guest: others are not supported yet")
    ours = {shown.lower(): own for own, shown in SERVICES.items()}
    unknown = sorted(each for each in args.supportedservices if each.lower() not in ours)
    if unknown:
        raise errors.ApiError(
            432, f"service {unknown[0]} is not supported yet: there are {', '.join(SERVICES.values())}"
        )
    services = frozenset(ours[each.lower()] for each in args.supportedservices)
    spec = NetworkOfferingSpec(display_name=args.name, services=services)
    wire = to_wire(spec) | {"services": sorted(services)}
    body = await naming.create(call, NETWORK_OFFERING, "", args.name, wire, args.displaytext)
    return Single(network_offering(NETWORK_OFFERING.parse(body)))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateNetworkOffering:
    """Arguments."""

    id: NetworkOffering | None = uuid("ID of the network offering", NETWORK_OFFERING)
    name: str = string("What the offering is called from now on")
    displaytext: str = string("What people read in place of the name from now on")
    state: str = string("Enabled, which it always is")


@command(
    "updateNetworkOffering",
    "Gives an offering other names. What it gives stays as it is.",
    item=NetworkOfferingResponse,
    key="networkoffering",
    roles=ROOT_ADMIN,
    refused="domainid keepaliveenabled maxconnections tags zoneid",
    ignored="availability sortkey",
)
async def update_network_offering(call: Call, args: UpdateNetworkOffering) -> Answer:
    """The names."""
    if args.id is None:
        raise errors.missing("updateNetworkOffering", "id")
    if args.state.lower() not in ("", "enabled"):
        raise errors.ApiError(432, "offerings of networks cannot be disabled yet: delete it")
    named = await update(call, args.id, given(displayName=args.name), display=args.displaytext)
    return Single(network_offering(named))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteNetworkOffering:
    """Arguments."""

    id: NetworkOffering = uuid("ID of the network offering", NETWORK_OFFERING, required=True)


@command("deleteNetworkOffering", "Deletes an offering that no network has.", item=Done, roles=ROOT_ADMIN)
async def delete_network_offering(call: Call, args: DeleteNetworkOffering) -> Answer:
    """A network needs its offering for as long as it lives, so one in use stays."""
    if users := call.cloud.all(NETWORK, None, lambda network: network.spec.offering == args.id.meta.name):
        raise errors.in_use(f"Can't delete offering {offering_name(args.id)}: {len(users)} networks have it")
    await remove(call, args.id)
    return Single(Done())
