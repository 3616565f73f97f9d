"""Virtual routers. They are no virtual machines here but network namespaces of hosts, and need no starting."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api.call import Call, OwnedListArgs, contains, is_or_any, listing, owned
from operators.api.cloud import Host, Network, Router, Zone, name_of
from operators.api.declare import ROOT_ADMIN, Answer, boolean, command, string, uuid
from operators.api.responses.owned import OwnedResponse, whose
from operators.api.wire import Date, date
from operators.contract.fabric import HOST, ZONE
from operators.contract.meta import holds
from operators.contract.networking import NETWORK, ROUTER
from operators.contract.reasons import Type


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterResponse(OwnedResponse):
    """A network's router."""

    id: str
    name: str
    state: str
    created: Date | None
    zoneid: str | None
    zonename: str | None
    hostid: str | None
    hostname: str
    guestnetworkid: str | None
    guestnetworkname: str | None
    guestipaddress: str
    publicip: str | None
    networkdomain: str
    dns1: str | None
    dns2: str | None
    role: str = "VIRTUAL_ROUTER"
    isredundantrouter: bool = False
    redundantstate: str = "UNKNOWN"
    requiresupgrade: bool = False


def router(call: Call, obj: Router) -> RouterResponse:
    """The response of one."""
    spec = obj.spec
    host = call.cloud.named(HOST, spec.host_name)
    network = call.cloud.by_uid(NETWORK, spec.network.uid)
    zone = call.cloud.named(ZONE, network.spec.zone) if network else None
    dns = (*spec.dns, None, None)
    return RouterResponse(
        id=obj.meta.uid,
        name=obj.meta.name,
        state="Stopping" if obj.meta.deleting else "Running" if _works(obj) else "Starting",
        created=date(obj.meta.creation_timestamp),
        zoneid=zone.meta.uid if zone else None,
        zonename=zone.meta.name if zone else None,
        hostid=host.meta.uid if host else None,
        hostname=spec.host_name,
        guestnetworkid=network.meta.uid if network else None,
        guestnetworkname=name_of(network) if network else None,
        guestipaddress=spec.gateway.partition("/")[0],
        publicip=spec.uplink.address.partition("/")[0] if spec.uplink else None,
        networkdomain=spec.domain,
        dns1=dns[0],
        dns2=dns[1],
        **whose(call, obj.meta.namespace),
    )


def _works(obj: Router) -> bool:
    return holds(obj.status.conditions, Type.PROGRAMMED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRouters(OwnedListArgs):
    """Arguments."""

    id: Router | None = uuid("ID of the router", ROUTER)
    name: str = string("Name of the router")
    state: str = string("Running, Starting or Stopping")
    networkid: Network | None = uuid("That of this network", NETWORK)
    zoneid: Zone | None = uuid("Those in this zone", ZONE)
    hostid: Host | None = uuid("Those on this host", HOST)
    forvpc: bool = boolean("Whether to list those of VPCs, of which there are none")


@command(
    "listRouters",
    "Lists the routers of networks.",
    item=RouterResponse,
    key="router",
    roles=ROOT_ADMIN,
    refused="arch clusterid healthchecksfailed podid version vpcid",
    ignored="fetchhealthcheckresults",
)
async def list_routers(call: Call, args: ListRouters) -> Answer:
    """Routers, which Networking makes."""

    def wanted(obj: Router) -> bool:
        network = call.cloud.by_uid(NETWORK, obj.spec.network.uid)
        return (
            (args.id is None or args.id.meta.uid == obj.meta.uid)
            and args.name in ("", obj.meta.name)
            and contains(args.keyword, obj.meta.name)
            and (args.networkid is None or args.networkid.meta.uid == obj.spec.network.uid)
            and is_or_any(args.hostid, obj.spec.host_name)
            and is_or_any(args.zoneid, network.spec.zone if network else None)
            and args.state.lower() in ("", router(call, obj).state.lower())
            and not args.forvpc
        )

    return listing(args, owned(call, ROUTER, args, args.id, wanted), lambda obj: router(call, obj))
