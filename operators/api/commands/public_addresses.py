"""Public addresses, as far as there are any: those with which networks reach the world. Rules on them follow."""

from __future__ import annotations

import uuid as rfc
from dataclasses import dataclass

from operators.api.call import Call, OwnedListArgs, contains, listing, owned
from operators.api.cloud import Network, Zone, name_of
from operators.api.declare import Answer, Listing, boolean, command, identifier, string, uuid
from operators.api.responses.owned import OwnedResponse, whose
from operators.api.wire import Date, date
from operators.contract.fabric import ZONE
from operators.contract.networking import NETWORK


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressResponse(OwnedResponse):
    """A public address."""

    id: str
    ipaddress: str
    allocated: Date | None
    zoneid: str | None
    zonename: str
    issourcenat: bool = True
    isstaticnat: bool = False
    issystem: bool = False
    forvirtualnetwork: bool = True
    state: str = "Allocated"
    associatednetworkid: str
    associatednetworkname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPublicIpAddresses(OwnedListArgs):
    """Arguments."""

    id: str = identifier("ID of the address")
    ipaddress: str = string("The address itself")
    zoneid: Zone | None = uuid("Those in this zone", ZONE)
    associatednetworkid: Network | None = uuid("That of this network", NETWORK)
    issourcenat: bool | None = boolean("Whether networks reach the world with them, as with all of them", default=None)
    isstaticnat: bool = boolean("Whether they stand for one virtual machine, as none does yet")
    allocatedonly: bool = boolean("Whether they are taken, as all that are listed are", default=True)


@command(
    "listPublicIpAddresses",
    "Lists public addresses: those with which networks reach the world. More cannot be had yet.",
    item=AddressResponse,
    key="publicipaddress",
    refused="networkid physicalnetworkid retrieveonlyresourcecount state tags vlanid vpcid",
    ignored="forvirtualnetwork fordisplay forloadbalancing forprovider forsystemvms",
)
async def list_public_ip_addresses(call: Call, args: ListPublicIpAddresses) -> Answer:
    """From the status of Networks."""

    def wanted(obj: Network) -> bool:
        return bool(obj.status.source_nat_address) and args.zoneid in (None, call.cloud.named(ZONE, obj.spec.zone))

    networks = owned(call, NETWORK, args, args.associatednetworkid, wanted)
    found = [
        each
        for each in (_address(call, network) for network in networks)
        if args.id in ("", each.id)
        and args.ipaddress in ("", each.ipaddress)
        and contains(args.keyword, each.ipaddress)
    ]
    none = args.isstaticnat or args.issourcenat is False
    return listing(args, [] if none else found, lambda each: each)


def _address(call: Call, obj: Network) -> AddressResponse:
    zone = call.cloud.named(ZONE, obj.spec.zone)
    return AddressResponse(
        id=str(rfc.uuid5(rfc.NAMESPACE_OID, f"source-nat:{obj.meta.uid}")),
        ipaddress=obj.status.source_nat_address,
        allocated=date(obj.meta.creation_timestamp),
        zoneid=zone.meta.uid if zone else None,
        zonename=obj.spec.zone,
        associatednetworkid=obj.meta.uid,
        associatednetworkname=name_of(obj),
        **whose(call, obj.meta.namespace),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResponse:
    """A rule on a public address."""

    id: str


@command(
    "listPortForwardingRules",
    "Lists rules on public addresses. None can be made yet, so there are none; libcloud asks before it lists nodes.",
    item=RuleResponse,
    key="portforwardingrule",
    refused="fordisplay id ipaddressid networkid tags",
)
async def list_port_forwarding_rules(call: Call, args: OwnedListArgs) -> Answer:
    """There are none."""
    return Listing(0, [])


@command(
    "listIpForwardingRules",
    "Lists rules on public addresses. None can be made yet, so there are none; libcloud asks before it lists nodes.",
    item=RuleResponse,
    key="ipforwardingrule",
    refused="id ipaddressid virtualmachineid",
)
async def list_ip_forwarding_rules(call: Call, args: OwnedListArgs) -> Answer:
    """There are none."""
    return Listing(0, [])
