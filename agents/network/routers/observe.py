"""Look at a router on this host."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from agents.network import tools
from agents.network.links import links
from agents.network.namespaces import exists, leftover, within
from agents.network.routers import dnsmasq
from agents.network.routers.filter import TABLE
from agents.network.routers.model import OUTSIDE, Devices, Seen, Service, Wanted
from agents.network.rules import listed

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


async def observe(want: Wanted, *, devices: bool) -> Seen:
    """The router's server and, if asked for, everything that the kernel has of it."""
    service = Service(dnsmasq.running(want.state), dnsmasq.read(want.state), want.state.is_dir())
    return Seen(await _devices(want.spec.netns) if devices else None, service)


def stands(want: Wanted) -> bool:
    """Whether the namespace and its cables are there, asked of the kernel in microseconds."""
    cables = {want.inner_cable, want.public_cable} if want.spec.uplink else {want.inner_cable}
    return exists(want.spec.netns) and cables <= {name for _, name in socket.if_nameindex()}


async def _devices(netns: str) -> Devices:
    if not exists(netns):
        return Devices(False, leftover(netns), await links())
    outer, inner, routes, rules = await asyncio.gather(
        links(),
        links(netns=netns),
        tools.ip_json("route", "show", "default", netns=netns),
        tools.nft_table("inet", TABLE, netns=netns),
    )
    gateways = [route.get("gateway", "") for route in routes if route.get("dev") == OUTSIDE]
    forwarding = within(netns, FORWARDING.read_text).strip() == "1"
    return Devices(True, False, outer, inner, gateways[0] if gateways else "", forwarding, listed(rules))
