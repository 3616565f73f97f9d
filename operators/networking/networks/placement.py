"""Where a network's router goes. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from operators.contract.fabric import IPRangeSpec
from operators.contract.reasons import Reason
from operators.kernel.outcome import Blocked
from operators.networking import claims
from operators.networking.networks.model import HostSeen, Seen
from operators.networking.networks.resolved import public_address


def choose(zone: str, seen: Seen, bridge: str) -> HostSeen | Blocked:
    """The fitting host with the fewest routers; with the bridge to the public network, if one is needed."""
    refused = {host.name: refusal(host, zone, bridge) for host in seen.hosts.values()}
    fits = [host for host in seen.hosts.values() if not refused[host.name]]
    if fits:
        return min(fits, key=lambda host: (host.routers, host.name))
    why = "; ".join(f"{name} {reason}" for name, reason in sorted(refused.items())) or "there is no Host"
    return Blocked(Reason.NO_HOST_FITS, f"no host can have the router: {why}")


def refusal(host: HostSeen, zone: str, bridge: str = "") -> str:
    """Why a host cannot have the router; empty when it can."""
    if host.zone != zone:
        return f"is in zone {host.zone}, not {zone}"
    if host.leaving:
        return "is being removed"
    if not host.reachable:
        return "cannot be reached"
    if not host.underlay:
        return "has not reported its underlay address: see its network agent"
    if bridge and bridge not in host.bridges:
        return f"has no bridge {bridge}"
    return ""


def uplink_bridge(seen: Seen) -> str:
    """The bridge that a router needs on its host for its public address; empty when it has none."""
    address = public_address(seen)
    found = claims.range_of(address, seen.ranges) if address else None
    return found.bridge if found else ""


def usable_ranges(seen: Seen) -> tuple[IPRangeSpec, ...]:
    """The ranges of public addresses whose network a possible host of the router is on."""
    return tuple(each for each in seen.ranges if any(each.bridge in host.bridges for host in _possible(seen)))


def _possible(seen: Seen) -> Iterable[HostSeen]:
    if seen.router is not None:
        host = seen.hosts.get(seen.router.spec.host_name)
        return [host] if host else []
    return [host for host in seen.hosts.values() if host.reachable and host.underlay and not host.leaving]
