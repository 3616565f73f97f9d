"""What zones' networks are made of: one physical network each, of which nothing is to choose.

CloudStack has its operators arrange this before anything works; here hosts bring it along, so it is only told."""

from __future__ import annotations

import uuid as rfc
from dataclasses import dataclass

from operators.api.call import Call, ListArgs, contains, listing
from operators.api.cloud import Zone, name_of
from operators.api.declare import ROOT_ADMIN, Answer, boolean, command, identifier, string, uuid
from operators.api.responses.network import PROVIDER, SERVICES
from operators.contract.fabric import ZONE

ENABLED = "Enabled"
TRAFFIC = ("Guest", "Public", "Management", "Storage")


def _id(what: str, zone: Zone) -> str:
    return str(rfc.uuid5(rfc.NAMESPACE_OID, f"{what}:{zone.meta.uid}"))


def _physical(zone: Zone) -> str:
    return _id("physical-network", zone)


def _provider(zone: Zone) -> str:
    return _id("network-service-provider", zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhysicalNetworkResponse:
    """The underlay that a zone's networks are tunnelled through."""

    id: str
    name: str
    zoneid: str
    zonename: str
    state: str = ENABLED
    isolationmethods: str = "VXLAN"
    broadcastdomainrange: str = "ZONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPhysicalNetworks(ListArgs):
    """Arguments."""

    id: str = identifier("ID of the physical network")
    name: str = string("Name of the physical network")
    zoneid: Zone | None = uuid("That of this zone", ZONE)


@command(
    "listPhysicalNetworks",
    "Lists physical networks: one for each zone, which its hosts bring along.",
    item=PhysicalNetworkResponse,
    key="physicalnetwork",
    roles=ROOT_ADMIN,
)
async def list_physical_networks(call: Call, args: ListPhysicalNetworks) -> Answer:
    """From the zones."""
    shown = [
        PhysicalNetworkResponse(
            id=_physical(zone),
            name=f"{name_of(zone)}-underlay",
            zoneid=zone.meta.uid,
            zonename=name_of(zone),
        )
        for zone in call.cloud.all(ZONE)
        if args.zoneid is None or args.zoneid.meta.uid == zone.meta.uid
    ]
    found = [
        each
        for each in shown
        if args.id in ("", each.id) and args.name in ("", each.name) and contains(args.keyword, each.name)
    ]
    return listing(args, found, lambda each: each)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficTypeResponse:
    """A kind of traffic on a physical network."""

    id: str
    name: str
    physicalnetworkid: str
    state: str = ENABLED


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTrafficTypes(ListArgs):
    """Arguments."""

    physicalnetworkid: str = identifier("ID of the physical network", required=True)


@command(
    "listTrafficTypes",
    "Lists the kinds of traffic on a physical network.",
    item=TrafficTypeResponse,
    key="traffictype",
    roles=ROOT_ADMIN,
)
async def list_traffic_types(call: Call, args: ListTrafficTypes) -> Answer:
    """All of them, on every one."""
    found = [
        TrafficTypeResponse(id=_id(f"traffic-{name}", zone), name=name, physicalnetworkid=args.physicalnetworkid)
        for zone in call.cloud.all(ZONE)
        if _physical(zone) == args.physicalnetworkid
        for name in TRAFFIC
        if contains(args.keyword, name)
    ]
    return listing(args, found, lambda each: each)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderResponse:
    """Who gives services on a physical network."""

    id: str
    name: str = PROVIDER
    physicalnetworkid: str
    state: str = ENABLED
    servicelist: tuple[str, ...] = tuple(sorted(SERVICES.values()))
    canenableindividualservice: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ListProviders(ListArgs):
    """Arguments."""

    name: str = string("Name of the provider")
    physicalnetworkid: str = identifier("ID of the physical network")
    state: str = string("Enabled; there is no other")


@command(
    "listNetworkServiceProviders",
    "Lists who gives services on physical networks: the router alone.",
    item=ProviderResponse,
    key="networkserviceprovider",
    roles=ROOT_ADMIN,
)
async def list_providers(call: Call, args: ListProviders) -> Answer:
    """One for each zone."""
    mine = args.name in ("", PROVIDER) and args.state.lower() in ("", ENABLED.lower())
    found = [
        ProviderResponse(id=_provider(zone), physicalnetworkid=_physical(zone))
        for zone in call.cloud.all(ZONE)
        if mine and args.physicalnetworkid in ("", _physical(zone)) and contains(args.keyword, PROVIDER)
    ]
    return listing(args, found, lambda each: each)


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementResponse:
    """The provider's element: there is nothing to set in it."""

    id: str
    nspid: str
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ListElements(ListArgs):
    """Arguments."""

    id: str = identifier("ID of the element")
    nspid: str = identifier("ID of the provider")
    enabled: bool | None = boolean("Whether it works, as all do", default=None)


@command(
    "listVirtualRouterElements",
    "Lists the elements of network service providers.",
    item=ElementResponse,
    key="virtualrouterelement",
    roles=ROOT_ADMIN,
)
async def list_elements(call: Call, args: ListElements) -> Answer:
    """One for each zone."""
    shown = [ElementResponse(id=_id("router-element", zone), nspid=_provider(zone)) for zone in call.cloud.all(ZONE)]
    found = [
        each
        for each in shown
        if args.id in ("", each.id) and args.nspid in ("", each.nspid) and args.enabled is not False
    ]
    return listing(args, found, lambda each: each)
