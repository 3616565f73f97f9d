"""The moments of a rule: pure arithmetic of clocks and calendars, in the schedule's time zone.

A moment that a change of the clocks skips is the same distance after the one before; one that comes twice counts once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from operators.contract.snapshots import Daily, Hourly, SnapshotScheduleSpec, Weekday, Weekly

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a schedule."""

    name: str
    """`hourly`, `daily` or `weekly`."""
    when: Hourly | Daily | Weekly
    period: timedelta

    @property
    def keep(self) -> int:
        """How many snapshots are kept."""
        return self.when.keep

    def due(self, now: datetime, zone: tzinfo) -> datetime:
        """The newest moment that is not after `now`, in UTC."""
        return max(each for each in self._around(now, zone) if each <= now)

    def following(self, now: datetime, zone: tzinfo) -> datetime:
        """The first moment after `now`, in UTC."""
        return min(each for each in self._around(now, zone) if each > now)

    def between(self, last: datetime, due: datetime) -> int:
        """How many moments lie between two of them."""
        return max(0, round((due - last) / self.period) - 1)

    def _around(self, now: datetime, zone: tzinfo) -> Iterator[datetime]:
        """Moments before and after `now`, at least one of each."""
        if isinstance(self.when, Hourly):
            whole = now.replace(second=0, microsecond=0)
            local = whole.astimezone(zone).minute
            newest = whole - timedelta(minutes=(local - self.when.minute) % 60)
            yield from (newest - HOUR, newest, newest + HOUR)
            return
        today = now.astimezone(zone).date()
        reach = 8 if isinstance(self.when, Weekly) else 2
        for days in range(-reach, reach + 1):
            day = today + timedelta(days=days)
            if not isinstance(self.when, Weekly) or _weekday(day) is self.when.day:
                yield datetime.combine(day, time.fromisoformat(self.when.at), zone).astimezone(UTC)


def rules(spec: SnapshotScheduleSpec) -> Iterator[Rule]:
    """The rules of a schedule."""
    if spec.hourly is not None:
        yield Rule("hourly", spec.hourly, HOUR)
    if spec.daily is not None:
        yield Rule("daily", spec.daily, DAY)
    if spec.weekly is not None:
        yield Rule("weekly", spec.weekly, WEEK)


def _weekday(day: date) -> Weekday:
    return tuple(Weekday)[day.weekday()]
