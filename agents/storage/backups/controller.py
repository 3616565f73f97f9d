"""The controller of DiskBackups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents.storage.backups.plan import Action, BackupObj, Copy, Forget, Seen, plan
from agents.storage.backups.transfer import Result, back_up, forget
from agents.storage.driver import Drivers
from agents.storage.folders import Place
from agents.storage.jobs import Jobs, Told
from agents.storage.places import Pools
from agents.storage.settings import Settings
from agents.storage.stores import Stores
from operators.contract.backups import DISK_BACKUP
from operators.contract.fabric import IMAGE_STORE
from operators.contract.meta import Key, Kind
from operators.contract.quantity import Quantity
from operators.contract.reasons import Type
from operators.kernel import Outcome, Report
from operators.kernel.clock import stamp
from operators.kernel.manager import Context
from operators.kernel.report import Voice

PARALLEL = 2
"""Backups at a time; more only wait for the same disks and the same line."""


class Backups:
    """Copies this host's snapshots to image stores, and removes them there."""

    name = "backups"
    kind = DISK_BACKUP
    workers = 2
    voice = Voice(Type.PROVISIONED)

    def __init__(self, context: Context, settings: Settings, drivers: Drivers, stores: Stores) -> None:
        self._context = context
        self._cache = context.cache
        self._node = settings.node
        self._drivers = drivers
        self._stores = stores
        self._pools = Pools(context.cache, settings.pool_root)
        self._copies = Jobs(context.clock, PARALLEL, "backup")
        self._endings = Jobs(context.clock, PARALLEL, "forget")
        self._results: dict[str, Result] = {}
        self._forgotten: set[str] = set()

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A store that comes, or changes, is tried at once."""
        return {
            DISK_BACKUP: lambda backup: (backup.key,),
            IMAGE_STORE: lambda store: (
                each.key for each in self._cache.all(DISK_BACKUP) if each.spec.image_store == store.meta.name
            ),
        }

    async def observe(self, key: Key) -> tuple[BackupObj, Seen] | None:
        """How its jobs stand; the store itself is looked at by them only, since it may be slow, and cost money."""
        backup = self._cache.get(DISK_BACKUP, key)
        if backup is None or backup.spec.host_name != self._node:
            return None
        uid = backup.meta.uid
        copying, ending = self._copies.state(uid), self._endings.state(uid)
        return backup, Seen(copying, ending, uid in self._results, uid in self._forgotten)

    def plan(self, wanted: BackupObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """See `plan`."""
        return plan(wanted, seen)

    async def act(self, action: Action) -> None:
        """Begin a job."""
        backup = action.backup
        uid, pool = backup.meta.uid, backup.spec.pool
        wake = lambda: self._context.poke(self.name, backup.key)  # noqa: E731
        match action:
            case Copy():
                self._copies.start(uid, pool, lambda told: self._copy(backup, told), wake)
            case Forget():
                await self._copies.stop(uid)
                self._endings.start(uid, pool, lambda told: self._forget(backup), wake)

    async def _copy(self, backup: BackupObj, told: Told) -> None:
        spec = backup.spec
        store = self._stores.open(spec.image_store)
        source = Place.at(self._pools.folder(spec.pool), spec.source)
        async with self._drivers.contents(source.pool).reading(source) as content:
            result = await back_up(content, store, spec.volume_uid, spec.backup.uid, told)
        self._results[backup.meta.uid] = result

    async def _forget(self, backup: BackupObj) -> None:
        store = self._stores.open(backup.spec.image_store)
        await forget(store, backup.spec.volume_uid, backup.spec.backup.uid)
        self._forgotten.add(backup.meta.uid)

    def report(self, wanted: BackupObj, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """How far it is, and once it is there, how large."""
        verdict = Type.RELEASED if wanted.meta.deleting else Type.PROVISIONED
        fields = replace(wanted.status, conditions=())
        result = self._results.get(wanted.meta.uid)
        if result is not None and not fields.finished_at:
            fields = replace(
                fields,
                virtual_size=Quantity(result.size),
                stored=Quantity(result.stored),
                transferred=Quantity(result.transferred),
                progress=100,
                finished_at=stamp(self._context.clock.now()),
            )
        elif seen.copying is not None:
            fields = replace(fields, progress=max(fields.progress, seen.copying.progress))
        return (Report(wanted, fields, verdict=verdict),)
