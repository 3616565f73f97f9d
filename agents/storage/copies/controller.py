"""The controller of ImageCopies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from agents.storage.copies.model import Action, CopyObj, Fetch, Remove, Seen, Tidy
from agents.storage.copies.plan import is_first, plan
from agents.storage.disks.controller import BY_COPY, BY_POOL
from agents.storage.driver import Drivers
from agents.storage.failure import Failed
from agents.storage.fetching.imports import Imports, Job
from agents.storage.folders import Place, PoolOffline, Strange
from agents.storage.places import Pools
from agents.storage.settings import Settings
from operators.contract.fabric import STORAGE_POOL
from operators.contract.meta import Key, Kind, condition
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason, Type
from operators.contract.storage import DISK, IMAGE_COPY, ImageCopyStatus
from operators.kernel import Done, Outcome, Problem, Report, Retry
from operators.kernel.manager import Context
from operators.kernel.report import Voice


class Copies:
    """Fetches, checks and removes this host's image copies."""

    name = "copies"
    kind = IMAGE_COPY
    workers = 4
    voice = Voice(Type.PROVISIONED)

    def __init__(self, context: Context, settings: Settings, drivers: Drivers, imports: Imports) -> None:
        self._context = context
        self._cache = context.cache
        self._node = settings.node
        self._drivers = drivers
        self._imports = imports
        self._pools = Pools(context.cache, settings.pool_root)
        self._cache.index(IMAGE_COPY, BY_POOL, lambda copy: (copy.spec.pool,))

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """The end of a Disk concerns a copy that waits to go."""
        return {
            IMAGE_COPY: lambda copy: (copy.key,),
            STORAGE_POOL: lambda pool: self._waiting(pool.meta.name),
            DISK: self._leaving,
        }

    async def observe(self, key: Key) -> tuple[CopyObj, Seen] | None:
        """Look at the file's header; while deleting, at who is made from it."""
        copy = self._cache.get(IMAGE_COPY, key)
        if copy is None or copy.spec.host_name != self._node:
            return None
        try:
            place = Place.at(self._pools.folder(copy.spec.pool), copy.spec.path)
        except PoolOffline as error:
            return copy, Seen(offline=str(error))
        except Strange as error:
            return copy, Seen(offline=f"{error}; Storage must make the ImageCopy anew")
        try:
            if copy.meta.deleting:
                return copy, Seen(place, disks=await self._disks(copy, place))
            file = await self._drivers.disks(place.pool).look(place)
            if copy.spec.evict:
                return copy, Seen(place, file=file, disks=await self._disks(copy, place))
            checksum = copy.status.checksum or self._imports.checksum(copy.meta.uid)
            source = self._source(copy) if file is None or (is_first(copy) and not checksum) else None
            driver = self._drivers.images(place.pool)
            leftovers = await driver.leftovers(place, copy.meta.uid) if file is not None else ()
        except PoolOffline as error:
            return copy, Seen(place, offline=str(error))
        except Strange as error:
            return copy, Seen(place, strange=str(error))
        except Failed as failed:
            return copy, Seen(place, failed=failed)
        now = self._imports.state(copy.meta.uid)
        checksum = checksum or self._imports.checksum(copy.meta.uid)
        return copy, Seen(place, file=file, source=source, checksum=checksum, leftovers=leftovers, importing=now)

    def plan(self, wanted: CopyObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """See `plan`."""
        return plan(wanted, seen)

    async def act(self, action: Action) -> None:
        """Begin an import, or remove files."""
        try:
            match action:
                case Fetch(copy, place, source):
                    # What came once without a checksum, and was removed, must come back as the same.
                    checksum = copy.spec.checksum or ("" if source else copy.status.checksum)
                    job = Job(copy.meta.uid, place, copy.spec.url, checksum, copy.spec.format, source)
                    self._imports.start(job, lambda: self._context.poke(self.name, copy.key))
                case Tidy(place, files):
                    await self._drivers.images(place.pool).tidy(place, files)
                case Remove(copy, place):
                    await self._imports.stop(copy.meta.uid)
                    await self._drivers.images(place.pool).remove(place, copy.meta.uid)
        except PoolOffline as error:
            raise Problem(Retry(Reason.POOL_OFFLINE, f"pool {action.place.pool.name}: {error}", after=15)) from error
        except Failed as failed:
            raise Problem(Retry(failed.reason, failed.message, after=60)) from failed
        except OSError as error:
            raise Problem(Retry(Reason.STORAGE_ERROR, str(error), after=30)) from error

    def report(self, wanted: CopyObj, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """How far it is, and once it is there, where and how large."""
        verdict = Type.RELEASED if wanted.meta.deleting else Type.PROVISIONED
        fields = wanted.status
        if not wanted.meta.deleting:
            if isinstance(outcome, Done) and seen.place is not None and seen.file is not None:
                size = Quantity(seen.file.virtual_size)
                checksum = "" if wanted.spec.checksum else seen.checksum
                path = self._drivers.disks(seen.place.pool).path(seen.place)
                fields = ImageCopyStatus(path=path, virtual_size=size, progress=100, checksum=checksum)
            else:
                # Never back: an attempt that begins anew after a failure, or a restart, has nothing new to tell.
                known = wanted.status.progress % 100  # One that was there and is lost begins at nought.
                progress = max(known, seen.importing.progress if seen.importing else 0)
                fields = ImageCopyStatus(
                    virtual_size=wanted.status.virtual_size, progress=progress, checksum=wanted.status.checksum
                )
        return (Report(wanted, fields, verdict=verdict),)

    def _source(self, copy: CopyObj) -> Place | None:
        """The file that it is made of. Raises PoolOffline and Strange."""
        source = copy.spec.source
        if source is None:
            return None
        try:
            return Place.at(self._pools.folder(source.pool), source.path)
        except PoolOffline as error:
            raise PoolOffline(f"it is to be made of what is on pool {source.pool}: {error}") from error

    async def _disks(self, copy: CopyObj, place: Place) -> tuple[str, ...]:
        """Every Disk that names it, made or not yet, and every file that is made from it, kept ones too."""
        named = self._cache.by(DISK, BY_COPY, str(copy.key))
        known = {disk.spec.path for disk in named}
        kept = (path for path in await self._drivers.images(place.pool).dependants(place) if path not in known)
        return (*(str(disk.key) for disk in named), *kept)

    def _waiting(self, pool: str) -> Iterator[Key]:
        for copy in self._cache.by(IMAGE_COPY, BY_POOL, pool):
            provisioned = condition(copy.status.conditions, Type.PROVISIONED)
            if provisioned is None or not provisioned.true or copy.meta.deleting:
                yield copy.key

    def _leaving(self, disk: Any) -> Iterable[Key]:
        if not disk.spec.image_copy:
            return ()
        key = Key(*disk.spec.image_copy.split("/", 1))
        copy = self._cache.get(IMAGE_COPY, key)
        return (key,) if copy is not None and (copy.meta.deleting or copy.spec.evict) else ()
