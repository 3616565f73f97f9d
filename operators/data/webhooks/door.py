"""Where deliveries may go: to the world, and to networks that the operator of the cloud names; nowhere else inside."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Refused(OSError):
    """The address is none that a tenant may have things sent to."""


def networks(text: str) -> tuple[Network, ...]:
    """The networks that are let besides the world, with commas between. Raises ValueError."""
    return tuple(ipaddress.ip_network(each.strip()) for each in text.split(",") if each.strip())


def allowed(address: str, besides: Sequence[Network]) -> bool:
    """Whether an address may be sent to: loopback, link-local and private ones only where they are named."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return ip.is_global or any(ip.version == net.version and ip in net for net in besides)


class Door(AbstractResolver):
    """Resolves names, and gives only the addresses that are allowed: what is checked is what is connected to."""

    def __init__(self, besides: Sequence[Network]) -> None:
        self._besides = besides
        self._inner = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        good = [each for each in found if allowed(each["host"], self._besides)]
        if not good:
            raise Refused(
                f"{host} is at no address that webhooks may reach: {', '.join(each['host'] for each in found)}"
            )
        return good

    async def close(self) -> None:
        await self._inner.close()
