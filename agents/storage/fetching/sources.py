"""From where an image may be fetched.

A tenant chooses the url, and the agent that opens it stands in the host's network. So what only the host itself can
reach, or what answers for credentials there, is refused: loopback, link-local (the metadata services of clouds) and
the like. Private ranges are allowed, since images are often served within the site. `IMAGE_SOURCES_ALLOW` lifts the
refusal for addresses, CIDRs or hosts; `IMAGE_SOURCES_DENY` adds addresses and CIDRs to it, and wins.

What is judged is the address that is connected to, not one looked up before. A redirect must stay on the same host,
where it costs nothing to follow; one to another host is refused, for the checksum's owner can name that host himself.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from agents.storage.failure import Failed
from agents.storage.settings import Sources
from operators.contract.reasons import Reason

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.ip_network("64:ff9b::/96")
METADATA = frozenset({ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")})
"""Metadata services of clouds that are not link-local."""
PORTS = {"http": 80, "https": 443}


def check_url(url: str, sources: Sources) -> SplitResult:
    """A url that may be asked, as far as the url itself tells. Raises Failed."""
    parts = _split(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise Failed(Reason.SOURCE_REFUSED, "only http:// and https:// urls are fetched")
    with contextlib.suppress(ValueError):  # A name, to which the resolver sees.
        check_address(parts.hostname, ipaddress.ip_address(parts.hostname), sources)
    return parts


def check_address(host: str, address: Address, sources: Sources) -> None:
    """Raise Failed when `host` must not be asked at this address."""
    inner = embedded(address)
    if not any(inner in network for network in sources.denied if network.version == inner.version):
        if host.lower().rstrip(".") in sources.allowed_hosts:
            return
        if any(inner in network for network in sources.allowed if network.version == inner.version):
            return
        if not (
            inner.is_loopback
            or inner.is_link_local
            or inner.is_multicast
            or inner.is_unspecified
            or inner.is_reserved
            or inner in METADATA
        ):
            return
    raise Failed(
        Reason.SOURCE_REFUSED,
        f"images are not fetched from {host} ({inner}); the operator of the cloud may allow it by IMAGE_SOURCES_ALLOW",
    )


def embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def redirected(before: str, location: str) -> str:
    """The url that a redirect leads to. Raises Failed when it leaves the host (http to https of one host is fine)."""
    after = urljoin(before, location)
    old, new = _split(before), _split(after)
    same = old.hostname == new.hostname and (_port(old) == _port(new) or _upgrade(old, new))
    if new.scheme not in PORTS or not same or (old.scheme == "https" and new.scheme != "https"):
        host = new.hostname or "nowhere"
        message = f"the source redirects to another place ({host}); give the Image the url that it leads to"
        raise Failed(Reason.SOURCE_REFUSED, message)
    return after


def _upgrade(old: SplitResult, new: SplitResult) -> bool:
    return (old.scheme, _port(old), new.scheme, _port(new)) == ("http", 80, "https", 443)


def _port(parts: SplitResult) -> int | None:
    return parts.port or PORTS.get(parts.scheme)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise Failed(Reason.SOURCE_REFUSED, f"the url cannot be understood: {error}") from error
    return parts


@dataclass
class GuardedResolver(AbstractResolver):
    """Resolves names as usual, and refuses addresses that must not be asked: those very ones are then connected to."""

    sources: Sources

    def __post_init__(self) -> None:
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """One refused address refuses the host: what a name server mixes in, it means to have asked."""
        found = await self._inner.resolve(host, port, family)
        for each in found:
            check_address(host, ipaddress.ip_address(each["host"].partition("%")[0]), self.sources)
        return found

    async def close(self) -> None:
        """Nothing is held."""
