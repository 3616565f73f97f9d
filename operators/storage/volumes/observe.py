"""Reads the cache into a Volume's model; never modifies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

from operators.contract import names
from operators.contract.backups import VOLUME_BACKUP
from operators.contract.compute import VIRTUAL_MACHINE, Power
from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL, PoolReport, StoragePoolSpec, StoragePoolStatus
from operators.contract.formats import DiskFormat
from operators.contract.instances import INSTANCE, InstanceSpec, InstanceStatus
from operators.contract.meta import Key, Obj, holds
from operators.contract.pools import closed, reached
from operators.contract.quantity import Quantity, factor
from operators.contract.reasons import Type
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import DISK, DISK_OFFERING, IMAGE, IMAGE_COPY, VOLUME
from operators.kernel import Cache
from operators.kernel.clock import parse_stamp
from operators.storage import abilities, lost
from operators.storage.images import lookup
from operators.storage.volumes import limits, origins
from operators.storage.volumes.capacity import Promises
from operators.storage.volumes.model import Arriving, DiskObj, Holder, ImageObj, Moves, Origin, Pool, Seen, VolumeObj

InstanceObj: TypeAlias = Obj[InstanceSpec, InstanceStatus]
PoolObj: TypeAlias = Obj[StoragePoolSpec, StoragePoolStatus]

QUIET = 3.0
"""Seconds before a state that passes by itself is reported."""

BY_VOLUME = "volume"
"""Index of Instances: `namespace/volume` for each Volume that they list."""
BY_HOST = "host"
"""Index of Instances and HostReports: `spec.hostName`."""


def add_indexes(cache: Cache) -> None:
    """Keep the indexes that `observe` and the triggers look things up in."""
    cache.index(INSTANCE, BY_VOLUME, lambda instance: tuple(map(str, volumes_of(instance))))
    cache.index(INSTANCE, BY_HOST, lambda instance: (instance.spec.host_name,))
    origins.add_indexes(cache)
    limits.add_index(cache)
    lost.add_indexes(cache)
    cache.index(HOST_REPORT, BY_HOST, lambda report: (report.spec.host_name,))


def volumes_of(instance: Obj[InstanceSpec, InstanceStatus]) -> Iterator[Key]:
    """The Volumes that an Instance lists, or whose disks its guest has yet to let go of."""
    names_ = {disk.volume for part in (instance.spec, instance.status) for disk in part.disks}
    return (Key(instance.meta.namespace, name) for name in sorted(names_))


def disk_of(cache: Cache, volume: VolumeObj) -> DiskObj | None:
    """The Disk of this very Volume: not one that only shows its file to another host, is yet to be filled, or was."""
    disks = _disks(cache, volume)
    gone = _superseded(disks)
    return next((disk for disk in disks if _counts(disk) and disk.meta.uid not in gone), None)


def _counts(disk: DiskObj) -> bool:
    return not disk.spec.file_of and not disk.spec.copy_of and (disk.spec.filled or not disk.spec.replaces)


def _superseded(disks: Iterable[DiskObj]) -> frozenset[str]:
    """The uids of Disks whose place another one has taken."""
    return frozenset(disk.spec.replaces for disk in disks if disk.spec.filled)


def _disks(cache: Cache, volume: VolumeObj) -> list[DiskObj]:
    found = (disk for disk in cache.owned(DISK, volume.meta.uid) if disk.spec.volume.uid == volume.meta.uid)
    return sorted(found, key=lambda disk: (disk.meta.deleting, disk.meta.name))


def observe(cache: Cache, volume: VolumeObj, catalogue: str, now: datetime, promises: Promises) -> Seen:
    """What is there around one Volume."""
    disk = disk_of(cache, volume)
    namesake = cache.get(DISK, Key(volume.meta.namespace, names.disk(volume.meta.name)))
    pool = cache.get(STORAGE_POOL, Key("", disk.spec.pool)) if disk is not None else None
    instances = _users(cache, volume)
    within = (
        _reached(cache, disk, pool, (each.spec.host_name for each in instances)) if disk is not None else frozenset()
    )
    holders = tuple(
        _holder(each) for each in instances if disk is None or each.spec.host_name in within or _stays(each)
    )
    disks = _disks(cache, volume)
    heir = next((each for each in disks if each.spec.replaces and not each.spec.filled), None)
    places = disk is None or volume.spec.pool not in ("", disk.spec.pool)
    executor = holders[0].host if holders else _mover(cache, volume, disk, pool) if disk is not None else ""
    image = None
    stranger = False
    if volume.spec.source.image and disk is None:
        image = lookup.find(cache, volume.spec.source.image, volume.meta.namespace, catalogue)
    if volume.spec.source.url and disk is None:
        image = cache.get(IMAGE, Key(volume.meta.namespace, names.source_image(volume.meta.name)))
        stranger = image is not None and not _made_for(image, volume)
    between = None
    if volume.spec.source.volume:
        between = cache.get(VOLUME_SNAPSHOT, Key(volume.meta.namespace, names.source_snapshot(volume.meta.name)))
        stranger = between is not None and not _made_for(between, volume)
    original = lookup.original(lookup.copies(cache, image)) if image is not None and image.spec.source else None
    apart = origins.apart(cache, image, original, executor)
    origin, backup = volume.spec.source.snapshot, volume.spec.source.backup
    return Seen(
        backup=cache.get(VOLUME_BACKUP, Key(volume.meta.namespace, backup)) if backup else None,
        snapshot=cache.get(VOLUME_SNAPSHOT, Key(volume.meta.namespace, origin)) if origin else None,
        offering=cache.get(DISK_OFFERING, Key("", volume.spec.disk_offering)),
        image=image,
        origin=_origin(cache, volume) if volume.spec.source.volume and not made(disk) else None,
        between=between if not stranger else None,
        clones=origins.clones(cache, disk) if volume.meta.deleting and disk is not None else (),
        stranger=stranger,
        holders=holders,
        disk=disk,
        sights=tuple(each for each in disks if each.spec.file_of),
        heir=heir,
        went=heir is not None and any(heir.meta.name in _in_use(each, volume) for each in instances),
        retired=tuple(each for each in disks if each.meta.uid in _superseded(disks)),
        told=abilities.told(cache, disk.spec.pool) if disk is not None else (),
        reached=within,
        shared=pool is not None and not pool.spec.host_name,
        name_taken=namesake is not None and namesake.spec.volume.uid != volume.meta.uid,
        pools=tuple(_pools(cache, volume, executor, image, promises, apart)) if executor and places else (),
        virtual_size=_virtual_size(cache, image) if image is not None else None,
        original=original,
        moves=_moves(cache, volume, disk, instances, within, promises) if disk is not None else Moves(),
        rooms=limits.rooms(cache, volume, promises),
        lost=lost.hosts(cache, disks),
        quiet=_quiet(_moments(cache, volume, disk), now),
    )


def _mover(cache: Cache, volume: VolumeObj, disk: DiskObj, pool: PoolObj | None) -> str:
    """The host that brings a Volume which nobody uses to another pool: that pool's own, if it reaches both."""
    target = cache.get(STORAGE_POOL, Key("", volume.spec.pool)) if volume.spec.pool else None
    own = target.spec.host_name if target is not None else ""
    return own if own and own in _reached(cache, disk, pool, (own,)) else disk.spec.host_name


def _made_for(obj: Obj[Any, Any], volume: VolumeObj) -> bool:
    return any(each.uid == volume.meta.uid for each in obj.meta.owner_references)


def made(disk: DiskObj | None) -> bool:
    """Whether a Disk is there, with all that it is to start out with."""
    return disk is not None and holds(disk.status.conditions, Type.PROVISIONED)


def _origin(cache: Cache, volume: VolumeObj) -> Origin | None:
    origin = cache.get(VOLUME, Key(volume.meta.namespace, volume.spec.source.volume))
    if origin is None:
        return None
    runs = next((holder.virtual_machine for holder in holders_of(cache, origin) if holder.running), "")
    disk = disk_of(cache, origin)
    return Origin(origin.meta.deleting, disk, runs, abilities.told(cache, disk.spec.pool) if disk is not None else ())


def holders_of(cache: Cache, volume: VolumeObj) -> tuple[Holder, ...]:
    """The Instances that list a Volume."""
    return tuple(_holder(each) for each in _users(cache, volume))


def _users(cache: Cache, volume: VolumeObj) -> list[InstanceObj]:
    """The Instances that list a Volume; of one made for a virtual machine, not those of a later one of its name."""
    owner = next((each.uid for each in volume.meta.owner_references if each.kind == VIRTUAL_MACHINE.kind), "")
    users = cache.by(INSTANCE, BY_VOLUME, str(volume.key))
    return [each for each in users if owner in ("", each.spec.virtual_machine.uid)]


def reached_by(cache: Cache, disk: DiskObj, holders: Iterable[Holder]) -> frozenset[str]:
    """Of the holders' hosts, those that reach a Disk's pool."""
    return _reached(cache, disk, cache.get(STORAGE_POOL, Key("", disk.spec.pool)), (each.host for each in holders))


def _in_use(instance: Obj[InstanceSpec, InstanceStatus], volume: VolumeObj) -> frozenset[str]:
    """The Disks of a Volume that an Instance's guest has, or had gone over to when it ended."""
    return frozenset(each.disk for each in instance.status.disks if each.volume == volume.meta.name)


def _holder(instance: Obj[InstanceSpec, InstanceStatus]) -> Holder:
    running = instance.spec.power == Power.RUNNING or instance.status.power in (Power.RUNNING, Power.PAUSED)
    return Holder(instance.meta.name, instance.spec.virtual_machine.name, instance.spec.host_name, running)


def _virtual_size(cache: Cache, image: ImageObj) -> Quantity | None:
    """An image is the same bytes on every pool, so any copy can tell."""
    sizes = (copy.status.virtual_size for copy in lookup.copies(cache, image))
    return next((size for size in sizes if size), image.status.virtual_size)


def _stays(instance: InstanceObj) -> bool:
    """Whether an Instance has its guest for good: one to arrive has its Volumes elsewhere yet, one to leave its own."""
    arrives = instance.spec.incoming is not None and not instance.spec.incoming.committed
    return not arrives and instance.spec.outgoing is None


def _moves(
    cache: Cache,
    volume: VolumeObj,
    disk: DiskObj,
    instances: Sequence[InstanceObj],
    within: frozenset[str],
    promises: Promises,
) -> Moves:
    """What migrations make of the Volume."""
    disks = _disks(cache, volume)
    arriving = (
        each
        for each in instances
        if each.spec.host_name not in within and each.spec.incoming and not each.spec.incoming.committed
    )
    arrived = (each.spec.host_name for each in instances if each.spec.incoming is None or each.spec.incoming.committed)
    return Moves(
        arriving=tuple(_arriving(cache, volume, disk, each, promises) for each in arriving if not each.meta.deleting),
        copies=tuple(each for each in disks if each.spec.copy_of),
        arrived=frozenset(arrived),
        used=frozenset(each.spec.host_name for each in instances),
    )


def _arriving(cache: Cache, volume: VolumeObj, disk: DiskObj, instance: InstanceObj, promises: Promises) -> Arriving:
    """A host that the data is to be copied to, with what is there of the image that most of it may come from."""
    host, whole = instance.spec.host_name, instance.spec.incoming is not None and instance.spec.incoming.whole
    base = cache.get(IMAGE_COPY, Key(*disk.spec.image_copy.split("/", 1))) if disk.spec.image_copy else None
    copies = {}
    for copy in cache.owned(IMAGE_COPY, base.spec.image.uid) if base is not None and not whole else ():
        if holds(copy.status.conditions, Type.PROVISIONED) and not copy.meta.deleting:
            copies[copy.spec.pool] = str(copy.key)
    return Arriving(host, copies, tuple(_pools(cache, volume, host, None, promises)))


def _reached(cache: Cache, disk: DiskObj, pool: PoolObj | None, users: Iterable[str]) -> frozenset[str]:
    """Of some hosts, those that reach a Disk's pool; its own does in any case."""
    hosts = {name: cache.get(HOST, Key("", name)) for name in users}
    within = {name for name, host in hosts.items() if pool and reached(pool.spec, name, host.spec if host else None)}
    return frozenset(within | {disk.spec.host_name})


def _pools(
    cache: Cache, volume: VolumeObj, host: str, image: ImageObj | None, promises: Promises, apart: str = ""
) -> Iterator[Pool]:
    """The pools that a host may reach, or that the Volume asks for; `apart` tells why the image comes to no more."""
    reports = {
        pool.pool: pool
        for report in cache.by(HOST_REPORT, BY_HOST, host)
        for pool in (report.status.storage.pools if report.status.storage else ())
    }
    fabric_host = cache.get(HOST, Key("", host))
    spec = fabric_host.spec if fabric_host else None
    for pool in sorted(cache.all(STORAGE_POOL), key=lambda each: each.meta.name):
        within = reached(pool.spec, host, spec)
        if within or pool.meta.name == volume.spec.pool:
            elsewhere = "" if within else f"host {host} does not reach it"
            found = _pool(cache, pool, elsewhere, reports.get(pool.meta.name), host, image, promises.of(pool.meta.name))
            yield replace(found, problem=apart) if apart and found.copy is None and not found.problem else found


def _pool(
    cache: Cache,
    pool: PoolObj,
    elsewhere: str,
    report: PoolReport | None,
    host: str,
    image: ImageObj | None,
    promised: int,
) -> Pool:
    problem = elsewhere or closed(pool.spec, report, deleting=pool.meta.deleting)
    promises = int((report.capacity if report else 0) * factor(pool.spec.overcommit))
    copy = None
    if image is not None:
        copy = cache.get(IMAGE_COPY, Key(image.meta.namespace, names.image_copy(image.meta.name, pool.meta.name)))
    return Pool(
        name=pool.meta.name,
        executor=host,
        problem=problem,
        tags=pool.spec.tags,
        free=report.free if report else 0,
        promisable=promises - promised,
        formats=_formats(report),
        told=pool.status.formats,
        copy=copy,
    )


def _formats(report: PoolReport | None) -> frozenset[str]:
    told = report.formats if report is not None else ()
    return frozenset(each.format for each in told) or frozenset({DiskFormat.QCOW2})


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
