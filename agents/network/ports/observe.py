"""Look at this host's rules on guests' frames."""

from __future__ import annotations

import asyncio
import socket

from agents.network import tools
from agents.network.ports.guard import TABLE
from agents.network.ports.model import Seen
from agents.network.rules import listed


async def observe() -> Seen:
    """Our two tables, and the names of the host's devices."""
    guests, host = await asyncio.gather(tools.nft_table("bridge", TABLE), tools.nft_table("inet", TABLE))
    return Seen(listed(guests), listed(host), frozenset(name for _, name in socket.if_nameindex()))
