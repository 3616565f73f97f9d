"""What a Network comes to on its hosts: the specs of its Router and HostNetworks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network

from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.meta import Key, ObjectRef
from operators.contract.networking import HOST_NETWORK, ROUTER, HostNetworkSpec, RouterSpec, Uplink
from operators.networking import claims, ledger
from operators.networking.networks.model import Action, Apply, Delete, NetworkObj, RouterObj, Seen

FINALIZER = names.finalizer("networking")


def segment(seen: Seen) -> int:
    """The segment that it has claimed; 0 when none."""
    return min((int(each.value) for each in seen.claims if each.pool == claims.SEGMENT), default=0)


def public_address(seen: Seen) -> str:
    """The public address that it has claimed; empty when none."""
    return min((each.value for each in seen.claims if each.pool == claims.PUBLIC), default="")


def wants_source_nat(seen: Seen) -> bool:
    """Whether its offering gives source NAT; a router that has it keeps it when the offering is gone."""
    if seen.offering is None:
        return seen.router is not None and seen.router.spec.uplink is not None
    return "sourceNat" in seen.offering.services


def new_router(network: NetworkObj, seen: Seen, where: ledger.Pool, host: str) -> Json:
    """The Router's body for its creation: what never changes. The rest is applied, guarded, when it exists.

    Created and not applied, so that of two leaders only one can begin a ledger; and without any list, since what a
    creation owns, a later apply could not take away.
    """
    spec = RouterSpec(
        host_name=host,
        network=_ref(network),
        segment_id=segment(seen),
        netns=names.router_netns(segment(seen)),
        bridge=names.bridge(segment(seen)),
        gateway=where.gateway_with_prefix,
        domain=_domain(network),
        uplink=_uplink(seen, host),
        restart_request=network.spec.restart_request,
    )
    return _router_body(network, spec)


def router(network: NetworkObj, seen: Seen, where: ledger.Pool, current: RouterObj) -> list[Action]:
    """The one write that brings a Router up to date, for however many Ports at once; none when it is."""
    before = current.spec
    leaving = {port.meta.uid for port in seen.ports if port.meta.deleting and port.meta.uid not in seen.bound}
    reservations, _ = ledger.reserve(where, before.reservations, seen.ports, seen.lost | leaving, seen.side)
    zone_dns = seen.zone.dns if seen.zone else before.dns
    spec = RouterSpec(
        host_name=before.host_name,
        network=before.network,
        segment_id=before.segment_id,
        netns=before.netns,
        bridge=before.bridge,
        gateway=before.gateway,
        domain=_domain(network),
        dns=network.spec.dns or zone_dns,
        uplink=_uplink(seen, before.host_name),
        reservations=reservations,
        restart_request=before.restart_request,
    )
    if spec == before:
        return []
    return [Apply("Router", _router_body(network, spec, current.meta.guard))]


def host_networks(network: NetworkObj, seen: Seen, router_host: str) -> list[Action]:
    """The segment on every host that has a guest or the router of the network, each knowing all the others."""
    underlays = {
        name: seen.hosts[name].underlay
        for name in seen.at | {router_host}
        if name in seen.hosts and seen.hosts[name].underlay
    }
    there = {each.spec.host_name: each for each in seen.host_networks}
    actions: list[Action] = []
    for name, local in sorted(underlays.items()):
        spec = HostNetworkSpec(
            host_name=name,
            network=_ref(network),
            segment_id=segment(seen),
            bridge=names.bridge(segment(seen)),
            vxlan=names.vxlan(segment(seen)),
            local=local,
            peers=tuple(sorted(each for other, each in underlays.items() if other != name)),
        )
        current = there.get(name)
        if current is None or (current.spec != spec and not current.meta.deleting):
            actions.append(Apply("HostNetwork", _host_network_body(network, spec, current.meta.uid if current else "")))
    needed = seen.at | {router_host}
    actions += [Delete(each) for name, each in sorted(there.items()) if name not in needed and not each.meta.deleting]
    return actions


def _uplink(seen: Seen, host: str) -> Uplink | None:
    """The router's way to the world, if it has an address and its host the bridge. What it has once, it keeps."""
    address = public_address(seen)
    if not address:
        return None
    found = claims.range_of(address, seen.ranges)
    if found is not None and host in seen.hosts and found.bridge in seen.hosts[host].bridges:
        prefix = IPv4Network(found.cidr, strict=False).prefixlen
        return Uplink(found.bridge, f"{address}/{prefix}", found.gateway)
    before = seen.router.spec.uplink if seen.router else None
    return before if before is not None and before.address.partition("/")[0] == address else None


def _domain(network: NetworkObj) -> str:
    return network.spec.domain or f"{network.meta.name}.{network.meta.namespace}.internal"


def _ref(network: NetworkObj) -> ObjectRef:
    return ObjectRef(network.meta.name, network.meta.uid)


def _router_body(network: NetworkObj, spec: RouterSpec, guard: Mapping[str, str] | None = None) -> Json:
    return ROUTER.body(
        Key(network.meta.namespace, names.router(network.meta.name)),
        spec=to_wire(spec),
        finalizers=[FINALIZER],
        ownerReferences=[to_wire(network.owner)],
        **(guard or {}),
    )


def _host_network_body(network: NetworkObj, spec: HostNetworkSpec, uid: str) -> Json:
    return HOST_NETWORK.body(
        Key(network.meta.namespace, names.host_network(network.meta.name, spec.host_name)),
        spec=to_wire(spec),
        finalizers=[FINALIZER],
        ownerReferences=[to_wire(network.owner)],
        **({"uid": uid} if uid else {}),
    )
