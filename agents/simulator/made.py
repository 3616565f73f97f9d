"""What the storage and network agents of simulated hosts make: nothing but the word that it is there, after a while."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from agents.simulator.fleet import host_of
from agents.simulator.settings import Settings
from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.compute import Power
from operators.contract.fabric import (
    HOST_REPORT,
    STORAGE_POOL,
    HostReportSpec,
    HostReportStatus,
    NetworkReport,
    PoolReport,
    StorageReport,
)
from operators.contract.formats import Ability, DiskFormat, FormatReport
from operators.contract.instances import INSTANCE
from operators.contract.meta import Condition, Key, Kind, Obj, holds
from operators.contract.networking import HOST_NETWORK, PORT_BINDING, ROUTER, HostSideStatus
from operators.contract.reasons import Reason, Type
from operators.contract.snapshots import DISK_SNAPSHOT, DiskSnapshotStatus
from operators.contract.storage import DISK, IMAGE_COPY, DiskStatus, ImageCopyStatus
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Blocked, Done, Outcome, Problem, Retry
from operators.kernel.report import Voice

AnyObj: TypeAlias = Obj[Any, Any]
HostReport: TypeAlias = Obj[HostReportSpec, HostReportStatus]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How objects of one kind are made."""

    kind: Kind[Any, Any]
    verdict: Type
    seconds: float
    """How long that takes on a real host, as measured."""
    status: Callable[[AnyObj, Settings, Context], object]
    """All that is said of one once it is there."""
    waits_for: Callable[[AnyObj, Context], str] = lambda obj, context: ""
    """What has to be there first, in words."""
    beside: Callable[[AnyObj, Context], tuple[Condition, ...]] = lambda obj, context: ()
    """What the hypervisor agent would say of it."""
    concerns: Callable[[AnyObj, Context], Iterable[Key]] = lambda obj, context: (obj.key,)
    """The objects of the kind that one of them concerns."""


@dataclass(frozen=True, slots=True)
class Work:
    """Take the time that it takes, and fail by chance."""

    seconds: float


class Made:
    """Says of every object of a kind and of simulated hosts that it is there, once it would be."""

    def __init__(self, context: Context, settings: Settings, recipe: Recipe) -> None:
        self._context = context
        self._settings = settings
        self._recipe = recipe
        self._ours = frozenset(settings.names)
        self._rng = random.Random(f"{settings.seed} {recipe.kind.plural}")  # noqa: S311 - faults, not secrets
        self._made: dict[Key, str] = {}
        """What is there, by the digest of the spec it was made from."""
        self.name = recipe.kind.plural
        self.kind = recipe.kind
        self.workers = min(256, 4 * settings.hosts)
        self.voice = Voice(recipe.verdict)

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """Each object concerns itself; an image that is there the disks that are made from it."""
        concerns = self._recipe.concerns
        own = {self.kind: lambda obj: concerns(obj, self._context) if host_of(obj) in self._ours else ()}
        return own | {IMAGE_COPY: self._from_image} if self.kind is DISK else own

    def _from_image(self, copy: AnyObj) -> Iterable[Key]:
        if host_of(copy) not in self._ours or not holds(copy.status.conditions, Type.PROVISIONED):
            return ()
        return [disk.key for disk in self._context.cache.by(DISK, "image-copy", str(copy.key))]

    async def observe(self, key: Key) -> tuple[AnyObj, str] | None:
        """What it waits for."""
        obj = self._context.cache.get(self.kind, key)
        if obj is None or host_of(obj) not in self._ours:
            self._made.pop(key, None)
            return None
        return obj, "" if obj.meta.deleting else self._recipe.waits_for(obj, self._context)

    def plan(self, wanted: AnyObj, seen: str) -> tuple[Sequence[Work], Outcome]:
        """Make what is not there as it is asked for."""
        if wanted.meta.deleting:
            return [Work(self._recipe.seconds)], Done(Reason.RELEASED)
        if seen:
            return [], Blocked(Reason.WAITING_FOR_IMAGE, seen)
        there = self._made.get(wanted.key) == digest(wanted) or self._said(wanted)
        return [] if there else [Work(self._recipe.seconds)], Done()

    def _said(self, obj: AnyObj) -> bool:
        """Whether an earlier process made it: what it holds nobody would miss."""
        current = obj.status.observed_generation == obj.meta.generation
        return current and holds(obj.status.conditions, self._recipe.verdict)

    async def act(self, action: Work) -> None:
        """Wait; fail by chance."""
        await self._context.clock.sleep(action.seconds * self._settings.slowness)
        if self._rng.random() < self._settings.faults:
            raise Problem(Retry(Reason.INTERNAL_ERROR, "simulated: it could not be made", 1.0))

    def report(self, wanted: AnyObj, seen: str, outcome: Outcome) -> Sequence[Report]:
        """That it is there, or gone, or why not yet; waiting for an image is no news."""
        if isinstance(outcome, Blocked):
            return ()
        if wanted.meta.deleting:
            return (Report(wanted, wanted.status, verdict=Type.RELEASED),)
        if isinstance(outcome, Done):
            self._made[wanted.key] = digest(wanted)
        fields = (
            self._recipe.status(wanted, self._settings, self._context) if isinstance(outcome, Done) else wanted.status
        )
        beside = self._recipe.beside(wanted, self._context) if isinstance(outcome, Done) else ()
        return (Report(wanted, fields, beside, verdict=self._recipe.verdict),)


def digest(obj: AnyObj) -> str:
    """A short digest of a spec."""
    return names.digest(repr(obj.spec), obj.meta.uid, length=12)


def _disk(obj: AnyObj, settings: Settings, context: Context) -> DiskStatus:
    return DiskStatus(path=_path(obj), virtual_size=obj.spec.size)


def _copy(obj: AnyObj, settings: Settings, context: Context) -> ImageCopyStatus:
    first = obj.spec.source is not None and not obj.spec.checksum
    checksum = f"sha256:{hashlib.sha256(obj.meta.uid.encode()).hexdigest()}" if first else ""
    return ImageCopyStatus(path=_path(obj), virtual_size=settings.image, progress=100, checksum=checksum)


def _snapshot(obj: AnyObj, settings: Settings, context: Context) -> DiskSnapshotStatus:
    return DiskSnapshotStatus(
        path=_path(obj),
        virtual_size=settings.image,
        taken_at=obj.status.taken_at or min(each.meta.creation_timestamp for each in _moment(obj, context)),
        revert_observed=obj.spec.revert_request,
    )


def _moment(obj: AnyObj, context: Context) -> tuple[AnyObj, ...]:
    """The DiskSnapshots that are of one moment with it."""
    moment = obj.spec.moment
    if moment is None:
        return (obj,)
    every = (each for each in context.cache.all(DISK_SNAPSHOT) if each.meta.namespace == obj.meta.namespace)
    return tuple(each for each in every if each.spec.moment is not None and each.spec.moment.id == moment.id)


def _mates(obj: AnyObj, context: Context) -> str:
    """A moment comes when all are asked for."""
    lacking = obj.spec.moment.size - len(_moment(obj, context)) if obj.spec.moment is not None else 0
    return f"{lacking} more of its moment are still to be asked for" if lacking > 0 else ""


def _captured(obj: AnyObj, context: Context) -> tuple[Condition, ...]:
    """Said of a snapshot of a guest that runs, which the hypervisor copies."""
    volume = obj.spec.volume.name
    users = (
        each
        for each in context.cache.all(INSTANCE)
        if each.meta.namespace == obj.meta.namespace and volume in {disk.volume for disk in each.spec.disks}
    )
    runs = any(each.status.power == Power.RUNNING for each in users)
    return (Condition(Type.CAPTURED, "True", Reason.AS_SPECIFIED),) if runs else ()


def _path(obj: AnyObj) -> str:
    return f"/simulated/{obj.spec.pool}/{obj.spec.path}"


def _programmed(obj: AnyObj, settings: Settings, context: Context) -> HostSideStatus:
    return HostSideStatus(applied=digest(obj))


def _image(obj: AnyObj, context: Context) -> str:
    if not obj.spec.image_copy:
        return ""
    copy = context.cache.get(IMAGE_COPY, Key(*obj.spec.image_copy.split("/", 1)))
    there = copy is not None and holds(copy.status.conditions, Type.PROVISIONED)
    return "" if there else f"ImageCopy {obj.spec.image_copy} is being fetched"


RECIPES = (
    Recipe(DISK, Type.PROVISIONED, 0.011, _disk, _image),
    Recipe(IMAGE_COPY, Type.PROVISIONED, 0.5, _copy),
    Recipe(
        DISK_SNAPSHOT,
        Type.PROVISIONED,
        0.5,
        _snapshot,
        _mates,
        _captured,
        lambda obj, context: [each.key for each in _moment(obj, context)],
    ),
    Recipe(HOST_NETWORK, Type.PROGRAMMED, 0.03, _programmed),
    Recipe(PORT_BINDING, Type.PROGRAMMED, 0.01, _programmed),
    Recipe(ROUTER, Type.PROGRAMMED, 0.1, _programmed),
)


class Reports:
    """The storage and network parts of each simulated host's report."""

    name = "reports"
    kind = HOST_REPORT
    workers = 4
    voice = Voice(silent=lambda about: True)

    def __init__(self, context: Context, settings: Settings) -> None:
        self._context = context
        self._settings = settings
        self._numbers = {name: number for number, name in enumerate(settings.names)}

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A report concerns itself; a pool the report of its host."""
        return {
            HOST_REPORT: lambda report: (report.key,),
            STORAGE_POOL: lambda pool: (Key("", pool.spec.host_name),) if pool.spec.host_name in self._numbers else (),
        }

    async def observe(self, key: Key) -> tuple[HostReport, tuple[str, ...]] | None:
        """The host's pools."""
        report = self._context.cache.get(HOST_REPORT, key)
        if report is None or report.spec.host_name not in self._numbers:
            return None
        pools = self._context.cache.by(STORAGE_POOL, "pools-of", report.spec.host_name)
        return report, tuple(pool.meta.name for pool in pools)

    def plan(self, wanted: HostReport, seen: tuple[str, ...]) -> tuple[Sequence[None], Outcome]:
        """There is nothing to do but to report."""
        return (), Done()

    async def act(self, action: None) -> None:
        """Nothing is ever done for a report."""

    def report(self, wanted: HostReport, seen: tuple[str, ...], outcome: Outcome) -> Sequence[Report]:
        """Each part for its own field manager; written only when it is news."""
        size, number = self._settings.pool, self._numbers[wanted.spec.host_name]
        every = tuple(FormatReport(each, frozenset(Ability)) for each in DiskFormat)
        pools = (PoolReport(name, online=True, capacity=size, free=size, formats=every) for name in seen)
        storage = StorageReport(tuple(pools))
        network = NetworkReport(f"100.64.{number // 250}.{number % 250 + 1}")
        # One at a time: each apply is guarded by the version of the report that was seen.
        for name, part in (("storage", storage), ("network", network)):
            if getattr(wanted.status, name) != part:
                fields = {name: to_wire(part)}
                return (Report(wanted, fields, verdict="", part=name, observed_generation=False),)
        return ()
