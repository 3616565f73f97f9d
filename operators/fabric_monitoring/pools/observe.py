"""Read what hosts report of a StoragePool."""

from __future__ import annotations

from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL, PoolReport
from operators.contract.meta import Key, holds
from operators.contract.pools import reached
from operators.contract.reasons import Type
from operators.fabric_monitoring.pools.model import Seen, View, Wanted
from operators.kernel.cache import Cache


def observe(cache: Cache, key: Key) -> tuple[Wanted, Seen] | None:
    """The pool and the views of it; None for one that is gone."""
    pool = cache.get(STORAGE_POOL, key)
    if pool is None:
        return None
    if pool.spec.host_name:
        return Wanted(pool), Seen((_view(cache, pool.spec.host_name, key.name),))
    hosts = sorted(host.meta.name for host in cache.all(HOST) if reached(pool.spec, host.meta.name, host.spec))
    return Wanted(pool), Seen(tuple(_view(cache, host, key.name) for host in hosts))


def _view(cache: Cache, host_name: str, pool: str) -> View:
    host = cache.get(HOST, Key("", host_name))
    reachable = host is not None and holds(host.status.conditions, Type.REACHABLE)
    return View(host_name, reachable, _reported(cache, host_name, pool))


def _reported(cache: Cache, host: str, pool: str) -> PoolReport | None:
    report = cache.get(HOST_REPORT, Key("", host))
    if report is None or report.status.storage is None:
        return None
    return next((each for each in report.status.storage.pools if each.pool == pool), None)
