"""Hosts that do not answer, as far as something waits for their agents: they may be back at any time, or never."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from operators.contract.fabric import HOST
from operators.contract.meta import Key, Kind, Obj, condition, holds
from operators.contract.reasons import Type
from operators.contract.snapshots import DISK_SNAPSHOT
from operators.contract.storage import DISK
from operators.kernel import Blocked, Cache, Outcome

BY_HOST = "host"
"""Index of Disks and DiskSnapshots: `spec.hostName`."""


def add_indexes(cache: Cache) -> None:
    """Keep the index that `waiting` looks things up in."""
    for kind in (DISK, DISK_SNAPSHOT):
        cache.index(kind, BY_HOST, lambda each: (each.spec.host_name,))


def hosts(cache: Cache, objects: Iterable[Obj[Any, Any]]) -> tuple[str, ...]:
    """The hosts that do not answer, of those whose agents have something to do to one of these."""
    names = sorted({each.spec.host_name for each in objects if _waits(each)})
    return tuple(name for name in names if _lost(cache, name))


def waiting(cache: Cache, kind: Kind[Any, Any], host: str) -> Iterator[Obj[Any, Any]]:
    """What of a host's waits for its agent."""
    return (each for each in cache.by(kind, BY_HOST, host) if _waits(each))


def told(outcome: Outcome, hosts: tuple[str, ...]) -> Outcome:
    """The same outcome, which says that hosts do not answer and what comes of that."""
    if not hosts or not isinstance(outcome, Blocked):
        return outcome
    many = f"hosts {', '.join(hosts)} are" if len(hosts) > 1 else f"host {hosts[0]} is"
    more = f"{many} not reachable: this waits until that is over, or until a Host that is gone for good is deleted"
    return replace(outcome, message=f"{outcome.message}; {more}" if outcome.message else more)


def _waits(obj: Obj[Any, Any]) -> bool:
    if obj.meta.deleting or not holds(obj.status.conditions, Type.PROVISIONED):
        return True
    return obj.kind is DISK and (obj.status.virtual_size or 0) < obj.spec.size


def _lost(cache: Cache, name: str) -> bool:
    host = cache.get(HOST, Key("", name))
    said = condition(host.status.conditions, Type.REACHABLE) if host is not None else None
    return said is not None and not said.true
