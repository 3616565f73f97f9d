"""The host's network devices, as `ip -j -d link` tells of them, and which names among them are ours."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.network import tools
from operators.contract.codec import Json

TAP_PREFIX = "cst"
"""Of `names.tap`: what a guest is plugged in with."""
OURS = re.compile(r"cs(br|vx|ri|rp|mi)[0-9]+")
"""Bridges, VXLAN devices, a router's two cables (inside and public), and the cable to the metadata service."""
TAPS = re.compile(TAP_PREFIX + r"[0-9a-f]{10}")
OUR_NETNS = re.compile(r"cs[rm][0-9]+")
"""Routers and metadata services."""


@dataclass(frozen=True, slots=True)
class Vxlan:
    """What is particular about a VXLAN device; it cannot be changed, only made anew."""

    id: int
    local: str
    port: int
    learning: bool


@dataclass(frozen=True, slots=True)
class Link:
    """One network device."""

    name: str
    kind: str
    """`bridge`, `vxlan`, `veth`, `tun`, …; empty for a physical one."""
    master: str = ""
    mtu: int = 0
    up: bool = False
    quiet: bool = False
    """Whether the kernel gives it no IPv6 address by itself, so that the host is not to be reached over it."""
    addresses: tuple[str, ...] = ()
    """IPv4, with prefix length, where they were asked for."""
    mac: str = ""
    vxlan: Vxlan | None = None


async def links(*, netns: str = "") -> Mapping[str, Link]:
    """Every device of the host, or of a network namespace (then with addresses), by name."""
    if not netns:
        return parse(await tools.ip_json("-d", "link", "show"))
    # `ip -d addr` leaves out the mode in which IPv6 addresses are made.
    devices, addressed = await asyncio.gather(
        tools.ip_json("-d", "link", "show", netns=netns), tools.ip_json("-4", "addr", "show", netns=netns)
    )
    addresses = {entry["ifname"]: entry["addr_info"] for entry in addressed}
    return parse([entry | {"addr_info": addresses.get(entry["ifname"], ())} for entry in devices])


def parse(entries: Sequence[Json]) -> Mapping[str, Link]:
    """Read what `ip -j -d link show` printed, with addresses where they were added."""
    return {entry["ifname"]: _link(entry) for entry in entries}


def _link(entry: Json) -> Link:
    info = entry.get("linkinfo", {})
    data = info.get("info_data", {})
    vxlan = None
    if info.get("info_kind") == "vxlan":
        vxlan = Vxlan(data.get("id", 0), data.get("local", ""), data.get("port", 0), data.get("learning", False))
    return Link(
        name=entry["ifname"],
        kind=info.get("info_kind", ""),
        master=entry.get("master", ""),
        mtu=entry.get("mtu", 0),
        up="UP" in entry.get("flags", ()),
        quiet=entry.get("inet6_addr_gen_mode") == "none",
        addresses=tuple(
            f"{each['local']}/{each['prefixlen']}"
            for each in entry.get("addr_info", ())
            if each.get("family") == "inet"
        ),
        mac=entry.get("address", ""),
        vxlan=vxlan,
    )
