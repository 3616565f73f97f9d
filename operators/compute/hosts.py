"""Reads hosts, pools and claims from the cache, as the scheduler wants them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from operators.compute.capacity import Ledger, Taken
from operators.compute.scheduler import HostView, Policy, PoolView
from operators.contract.fabric import (
    HOST,
    HOST_REPORT,
    STORAGE_POOL,
    ZONE,
    HostReportStatus,
    HostSpec,
    HostStatus,
    PoolReport,
    Scheduling,
    StoragePoolSpec,
    StoragePoolStatus,
    ZoneSpec,
)
from operators.contract.meta import Key, Obj, condition
from operators.contract.pools import closed, reached
from operators.contract.quantity import factor
from operators.contract.reasons import Type
from operators.kernel.cache import Cache

_POLICIES = {Scheduling.SPREAD: Policy.SPREAD, Scheduling.PACK: Policy.PACK, None: None}
Pool = Obj[StoragePoolSpec, StoragePoolStatus]


def host_views(cache: Cache, ledger: Ledger, namespace: str, vm_uid: str) -> tuple[HostView, ...]:
    """Every host as a virtual machine would find it, without what that virtual machine holds itself."""
    hosts = tuple(cache.all(HOST))
    taken = ledger.taken((host.meta.name for host in hosts), namespace, without=vm_uid)
    zones = {zone.meta.name: zone.spec for zone in cache.all(ZONE) if zone.spec.enabled and not zone.meta.deleting}
    shared = cache.by(STORAGE_POOL, "host", "")
    return tuple(
        _view(
            host,
            _report(cache, host.meta.name),
            (*cache.by(STORAGE_POOL, "host", host.meta.name), *shared),
            zones,
            taken[host.meta.name],
            ledger,
        )
        for host in hosts
    )


def _view(
    host: Obj[HostSpec, HostStatus],
    report: HostReportStatus,
    pools: Iterable[Pool],
    zones: Mapping[str, ZoneSpec],
    claimed: Taken,
    ledger: Ledger,
) -> HostView:
    reachable = condition(host.status.conditions, Type.REACHABLE)
    spec, hypervisor = host.spec, report.hypervisor
    return HostView(
        name=host.meta.name,
        reachable=reachable is not None and reachable.true,
        reachable_message=reachable.message if reachable else "its agents have not been heard of yet",
        schedulable=spec.schedulable and not host.meta.deleting,
        maintenance=spec.maintenance,
        simulated=spec.simulated,
        zone=spec.zone,
        zone_enabled=spec.zone in zones,
        policy=_POLICIES.get(zones[spec.zone].scheduling) if spec.zone in zones else None,
        group=spec.group,
        tags=spec.tags,
        reported=hypervisor is not None,
        cpus=hypervisor.cpus if hypervisor else 0,
        memory=int(hypervisor.memory) if hypervisor else 0,
        cpu_overcommit=factor(spec.overcommit.cpu),
        memory_overcommit=factor(spec.overcommit.memory),
        cpus_claimed=claimed.cpus,
        memory_claimed=claimed.memory,
        neighbours=claimed.neighbours,
        pools=_pools(host, report, pools, ledger),
        disks_claimed=claimed.disks,
    )


def _report(cache: Cache, host: str) -> HostReportStatus:
    report = cache.get(HOST_REPORT, Key("", host))
    if report is not None and report.spec.host_name == host:
        return report.status
    return next((each.status for each in cache.by(HOST_REPORT, "host", host)), HostReportStatus())


def _pools(
    host: Obj[HostSpec, HostStatus], report: HostReportStatus, pools: Iterable[Pool], ledger: Ledger
) -> tuple[PoolView, ...]:
    """The pools that a host reaches: its own, and those shared within its reach that its agent reports."""
    told: dict[str, PoolReport] = {each.pool: each for each in report.storage.pools} if report.storage else {}
    views = []
    for pool in pools:
        spec, said = pool.spec, told.get(pool.meta.name)
        if not reached(spec, host.meta.name, host.spec) or (said is None and not spec.host_name):
            continue
        capacity = int(said.capacity) if said else int(pool.status.capacity or 0)
        views.append(
            PoolView(
                name=pool.meta.name,
                tags=spec.tags,
                free=int(said.free) if said else int(pool.status.free or 0),
                promisable=int(capacity * factor(spec.overcommit)) - ledger.promised(pool.meta.name),
                online=said is not None and said.online,
                closed=closed(spec, said, deleting=pool.meta.deleting),
                maintenance=spec.maintenance,
            )
        )
    return tuple(views)
