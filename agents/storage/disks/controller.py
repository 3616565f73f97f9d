"""The controller of Disks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from agents.storage.disks import making
from agents.storage.disks.act import act
from agents.storage.disks.model import Action, Base, Copy, DiskObj, GiveBack, Remove, Seen, Take
from agents.storage.disks.plan import plan
from agents.storage.driver import Drivers
from agents.storage.folders import Place, PoolOffline, Strange
from agents.storage.jobs import Jobs
from agents.storage.places import Pools
from agents.storage.qemuimg import QemuImgError
from agents.storage.settings import Settings
from agents.storage.stores import Stores
from operators.contract.fabric import STORAGE_POOL
from operators.contract.meta import Key, Kind, Obj, condition
from operators.contract.quantity import Quantity
from operators.contract.reasons import Type
from operators.contract.storage import DISK, IMAGE_COPY, DiskStatus, ImageCopySpec, ImageCopyStatus
from operators.kernel import Done, Outcome, Report
from operators.kernel.manager import Context
from operators.kernel.report import Voice

BY_POOL = "pool"
"""Index of Disks and ImageCopies: `spec.pool`."""
BY_COPY = "image-copy"
"""Index of Disks: `spec.imageCopy`."""
PARALLEL = 4
"""Copies that may wait for qemu-img at a time."""


class Disks:
    """Makes, grows and removes the files of this host's Disks."""

    name = "disks"
    kind = DISK
    workers = 4
    voice = Voice(Type.PROVISIONED)

    def __init__(self, context: Context, settings: Settings, drivers: Drivers, stores: Stores) -> None:
        self._context = context
        self._store = context.store
        self._cache = context.cache
        self._node = settings.node
        self._drivers = drivers
        self._stores = stores
        self._copies = Jobs(context.clock, PARALLEL, "disk")
        self._pools = Pools(context.cache, settings.pool_root)
        self._cache.index(DISK, BY_POOL, lambda disk: (disk.spec.pool,))
        self._cache.index(DISK, BY_COPY, lambda disk: (disk.spec.image_copy,) if disk.spec.image_copy else ())

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A copy that is there wakes the Disks that wait for it."""
        return {
            DISK: lambda disk: (disk.key,),
            IMAGE_COPY: lambda copy: self._waiting(BY_COPY, str(copy.key)),
            STORAGE_POOL: lambda pool: self._waiting(BY_POOL, pool.meta.name),
        }

    async def observe(self, key: Key) -> tuple[DiskObj, Seen] | None:
        """Look at the file's header; at the image too when there is no file yet."""
        disk = self._cache.get(DISK, key)
        if disk is None or disk.spec.host_name != self._node:
            return None
        try:
            place = Place.at(self._pools.folder(disk.spec.pool), disk.spec.path)
            source = self._source(disk)
        except PoolOffline as error:
            return disk, Seen(offline=str(error))
        except Strange as error:
            return disk, Seen(offline=f"{error}; Storage must make the Disk anew")
        try:
            driver = self._drivers.of(place.pool).disks
            file = await driver.look(place)
            base, origin = None, None
            if file is None and disk.spec.image_copy and not disk.meta.deleting:
                base = await self._base(disk)
            if file is None and disk.spec.snapshot and not disk.meta.deleting:
                at = Place.at(place.pool, disk.spec.snapshot)
                origin = at if await driver.look(at) is not None else None
            taken = file is not None and source is not None and await driver.was_taken(source, disk.spec.replaces)
            moved = file is None and await driver.was_taken(place, disk.meta.uid)
        except PoolOffline as error:
            return disk, Seen(place, offline=str(error))
        except Strange as error:
            return disk, Seen(place, strange=str(error))
        in_use = file is not None and file.virtual_size < disk.spec.size and await self._in_use(place)
        return disk, Seen(
            place,
            file=file,
            in_use=in_use,
            base=base,
            origin=origin,
            copying=self._copies.state(disk.meta.uid),
            source=source,
            taken=taken,
            moved=moved,
        )

    def plan(self, wanted: DiskObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """See `plan`."""
        return plan(wanted, seen)

    async def act(self, action: Action) -> None:
        """See `act`; what takes long is begun."""
        if isinstance(action, Remove | GiveBack):
            await self._copies.stop(action.uid)
        if isinstance(action, Copy | Take):
            uid, wake = action.disk.meta.uid, lambda: self._context.poke(self.name, action.disk.key)
            work = partial(making.make, action, self._drivers, self._stores)
            self._copies.start(uid, action.place.pool.name, work, wake)
            return
        await act(action, self._drivers)

    def report(self, wanted: DiskObj, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """Where the file is and how large, once it was seen or made; that stays said when it is gone."""
        fields = wanted.status
        if isinstance(outcome, Done) and not wanted.meta.deleting and seen.place is not None:
            size = wanted.spec.size if seen.file is None or not seen.in_use else Quantity(seen.file.virtual_size)
            fields = DiskStatus(path=self._path(seen.place), virtual_size=size)
        elif seen.file is not None and seen.place is not None and (seen.source is None or seen.taken):
            fields = DiskStatus(path=self._path(seen.place), virtual_size=Quantity(seen.file.virtual_size))
        verdict = Type.RELEASED if wanted.meta.deleting else Type.PROVISIONED
        return (Report(wanted, fields, verdict=verdict),)

    def _path(self, place: Place) -> str:
        return self._drivers.of(place.pool).disks.path(place)

    def _source(self, disk: DiskObj) -> Place | None:
        """The file whose data a Disk is to take, until Storage says that it has. Raises PoolOffline and Strange."""
        source = disk.spec.take_from
        if source is None or disk.spec.filled:
            return None
        return Place.at(self._pools.folder(source.pool), source.path)

    async def _base(self, disk: DiskObj) -> Base:
        """The image that the Disk is made from; its file has its name only when it is whole and checked."""
        key = Key(*disk.spec.image_copy.split("/", 1))
        copy = self._cache.get(IMAGE_COPY, key)
        if copy is None:
            # Another host may be making it, on a shared pool; or the watch of copies is behind that of disks.
            body = await self._store.get(IMAGE_COPY, key)
            copy = IMAGE_COPY.parse(body) if body is not None else None
        if copy is None:
            return Base(problem=f"there is no ImageCopy {key} (yet)")
        ours = copy.spec.host_name == self._node
        if copy.meta.deleting:
            return Base(problem=f"ImageCopy {key} is being deleted", ours=ours)
        place = Place.at(self._pools.folder(disk.spec.pool), copy.spec.path)
        header = await self._drivers.of(place.pool).disks.look(place)
        if header is None:
            return Base(problem=_why(copy), ours=ours)
        return Base(f"../{place.folder}/{place.file}", header.virtual_size, place=place)

    async def _in_use(self, place: Place) -> bool:
        try:
            return await self._drivers.of(place.pool).disks.in_use(place)
        except (PoolOffline, Strange, QemuImgError, OSError):
            return False  # the attempt to grow it says what is the matter

    def _waiting(self, index: str, value: str) -> Iterator[Key]:
        for disk in self._cache.by(DISK, index, value):
            provisioned = condition(disk.status.conditions, Type.PROVISIONED)
            if provisioned is None or not provisioned.true:
                yield disk.key


def _why(copy: Obj[ImageCopySpec, ImageCopyStatus]) -> str:
    provisioned = condition(copy.status.conditions, Type.PROVISIONED)
    if provisioned is not None and not provisioned.true:
        return f"image {copy.spec.image.name}: {provisioned.message}"
    return f"image {copy.spec.image.name} is being fetched"
