"""A SnapshotSchedule as CloudStack's `snapshotpolicy`, of which it may be several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from operators.api.call import Call
from operators.api.cloud import Schedule, name_of
from operators.api.tags import TagResponse, tag_responses
from operators.api.wire import Short
from operators.contract.snapshots import Daily, Hourly, SnapshotScheduleSpec, Weekday, Weekly
from operators.contract.storage import VOLUME

RULES = ("HOURLY", "DAILY", "WEEKLY")
"""In the order of CloudStack's numbers, from 0."""
DAYS = (Weekday.SUNDAY, *(day for day in Weekday if day is not Weekday.SUNDAY))
"""As CloudStack counts them, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotPolicyResponse:
    """When snapshots of a volume are taken."""

    id: str
    volumeid: str | None
    volumename: str
    intervaltype: Short
    schedule: str
    timezone: str
    maxsnaps: int
    fordisplay: bool = True
    storage: tuple[str, ...] = ()
    zone: tuple[str, ...] = ()
    tags: tuple[TagResponse, ...] = ()


def rule_of(spec: SnapshotScheduleSpec) -> str:
    """The interval of a schedule that has one rule alone; empty for others."""
    given = [name for name, rule in zip(RULES, (spec.hourly, spec.daily, spec.weekly), strict=True) if rule is not None]
    return given[0] if len(given) == 1 else ""


def policies(call: Call, obj: Schedule) -> list[SnapshotPolicyResponse]:
    """One response for each rule of a schedule."""
    spec = obj.spec
    volume = call.cloud.named(VOLUME, spec.volume, obj.meta.namespace)
    rules: Sequence[Hourly | Daily | Weekly | None] = (spec.hourly, spec.daily, spec.weekly)
    return [
        SnapshotPolicyResponse(
            id=obj.meta.uid,
            volumeid=volume.meta.uid if volume else None,
            volumename=name_of(volume) if volume else spec.volume,
            intervaltype=Short(number),
            schedule=_schedule(rule),
            timezone=spec.time_zone,
            maxsnaps=rule.keep,
            tags=tag_responses(obj.meta),
        )
        for number, rule in enumerate(rules)
        if rule is not None
    ]


def _schedule(rule: Hourly | Daily | Weekly) -> str:
    """As CloudStack writes it: minutes first."""
    if isinstance(rule, Hourly):
        return str(rule.minute)
    hour, _, minute = rule.at.partition(":")
    return f"{minute}:{hour}" + (f":{DAYS.index(rule.day) + 1}" if isinstance(rule, Weekly) else "")
