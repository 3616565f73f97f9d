"""Gather what bears on a Network. It reads the cache, and asks the API server only where the cache cannot be sure."""

from __future__ import annotations

from ipaddress import IPv4Network

from operators.contract.fabric import IP_RANGE, ZONE
from operators.contract.meta import Key
from operators.contract.networking import (
    CLAIM,
    HOST_NETWORK,
    NETWORK,
    NETWORK_OFFERING,
    PORT,
    PORT_BINDING,
    ROUTER,
)
from operators.kernel.cache import AnyObj, Cache
from operators.kernel.store import Store
from operators.networking import lookup
from operators.networking.lookup import BY_NAMESPACE, BY_NETWORK, BY_OWNER
from operators.networking.networks.model import ClaimSeen, NetworkObj, PortObj, Rival, RouterObj, Seen, Wanted


async def observe(cache: Cache, store: Store, key: Key) -> tuple[Wanted, Seen]:
    """A Network and what bears on it; or what one that is gone has left."""
    network = cache.get(NETWORK, key)
    if network is None:
        return Wanted(key, None), Seen(orphans=_claims(cache, str(key)))
    offering = cache.get(NETWORK_OFFERING, Key("", network.spec.offering))
    zone = cache.get(ZONE, Key("", network.spec.zone))
    ports = tuple(port for port in cache.by(PORT, BY_NETWORK, str(key)))
    host_networks, strange = lookup.of_this(cache.by(HOST_NETWORK, BY_NETWORK, str(key)), network)
    routers, strange_routers = lookup.of_this(cache.by(ROUTER, BY_NETWORK, str(key)), network)
    router = routers[0] if routers else None
    claims = _claims(cache, network.meta.uid)
    bound, at = _bound(cache, ports, str(key))
    seen = Seen(
        offering=offering.spec if offering else None,
        zone=zone.spec if zone else None,
        rivals=tuple(_rivals(cache, network)),
        claims=claims,
        orphans=tuple(each for each in _claims(cache, str(key)) if each not in claims),
        taken=_taken(cache),
        ranges=tuple(each.spec for each in _ranges(cache) if each.spec.zone == network.spec.zone),
        hosts={host.name: host for host in lookup.hosts(cache)},
        router=router,
        host_networks=tuple(host_networks),
        foreign=tuple(f"{obj.kind.kind} {obj.meta.name}" for obj in (*strange_routers, *strange)),
        ports=ports,
        bound=bound,
        side=frozenset(port.meta.uid for port in ports if not lookup.lists_default(cache, port)),
        lost=await _lost(store, router, ports),
        at=at,
    )
    return Wanted(key, network), seen


def _ranges(cache: Cache) -> list[AnyObj]:
    return sorted(cache.all(IP_RANGE), key=lambda each: each.meta.name)


def _claims(cache: Cache, owner: str) -> tuple[ClaimSeen, ...]:
    found = cache.by(CLAIM, BY_OWNER, owner)
    return tuple(ClaimSeen(each.meta.name, each.meta.uid, each.spec.pool, each.spec.value) for each in found)


def _taken(cache: Cache) -> dict[str, frozenset[str]]:
    out: dict[str, set[str]] = {}
    for claim in cache.all(CLAIM):
        out.setdefault(claim.spec.pool, set()).add(claim.spec.value)
    return {pool: frozenset(values) for pool, values in out.items()}


def _rivals(cache: Cache, network: NetworkObj) -> list[Rival]:
    mine = _network(network.spec.cidr)
    rivals = []
    for other in cache.by(NETWORK, BY_NAMESPACE, network.meta.namespace):
        theirs = _network(other.spec.cidr)
        if other.meta.uid == network.meta.uid or mine is None or theirs is None or not mine.overlaps(theirs):
            continue
        settled = bool(cache.by(CLAIM, BY_OWNER, other.meta.uid))
        rivals.append(Rival(other.meta.name, other.spec.cidr, settled, other.meta.creation_timestamp, other.meta.uid))
    return rivals


def _network(cidr: str) -> IPv4Network | None:
    try:
        return IPv4Network(cidr)
    except ValueError:
        return None


def _bound(cache: Cache, ports: tuple[PortObj, ...], key: str) -> tuple[frozenset[str], frozenset[str]]:
    """Which Ports are in use, and the hosts on which they are."""
    bound: set[str] = set()
    at: set[str] = set()
    for port in ports:
        users = lookup.instances(cache, port)
        if lookup.in_use(cache, port):
            bound.add(port.meta.uid)
        at.update(each.spec.host_name for each in users if not each.meta.deleting)
    for binding in cache.by(PORT_BINDING, BY_NETWORK, key):
        bound.add(binding.spec.port.uid)
        at.add(binding.spec.host_name)
    return frozenset(bound), frozenset(at)


async def _lost(store: Store, router: RouterObj | None, ports: tuple[PortObj, ...]) -> frozenset[str]:
    """Whose Port is gone for certain. One that is not in the cache may be too new for it: the API server is asked."""
    known = {port.meta.uid for port in ports}
    lost = set()
    for each in router.spec.reservations if router else ():
        if each.port.uid in known:
            continue
        body = await store.get(PORT, Key(router.meta.namespace if router else "", each.port.name))
        if body is None or body["metadata"]["uid"] != each.port.uid:
            lost.add(each.port.uid)
    return frozenset(lost)
