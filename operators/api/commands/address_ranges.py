"""Ranges of public addresses, which are IPRanges; CloudStack calls them by the VLAN that they are on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from operators.api import errors, naming
from operators.api.call import Call, ListArgs, contains, is_or_any, listing
from operators.api.changing import given, remove, update
from operators.api.cloud import IPRange, Network, Zone, name_of
from operators.api.declare import ROOT_ADMIN, Answer, Single, boolean, command, string, uuid
from operators.api.responses.done import Done
from operators.contract.codec import to_wire
from operators.contract.fabric import HOST, HOST_REPORT, IP_RANGE, ZONE, IPRangeSpec
from operators.contract.networking import NETWORK

UNTAGGED = "vlan://untagged"


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeResponse:
    """A range of public addresses."""

    id: str
    zoneid: str | None
    vlan: str = UNTAGGED
    gateway: str
    netmask: str
    cidr: str
    startip: str
    endip: str
    description: str
    forvirtualnetwork: bool = True
    forsystemvms: bool = False


def address_range(call: Call, obj: IPRange) -> RangeResponse:
    """The response of one."""
    spec, zone = obj.spec, call.cloud.named(ZONE, obj.spec.zone)
    return RangeResponse(
        id=obj.meta.uid,
        zoneid=zone.meta.uid if zone else None,
        gateway=spec.gateway,
        netmask=str(IPv4Network(spec.cidr, strict=False).netmask),
        cidr=spec.cidr,
        startip=spec.start,
        endip=spec.end,
        description=f"{name_of(obj)}, on the hosts' bridge {spec.bridge}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListVlanIpRanges(ListArgs):
    """Arguments."""

    id: IPRange | None = uuid("ID of the range", IP_RANGE)
    zoneid: Zone | None = uuid("Those of this zone", ZONE)
    vlan: str = string("Those on this VLAN: all are untagged")
    forvirtualnetwork: bool | None = boolean("Whether routers take addresses of them, as of all", default=None)


@command(
    "listVlanIpRanges",
    "Lists ranges of public addresses.",
    item=RangeResponse,
    key="vlaniprange",
    roles=ROOT_ADMIN,
    refused="account domainid networkid physicalnetworkid podid projectid",
)
async def list_ranges(call: Call, args: ListVlanIpRanges) -> Answer:
    """IPRanges."""

    def wanted(obj: IPRange) -> bool:
        return (
            (args.id is None or args.id.meta.uid == obj.meta.uid)
            and is_or_any(args.zoneid, obj.spec.zone)
            and args.vlan.lower().removeprefix("vlan://") in ("", "untagged")
            and args.forvirtualnetwork is not False
            and contains(args.keyword, name_of(obj), obj.spec.start, obj.spec.end)
        )

    return listing(args, call.cloud.all(IP_RANGE, None, wanted), lambda obj: address_range(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVlanIpRange:
    """Arguments."""

    zoneid: Zone | None = uuid("ID of the zone; needed where there are several", ZONE)
    gateway: str = string("The gateway's address")
    netmask: str = string("Netmask of the gateway's network")
    startip: str = string("First address that routers may take")
    endip: str = string("Last address that routers may take; the first when left out")
    vlan: str = string("untagged: the hosts' bridge leads to that network already")


@command(
    "createVlanIpRange",
    "Gives routers public addresses. The hosts have one bridge that leads there; where they have several, "
    "state an IPRange by kubectl.",
    item=RangeResponse,
    key="vlan",
    roles=ROOT_ADMIN,
    refused="""account domainid endipv6 forsystemvms ip6cidr ip6gateway networkid physicalnetworkid podid projectid
        provider startipv6""",
    ignored="forvirtualnetwork",
)
async def create_range(call: Call, args: CreateVlanIpRange) -> Answer:
    """The IPRange that kubectl would make."""
    for name in ("gateway", "netmask", "startip"):
        if not getattr(args, name):
            raise errors.missing("createVlanIpRange", name)
    if args.vlan.lower().removeprefix("vlan://") not in ("", "untagged"):
        raise errors.ApiError(432, "tagged VLANs are not supported: give the hosts a bridge there, and vlan=untagged")
    zone = _zone(call, args)
    network, first, last = _addresses(args.gateway, args.netmask, args.startip, args.endip)
    _check_alone(call, zone.meta.name, first, last)
    spec = IPRangeSpec(
        cidr=str(network),
        gateway=args.gateway,
        start=str(first),
        end=str(last),
        bridge=_bridge(call, zone),
        zone=zone.meta.name,
    )
    name = f"public-{str(first).replace('.', '-')}"
    return Single(address_range(call, IP_RANGE.parse(await naming.create(call, IP_RANGE, "", name, to_wire(spec)))))


def _zone(call: Call, args: CreateVlanIpRange) -> Zone:
    zones = [args.zoneid] if args.zoneid else call.cloud.all(ZONE)
    if len(zones) != 1:
        raise errors.missing("createVlanIpRange", "zoneid")
    return zones[0]


def _check_alone(call: Call, zone: str, first: IPv4Address, last: IPv4Address, but: str = "") -> None:
    """Refuse addresses that another range of the zone has. Raises ApiError."""
    for other in call.cloud.all(IP_RANGE, None, lambda obj: obj.spec.zone == zone and obj.meta.uid != but):
        if IPv4Address(other.spec.start) <= last and first <= IPv4Address(other.spec.end):
            raise errors.invalid(f"The addresses overlap with {other.spec.start} to {other.spec.end} of the zone")


def _addresses(gateway: str, netmask: str, start: str, end: str) -> tuple[IPv4Network, IPv4Address, IPv4Address]:
    try:
        network = IPv4Network(f"{gateway}/{netmask}", strict=False)
        first, last = IPv4Address(start), IPv4Address(end or start)
    except (AddressValueError, ValueError):
        raise errors.invalid("gateway, netmask, startip and endip must be IPv4 addresses") from None
    if not (first in network and last in network and first <= last):
        raise errors.invalid(f"startip and endip must be of {network}, in that order")
    if first <= IPv4Address(gateway) <= last:
        raise errors.invalid("The gateway ip must not be among the addresses that routers may take")
    return network, first, last


def _bridge(call: Call, zone: Zone) -> str:
    """That of the zone's other ranges, else the only one that every host of it has."""
    known = {obj.spec.bridge for obj in call.cloud.all(IP_RANGE, None, lambda obj: obj.spec.zone == zone.meta.name)}
    hosts = {obj.meta.name for obj in call.cloud.all(HOST) if obj.spec.zone == zone.meta.name}
    told = [
        frozenset(report.status.network.bridges)
        for report in call.cloud.all(HOST_REPORT)
        if report.meta.name in hosts and report.status.network is not None
    ]
    found = sorted(known or (frozenset.intersection(*told) if told else frozenset()))
    if len(found) != 1:
        have = f"there are {', '.join(found)}" if found else "no bridge is on all of them"
        raise errors.invalid(f"which bridge of the hosts of zone {zone.meta.name} leads there is not clear: {have}")
    return found[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateVlanIpRange:
    """Arguments."""

    id: IPRange = uuid("ID of the range", IP_RANGE, required=True)
    startip: str = string("First address that routers may take from now on")
    endip: str = string("Last address that routers may take from now on")


@command(
    "updateVlanIpRange",
    "Moves the ends of a range. Routers keep the addresses that they have, which must stay within.",
    item=RangeResponse,
    key="vlan",
    roles=ROOT_ADMIN,
    refused="endipv6 forsystemvms gateway ip6cidr ip6gateway netmask startipv6",
)
async def update_range(call: Call, args: UpdateVlanIpRange) -> Answer:
    """The operator's own `spec.start` and `spec.end`."""
    spec, zone = args.id.spec, args.id.spec.zone
    mask = str(IPv4Network(spec.cidr, strict=False).netmask)
    _, first, last = _addresses(spec.gateway, mask, args.startip or spec.start, args.endip or spec.end)
    _check_alone(call, zone, first, last, but=args.id.meta.uid)
    for network, address in _taken(call, args.id):
        if not first <= address <= last:
            raise errors.in_use(f"Can't leave out {address}: network {name_of(network)} has it")
    return Single(address_range(call, await update(call, args.id, given(start=args.startip, end=args.endip))))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteVlanIpRange:
    """Arguments."""

    id: IPRange = uuid("ID of the range", IP_RANGE, required=True)


@command("deleteVlanIpRange", "Deletes a range of which no router has an address.", item=Done, roles=ROOT_ADMIN)
async def delete_range(call: Call, args: DeleteVlanIpRange) -> Answer:
    """Refuse what is in use; a deletion cannot be taken back."""
    for network, address in _taken(call, args.id):
        raise errors.in_use(f"Can't delete the range: network {name_of(network)} has address {address}")
    await remove(call, args.id)
    return Single(Done())


def _taken(call: Call, obj: IPRange) -> Iterator[tuple[Network, IPv4Address]]:
    """The networks that have an address of a range."""
    first, last = IPv4Address(obj.spec.start), IPv4Address(obj.spec.end)
    for network in call.cloud.all(NETWORK, None, lambda network: network.spec.zone == obj.spec.zone):
        taken = network.status.source_nat_address.partition("/")[0]
        if taken and first <= IPv4Address(taken) <= last:
            yield network, IPv4Address(taken)
