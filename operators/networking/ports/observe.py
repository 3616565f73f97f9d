"""Gather what bears on a Port, from the cache."""

from __future__ import annotations

from operators.contract import names
from operators.contract.fabric import HOST_REPORT
from operators.contract.meta import Condition, Key, condition
from operators.contract.networking import HOST_NETWORK, NETWORK, PORT, PORT_BINDING
from operators.contract.reasons import Type
from operators.kernel.cache import Cache
from operators.networking import lookup
from operators.networking.ports.model import NetworkObj, PortObj, Seen


def observe(cache: Cache, key: Key) -> tuple[PortObj, Seen] | None:
    """A Port and what bears on it."""
    port = cache.get(PORT, key)
    if port is None:
        return None
    network = cache.get(NETWORK, lookup.network_of(port))
    instances = lookup.instances(cache, port)
    hosts = sorted({each.spec.host_name for each in instances})
    seen = Seen(
        network=network,
        router=lookup.router(cache, network) if network else None,
        instances=instances,
        in_use=lookup.in_use(cache, port),
        bindings=lookup.bindings(cache, port),
        foreign=tuple(_foreign(cache, port, hosts)),
        segments={host: _segment(cache, network, host) for host in hosts} if network else {},
        silent=frozenset(host for host in hosts if not _reports(cache, host)),
    )
    return port, seen


def _foreign(cache: Cache, port: PortObj, hosts: list[str]) -> list[str]:
    found = (
        cache.get(PORT_BINDING, Key(port.meta.namespace, names.port_binding(port.meta.name, host))) for host in hosts
    )
    return [f"PortBinding {each.meta.name}" for each in found if each and each.spec.port.uid != port.meta.uid]


def _segment(cache: Cache, network: NetworkObj, host: str) -> Condition | None:
    found = cache.get(HOST_NETWORK, Key(network.meta.namespace, names.host_network(network.meta.name, host)))
    return condition(found.status.conditions, Type.PROGRAMMED) if found else None


def _reports(cache: Cache, host: str) -> bool:
    """Whether a host's network agent told where it is in the underlay."""
    reports = cache.by(HOST_REPORT, lookup.BY_HOST, host)
    return any(each.status.network is not None and each.status.network.underlay_address for each in reports)
