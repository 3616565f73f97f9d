"""The controller of SnapshotSchedules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.meta import Key, Kind, condition
from operators.contract.reasons import Type
from operators.contract.snapshots import SNAPSHOT_SCHEDULE, VOLUME_SNAPSHOT, SnapshotScheduleStatus, VolumeSnapshotSpec
from operators.contract.storage import VOLUME
from operators.kernel import Done, Outcome, Report
from operators.kernel.clock import parse_stamp, stamp
from operators.kernel.manager import Context
from operators.kernel.report import Voice
from operators.kernel.store import AlreadyExists
from operators.storage.schedules.model import Action, Expire, ScheduleObj, Seen, Take, Taken
from operators.storage.schedules.plan import label, missed_by_now, next_at, plan, steps
from operators.storage.snapshots.model import SnapshotObj

BY_SCHEDULE = "schedule"
"""Index of VolumeSnapshots: the uid of the SnapshotSchedule that took it."""
BY_VOLUME = "schedule-volume"
"""Index of SnapshotSchedules: `namespace/volume`."""


class Schedules:
    """Takes VolumeSnapshots at their time, and has those removed that have had theirs."""

    name = "schedules"
    kind = SNAPSHOT_SCHEDULE
    workers = 2
    voice = Voice()

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._cache = context.cache
        self._clock = context.clock
        self._cache.index(VOLUME_SNAPSHOT, BY_SCHEDULE, _schedule_of)
        self._cache.index(SNAPSHOT_SCHEDULE, BY_VOLUME, lambda each: (f"{each.meta.namespace}/{each.spec.volume}",))

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """Its own snapshots, and the Volume's coming and going."""
        return {
            SNAPSHOT_SCHEDULE: lambda schedule: (schedule.key,),
            VOLUME_SNAPSHOT: self._of_snapshot,
            VOLUME: lambda volume: (each.key for each in self._cache.by(SNAPSHOT_SCHEDULE, BY_VOLUME, str(volume.key))),
        }

    async def observe(self, key: Key) -> tuple[ScheduleObj, Seen] | None:
        """From the cache and the clock."""
        schedule = self._cache.get(SNAPSHOT_SCHEDULE, key)
        if schedule is None:
            return None
        volume = self._cache.get(VOLUME, Key(key.namespace, schedule.spec.volume))
        taken = (_taken(each) for each in self._cache.by(VOLUME_SNAPSHOT, BY_SCHEDULE, schedule.meta.uid))
        return schedule, Seen(
            now=self._clock.now(),
            zone=_zone(schedule.spec.time_zone),
            volume=volume is not None and not volume.meta.deleting,
            created=parse_stamp(schedule.meta.creation_timestamp),
            taken=tuple(each for each in taken if each is not None),
        )

    def plan(self, wanted: ScheduleObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """See `plan`."""
        return plan(wanted, seen)

    async def act(self, action: Action) -> None:
        """Make a VolumeSnapshot by the name of its moment, or delete one."""
        match action:
            case Take(schedule, rule, moment):
                key = Key(schedule.meta.namespace, names.scheduled_snapshot(schedule.meta.name, rule, label(moment)))
                spec = VolumeSnapshotSpec(schedule.spec.volume, schedule.spec.quiesce)
                labels = {names.LABEL_SCHEDULE: schedule.meta.uid, names.LABEL_SCHEDULE_RULE: rule}
                annotations = {names.ANNOTATION_SCHEDULED_FOR: stamp(moment)}
                body = VOLUME_SNAPSHOT.body(key, spec=to_wire(spec), labels=labels, annotations=annotations)
                try:
                    await self._store.create(VOLUME_SNAPSHOT, body)
                except AlreadyExists:
                    await self._store.get(VOLUME_SNAPSHOT, key)  # made by a run that could not say so
            case Expire(snapshot):
                await self._store.delete(VOLUME_SNAPSHOT, snapshot.key, uid=snapshot.meta.uid)

    def report(self, wanted: ScheduleObj, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """Which moments were seen to: only those of a run in which all went well."""
        if wanted.meta.deleting:
            return ()
        phase = "Active" if isinstance(outcome, Done) else "Failed"
        fields = replace(wanted.status, phase=phase, conditions=())
        if seen.zone is not None and isinstance(outcome, Done):
            fields = _advanced(wanted, seen, seen.zone, fields)
        if wanted.spec.suspend:
            fields = replace(fields, phase="Suspended", next_at="")
        return (Report(wanted, fields),)

    def _of_snapshot(self, snapshot: SnapshotObj) -> Iterator[Key]:
        for uid in _schedule_of(snapshot):
            for schedule in self._cache.all(SNAPSHOT_SCHEDULE):
                if schedule.meta.uid == uid:
                    yield schedule.key


def _advanced(
    schedule: ScheduleObj, seen: Seen, zone: tzinfo, before: SnapshotScheduleStatus
) -> SnapshotScheduleStatus:
    """The status once every moment up to now has been seen to."""
    due = {step.rule.name: stamp(step.due) for step in steps(schedule, seen, zone) if step.due is not None}
    return replace(
        before,
        last_hourly=due.get("hourly", before.last_hourly),
        last_daily=due.get("daily", before.last_daily),
        last_weekly=due.get("weekly", before.last_weekly),
        next_at=stamp(next_at(schedule, seen.now, zone)),
        missed=missed_by_now(schedule, seen, zone),
    )


def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _schedule_of(snapshot: SnapshotObj) -> tuple[str, ...]:
    uid = snapshot.meta.labels.get(names.LABEL_SCHEDULE)
    return (uid,) if uid else ()


def _taken(snapshot: SnapshotObj) -> Taken | None:
    """One of the schedule's; None when somebody took what says so away."""
    moment = snapshot.meta.annotations.get(names.ANNOTATION_SCHEDULED_FOR)
    rule = snapshot.meta.labels.get(names.LABEL_SCHEDULE_RULE)
    if not moment or not rule:
        return None
    try:
        at = parse_stamp(moment)
    except ValueError:
        return None
    ready = condition(snapshot.status.conditions, Type.READY)
    why = ready.message if ready is not None else "it was just asked for"
    return Taken(snapshot, rule, at, ready is not None and ready.true, why)
