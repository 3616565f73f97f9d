"""Networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from operators.api import errors, naming
from operators.api.call import (
    Call,
    ListArgs,
    OwnerArgs,
    TaggedListArgs,
    asked,
    is_or_any,
    listing,
    owned,
    place_to_make,
)
from operators.api.changing import change, given, remove, update
from operators.api.cloud import Network, NetworkOffering, Zone, name_of
from operators.api.declare import ROOT_ADMIN, Answer, Single, Started, boolean, command, string, uuid, words
from operators.api.jobs import CREATION, DELETION, changed, job_id
from operators.api.responses.done import Done
from operators.api.responses.network import PROVIDER, SERVICES, NetworkResponse, ServiceResponse, network
from operators.contract.codec import Json, to_wire
from operators.contract.fabric import ZONE
from operators.contract.identity import Resource
from operators.contract.networking import NETWORK, NETWORK_OFFERING, PORT, DhcpRange, NetworkSpec

ONE: Mapping[str, int] = {Resource.NETWORKS: 1}
RANGE, FIRST = IPv4Network("10.0.0.0/8"), IPv4Address("10.1.1.0")
"""Where a network's addresses are from when its caller does not care: the first /24 that its account has not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNetworks(TaggedListArgs):
    """Arguments."""

    id: Network | None = uuid("ID of the network", NETWORK)
    name: str = string("Name of the network")
    zoneid: Zone | None = uuid("Those in this zone", ZONE)
    networkofferingid: NetworkOffering | None = uuid("Those of this network offering", NETWORK_OFFERING)
    type: str = string("Isolated, Shared or L2")
    traffictype: str = string("Guest; there is no other")
    acltype: str = string("Account; there is no other yet")
    issystem: bool = boolean("Whether to list those of the system, of which there are none")
    forvpc: bool = boolean("Whether to list those of VPCs, of which there are none")
    restartrequired: bool = boolean("Whether to list those that need a restart, of which there are none")
    specifyipranges: bool = boolean("Whether to list those with address ranges of their own, of which there are none")
    supportedservices: tuple[str, ...] = words("Those with all these services")


@command(
    "listNetworks",
    "Lists networks.",
    item=NetworkResponse,
    key="network",
    refused="associatednetworkid physicalnetworkid retrieveonlyresourcecount vlan vpcid",
    ignored="canusefordeploy displaynetwork networkfilter showicon",
)
async def list_networks(call: Call, args: ListNetworks) -> Answer:
    """Those of the caller, or of whom it asks about."""
    services = {each.lower() for each in args.supportedservices}

    def wanted(obj: Network) -> bool:
        shown = network(call, obj)
        return (
            not obj.meta.deleting
            and asked(args, obj, name_of(obj))
            and is_or_any(args.zoneid, obj.spec.zone)
            and is_or_any(args.networkofferingid, obj.spec.offering)
            and args.type.lower() in ("", shown.type.lower())
            and args.traffictype.lower() in ("", "guest")
            and args.acltype.lower() in ("", "account")
            and services <= {each.name.lower() for each in shown.service}
            and not (args.issystem or args.forvpc or args.restartrequired or args.specifyipranges)
        )

    return listing(args, owned(call, NETWORK, args, args.id, wanted), lambda obj: network(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateNetwork(OwnerArgs):
    """Arguments."""

    name: str = string("Name of the network", required=True)
    displaytext: str = string("What people read in place of the name")
    networkofferingid: NetworkOffering = uuid("ID of the network offering", NETWORK_OFFERING, required=True)
    zoneid: Zone = uuid("ID of the zone", ZONE, required=True)
    gateway: str = string("The gateway's address; with netmask. Both left out, a free network is chosen")
    netmask: str = string("Netmask of the network; with gateway")
    startip: str = string("First address that guests get; with endip")
    endip: str = string("Last address that guests get; with startip")
    dns1: str = string("First name server")
    dns2: str = string("Second name server")
    networkdomain: str = string("DNS domain of its guests")
    acltype: str = string("Account; there is no other yet")


@command(
    "createNetwork",
    "Creates a network.",
    item=NetworkResponse,
    key="network",
    refused="""aclid asnumber associatednetworkid bgppeerids cidrsize endipv6 externalid ip6cidr ip6dns1 ip6dns2
        ip6gateway isolatedpvlan isolatedpvlantype physicalnetworkid privatemtu publicmtu routerip
        routeripv6 sourcenatipaddress startipv6 subdomainaccess tungstenvirtualrouteruuid vlan vpcid""",
    ignored="bypassvlanoverlapcheck displaynetwork hideipaddressusage",
)
async def create_network(call: Call, args: CreateNetwork) -> Answer:
    """The Network that kubectl would make."""
    if args.acltype.lower() not in ("", "account"):
        raise errors.ApiError(432, "networks of a whole domain are not supported yet: acltype must be Account")
    if bool(args.startip) != bool(args.endip):
        raise errors.invalid("startip and endip go together")
    namespace = place_to_make(call, args)
    spec = NetworkSpec(
        cidr=_cidr(call, args, namespace),
        offering=args.networkofferingid.meta.name,
        gateway=args.gateway,
        dhcp_range=DhcpRange(args.startip, args.endip) if args.startip else None,
        dns=tuple(each for each in (args.dns1, args.dns2) if each),
        domain=args.networkdomain,
        zone=args.zoneid.meta.name,
    )
    body = await naming.create(call, NETWORK, namespace, args.name, to_wire(spec), args.displaytext, amounts=ONE)
    return Single(network(call, NETWORK.parse(body)))


def _cidr(call: Call, args: CreateNetwork, namespace: str) -> str:
    taken = [IPv4Network(each.spec.cidr, strict=False) for each in call.cloud.all(NETWORK, (namespace,))]
    if bool(args.gateway) != bool(args.netmask):
        raise errors.invalid("gateway and netmask go together")
    if not args.gateway:
        free = (each for each in RANGE.subnets(new_prefix=24) if each.network_address >= FIRST)
        return str(next(each for each in free if not any(each.overlaps(other) for other in taken)))
    try:
        chosen = IPv4Network(f"{args.gateway}/{args.netmask}", strict=False)
    except ValueError:
        raise errors.invalid(f"gateway {args.gateway} and netmask {args.netmask} are no IPv4 network") from None
    if clash := [str(other) for other in taken if chosen.overlaps(other)]:
        raise errors.invalid(f"The network {chosen} overlaps with {clash[0]}, which the account has already")
    return str(chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteNetwork:
    """Arguments."""

    id: Network = uuid("ID of the network", NETWORK, required=True)


@command(
    "deleteNetwork", "Deletes a network that nothing is on.", item=Done, asynchronous=True, refused="", ignored="forced"
)
async def delete_network(call: Call, args: DeleteNetwork) -> Answer:
    """Refuse what is in use; a deletion cannot be taken back."""
    obj = args.id
    ports = call.cloud.all(PORT, (obj.meta.namespace,), lambda port: port.spec.network == obj.meta.name)
    machines = call.cloud.machines_on(obj)
    if ports or machines:
        first = machines[0].meta.name if machines else ports[0].spec.virtual_machine or ports[0].meta.name
        raise errors.in_use(f"Can't delete network {name_of(obj)}: {first} is on it")
    await remove(call, obj)
    return Started(job_id(obj.meta.uid, DELETION))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateNetwork:
    """Arguments."""

    id: Network = uuid("ID of the network", NETWORK, required=True)
    name: str = string("What the network is called from now on")
    displaytext: str = string("What people read in place of the name from now on")
    dns1: str = string("First name server from now on")
    dns2: str = string("Second name server from now on")
    networkdomain: str = string("DNS domain of its guests from now on")


@command(
    "updateNetwork",
    "Changes a network: its names and name servers.",
    item=NetworkResponse,
    key="network",
    asynchronous=True,
    refused="""changecidr customid guestvmcidr ip6dns1 ip6dns2 networkofferingid privatemtu publicmtu
        sourcenatipaddress""",
    ignored="displaynetwork forced updateinsequence hideipaddressusage",
)
async def update_network(call: Call, args: UpdateNetwork) -> Answer:
    """The caller's own spec; the router follows."""
    servers = [each for each in (args.dns1, args.dns2) if each]
    spec = given(dns=servers or None, domain=args.networkdomain)
    updated = await update(call, args.id, spec, name=args.name, display=args.displaytext)
    return Started(job_id(updated.meta.uid, CREATION))


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartNetwork:
    """Arguments."""

    id: Network = uuid("ID of the network", NETWORK, required=True)
    cleanup: bool = boolean(
        "Whether its router is made anew; without, what is there is only waited for, since its hosts mend that all the "
        "time",
        default=True,
    )


@command(
    "restartNetwork",
    "Makes a network's router anew. Its guests stay as they are, and reach the world again when that works.",
    item=Done,
    asynchronous=True,
    refused="makeredundant",
    ignored="livepatch",
)
async def restart_network(call: Call, args: RestartNetwork) -> Answer:
    """The caller's own `spec.restartRequest`, raised by one."""

    def make(now: Network) -> Json:
        if not args.cleanup:
            return {}
        return {"spec": {"restartRequest": now.spec.restart_request + 1}}

    return Started(changed(await change(call, args.id, make)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListServices(ListArgs):
    """Arguments."""

    service: str = string("Name of a service")
    provider: str = string("VirtualRouter; there is no other")


@command(
    "listSupportedNetworkServices",
    "Lists the services that networks can have.",
    item=ServiceResponse,
    key="networkservice",
    roles=ROOT_ADMIN,
)
async def list_services(call: Call, args: ListServices) -> Answer:
    """All of them are the router's."""
    names = [each for each in SERVICES.values() if args.service.lower() in ("", each.lower())]
    found = names if args.provider.lower() in ("", PROVIDER.lower()) else []
    return listing(args, found, lambda each: ServiceResponse(name=each))
