"""Reads the cache into a Volume's model; never modifies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from operators.contract import names
from operators.contract.compute import INSTANCE, InstanceSpec, InstanceStatus, Power
from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL, PoolReport, StoragePoolSpec, StoragePoolStatus
from operators.contract.meta import Key, Obj
from operators.contract.quantity import Quantity
from operators.contract.storage import DISK, DISK_OFFERING, IMAGE_COPY
from operators.kernel import Cache
from operators.kernel.clock import parse_stamp
from operators.storage.images import lookup
from operators.storage.volumes.model import DiskObj, Holder, ImageObj, Pool, Seen, VolumeObj

QUIET = 3.0
"""Seconds before a state that passes by itself is reported."""
OVERPROVISIONING = 2
"""How many times a pool's capacity is given out, since disks grow only as they are written (CloudStack's default, too).
Volumes are placed side by side, so a burst may overshoot by a few disks; what protects a pool is its free space."""

BY_VOLUME = "volume"
"""Index of Instances: `namespace/volume` for each Volume that they list."""
BY_HOST = "host"
"""Index of Instances and HostReports: `spec.hostName`."""
BY_POOL = "pool"
"""Index of Disks: `spec.pool`."""


def add_indexes(cache: Cache) -> None:
    """Keep the indexes that `observe` and the triggers look things up in."""
    cache.index(INSTANCE, BY_VOLUME, lambda instance: {str(key) for key in volumes_of(instance)})
    cache.index(INSTANCE, BY_HOST, lambda instance: (instance.spec.host_name,))
    cache.index(HOST_REPORT, BY_HOST, lambda report: (report.spec.host_name,))
    cache.index(DISK, BY_POOL, lambda disk: (disk.spec.pool,))


def volumes_of(instance: Obj[InstanceSpec, InstanceStatus]) -> Iterator[Key]:
    """The Volumes that an Instance lists."""
    return (Key(instance.meta.namespace, disk.volume) for disk in instance.spec.disks)


def disk_of(cache: Cache, volume: VolumeObj) -> DiskObj | None:
    """What has the name of the Volume's Disk; compare its `spec.volume.uid`."""
    return cache.get(DISK, disk_key(volume))


def disk_key(volume: VolumeObj) -> Key:
    """Where the Volume's Disk is, or will be."""
    return Key(volume.meta.namespace, volume.status.disk or names.disk(volume.meta.name))


def observe(cache: Cache, volume: VolumeObj, catalogue: str, now: datetime) -> Seen:
    """What is there around one Volume."""
    namesake = disk_of(cache, volume)
    disk = namesake if namesake is not None and namesake.spec.volume.uid == volume.meta.uid else None
    holders = tuple(_holder(each) for each in cache.by(INSTANCE, BY_VOLUME, str(volume.key)))
    image = None
    if volume.spec.source.image and disk is None:
        image = lookup.find(cache, volume.spec.source.image, volume.meta.namespace, catalogue)
    return Seen(
        offering=cache.get(DISK_OFFERING, Key("", volume.spec.disk_offering)),
        image=image,
        holders=holders,
        disk=disk,
        disk_reaches=_reaches(cache, disk) if disk is not None else None,
        name_taken=namesake is not None and disk is None,
        pools=tuple(_pools(cache, volume, holders[0].host, image)) if holders and disk is None else (),
        virtual_size=_virtual_size(cache, image) if image is not None else None,
        quiet=_quiet(_moments(cache, volume, disk), now),
    )


def _holder(instance: Obj[InstanceSpec, InstanceStatus]) -> Holder:
    running = instance.spec.power == Power.RUNNING or instance.status.power in (Power.RUNNING, Power.PAUSED)
    return Holder(instance.meta.name, instance.spec.virtual_machine.name, instance.spec.host_name, running)


def _virtual_size(cache: Cache, image: ImageObj) -> Quantity | None:
    """An image is the same bytes on every pool, so any copy can tell."""
    sizes = (copy.status.virtual_size for copy in lookup.copies(cache, image))
    return next((size for size in sizes if size), image.status.virtual_size)


def _reaches(cache: Cache, disk: DiskObj) -> frozenset[str] | None:
    pool = cache.get(STORAGE_POOL, Key("", disk.spec.pool))
    if pool is not None and pool.spec.type == "SharedDirectory":
        return None
    return frozenset({disk.spec.host_name})


def _pools(cache: Cache, volume: VolumeObj, host: str, image: ImageObj | None) -> Iterator[Pool]:
    """The pools that a host may reach, or that the Volume asks for."""
    reports = {
        pool.pool: pool
        for report in cache.by(HOST_REPORT, BY_HOST, host)
        for pool in (report.status.storage.pools if report.status.storage else ())
    }
    fabric_host = cache.get(HOST, Key("", host))
    zone = fabric_host.spec.zone if fabric_host else ""
    for pool in sorted(cache.all(STORAGE_POOL), key=lambda each: each.meta.name):
        own = pool.spec.type == "Directory" and pool.spec.host_name == host
        shared = pool.spec.type == "SharedDirectory" and pool.spec.zone == zone
        if own or shared or pool.meta.name == volume.spec.pool:
            elsewhere = "" if own or shared else f"host {host} does not reach it"
            yield _pool(cache, pool, elsewhere, reports.get(pool.meta.name), host, image)


def _pool(
    cache: Cache,
    pool: Obj[StoragePoolSpec, StoragePoolStatus],
    elsewhere: str,
    report: PoolReport | None,
    host: str,
    image: ImageObj | None,
) -> Pool:
    problem = elsewhere or _problem(pool, report)
    promised = sum(disk.spec.size for disk in cache.by(DISK, BY_POOL, pool.meta.name))
    copy = None
    if image is not None:
        copy = cache.get(IMAGE_COPY, Key(image.meta.namespace, names.image_copy(image.meta.name, pool.meta.name)))
    return Pool(
        name=pool.meta.name,
        executor=host,
        problem=problem,
        tags=pool.spec.tags,
        free=report.free if report else 0,
        promisable=(report.capacity * OVERPROVISIONING if report else 0) - promised,
        copy=copy,
    )


def _problem(pool: Obj[StoragePoolSpec, StoragePoolStatus], report: PoolReport | None) -> str:
    if pool.meta.deleting:
        return "is being deleted"
    if not pool.spec.schedulable:
        return "is not schedulable"
    if report is None:
        return "its host's storage agent has not reported it yet"
    if not report.online:
        return f"offline: {report.message}"
    return ""


def _moments(cache: Cache, volume: VolumeObj, disk: DiskObj | None) -> Iterator[str]:
    """When something was last asked for that can be on its way now."""
    yield volume.meta.creation_timestamp
    yield volume.meta.deletion_timestamp
    if disk is not None:
        yield disk.meta.creation_timestamp
    for instance in cache.by(INSTANCE, BY_VOLUME, str(volume.key)):
        yield instance.meta.creation_timestamp


def _quiet(moments: Iterable[str], now: datetime) -> float:
    """Seconds left until a passing state is worth a write; none where our clock and the API server's disagree."""
    newest = max((parse_stamp(each) for each in moments if each), default=None)
    if newest is None:
        return 0.0
    age = (now - newest).total_seconds()
    return max(0.0, QUIET - age) if age > -QUIET else 0.0
