"""Decide what makes this host's part of a network's segment right. Pure."""

from __future__ import annotations

from agents.network.check import refusal
from agents.network.links import Link, Vxlan
from agents.network.segments.model import VXLAN_PORT, Action, Links, Peers, Seen, Wanted
from operators.contract.networking import HostNetworkSpec
from operators.contract.reasons import Reason
from operators.kernel.outcome import Done, Outcome


def plan(want: Wanted, seen: Seen) -> tuple[list[Action], Outcome]:
    """Make the bridge, the VXLAN device and its peers as wanted; or clear them away."""
    if problem := refusal(devices=(want.spec.bridge, want.spec.vxlan), addresses=(want.spec.local, *want.spec.peers)):
        return [], problem
    if want.deleting:
        there = [link.name for link in (seen.vxlan, seen.bridge) if link is not None]
        lines = tuple(f"link del {name}" for name in there)
        return ([Links(lines)] if lines else []), Done(Reason.RELEASED)
    usable = seen.vxlan if seen.vxlan and seen.vxlan.vxlan == _vxlan(want.spec) else None
    lines = (*_bridge(want.spec, seen.bridge), *_device(want.spec, seen.vxlan, usable))
    actions: list[Action] = [Links(lines)] if lines else []
    before = seen.peers if usable else frozenset()
    wanted = frozenset(want.spec.peers)
    if before != wanted:
        actions.append(Peers(want.spec.vxlan, tuple(sorted(wanted - before)), tuple(sorted(before - wanted))))
    return actions, Done()


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
