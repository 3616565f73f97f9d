"""Which addresses what tenants name may lead to: those of the world, and not those of the cloud's own inside."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]


def networks(text: str) -> Networks:
    """From a comma-separated list. Raises ValueError."""
    return tuple(ipaddress.ip_network(each.strip()) for each in text.split(",") if each.strip())


def may_be_reached(address: str, allowed: Networks) -> bool:
    """Whether an IP address is one of the world, or of a network that the operator of the cloud allows."""
    it = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(it, ipaddress.IPv6Address) and it.ipv4_mapped is not None:
        it = it.ipv4_mapped
    return (it.is_global and not it.is_multicast) or any(
        it in network for network in allowed if network.version == it.version
    )


def refusal(url: str, allowed: Networks) -> str:
    """Why an address cannot be sent to, as far as it tells by itself; empty when it can."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        # Reading the port is what judges it.
        good = parts.scheme in ("http", "https") and bool(host) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        return "url must be http:// or https:// and a host"
    try:
        literal = may_be_reached(host, allowed)
    except ValueError:
        return ""  # A name, which is looked up when something is sent.
    return "" if literal else f"{host} is an address inside the cloud, where nothing is sent: name one of the world"


class Guarded(AbstractResolver):
    """Looks names up as another does, and knows none of what may not be reached."""

    def __init__(self, inner: AbstractResolver, allowed: Networks) -> None:
        self._inner = inner
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises OSError."""
        found: Sequence[ResolveResult] = await self._inner.resolve(host, port, family)
        good = [each for each in found if may_be_reached(each["host"], self._allowed)]
        if not good:
            raise OSError(f"{host} is inside the cloud, where nothing is sent")
        return good

    async def close(self) -> None:
        """Give back what it holds."""
        await self._inner.close()
