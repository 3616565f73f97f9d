"""Pools of primary storage."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from operators.api import errors, naming
from operators.api.call import Call, ListArgs, asked, is_or_any, listing
from operators.api.changing import given, remove, update
from operators.api.cloud import Host, Pool, Zone, name_of
from operators.api.declare import ROOT_ADMIN, Answer, Single, Started, boolean, command, string, uuid, words
from operators.api.jobs import CREATION, job_id
from operators.api.responses import fabric as respond
from operators.api.responses.done import Done
from operators.contract.codec import to_wire
from operators.contract.fabric import HOST, STORAGE_POOL, ZONE, StoragePoolSpec
from operators.contract.storage import VOLUME

SHARED = "SharedDirectory"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListStoragePools(ListArgs):
    """Arguments."""

    id: Pool | None = uuid("ID of the pool", STORAGE_POOL)
    name: str = string("Name of the pool")
    zoneid: Zone | None = uuid("Pools of this zone", ZONE)
    path: str = string("Path of the pool on its hosts")
    scope: str = string("HOST or ZONE")
    status: str = string("Up, Down, Disabled or Maintenance")
    hostid: Host | None = uuid("Pools that this host reaches", HOST)


@command(
    "listStoragePools",
    "Lists pools of primary storage.",
    item=respond.StoragePoolResponse,
    key="storagepool",
    roles=ROOT_ADMIN,
    refused="clusterid ipaddress podid storageaccessgroup storagecustomstats",
)
async def list_storage_pools(call: Call, args: ListStoragePools) -> Answer:
    """Storage pools."""
    host = args.hostid

    def wanted(obj: Pool) -> bool:
        reached = host is None or obj.spec.host_name in ("", host.meta.name)
        return (
            reached
            and asked(args, obj, name_of(obj))
            and is_or_any(args.zoneid, obj.spec.zone)
            and args.path in ("", obj.spec.path)
            and args.scope.upper() in ("", respond.scope_of(obj))
            and args.status.lower() in ("", respond.pool_state(obj).lower())
        )

    return listing(args, call.cloud.all(STORAGE_POOL, None, wanted), lambda obj: respond.storage_pool(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateStoragePool:
    """Arguments."""

    name: str = string("Name of the pool", required=True)
    url: str = string("SharedMountPoint://<any>/<path beneath the agents' pool root>", required=True)
    zoneid: Zone = uuid("ID of the zone", ZONE, required=True)
    scope: str = string("ZONE; there is no other for a pool that is shared")
    tags: str = string("Its tags, with commas between, which offerings may ask for")


@command(
    "createStoragePool",
    "Creates a pool in a folder that all hosts of a zone share. Each host's own folder has one already.",
    item=respond.StoragePoolResponse,
    key="storagepool",
    roles=ROOT_ADMIN,
    refused="""capacitybytes capacityiops clusterid details istagarule managed podid storageaccessgroups""",
    ignored="hypervisor provider",
)
async def create_storage_pool(call: Call, args: CreateStoragePool) -> Answer:
    """The StoragePool that kubectl would make."""
    url = urlsplit(args.url)
    if url.scheme.lower() != "sharedmountpoint":
        raise errors.ApiError(432, "url must begin with SharedMountPoint://: mount other storage on the hosts first")
    if args.scope.upper() not in ("", "ZONE"):
        raise errors.ApiError(432, "scope must be ZONE")
    tags = frozenset(each.strip() for each in args.tags.split(",") if each.strip())
    spec = StoragePoolSpec(type=SHARED, path=url.path.strip("/"), zone=args.zoneid.meta.name, tags=tags)
    made = STORAGE_POOL.parse(await naming.create(call, STORAGE_POOL, "", args.name, to_wire(spec)))
    return Single(respond.storage_pool(call, made))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateStoragePool:
    """Arguments."""

    id: Pool = uuid("ID of the pool", STORAGE_POOL, required=True)
    name: str = string("What the pool is called from now on")
    enabled: bool | None = boolean("Whether new disks may go there", default=None)
    tags: tuple[str, ...] = words("Its tags from now on")


@command(
    "updateStoragePool",
    "Changes a pool.",
    item=respond.StoragePoolResponse,
    key="storagepool",
    roles=ROOT_ADMIN,
    refused="capacitybytes capacityiops details istagarule url",
)
async def update_storage_pool(call: Call, args: UpdateStoragePool) -> Answer:
    """The operator's own `spec.schedulable` and `spec.tags`."""
    spec = given(schedulable=args.enabled, tags=sorted(args.tags) or None)
    return Single(respond.storage_pool(call, await update(call, args.id, spec, name=args.name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class One:
    """Arguments: a pool."""

    id: Pool = uuid("ID of the pool", STORAGE_POOL, required=True)


@command(
    "enableStorageMaintenance",
    "Takes a pool out of service: nothing new goes there and no guest is started from it; those that run go on.",
    item=respond.StoragePoolResponse,
    key="storagepool",
    roles=ROOT_ADMIN,
    asynchronous=True,
)
async def enable_maintenance(call: Call, args: One) -> Answer:
    """The operator's own `spec.maintenance`, which counts from the moment that it is written."""
    return Started(job_id((await update(call, args.id, {"maintenance": True})).meta.uid, CREATION))


@command(
    "cancelStorageMaintenance",
    "Puts a pool back into service.",
    item=respond.StoragePoolResponse,
    key="storagepool",
    roles=ROOT_ADMIN,
    asynchronous=True,
)
async def cancel_maintenance(call: Call, args: One) -> Answer:
    """The operator's own `spec.maintenance`."""
    return Started(job_id((await update(call, args.id, {"maintenance": False})).meta.uid, CREATION))


@command("deleteStoragePool", "Deletes a pool that no volume is on.", item=Done, roles=ROOT_ADMIN, refused="forced")
async def delete_storage_pool(call: Call, args: One) -> Answer:
    """Refuse what is in use; a deletion cannot be taken back."""
    name = args.id.meta.name
    if used := call.cloud.all(VOLUME, None, lambda obj: name in (obj.status.pool, obj.spec.pool)):
        raise errors.in_use(f"Can't delete pool {name_of(args.id)}: volume {name_of(used[0])} is on it")
    await remove(call, args.id)
    return Single(Done())
