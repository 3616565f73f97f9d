"""Decide what makes a router on this host right. Pure."""

from __future__ import annotations

import ipaddress

from agents.network.check import refusal
from agents.network.links import Link
from agents.network.routers import filter as rules
from agents.network.routers import serving
from agents.network.routers.model import (
    INSIDE,
    OUTSIDE,
    Action,
    Announce,
    Clear,
    Devices,
    Files,
    Forward,
    Ip,
    MakeNetns,
    Reload,
    Seen,
    Start,
    Stop,
    Wanted,
)
from agents.network.rules import Rules, difference
from operators.contract.networking import RouterSpec
from operators.contract.reasons import Reason
from operators.kernel.outcome import Blocked, Done, Outcome, Retry


def plan(want: Wanted, seen: Seen) -> tuple[list[Action], Outcome]:
    """Make the namespace, its cables, addresses and rules, and its DHCP and DNS server; or clear all of it away."""
    if problem := _refusal(want.spec):
        return [], problem
    if want.deleting:
        return _clear(want, seen), Done(Reason.RELEASED)
    devices = seen.devices
    if devices is None:
        return _serve(want, seen, fresh=False), Done()
    if want.spec.bridge not in devices.outer:
        return [], Blocked(
            Reason.WAITING_FOR_NETWORK, f"bridge {want.spec.bridge} is not there yet; see its HostNetwork"
        )
    uplink = want.spec.uplink
    missing = uplink is not None and uplink.bridge not in devices.outer
    fresh = not devices.netns or INSIDE not in devices.inner or want.inner_cable not in devices.outer
    actions = [*_build(want, devices, with_uplink=uplink is not None and not missing), *_serve(want, seen, fresh=fresh)]
    if missing and uplink is not None:
        hint = f"make the bridge {uplink.bridge} on host {want.spec.host_name}, or name another in the IPRange"
        return actions, Retry(Reason.NETWORK_ERROR, f"there is no bridge {uplink.bridge} for the uplink: {hint}", 60.0)
    return actions, Done()


def _build(want: Wanted, devices: Devices, *, with_uplink: bool) -> list[Action]:
    """Everything that the kernel has of a router."""
    spec = want.spec
    actions: list[Action] = []
    if not devices.netns:
        actions.append(MakeNetns(spec.netns, devices.leftover))
    cables = _cable(want, devices, want.inner_cable, INSIDE, spec.bridge)
    loopback = devices.inner.get("lo")
    inside = [] if loopback and loopback.up else ["link set lo up"]
    inside += _interface(devices.inner.get(INSIDE), INSIDE, spec.gateway, spec.mtu)
    announce: list[Action] = []
    gateway = str(ipaddress.IPv4Interface(spec.gateway).ip)
    if f"addr add {spec.gateway} dev {INSIDE}" in inside:
        # Where the router was on another host before, the segment's devices still send its frames there.
        announce.append(Announce(spec.netns, INSIDE, want.mac(INSIDE), gateway))
    if spec.uplink is not None and with_uplink:
        cables += _cable(want, devices, want.public_cable, OUTSIDE, spec.uplink.bridge)
        public = _interface(devices.inner.get(OUTSIDE), OUTSIDE, spec.uplink.address, 0)
        if public or devices.default_gateway != spec.uplink.gateway:
            public.append(f"route replace default via {spec.uplink.gateway} dev {OUTSIDE}")
        if public:
            address = str(ipaddress.IPv4Interface(spec.uplink.address).ip)
            announce.append(Announce(spec.netns, OUTSIDE, want.mac(OUTSIDE), address))
        inside += public
    elif want.public_cable in devices.outer:
        cables.append(f"link del {want.public_cable}")
    if cables:
        actions.append(Ip(tuple(cables)))
    if inside:
        actions.append(Ip(tuple(inside), spec.netns))
    if not devices.forwarding:
        actions.append(Forward(spec.netns))
    if commands := difference(rules.table(spec), devices.rules):
        actions.append(Rules(tuple(commands), spec.netns))
    return actions + announce


def _cable(want: Wanted, devices: Devices, cable: str, end: str, bridge: str) -> list[str]:
    """A pair of devices between a bridge of the host and the namespace. Either end takes the other with it."""
    seen = devices.outer.get(cable)
    mtu = f" mtu {want.spec.mtu}" if end == INSIDE else ""
    lines = []
    if seen is None or end not in devices.inner:
        if seen is not None:
            lines.append(f"link del {cable}")
        lines.append(
            f"link add {cable}{mtu} type veth peer name {end} address {want.mac(end)}{mtu} netns {want.spec.netns}"
        )
        seen = None
    if seen is None or not seen.quiet:
        lines.append(f"link set {cable} addrgenmode none")
    if seen is None or seen.master != bridge or not seen.up:
        lines.append(f"link set {cable} master {bridge} up")
    return lines


def _interface(seen: Link | None, device: str, address: str, mtu: int) -> list[str]:
    """The router's own end of a cable: one address, no IPv6."""
    lines = []
    if seen is None or not seen.quiet:
        lines.append(f"link set {device} addrgenmode none")
    if seen is not None and mtu and seen.mtu != mtu:
        lines.append(f"link set {device} mtu {mtu}")
    before = seen.addresses if seen else ()
    lines += [f"addr del {each} dev {device}" for each in before if each != address]
    if address not in before:
        lines.append(f"addr add {address} dev {device}")
    if seen is None or not seen.up:
        lines.append(f"link set {device} up")
    return lines


def _serve(want: Wanted, seen: Seen, *, fresh: bool) -> list[Action]:
    """DHCP and DNS. What is new is found by the server itself; what is gone it has to be told."""
    wanted = serving.files(want.spec, want.state)
    before = seen.service.files
    write = {path: text for path, text in wanted.items() if before.get(path) != text}
    remove = tuple(sorted(before.keys() - wanted.keys()))
    actions: list[Action] = []
    if write or remove:
        actions.append(Files(want.state, write, remove))
    pid = seen.service.pid
    if not pid:
        return [*actions, Start(want.spec.netns, want.state)]
    # dnsmasq 2.90 ends when it is told to look again and an entry on lease has changed.
    if fresh or write.keys() & before.keys() or serving.CONFIG in write:
        return [Stop(pid), *actions, Start(want.spec.netns, want.state)]
    if remove:
        stale = (serving.reservation(before[path]) for path in remove)
        released = tuple(pair for pair in stale if pair is not None)
        server = str(ipaddress.IPv4Interface(want.spec.gateway).ip)
        actions.append(Reload(pid, want.spec.netns, server, released))
    return actions


def _clear(want: Wanted, seen: Seen) -> list[Action]:
    actions: list[Action] = [Stop(seen.service.pid)] if seen.service.pid else []
    devices = seen.devices
    if devices is not None:
        cables = tuple(f"link del {each}" for each in (want.inner_cable, want.public_cable) if each in devices.outer)
        if cables:
            actions.append(Ip(cables))
        if devices.netns or devices.leftover:
            actions.append(Ip((f"netns del {want.spec.netns}",)))
    if seen.service.folder:
        actions.append(Clear(want.state))
    return actions


def _refusal(spec: RouterSpec) -> Outcome | None:
    uplink = spec.uplink
    return refusal(
        devices=(spec.netns, spec.bridge, *([uplink.bridge] if uplink else [])),
        addresses=(
            spec.gateway,
            *spec.dns,
            *(each.ip for each in spec.reservations),
            *([uplink.address, uplink.gateway] if uplink else []),
        ),
        macs=(each.mac for each in spec.reservations),
        domains=(spec.domain,),
    )
