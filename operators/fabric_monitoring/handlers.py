"""What Fabric Monitoring watches, and which keys become dirty by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from operators.contract import names
from operators.contract.core import LEASE
from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL
from operators.contract.meta import Key, Kind
from operators.contract.reasons import Type
from operators.fabric_monitoring.heartbeats import Heartbeats
from operators.fabric_monitoring.hosts import model as host_model
from operators.fabric_monitoring.hosts import observe as host_observe
from operators.fabric_monitoring.hosts import plan as host_plan
from operators.fabric_monitoring.hosts import report as host_report
from operators.fabric_monitoring.pools import model as pool_model
from operators.fabric_monitoring.pools import observe as pool_observe
from operators.fabric_monitoring.pools import plan as pool_plan
from operators.fabric_monitoring.sweep import sweep
from operators.kernel.component import Component, Env, shared
from operators.kernel.controller import Report, Watch
from operators.kernel.manager import AnyController, Context
from operators.kernel.outcome import Outcome
from operators.kernel.report import Voice

Triggers = Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]


class Hosts:
    """Says how each Host is."""

    name = "hosts"
    kind = HOST
    workers = 4
    voice = Voice(others=frozenset({Type.ACCEPTED}))

    def __init__(self, context: Context, beats: Heartbeats) -> None:
        self._context = context
        self._beats = beats

    def triggers(self) -> Triggers:
        return {
            HOST: lambda host: (host.key,),
            HOST_REPORT: lambda report: (report.key,),
            # A beat of an agent that is known to be well marks nothing.
            LEASE: self._beats.heard,
        }

    async def observe(self, key: Key) -> tuple[host_model.Wanted, host_model.Seen] | None:
        return host_observe.observe(self._context.cache, self._beats, key)

    def plan(self, wanted: host_model.Wanted, seen: host_model.Seen) -> tuple[Sequence[object], Outcome]:
        return host_plan.plan(wanted, seen)

    async def act(self, action: object) -> None:
        """Nothing is done to a host here."""

    def report(self, wanted: host_model.Wanted, seen: host_model.Seen, outcome: Outcome) -> Sequence[Report]:
        return host_report.report(wanted, seen)


class Pools:
    """Says how each StoragePool is."""

    name = "pools"
    kind = STORAGE_POOL
    workers = 2
    voice = Voice(others=frozenset({Type.ACCEPTED}))

    def __init__(self, context: Context) -> None:
        self._context = context

    def triggers(self) -> Triggers:
        return {
            STORAGE_POOL: lambda pool: (pool.key,),
            HOST: lambda host: self._reached_by(host.meta.name),
            HOST_REPORT: lambda report: self._reached_by(report.meta.name),
        }

    async def observe(self, key: Key) -> tuple[pool_model.Wanted, pool_model.Seen] | None:
        return pool_observe.observe(self._context.cache, key)

    def plan(self, wanted: pool_model.Wanted, seen: pool_model.Seen) -> tuple[Sequence[object], Outcome]:
        return pool_plan.plan(wanted, seen)

    async def act(self, action: object) -> None:
        """Nothing is done to a pool here."""

    def report(self, wanted: pool_model.Wanted, seen: pool_model.Seen, outcome: Outcome) -> Sequence[Report]:
        """Everything but `Accepted`, which is Fabric Admin's."""
        return (Report(wanted.pool, pool_plan.figures(wanted, seen)),)

    def _reached_by(self, host: str) -> Iterable[Key]:
        """Its own pools, and those that hosts share."""
        cache = self._context.cache
        return [pool.key for name in (host, "") for pool in cache.by(STORAGE_POOL, "host", name)]


def build(context: Context) -> Sequence[AnyController]:
    """Both controllers over one cache."""
    context.cache.index(STORAGE_POOL, "host", lambda pool: (pool.spec.host_name,))
    return (Hosts(context, beats_of(context)), Pools(context))


def background(context: Context) -> Sequence[Awaitable[None]]:
    """The look at the clock."""
    return (sweep(context, beats_of(context), Hosts.name),)


def watches(env: Env) -> Sequence[Watch]:
    """Of Leases, only the heartbeats in our own namespace."""
    heartbeats = Watch(LEASE, f"metadata.namespace={env['POD_NAMESPACE']}", names.LABEL_NODE)
    return [heartbeats, Watch(HOST), Watch(HOST_REPORT), Watch(STORAGE_POOL)]


beats_of = shared(lambda context: Heartbeats(context.clock))


COMPONENT = Component(name="fabric-monitoring", watches=watches, build=build, background=background)
