"""Change this host's part of a network's segment."""

from __future__ import annotations

from agents.network import tools
from agents.network.segments.model import FLOOD, Action, Links


async def act(action: Action) -> None:
    """Do one action; what a killed run left undone, the next one's plan does."""
    if isinstance(action, Links):
        await tools.ip(action.lines)
    else:
        add = [f"append {FLOOD} dev {action.device} dst {peer}" for peer in action.add]
        remove = [f"del {FLOOD} dev {action.device} dst {peer}" for peer in action.remove]
        await tools.fdb([*add, *remove])
