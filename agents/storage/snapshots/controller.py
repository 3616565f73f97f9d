"""The controller of DiskSnapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from agents.storage.driver import Drivers
from agents.storage.failure import Failed
from agents.storage.folders import Place, PoolOffline, Strange
from agents.storage.jobs import Jobs
from agents.storage.places import Pools
from agents.storage.qemuimg import QemuImgError, trouble
from agents.storage.settings import Settings
from agents.storage.snapshots.model import (
    Action,
    Copy,
    Prepare,
    Publish,
    Remove,
    Revert,
    Seen,
    SnapshotObj,
    Tidy,
)
from agents.storage.snapshots.plan import plan, with_memory
from operators.contract.fabric import STORAGE_POOL
from operators.contract.meta import Condition, Key, Kind, condition, holds
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason, Type
from operators.contract.snapshots import DISK_SNAPSHOT
from operators.kernel import Outcome, Problem, Report, Retry
from operators.kernel.clock import stamp
from operators.kernel.manager import Context
from operators.kernel.report import Voice

PARALLEL = 4
"""Copies that may wait for qemu-img at a time."""


class Snapshots:
    """Takes, keeps, brings back and removes this host's snapshots."""

    name = "snapshots"
    kind = DISK_SNAPSHOT
    workers = 2
    voice = Voice(Type.PROVISIONED, others=frozenset({Type.CAPTURED}))

    def __init__(self, context: Context, settings: Settings, drivers: Drivers) -> None:
        self._context = context
        self._cache = context.cache
        self._node = settings.node
        self._drivers = drivers
        self._pools = Pools(context.cache, settings.pool_root)
        self._copies = Jobs(context.clock, PARALLEL, "snapshot")
        self._reverts = Jobs(context.clock, PARALLEL, "revert")
        self._brought_back: dict[str, int] = {}
        """The newest request of each snapshot that was done, until its status says so."""

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A pool that changed concerns what waits for it."""
        return {DISK_SNAPSHOT: lambda snapshot: (snapshot.key,), STORAGE_POOL: self._waiting}

    async def observe(self, key: Key) -> tuple[SnapshotObj, Seen] | None:
        """Look at the files; at the Disk's only while there is no snapshot."""
        snapshot = self._cache.get(DISK_SNAPSHOT, key)
        if snapshot is None or snapshot.spec.host_name != self._node:
            return None
        try:
            pool = self._pools.folder(snapshot.spec.pool)
            place, source = Place.at(pool, snapshot.spec.path), Place.at(pool, snapshot.spec.source)
        except PoolOffline as error:
            return snapshot, Seen(offline=str(error))
        except Strange as error:
            return snapshot, Seen(offline=f"{error}; Storage must make the DiskSnapshot anew")
        try:
            return snapshot, await self._look(snapshot, place, source)
        except Failed as failed:
            return snapshot, Seen(place, source, failed=failed)
        except PoolOffline as error:
            return snapshot, Seen(place, source, offline=str(error))
        except Strange as error:
            return snapshot, Seen(place, source, strange=str(error))

    async def _look(self, snapshot: SnapshotObj, place: Place, source: Place) -> Seen:
        uid, gone, used = snapshot.meta.uid, False, False
        disks, driver = self._drivers.disks(place.pool), self._drivers.snapshots(place.pool)
        file = await disks.look(place)
        copying = self._copies.state(uid)
        left = await driver.leftovers(place, source, uid)
        if file is None and not snapshot.meta.deleting and not (copying and copying.running):
            gone = await disks.look(source) is None
            used = not gone and await disks.in_use(source)
        return Seen(
            place,
            source,
            file=file,
            stored=await driver.stored(place) if file is not None else 0,
            memory=await driver.memory(place) if file is not None else None,
            in_use=used,
            source_gone=gone,
            leftovers=left,
            copying=copying,
            reverting=self._reverts.state(uid),
            brought_back=max(snapshot.status.revert_observed, self._brought_back.get(uid, 0)),
            now=stamp(self._context.clock.now()),
        )

    def plan(self, wanted: SnapshotObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """See `plan`."""
        return plan(wanted, seen)

    async def act(self, action: Action) -> None:
        """Do one action, or begin it."""
        try:
            await self._act(action)
        except PoolOffline as error:
            raise Problem(Retry(Reason.POOL_OFFLINE, f"pool {action.place.pool.name}: {error}", after=15)) from error
        except Strange as error:
            raise Problem(Retry(Reason.STORAGE_ERROR, str(error), after=60)) from error
        except Failed as failed:
            raise Problem(Retry(failed.reason, failed.message, after=60)) from failed
        except (QemuImgError, OSError) as error:
            raise trouble(error, action.place.pool.name) from error

    async def _act(self, action: Action) -> None:
        driver = self._drivers.snapshots(action.place.pool)
        match action:
            case Copy(snapshot, source, place):
                uid = snapshot.meta.uid
                work = lambda told: driver.take(source, place, uid)  # noqa: E731
                self._copies.start(uid, place.pool.name, work, self._wake(snapshot))
            case Revert(snapshot, source, place):
                uid, request = snapshot.meta.uid, snapshot.spec.revert_request
                back = lambda told: self._bring_back(uid, request, source, place)  # noqa: E731
                self._reverts.start(uid, place.pool.name, back, self._wake(snapshot))
            case Prepare(place):
                await driver.prepare(place)
            case Publish(snapshot, place, file, memory):
                if memory:
                    await driver.land_memory(place, memory)
                await driver.land(place, file)
                self._wake(snapshot)()  # The next run looks at it, and says so.
            case Tidy(place, files):
                await driver.tidy(place, files)
            case Remove(snapshot, place):
                await self._copies.stop(snapshot.meta.uid)
                await self._reverts.stop(snapshot.meta.uid)
                source = Place.at(place.pool, snapshot.spec.source)
                await driver.remove(place, source, snapshot.meta.uid)

    async def _bring_back(self, uid: str, request: int, source: Place, place: Place) -> None:
        await self._drivers.snapshots(place.pool).bring_back(source, place, uid, request)
        self._brought_back[uid] = request

    def _wake(self, snapshot: SnapshotObj) -> Callable[[], None]:
        return lambda: self._context.poke(self.name, snapshot.key)

    def report(self, wanted: SnapshotObj, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """What is there, and how the way back goes; what the hypervisor agent writes is left to it."""
        status, uid = wanted.status, wanted.meta.uid
        if wanted.meta.deleting:
            return (Report(wanted, {}, verdict=Type.RELEASED),)
        fields: dict[str, Any] = {
            "path": status.path,
            "target": status.target,
            "virtualSize": status.virtual_size,
            "stored": status.stored,
            "takenAt": status.taken_at,
            "quiesced": status.quiesced,
            "memory": status.memory,
            "revertObserved": seen.brought_back,
        }
        if seen.place is not None and seen.file is not None:
            captured = holds(status.conditions, Type.CAPTURED) and status.capture.file not in seen.leftovers
            path = self._drivers.disks(seen.place.pool).path(seen.place)
            fields |= {"path": path, "target": "", "virtualSize": Quantity(seen.file.virtual_size)}
            fields["stored"] = status.stored or Quantity(seen.stored + (seen.memory or 0))
            memory = self._drivers.snapshots(seen.place.pool).memory_path(seen.place)
            fields["memory"] = memory if seen.memory is not None else ""
            fields["takenAt"] = status.taken_at or (status.capture.at if captured else seen.now)
            fields["quiesced"] = status.quiesced if status.taken_at else captured and status.capture.quiesced
        elif (seen.in_use or with_memory(wanted)) and seen.place is not None:
            fields["target"] = self._drivers.snapshots(seen.place.pool).landing(seen.place, uid)
        said = {name: value for name, value in fields.items() if value}
        return (Report(wanted, said, self._reverted(wanted, seen), verdict=Type.PROVISIONED),)

    def _reverted(self, wanted: SnapshotObj, seen: Seen) -> tuple[Condition, ...]:
        request = wanted.spec.revert_request
        if not request:
            return ()
        if seen.brought_back >= request:
            return (Condition(Type.REVERTED, "True", Reason.AS_SPECIFIED, f"request {request} was done"),)
        failed = seen.reverting
        if failed is not None and failed.reason:
            return (Condition(Type.REVERTED, "False", failed.reason, failed.message),)
        return (Condition(Type.REVERTED, "False", Reason.REVERTING, f"request {request} is being done"),)

    def _waiting(self, pool: Any) -> Iterator[Key]:
        for snapshot in self._cache.all(DISK_SNAPSHOT):
            provisioned = condition(snapshot.status.conditions, Type.PROVISIONED)
            if snapshot.spec.pool == pool.meta.name and not (provisioned is not None and provisioned.true):
                yield snapshot.key
