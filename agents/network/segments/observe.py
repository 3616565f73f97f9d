"""Look at this host's part of a network's segment."""

from __future__ import annotations

from agents.network import namespaces, tools
from agents.network.links import links
from agents.network.metadata import place
from agents.network.metadata.place import Place
from agents.network.segments.model import FLOOD, Seen
from operators.contract.networking import HostNetworkSpec


async def observe(spec: HostNetworkSpec, *, listening: bool) -> Seen:
    """The bridge, VXLAN device and metadata service of a HostNetwork, as the kernel has them."""
    devices = await links()
    vxlan = devices.get(spec.vxlan)
    entries = await tools.fdb_json(spec.vxlan) if vxlan else []
    peers = frozenset(entry["dst"] for entry in entries if entry.get("mac") == FLOOD and "dst" in entry)
    netns = place.netns(spec.segment_id)
    metadata = Place(
        netns=namespaces.exists(netns),
        leftover=namespaces.leftover(netns),
        cable=devices.get(place.cable(spec.segment_id)),
        listening=listening,
    )
    return Seen(devices.get(spec.bridge), vxlan, peers, metadata)
