"""What Fabric Admin watches, and which keys become dirty by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from operators.contract import names
from operators.contract.core import NODE, POD
from operators.contract.fabric import HOST, HOST_GROUP, HOST_REPORT, RACK, STORAGE_POOL, ZONE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind, Obj
from operators.contract.reasons import Type
from operators.contract.storage import DISK
from operators.fabric_admin.hosts import act as host_act
from operators.fabric_admin.hosts import model as host_model
from operators.fabric_admin.hosts import observe as host_observe
from operators.fabric_admin.hosts import plan as host_plan
from operators.fabric_admin.pools import act as pool_act
from operators.fabric_admin.pools import model as pool_model
from operators.fabric_admin.pools import observe as pool_observe
from operators.fabric_admin.pools import plan as pool_plan
from operators.fabric_admin.shared import COMPONENT as NAME
from operators.kernel.cache import Cache
from operators.kernel.component import Component, Env
from operators.kernel.controller import Report, Watch
from operators.kernel.manager import AnyController, Context
from operators.kernel.outcome import Outcome
from operators.kernel.report import Voice

POOL_ROOT, SHARED_POOL_PATH = "POOL_ROOT", "SHARED_POOL_PATH"
"""Environment: the folder on every host beneath which its pools lie, and one that all hosts share, if there is one."""
DEFAULT_POOL_ROOT = "/var/lib/cloudstack/pools"

Triggers = Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]


class Hosts:
    """Sees to each node's Host."""

    name = "hosts"
    kind = HOST
    workers = 4
    voice = Voice(Type.ACCEPTED, fields=False)

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pool_path = f"{_pool_root(context.env)}/local"

    def triggers(self) -> Triggers:
        return {
            HOST: lambda host: (host.key,),
            NODE: lambda node: (node.key,),
            POD: lambda pod: (Key("", pod.spec.node_name),) if pod.spec.node_name else (),
            HOST_REPORT: lambda report: (report.key,),
            STORAGE_POOL: lambda pool: (Key("", pool.spec.host_name),) if pool.spec.host_name else (),
            ZONE: self._everywhere,
            RACK: self._everywhere,
            HOST_GROUP: self._everywhere,
            INSTANCE: self._leaving,
            DISK: self._leaving,
        }

    async def observe(self, key: Key) -> tuple[host_model.Wanted, host_model.Seen] | None:
        return host_observe.observe(self._context.cache, key, self._pool_path)

    def plan(self, wanted: host_model.Wanted, seen: host_model.Seen) -> tuple[Sequence[host_model.Action], Outcome]:
        return host_plan.plan(wanted, seen)

    async def act(self, action: host_model.Action) -> None:
        await host_act.act(self._context.store, action)

    def report(self, wanted: host_model.Wanted, seen: host_model.Seen, outcome: Outcome) -> Sequence[Report]:
        """`Accepted` only: everything else in a Host's status is Fabric Monitoring's."""
        return _accepted(wanted.host)

    def _everywhere(self, _: Obj[Any, Any]) -> Iterable[Key]:
        return [host.key for host in self._context.cache.all(HOST)]

    def _leaving(self, obj: Obj[Any, Any]) -> Iterable[Key]:
        """What is on a host concerns us only when the host is to go."""
        host = self._context.cache.get(HOST, Key("", obj.spec.host_name))
        return (host.key,) if host is not None and host.meta.deleting else ()


class Pools:
    """Sees to each StoragePool."""

    name = "pools"
    kind = STORAGE_POOL
    workers = 2
    voice = Voice(Type.ACCEPTED, fields=False)

    def __init__(self, context: Context) -> None:
        self._context = context
        shared = context.env.get(SHARED_POOL_PATH, "")
        # Taken as beneath the pool root, unless it says from the root of the file system where it is.
        self._shared_path = str(PurePosixPath(_pool_root(context.env), shared)) if shared else ""

    def triggers(self) -> Triggers:
        return {
            STORAGE_POOL: lambda pool: (pool.key,),
            # A host is there, so the pool that all hosts share may be.
            HOST: lambda host: (Key("", names.SHARED_POOL),),
            DISK: self._leaving,
            ZONE: lambda zone: [pool.key for pool in self._context.cache.all(STORAGE_POOL)],
        }

    async def observe(self, key: Key) -> tuple[pool_model.Wanted, pool_model.Seen] | None:
        return pool_observe.observe(self._context.cache, key, self._shared_path)

    def plan(self, wanted: pool_model.Wanted, seen: pool_model.Seen) -> tuple[Sequence[pool_model.Action], Outcome]:
        return pool_plan.plan(wanted, seen)

    async def act(self, action: pool_model.Action) -> None:
        await pool_act.act(self._context.store, action)

    def report(self, wanted: pool_model.Wanted, seen: pool_model.Seen, outcome: Outcome) -> Sequence[Report]:
        """`Accepted` only: everything else in a StoragePool's status is Fabric Monitoring's."""
        return _accepted(wanted.pool)

    def _leaving(self, disk: Obj[Any, Any]) -> Iterable[Key]:
        pool = self._context.cache.get(STORAGE_POOL, Key("", disk.spec.pool))
        return (pool.key,) if pool is not None and pool.meta.deleting else ()


def _accepted(about: Obj[Any, Any] | None) -> Sequence[Report]:
    return () if about is None else (Report(about, verdict="Accepted", observed_generation=False),)


def _pool_root(env: Env) -> str:
    return (env.get(POOL_ROOT) or DEFAULT_POOL_ROOT).rstrip("/")


def indexes(cache: Cache) -> None:
    """What is looked up by something else than its name or owner."""
    cache.index(POD, "node", lambda pod: (pod.spec.node_name,) if pod.spec.node_name else ())
    cache.index(INSTANCE, "host", lambda instance: (instance.spec.host_name,))
    cache.index(DISK, "host", lambda disk: (disk.spec.host_name,))
    cache.index(DISK, "pool", lambda disk: (disk.spec.pool,))
    cache.index(STORAGE_POOL, "host", lambda pool: (pool.spec.host_name,) if pool.spec.host_name else ())


def build(context: Context) -> Sequence[AnyController]:
    """Both controllers over one cache."""
    indexes(context.cache)
    return (Hosts(context), Pools(context))


def watches(env: Env) -> Sequence[Watch]:
    """Of pods, only the agents' in our own namespace."""
    agents = Watch(POD, field_selector=f"metadata.namespace={env['POD_NAMESPACE']}", label_selector=names.AGENT_PODS)
    ours = (HOST, HOST_REPORT, STORAGE_POOL, ZONE, RACK, HOST_GROUP, NODE, INSTANCE, DISK)
    return [agents, *map(Watch, ours)]


COMPONENT = Component(name=NAME, watches=watches, build=build)
