"""Reads the cache into the model; modifies nothing, and never waits (see `capacity.Ledger`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from operators.compute.capacity import Ledger
from operators.compute.migrations.model import Migration, Seen
from operators.compute.model import VM, Instance
from operators.compute.model import Seen as MachineSeen
from operators.compute.observe import expects, host_now, survey
from operators.compute.resolve import disk_on, need
from operators.compute.scheduler import HostView, Need, Policy
from operators.compute.snapshots.asked import being_taken
from operators.contract import flows
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.fabric import HOST_REPORT
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key
from operators.contract.migrations import MIGRATION, MigrateStorage
from operators.contract.orchestration import FLOW
from operators.kernel.cache import Cache
from operators.kernel.clock import parse_stamp

BY_VM = "vm"
"""Index of Migrations and Instances: `namespace/name` of the VirtualMachine."""


def observe(
    migration: Migration, cache: Cache, ledger: Ledger, *, catalogue: str, policy: Policy, limit: int, now: str
) -> Seen:
    """Everything that the plan of one Migration needs to know."""
    key = Key(migration.meta.namespace, migration.spec.virtual_machine)
    vm = cache.get(VIRTUAL_MACHINE, key)
    if vm is not None and migration.status.uid not in ("", vm.meta.uid):
        vm = None  # another one of the same name
    uid = migration.status.uid or (vm.meta.uid if vm else "")
    mine = [each for each in cache.by(INSTANCE, BY_VM, str(key)) if each.spec.virtual_machine.uid == uid]
    target = next((each for each in mine if _of(each) == migration.meta.uid), None)
    source = _source(migration, mine, target)
    seen = Seen(
        vm=vm,
        source=source,
        target=target,
        source_host=host_now(cache, source.spec.host_name) if source else None,
        target_host=host_now(cache, target.spec.host_name) if target else None,
        ahead=_ahead(migration, cache, key),
        snapshot=being_taken(vm, source, cache) if vm is not None else "",
        flow_cancelled=_flow_cancelled(migration, cache),
        policy=policy,
        now=now,
        age=(parse_stamp(now) - parse_stamp(migration.meta.creation_timestamp)).total_seconds(),
    )
    undecided = target is None and not migration.status.finished_at and not migration.status.called_off
    if vm is None or source is None or not undecided:
        return seen
    what = survey(vm, cache, ledger, catalogue, policy)
    busy = _busy(cache)
    return replace(
        seen,
        need=_need(migration, vm, source, what) if what.offering is not None else None,
        hosts=what.hosts,
        unfit=dict(_unfit(vm, source, what.hosts, busy, limit, cache)),
        source_full=busy[source.spec.host_name] >= limit,
        disks={f"{host.name}/{each.name}": disk_on(each, host.name) for host in what.hosts for each in what.volumes},
    )


def _of(instance: Instance) -> str:
    """Uid of the Migration that brought or brings the guest there."""
    return instance.spec.incoming.migration.uid if instance.spec.incoming is not None else ""


def _source(migration: Migration, mine: list[Instance], target: Instance | None) -> Instance | None:
    """The Instance that the guest is to leave: the one that was told to, else the one that counts."""
    others = [each for each in mine if each is not target and not expects(each)]
    told = [each for each in others if each.spec.outgoing and each.spec.outgoing.migration.uid == migration.meta.uid]
    return next(iter(told or sorted(others, key=lambda each: (each.meta.deleting, each.meta.name))), None)


def _ahead(migration: Migration, cache: Cache, vm: Key) -> str:
    """An unfinished Migration of the same virtual machine that comes before this one."""
    others = [each for each in cache.by(MIGRATION, BY_VM, str(vm)) if not each.status.finished_at]
    order = sorted(others, key=lambda each: (not each.status.started_at, each.meta.creation_timestamp, each.meta.name))
    first = order[0] if order else migration
    return first.meta.name if first.meta.uid != migration.meta.uid else ""


def _flow_cancelled(migration: Migration, cache: Cache) -> bool:
    meta = migration.meta
    flow = cache.get(FLOW, flows.key_of_migration(migration))
    return flow is not None and flow.spec.target.uid == meta.uid and flow.spec.cancel


def _busy(cache: Cache) -> Counter[str]:
    """How many guests leave or enter each host."""
    count: Counter[str] = Counter()
    for instance in cache.all(INSTANCE):
        if expects(instance) and instance.spec.incoming is not None:
            count[instance.spec.host_name] += 1
            count[instance.spec.incoming.from_host] += 1
    return count


def _unfit(
    vm: VM, source: Instance, hosts: tuple[HostView, ...], busy: Counter[str], limit: int, cache: Cache
) -> Iterator[tuple[str, str]]:
    here, old_ones = _driver(cache, source.spec.host_name), {}
    for each in cache.by(INSTANCE, BY_VM, str(vm.key)):
        old_ones[each.spec.host_name] = each
    for host in hosts:
        old = old_ones.get(host.name)
        if busy[host.name] >= limit:
            yield host.name, "it moves as many guests as it may at a time"
        elif old is not None and host.name != source.spec.host_name:
            yield host.name, f"Instance {old.meta.name} is still being cleared from it"
        elif (driver := _driver(cache, host.name)) != here:
            yield host.name, f"its hypervisor is {driver or 'not known'}, that of host {source.spec.host_name} {here}"


def _driver(cache: Cache, host: str) -> str:
    report = cache.get(HOST_REPORT, Key("", host))
    said = report.status.hypervisor if report is not None else None
    return said.driver if said is not None else ""


def _need(migration: Migration, vm: VM, source: Instance, what: MachineSeen) -> Need:
    """What the guest takes with it. A disk that only its present host reaches is as good as not placed yet."""
    assert what.offering is not None
    asked = {each.name: each.asked_pool for each in what.volumes}
    asks, listed = need(vm, what.offering, what), {disk.volume for disk in source.spec.disks}
    copies = migration.spec.storage is not MigrateStorage.SHARED
    return replace(
        asks,
        cpus=source.spec.cpus,
        memory=source.spec.most_memory,
        host="",  # where it was to start is not where it must stay
        disks=tuple(
            replace(each, pool=asked.get(each.volume, ""), bound=False, host="") if copies and each.host else each
            for each in asks.disks
            if each.volume in listed
        ),
    )
