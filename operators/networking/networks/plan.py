"""Decide the next steps for one Network. Pure."""

from __future__ import annotations

import dataclasses

from operators.contract import names
from operators.contract.meta import condition, holds
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Done, Outcome, Rejected
from operators.networking import claims, ledger
from operators.networking.networks import placement, resolved
from operators.networking.networks.model import (
    Action,
    Create,
    Delete,
    GiveBack,
    NetworkObj,
    Protect,
    Rival,
    RouterObj,
    Seen,
    TakeOne,
    Unprotect,
    Wanted,
)

FINALIZER = names.finalizer("networking")
LISTED = 5
"""Names in a message before it says how many more there are."""


def plan(want: Wanted, seen: Seen) -> tuple[list[Action], Outcome]:
    """Claim what is its own, have its router made, keep the ledger, and keep its part on every host true."""
    network = want.network
    if network is None:
        return [GiveBack(each, want.key) for each in seen.orphans], Done()
    if network.meta.deleting:
        return _farewell(network, seen)
    actions: list[Action] = [] if FINALIZER in network.meta.finalizers else [Protect(network)]
    actions += [GiveBack(each, want.key) for each in seen.orphans]
    if problem := _problem(network, seen):
        return actions, problem
    segment, wait = _segment(network, seen)
    if wait:
        return [*actions, *segment], wait
    where = ledger.pool(network.spec)
    actions += _public_address(network, seen)
    router = seen.router
    if router is None:
        host = placement.choose(network.spec.zone, seen, placement.uplink_bridge(seen))
        if isinstance(host, Blocked):
            return actions, host
        actions.append(Create("Router", resolved.new_router(network, seen, where, host.name)))
        actions += resolved.host_networks(network, seen, host.name)
        return actions, Blocked(Reason.PROVISIONING, f"its router is being made on host {host.name}")
    if _lost(router, seen) and not router.meta.deleting:
        other = placement.choose(network.spec.zone, seen, placement.uplink_bridge(seen))
        if not isinstance(other, Blocked):
            actions.append(Delete(router))
    elif _outdated(router, network) and not router.meta.deleting:
        # The next one takes its ledger from what the Ports say, as after any end of a router.
        return [*actions, Delete(router)], Blocked(Reason.PROVISIONING, "its router is being made anew, as was asked")
    if not router.meta.deleting:
        actions += resolved.router(network, seen, where, router)
    actions += resolved.host_networks(network, seen, router.spec.host_name)
    return actions, _standing(router, seen)


def _problem(network: NetworkObj, seen: Seen) -> Outcome | None:
    """What keeps a Network from being made; one that has its router already goes on with what it has."""
    try:
        ledger.pool(network.spec)
    except ValueError as error:
        return Rejected(Reason.INVALID, f"{error}: make a new Network with other addresses")
    if seen.router is not None:
        return None
    if seen.foreign:
        what = ", ".join(seen.foreign)
        return Blocked(Reason.PROGRESSING, f"an earlier Network of this name is being cleared away: {what}")
    name = network.spec.offering
    if seen.offering is None:
        return Blocked(Reason.OFFERING_NOT_FOUND, f"there is no NetworkOffering {name}: create it")
    if seen.offering.guest_type != "isolated":
        kind = seen.offering.guest_type
        return Rejected(
            Reason.INVALID, f"NetworkOffering {name} is for {kind} networks; only isolated ones can be made yet"
        )
    if seen.zone is None:
        return Blocked(Reason.ZONE_NOT_FOUND, f"there is no Zone {network.spec.zone}: create it")
    if before := [rival for rival in seen.rivals if _comes_first(rival, network, seen)]:
        rival = before[0]
        return Blocked(
            Reason.CIDR_OVERLAP,
            f"{network.spec.cidr} overlaps {rival.cidr} of Network {rival.name}: delete one of the two",
        )
    return None


def _comes_first(rival: Rival, network: NetworkObj, seen: Seen) -> bool:
    """Whether the other one has the addresses: it is at work already, or else the older."""
    settled = any(claim.pool == claims.SEGMENT for claim in seen.claims)
    mine = (not settled, network.meta.creation_timestamp, network.meta.uid)
    return (not rival.settled, rival.created, rival.uid) < mine


def _segment(network: NetworkObj, seen: Seen) -> tuple[list[Action], Outcome | None]:
    """The claim of a segment, and the wait for it."""
    if resolved.segment(seen):
        return [], None
    values = claims.segments(network.meta.uid, seen.taken.get(claims.SEGMENT, frozenset()))
    if seen.router is not None:
        values = (str(seen.router.spec.segment_id),)
    if not values:
        return [], Blocked(Reason.NO_SEGMENT_LEFT, "every segment number is taken: delete Networks that are not needed")
    wait = Blocked(Reason.PROVISIONING, "its segment number is being claimed")
    return [TakeOne(claims.SEGMENT, values, network.ref), *_public_address(network, seen)], wait


def _public_address(network: NetworkObj, seen: Seen) -> list[Action]:
    """The claim of an address for source NAT; without one the network works all the same, but only inside."""
    if not resolved.wants_source_nat(seen) or resolved.public_address(seen):
        return []
    if seen.router is not None and seen.router.spec.uplink is not None:
        values: tuple[str, ...] = (seen.router.spec.uplink.address.partition("/")[0],)
    else:
        values = claims.addresses(placement.usable_ranges(seen), seen.taken.get(claims.PUBLIC, frozenset()))
    return [TakeOne(claims.PUBLIC, values, network.ref)] if values else []


def _lost(router: RouterObj, seen: Seen) -> bool:
    """Whether the host of the router is known not to come back, as opposed to: not heard of for a while."""
    host = seen.hosts.get(router.spec.host_name)
    return host is None or host.leaving


def _outdated(router: RouterObj, network: NetworkObj) -> bool:
    """Whether it is older than the newest wish to have it made anew."""
    return router.spec.restart_request < network.spec.restart_request


def _standing(router: RouterObj, seen: Seen) -> Outcome:
    """How a network with a router stands."""
    name = router.spec.host_name
    if _lost(router, seen):
        return Blocked(
            Reason.HOST_DOWN, f"host {name} of its router is gone for good; another router is made elsewhere"
        )
    if router.meta.deleting:
        return Blocked(Reason.PROVISIONING, f"its router on host {name} was deleted, and another is made")
    if not seen.hosts[name].reachable:
        return Blocked(
            Reason.HOST_DOWN,
            f"host {name} of its router cannot be reached: guests reach one another but not the world, and get no "
            f"answer from DHCP and DNS, until the host is back, or its Host is deleted and the router moves",
        )
    if not holds(router.status.conditions, Type.PROGRAMMED):
        said = condition(router.status.conditions, Type.PROGRAMMED)
        if said is not None:
            return Blocked(said.reason, f"router on host {name}: {said.message}")
        return Blocked(Reason.PROVISIONING, f"its router is being made on host {name}")
    return Done()


def _while_in_use(network: NetworkObj, seen: Seen) -> list[Action]:
    """What a Network that shall go still does for those on it: freeing their addresses, for one."""
    router = seen.router
    if router is None or router.meta.deleting:
        return []
    held = {each.port.uid for each in router.spec.reservations}
    old = dataclasses.replace(seen, ports=tuple(port for port in seen.ports if port.meta.uid in held))
    actions = resolved.router(network, old, ledger.pool(network.spec), router)
    return actions + resolved.host_networks(network, seen, router.spec.host_name)


def _farewell(network: NetworkObj, seen: Seen) -> tuple[list[Action], Outcome]:
    """Clear away what was made, in an order that never leaves anything without a name."""
    if FINALIZER not in network.meta.finalizers:
        return [], Done()
    if seen.ports:
        first = ", ".join(port.meta.name for port in seen.ports[:LISTED])
        more = f" and {len(seen.ports) - LISTED} more" if len(seen.ports) > LISTED else ""
        hint = "delete their virtual machines first"
        wait = Blocked(Reason.STILL_IN_USE, f"{len(seen.ports)} Ports are on it ({first}{more}): {hint}")
        return _while_in_use(network, seen), wait
    left = [each for each in (seen.router, *seen.host_networks) if each is not None]
    if left:
        hosts = ", ".join(sorted({each.spec.host_name for each in left}))
        wait = Blocked(Reason.DELETING, f"its router and segment are being cleared away on {hosts}")
        return [Delete(each) for each in left if not each.meta.deleting], wait
    return [*(GiveBack(each, network.key) for each in seen.claims), Unprotect(network)], Done()
