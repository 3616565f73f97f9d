"""Change this host's part of a network's segment."""

from __future__ import annotations

from agents.network import tools
from agents.network.metadata.serving import Services
from agents.network.rules import Rules
from agents.network.segments.model import FLOOD, Action, Close, Entries, Links, MakeNetns, Peers, Serve


async def act(action: Action, services: Services) -> None:
    """Do one action; what a killed run left undone, the next one's plan does."""
    match action:
        case Links(lines, netns):
            await tools.ip(lines, netns=netns)
        case Peers(device, add, remove):
            append = [f"append {FLOOD} dev {device} dst {peer}" for peer in add]
            await tools.fdb([*append, *(f"del {FLOOD} dev {device} dst {peer}" for peer in remove)])
        case Entries(lines):
            await tools.fdb(lines)
        case MakeNetns(name, leftover):
            if leftover:
                (tools.NETNS_DIR / name).unlink()
            await tools.ip([f"netns add {name}"])
        case Rules(commands, netns):
            await tools.nft(commands, netns=netns)
        case Serve(netns, host_network):
            services.open(netns, host_network)
        case Close(netns):
            await services.close(netns)
