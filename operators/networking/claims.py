"""Values that one network has in the whole cloud, and which to try to claim. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network

from operators.contract import names
from operators.contract.fabric import IPRangeSpec
from operators.contract.meta import ObjectRef
from operators.contract.networking import ClaimSpec

SEGMENT = "segment"
PUBLIC = "public-address"
SEGMENTS = range(1000, 100_000)
"""Ten times as many as there can be Networks in one cluster; and short enough for names of devices."""
TRIES = 16
"""Values offered to one attempt; when all were taken meanwhile, the cache knows better at the next."""


def name(pool: str, value: str) -> str:
    """The name of the Claim of a value: `segment-1005`, `public-address-10-98-0-10`."""
    return names.joined(pool, value)


def claim(pool: str, value: str, owner: ObjectRef) -> ClaimSpec:
    """The Claim's spec."""
    return ClaimSpec(pool, value, owner)


def segments(uid: str, taken: Collection[str]) -> tuple[str, ...]:
    """Segment numbers to try: from a place that differs by network, so that two hardly ever meet."""
    start = int(names.digest(uid, SEGMENT), 16) % len(SEGMENTS)
    found: list[str] = []
    for step in range(len(SEGMENTS)):
        value = str(SEGMENTS[(start + step) % len(SEGMENTS)])
        if value not in taken:
            found.append(value)
            if len(found) == TRIES:
                break
    return tuple(found)


def addresses(ranges: Sequence[IPRangeSpec], taken: Collection[str]) -> tuple[str, ...]:
    """Public addresses to try, lowest first."""
    found: list[str] = []
    for each in ranges:
        for address in members(each):
            if address not in taken:
                found.append(address)
                if len(found) == TRIES:
                    return tuple(found)
    return tuple(found)


def members(spec: IPRangeSpec) -> Iterator[str]:
    """The addresses of a range that a router may have."""
    network = IPv4Network(spec.cidr, strict=False)
    not_these = (network.network_address, network.broadcast_address, IPv4Address(spec.gateway))
    for number in range(int(IPv4Address(spec.start)), int(IPv4Address(spec.end)) + 1):
        address = IPv4Address(number)
        if address in network and address not in not_these:
            yield str(address)


def range_of(address: str, ranges: Sequence[IPRangeSpec]) -> IPRangeSpec | None:
    """The range that an address belongs to."""
    number = IPv4Address(address)
    return next((each for each in ranges if IPv4Address(each.start) <= number <= IPv4Address(each.end)), None)
