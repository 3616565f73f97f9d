"""What the status of a Network says. Pure."""

from __future__ import annotations

from operators.contract.meta import Condition, holds
from operators.contract.networking import NetworkStatus
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Done, Outcome, Rejected
from operators.networking import claims
from operators.networking.networks import placement, resolved
from operators.networking.networks.model import NetworkObj, Seen


def status(network: NetworkObj, seen: Seen, outcome: Outcome, ports: int) -> NetworkStatus:
    """The fields of the status; `ports` is the number to show."""
    router = seen.router
    uplink = router.spec.uplink if router else None
    return NetworkStatus(
        phase=_phase(network, outcome),
        segment_id=resolved.segment(seen),
        gateway=router.spec.gateway.partition("/")[0] if router else "",
        source_nat_address=uplink.address.partition("/")[0] if uplink else "",
        router=router.meta.name if router else "",
        router_host=router.spec.host_name if router else "",
        ports=ports,
        restart_observed=max(network.status.restart_observed, _restarted(seen)),
    )


def _restarted(seen: Seen) -> int:
    """The wish that the router which works was made for."""
    router = seen.router
    works = router is not None and not router.meta.deleting and holds(router.status.conditions, Type.PROGRAMMED)
    return router.spec.restart_request if router is not None and works else 0


def conditions(network: NetworkObj, seen: Seen) -> tuple[Condition, ...]:
    """`SourceNAT`, once there is a router, where the offering gives it."""
    if seen.router is None or not resolved.wants_source_nat(seen):
        return ()
    uplink = seen.router.spec.uplink
    if uplink is not None:
        address = uplink.address.partition("/")[0]
        return (Condition(Type.SOURCE_NAT, "True", Reason.AS_SPECIFIED, f"guests reach the world as {address}"),)
    why = _why_not(network.spec.zone, seen, seen.router.spec.host_name)
    return (Condition(Type.SOURCE_NAT, "False", Reason.NO_PUBLIC_ADDRESS, f"{why}; inside, the network works"),)


def _why_not(zone: str, seen: Seen, host: str) -> str:
    if not seen.ranges:
        return f"zone {zone} has no public addresses: create an IPRange for it"
    usable = placement.usable_ranges(seen)
    if not usable:
        bridges = ", ".join(sorted({each.bridge for each in seen.ranges}))
        return f"host {host} of the router has none of the bridges of the zone's IPRanges ({bridges})"
    if not claims.addresses(usable, seen.taken.get(claims.PUBLIC, frozenset())):
        return f"all public addresses of zone {zone} are taken: add an IPRange, or delete a Network"
    return "its public address is being claimed"


def _phase(network: NetworkObj, outcome: Outcome) -> str:
    if network.meta.deleting:
        return "Deleting"
    if isinstance(outcome, Done):
        return "Ready"
    return "Rejected" if isinstance(outcome, Rejected) else "Pending"
