"""Change this host's rules on guests' frames."""

from __future__ import annotations

from agents.network import tools
from agents.network.rules import Rules


async def act(action: Rules) -> None:
    """Make the changes, all at once or not at all."""
    await tools.nft(action.commands)
