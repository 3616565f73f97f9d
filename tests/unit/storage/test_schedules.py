"""Schedules: moments across time zones and changes of the clocks; each seen to once, none missed silently."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.contract.meta import Obj
from operators.contract.snapshots import SNAPSHOT_SCHEDULE, VOLUME_SNAPSHOT
from operators.kernel.outcome import Blocked, Done, Rejected
from operators.storage.schedules.model import Expire, Seen, Take, Taken
from operators.storage.schedules.moments import rules
from operators.storage.schedules.plan import missed_by_now, next_at, plan
from tests.unit.storage.objects import meta

ZONES = ("UTC", "Europe/Zurich", "Asia/Kolkata", "America/St_Johns", "Pacific/Auckland", "Australia/Lord_Howe")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def schedule(suspend: bool = False, zone: str = "UTC", status: dict[str, Any] | None = None, **spec: Any) -> Any:
    said = {"volume": "data", "timeZone": zone, "suspend": suspend} | (spec or {"hourly": {"minute": 0, "keep": 2}})
    return SNAPSHOT_SCHEDULE.parse({"metadata": meta("sched"), "spec": said, "status": status or {}})


def taken(moment: str, *, ready: bool = True, rule: str = "hourly", deleting: bool = False) -> Taken:
    body = {"metadata": meta(f"s-{moment}", deleting=deleting), "spec": {"volume": "data"}}
    made: Obj[Any, Any] = VOLUME_SNAPSHOT.parse(body)
    return Taken(made, rule, at(moment), ready, "said")


def seen(now: str, *was: Taken, created: str = "2026-11-20T10:10", volume: bool = True, zone: str = "UTC") -> Seen:
    return Seen(at(now), ZoneInfo(zone), volume, at(created), was)


@pytest.mark.parametrize(
    ("spec", "zone", "now", "due", "following"),
    [
        ({"hourly": {"minute": 5}}, "UTC", "2026-11-21T15:05", "2026-11-21T15:05", "2026-11-21T16:05"),
        ({"hourly": {"minute": 5}}, "UTC", "2026-11-21T15:04", "2026-11-21T14:05", "2026-11-21T15:05"),
        ({"hourly": {"minute": 0}}, "Asia/Kolkata", "2026-11-21T15:04", "2026-11-21T14:30", "2026-11-21T15:30"),
        ({"daily": {"at": "02:00"}}, "UTC", "2026-11-21T01:59", "2026-11-20T02:00", "2026-11-21T02:00"),
        ({"daily": {"at": "02:00"}}, "Europe/Zurich", "2026-07-01T12:00", "2026-07-01T00:00", "2026-07-02T00:00"),
        ({"daily": {"at": "23:30"}}, "Pacific/Auckland", "2026-11-21T15:00", "2026-11-21T10:30", "2026-11-22T10:30"),
        # The night in which the clocks skip from 2 to 3, and that in which they show 2 to 3 twice.
        ({"daily": {"at": "02:30"}}, "Europe/Zurich", "2026-03-29T12:00", "2026-03-29T01:30", "2026-03-30T00:30"),
        ({"daily": {"at": "02:30"}}, "Europe/Zurich", "2026-10-25T12:00", "2026-10-25T00:30", "2026-10-26T01:30"),
        (
            {"weekly": {"day": "Sunday", "at": "03:00"}},
            "UTC",
            "2026-11-21T15:00",
            "2026-11-15T03:00",
            "2026-11-22T03:00",
        ),
        (
            {"weekly": {"day": "Saturday", "at": "15:00"}},
            "UTC",
            "2026-11-21T15:00",
            "2026-11-21T15:00",
            "2026-11-28T15:00",
        ),
    ],
)
def test_moments(spec: dict[str, Any], zone: str, now: str, due: str, following: str) -> None:
    (rule,) = rules(schedule(**spec).spec)
    assert rule.due(at(now), ZoneInfo(zone)) == at(due)
    assert rule.following(at(now), ZoneInfo(zone)) == at(following)


SPECS = st.sampled_from(
    [
        {"hourly": {"minute": 0}},
        {"hourly": {"minute": 47}},
        {"daily": {"at": "02:30"}},
        {"daily": {"at": "00:00"}},
        {"weekly": {"day": "Sunday", "at": "02:15"}},
        {"weekly": {"day": "Wednesday", "at": "23:59"}},
    ]
)
TIMES = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


@given(spec=SPECS, zone=st.sampled_from(ZONES), now=TIMES)
def test_every_time_lies_between_two_moments(spec: dict[str, Any], zone: str, now: datetime) -> None:
    (rule,) = rules(schedule(**spec).spec)
    due, following = rule.due(now, ZoneInfo(zone)), rule.following(now, ZoneInfo(zone))
    assert due <= now < following
    assert following - due <= rule.period + timedelta(hours=1)
    assert rule.due(following, ZoneInfo(zone)) == following, "the next one comes in its turn"
    assert rule.between(due, following) == 0


@pytest.mark.parametrize(
    ("want", "there", "actions", "outcome", "reason", "missed"),
    [
        # Nothing is due that lies before the schedule was made.
        (schedule(), seen("2026-11-20T10:59"), "", Done, "AsSpecified", 0),
        (schedule(), seen("2026-11-20T11:00"), "Take", Done, "AsSpecified", 0),
        (schedule(status={"lastHourly": "2026-11-20T11:00:00Z"}), seen("2026-11-20T11:30"), "", Done, "AsSpecified", 0),
        # Killed between taking and saying so: made once more by the same name, which is none.
        (schedule(), seen("2026-11-20T11:01", taken("2026-11-20T11:00", ready=False)), "Take", Done, "AsSpecified", 0),
        # Nobody was there for four hours.
        (
            schedule(status={"lastHourly": "2026-11-20T11:00:00Z"}),
            seen("2026-11-20T16:10"),
            "Take",
            Done,
            "SnapshotsMissed",
            4,
        ),
        (
            schedule(status={"lastHourly": "2026-11-20T16:00:00Z", "missed": 4}),
            seen("2026-11-20T16:20"),
            "",
            Done,
            "SnapshotsMissed",
            4,
        ),
        # The one before is not there yet.
        (
            schedule(status={"lastHourly": "2026-11-20T11:00:00Z"}),
            seen("2026-11-20T12:00", taken("2026-11-20T11:00", ready=False)),
            "",
            Blocked,
            "Retrying",
            0,
        ),
        # More than are kept; one that is not whole does not count, nor does one that goes already.
        (
            schedule(status={"lastHourly": "2026-11-20T15:00:00Z"}),
            seen(
                "2026-11-20T15:30",
                taken("2026-11-20T15:00", ready=False),
                taken("2026-11-20T14:00"),
                taken("2026-11-20T13:00"),
                taken("2026-11-20T12:00"),
                taken("2026-11-20T11:00", ready=False),
            ),
            "Expire Expire",
            Done,
            "AsSpecified",
            0,
        ),
        (
            schedule(status={"lastHourly": "2026-11-20T15:00:00Z"}),
            seen(
                "2026-11-20T15:30",
                taken("2026-11-20T15:00", deleting=True),
                taken("2026-11-20T14:00"),
                taken("2026-11-20T13:00"),
            ),
            "",
            Done,
            "AsSpecified",
            0,
        ),
        (schedule(), seen("2026-11-20T12:00", volume=False), "", Blocked, "VolumeNotFound", 0),
        (schedule(suspend=True), seen("2026-11-20T12:00"), "", Done, "Suspended", 0),
        (
            schedule(suspend=True, status={"lastHourly": "2026-11-20T11:00:00Z", "missed": 1}),
            seen("2026-11-20T16:00"),
            "",
            Done,
            "Suspended",
            1,
        ),
    ],
)
def test_schedule(want: Any, there: Seen, actions: str, outcome: type, reason: str, missed: int) -> None:
    did, said = plan(want, there)
    assert " ".join(type(action).__name__ for action in did) == actions
    assert (type(said), said.reason) == (outcome, reason)
    assert missed_by_now(want, there, ZoneInfo("UTC")) == missed
    if isinstance(said, Done):
        assert said.after == (next_at(want, there.now, ZoneInfo("UTC")) - there.now).total_seconds()


def test_unknown_time_zone() -> None:
    _, said = plan(schedule(zone="Mars/Olympus"), Seen(at("2026-11-21T12:00"), None, True, at("2026-11-21T11:00")))
    assert isinstance(said, Rejected) and "Mars/Olympus" in said.message


def test_newest_are_kept() -> None:
    was = [taken(f"2026-11-20T{hour}:00") for hour in (11, 12, 13, 14)]
    did, _ = plan(schedule(status={"lastHourly": "2026-11-20T14:00:00Z"}), seen("2026-11-20T14:30", *was))
    gone = {each.snapshot.meta.name for each in did if isinstance(each, Expire)}
    assert gone == {"s-2026-11-20T11:00", "s-2026-11-20T12:00"}
    assert not [each for each in did if isinstance(each, Take)]
