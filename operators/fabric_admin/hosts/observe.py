"""Read a node, its agents' pods and its Host from the cache."""

from __future__ import annotations

from collections.abc import Mapping

from operators.contract import names
from operators.contract.core import NODE, POD
from operators.contract.fabric import HOST, HOST_GROUP, HOST_REPORT, RACK, STORAGE_POOL, ZONE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key
from operators.contract.storage import DISK
from operators.fabric_admin.hosts.model import Node, Seen, Wanted
from operators.kernel.cache import Cache


def observe(cache: Cache, key: Key, pool_path: str) -> tuple[Wanted, Seen]:
    """What is there of a host: its name is its node's."""
    node, host = cache.get(NODE, key), cache.get(HOST, key)
    wanted = Wanted(key.name, None if node is None else _node(cache, key.name, node.meta.labels), host, pool_path)
    if host is None:
        return wanted, Seen()
    local = cache.get(STORAGE_POOL, Key("", names.local_pool(key.name)))
    return wanted, Seen(
        report=cache.get(HOST_REPORT, key),
        pools=cache.by(STORAGE_POOL, "host", key.name),
        local_pool=local is not None,
        zone=cache.get(ZONE, Key("", host.spec.zone)) is not None,
        rack=cache.get(RACK, Key("", host.spec.rack)) is not None,
        group=cache.get(HOST_GROUP, Key("", host.spec.group)) is not None,
        occupants=_occupants(cache, key.name) if host.meta.deleting else (),
    )


def _node(cache: Cache, name: str, labels: Mapping[str, str]) -> Node:
    return Node(
        has_agents=bool(cache.by(POD, "node", name)),
        zone=labels.get(names.LABEL_ZONE) or "default",
        rack=labels.get(names.LABEL_RACK) or "default",
        group=labels.get(names.LABEL_HOST_GROUP) or "default",
    )


def _occupants(cache: Cache, host: str) -> tuple[str, ...]:
    on_it = (*cache.by(INSTANCE, "host", host), *cache.by(DISK, "host", host))
    return tuple(f"{obj.kind.kind} {obj.key}" for obj in on_it)
