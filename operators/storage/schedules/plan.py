"""Decides which snapshots a SnapshotSchedule takes now, and which of those that it took have had their time.

Each rule sees to its newest moment only. What is made is named by the moment, so that it is never made twice; moments
that nobody could see to are counted, so that none is missed silently.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from operators.contract.reasons import Reason
from operators.kernel.outcome import Blocked, Done, Outcome, Rejected
from operators.storage.schedules.model import Action, Expire, ScheduleObj, Seen, Take, Taken
from operators.storage.schedules.moments import Rule, rules


@dataclass(frozen=True, slots=True)
class Step:
    """How one rule stands."""

    rule: Rule
    last: datetime | None
    """The newest moment that was seen to."""
    due: datetime | None
    """The one to be seen to now."""
    missed: int
    """Those between the two."""


def plan(schedule: ScheduleObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """The next actions for one SnapshotSchedule, and how it stands once they are done."""
    if schedule.meta.deleting:
        return (), Done(Reason.RELEASED)
    if seen.zone is None:
        message = f"there is no time zone {schedule.spec.time_zone}; name one such as Europe/Zurich"
        return (), Rejected(Reason.INVALID, message)
    if schedule.spec.suspend:
        message = "none are taken until spec.suspend is false"
        return (), Done(Reason.SUSPENDED, message, _until_next(schedule, seen, seen.zone))
    expire = [Expire(each.snapshot) for each in _expired(schedule, seen)]
    if not seen.volume:
        message = f"there is no Volume {schedule.spec.volume}; its snapshots stay until they are deleted"
        return expire, Blocked(Reason.VOLUME_NOT_FOUND, message)
    take, waiting = [], ""
    for step in steps(schedule, seen, seen.zone):
        if step.due is None:
            continue
        pending = next((each for each in _of(seen, step.rule) if not each.ready), None)
        if pending is None or pending.moment == step.due:
            take.append(Take(schedule, step.rule.name, step.due))
        else:
            waiting = f"VolumeSnapshot {pending.snapshot.meta.name} is not there yet: {pending.why}"
    if waiting:
        return (*expire, *take), Blocked(Reason.RETRYING, waiting)
    return (*expire, *take), _well(schedule, seen, seen.zone)


def _well(schedule: ScheduleObj, seen: Seen, zone: tzinfo) -> Done:
    after = _until_next(schedule, seen, zone)
    if missed := missed_by_now(schedule, seen, zone):
        message = f"{missed} moments passed while nobody could take a snapshot; the newest is always made up for"
        return Done(Reason.SNAPSHOTS_MISSED, message, after)
    return Done(after=after)


def _until_next(schedule: ScheduleObj, seen: Seen, zone: tzinfo) -> float:
    return max(1.0, (next_at(schedule, seen.now, zone) - seen.now).total_seconds())


def next_at(schedule: ScheduleObj, now: datetime, zone: tzinfo) -> datetime:
    """When the next snapshot is due."""
    return min(rule.following(now, zone) for rule in rules(schedule.spec))


def missed_by_now(schedule: ScheduleObj, seen: Seen, zone: tzinfo) -> int:
    """All moments that were missed so far; while it is suspended there are none to miss."""
    if schedule.spec.suspend:
        return schedule.status.missed
    return schedule.status.missed + sum(step.missed for step in steps(schedule, seen, zone))


def steps(schedule: ScheduleObj, seen: Seen, zone: tzinfo) -> Iterator[Step]:
    """How each rule stands. A moment from before the schedule was made is not due."""
    status = schedule.status
    said = {"hourly": status.last_hourly, "daily": status.last_daily, "weekly": status.last_weekly}
    for rule in rules(schedule.spec):
        last = datetime.fromisoformat(said[rule.name].replace("Z", "+00:00")) if said[rule.name] else None
        due = rule.due(seen.now, zone)
        if due <= (last or seen.created):
            yield Step(rule, last, None, 0)
        else:
            yield Step(rule, last, due, rule.between(last, due) if last is not None else 0)


def _expired(schedule: ScheduleObj, seen: Seen) -> Iterator[Taken]:
    """Those older than as many newer, whole ones as are to be kept."""
    for rule in rules(schedule.spec):
        whole = 0
        for each in _of(seen, rule):
            if whole >= rule.keep and not each.snapshot.meta.deleting:
                yield each
            whole += each.ready and not each.snapshot.meta.deleting


def _of(seen: Seen, rule: Rule) -> list[Taken]:
    """What the rule has taken, the newest first."""
    mine = (each for each in seen.taken if each.rule == rule.name)
    return sorted(mine, key=lambda each: each.moment, reverse=True)


def label(moment: datetime) -> str:
    """A moment as names hold it."""
    return moment.astimezone(UTC).strftime("%Y%m%dt%H%M%Sz")
