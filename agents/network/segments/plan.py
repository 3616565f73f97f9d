"""Decide what makes this host's part of a network's segment right. Pure."""

from __future__ import annotations

from agents.network.check import refusal
from agents.network.links import Link, Vxlan
from agents.network.metadata import place
from agents.network.metadata.place import Place
from agents.network.rules import Listed, Rules, difference
from agents.network.segments.model import (
    VXLAN_PORT,
    Action,
    Close,
    Entries,
    Links,
    MakeNetns,
    Peers,
    Seen,
    Serve,
    Wanted,
)
from operators.contract.networking import HostNetworkSpec
from operators.contract.reasons import Reason
from operators.kernel.outcome import Done, Outcome


def plan(want: Wanted, seen: Seen) -> tuple[list[Action], Outcome]:
    """Make the bridge, the VXLAN device and its peers as wanted; or clear them away."""
    if problem := refusal(devices=(want.spec.bridge, want.spec.vxlan), addresses=(want.spec.local, *want.spec.peers)):
        return [], problem
    if want.deleting:
        there = [link.name for link in (seen.metadata.cable, seen.vxlan, seen.bridge) if link is not None]
        lines = tuple(f"link del {name}" for name in there)
        if seen.metadata.netns or seen.metadata.leftover:
            lines = (*lines, f"netns del {place.netns(want.spec.segment_id)}")
        shut: list[Action] = [Close(place.netns(want.spec.segment_id))] if seen.metadata.listening else []
        return [*shut, *([Links(lines)] if lines else [])], Done(Reason.RELEASED)
    usable = seen.vxlan if seen.vxlan and seen.vxlan.vxlan == _vxlan(want.spec) else None
    lines = (*_bridge(want.spec, seen.bridge), *_device(want.spec, seen.vxlan, usable))
    actions: list[Action] = [Links(lines)] if lines else []
    before = seen.peers if usable else frozenset()
    wanted = frozenset(want.spec.peers)
    if before != wanted:
        actions.append(Peers(want.spec.vxlan, tuple(sorted(wanted - before)), tuple(sorted(before - wanted))))
    return [*actions, *_metadata(want, seen.metadata, bridged=seen.bridge is not None)], Done()


def _metadata(want: Wanted, seen: Place, *, bridged: bool) -> list[Action]:
    """The network's metadata service on this host."""
    spec, netns = want.spec, place.netns(want.spec.segment_id)
    serve = Serve(netns, want.host_network.key)
    if bridged and place.stands(seen, spec.bridge):
        return [] if seen.listening else [serve]
    actions: list[Action] = []
    if seen.listening:
        actions.append(Close(netns))  # a namespace of which that is the last thing left would stay for it
    if seen.cable is not None:
        actions.append(Links((f"link del {seen.cable.name}",)))
    if not seen.netns:
        actions.append(MakeNetns(netns, seen.leftover))
    return [
        *actions,
        Rules(tuple(difference(place.rules(), Listed())), netns),
        Links(place.to_host(spec.segment_id, spec.mtu)),
        Links(place.inside(), netns),
        Links((place.plugged(spec.segment_id, spec.bridge),)),
        Entries((place.known(spec.segment_id),)),
        Links((place.up(spec.segment_id),)),
        serve,
    ]


def _bridge(spec: HostNetworkSpec, seen: Link | None) -> tuple[str, ...]:
    if seen is None:
        # Ports forward at once, since there are no loops to be found; and no IGMP snooping, which wants a querier.
        make = f"link add {spec.bridge} mtu {spec.mtu} type bridge forward_delay 0 mcast_snooping 0"
        return make, f"link set {spec.bridge} addrgenmode none", f"link set {spec.bridge} up"
    return _settings(seen, spec.mtu)


def _device(spec: HostNetworkSpec, seen: Link | None, usable: Link | None) -> tuple[str, ...]:
    if usable is None:
        make = (
            f"link add {spec.vxlan} mtu {spec.mtu} type vxlan id {spec.segment_id} local {spec.local}"
            f" dstport {VXLAN_PORT} learning"
        )
        rest = f"link set {spec.vxlan} addrgenmode none master {spec.bridge} up"
        return ((f"link del {spec.vxlan}",) if seen else ()) + (make, rest)
    lines = _settings(usable, spec.mtu)
    if usable.master != spec.bridge:
        lines = (f"link set {spec.vxlan} master {spec.bridge}", *lines)
    return lines


def _settings(seen: Link, mtu: int) -> tuple[str, ...]:
    lines = []
    if not seen.quiet:
        lines.append(f"link set {seen.name} addrgenmode none")
    if seen.mtu != mtu:
        lines.append(f"link set {seen.name} mtu {mtu}")
    if not seen.up:
        lines.append(f"link set {seen.name} up")
    return tuple(lines)


def _vxlan(spec: HostNetworkSpec) -> Vxlan:
    return Vxlan(spec.segment_id, spec.local, VXLAN_PORT, learning=True)
