"""Look at this host's part of a network's segment."""

from __future__ import annotations

from agents.network import tools
from agents.network.links import links
from agents.network.segments.model import FLOOD, Seen
from operators.contract.networking import HostNetworkSpec


async def observe(spec: HostNetworkSpec) -> Seen:
    """The bridge and VXLAN device of a HostNetwork, as the kernel has them."""
    devices = await links()
    vxlan = devices.get(spec.vxlan)
    entries = await tools.fdb_json(spec.vxlan) if vxlan else []
    peers = frozenset(entry["dst"] for entry in entries if entry.get("mac") == FLOOD and "dst" in entry)
    return Seen(devices.get(spec.bridge), vxlan, peers)
