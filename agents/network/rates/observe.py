"""Look at the limits of this host's taps."""

from __future__ import annotations

import asyncio
import socket

from agents.network import tools
from agents.network.links import TAPS
from agents.network.rates.model import TABLE, Seen
from agents.network.rules import listed


def taps() -> frozenset[str]:
    """Those that are plugged in, asked of the kernel in microseconds."""
    return frozenset(name for _, name in socket.if_nameindex() if TAPS.fullmatch(name))


async def observe(there: frozenset[str]) -> Seen:
    """All of it."""
    disciplines, table = await asyncio.gather(tools.tc_json("qdisc", "show"), tools.nft_table("netdev", TABLE))
    shaped = {
        each["dev"]: int(each["options"]["rate"])
        for each in disciplines
        if each.get("kind") == "tbf" and each.get("root") and each.get("dev") in there
    }
    return Seen(there, shaped, listed(table))
