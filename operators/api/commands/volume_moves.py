"""Moves of volumes to other pools, under the guests that use them or while none runs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from operators.api import errors
from operators.api.call import Call, ListArgs, contains, listing
from operators.api.changing import change
from operators.api.cloud import VM, Pool, Volume, name_of
from operators.api.declare import ROOT_ADMIN, Answer, Started, boolean, command, uuid
from operators.api.jobs import changed
from operators.api.responses.fabric import StoragePoolResponse, storage_pool
from operators.api.responses.volume import VolumeResponse, user_of
from operators.contract import pools
from operators.contract.codec import Json
from operators.contract.compute import RunPolicy
from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL, PoolReport
from operators.contract.storage import DISK_OFFERING, VOLUME


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateVolume:
    """Arguments."""

    volumeid: Volume = uuid("ID of the volume", VOLUME, required=True)
    storageid: Pool = uuid("ID of the pool to move to", STORAGE_POOL, required=True)
    livemigrate: bool = boolean("Whether it may move while its virtual machine runs")


@command(
    "migrateVolume",
    "Moves a volume to another pool that its host reaches, under its running virtual machine or while none runs.",
    item=VolumeResponse,
    key="volume",
    roles=ROOT_ADMIN,
    asynchronous=True,
    refused="newdiskofferingid",
)
async def migrate_volume(call: Call, args: MigrateVolume) -> Answer:
    """The caller's own `spec.pool`; the job is done once the data is there, and a guest has gone over."""
    volume, pool = args.volumeid, args.storageid
    _placed(volume)
    vm = user_of(call, volume)
    if vm is not None and vm.spec.wanted is RunPolicy.RUNNING and not args.livemigrate:
        raise errors.invalid(f"Volume {name_of(volume)} is attached to a running virtual machine: set livemigrate=true")
    if volume.status.pool == pool.meta.name and volume.spec.pool in ("", pool.meta.name):
        raise errors.invalid(f"Volume {name_of(volume)} is on pool {name_of(pool)} already")
    if why := _refusal(call, volume, vm, pool):
        raise errors.ApiError(533, f"Volume {name_of(volume)} cannot move to pool {name_of(pool)}: {why}")

    def make(now: Volume) -> Json:
        return {} if now.spec.pool == pool.meta.name else {"spec": {"pool": pool.meta.name}}

    return Started(changed(await change(call, volume, make)))


@dataclass(frozen=True, slots=True, kw_only=True)
class FindPools(ListArgs):
    """Arguments."""

    id: Volume = uuid("ID of the volume", VOLUME, required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolForMigrationResponse(StoragePoolResponse):
    """A pool, and whether a volume could move there."""

    suitableformigration: bool


@command(
    "findStoragePoolsForMigration",
    "Lists the pools that a volume could move to, the suitable ones first.",
    item=PoolForMigrationResponse,
    key="storagepool",
    roles=ROOT_ADMIN,
)
async def find_pools(call: Call, args: FindPools) -> Answer:
    """Every pool but its own; Storage has the last word."""
    volume, vm = args.id, user_of(call, args.id)
    _placed(volume)
    others = [each for each in call.cloud.all(STORAGE_POOL) if each.meta.name != volume.status.pool]
    judged = [(each, not _refusal(call, volume, vm, each)) for each in others if contains(args.keyword, name_of(each))]

    def shown(one: tuple[Pool, bool]) -> PoolForMigrationResponse:
        response = storage_pool(call, one[0])
        own = {field.name: getattr(response, field.name) for field in dataclasses.fields(response)}
        return PoolForMigrationResponse(**own, suitableformigration=one[1])

    return listing(args, sorted(judged, key=lambda one: not one[1]), shown)


def _placed(volume: Volume) -> None:
    """Raise ApiError unless there is something to move."""
    if not volume.status.pool:
        raise errors.invalid(f"Volume {name_of(volume)} is on no pool yet: it is placed when it is first used")


def _refusal(call: Call, volume: Volume, vm: VM | None, pool: Pool) -> str:
    """Why a pool would not take it, as far as the API sees; Storage knows what else was promised there."""
    spec = pool.spec
    name = (vm.status.host_name if vm is not None else "") or volume.status.host_name or spec.host_name
    if not name:
        return ""  # Both are shared: which host reaches both, Storage sees.
    host, report = call.cloud.named(HOST, name), call.cloud.named(HOST_REPORT, name)
    if not pools.reached(spec, name, host.spec if host else None):
        return f"host {name} does not reach it"
    storage = report.status.storage if report else None
    told = next((each for each in storage.pools if each.pool == pool.meta.name), None) if storage else None
    if why := pools.closed(spec, told, deleting=pool.meta.deleting):
        return why
    offering = call.cloud.named(DISK_OFFERING, volume.spec.disk_offering)
    if missing := (offering.spec.tags if offering else frozenset()) - spec.tags:
        return f"it lacks the tags {', '.join(sorted(missing))} of the disk offering"
    return _full(volume, told)


def _full(volume: Volume, told: PoolReport | None) -> str:
    size = volume.status.size or volume.spec.size or 0
    return f"only {told.free} are free" if told is not None and told.free < size else ""
