"""Look at this host's rules on guests' frames."""

from __future__ import annotations

import asyncio
import socket

from agents.network import tools
from agents.network.ports.guard import TABLE
from agents.network.ports.model import Tables
from agents.network.rules import listed


async def tables() -> Tables:
    """Our two tables, as nftables lists them."""
    guests, host = await asyncio.gather(tools.nft_table("bridge", TABLE), tools.nft_table("inet", TABLE))
    return Tables(listed(guests), listed(host))


def devices() -> frozenset[str]:
    """The names of the host's devices."""
    return frozenset(name for _, name in socket.if_nameindex())
