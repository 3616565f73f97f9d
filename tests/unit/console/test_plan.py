"""When a token may be used, and when a Console has had its time: as tables."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from operators.console.model import Remove, Seen
from operators.console.plan import AT_MOST, matches, plan, refusal
from operators.contract.consoles import CONSOLE, CONSOLE_CHANNEL
from operators.kernel.outcome import Done

BORN = datetime(2026, 11, 21, 12, tzinfo=UTC)
SPEC = {"virtualMachine": "web", "tokenSha256": hashlib.sha256(b"token").hexdigest()}
CHANNEL = {
    "hostName": "node1",
    "console": {"name": "c", "uid": "u"},
    "virtualMachine": {"name": "web", "uid": "v"},
    "type": "Serial",
    "address": "10.0.0.1:8443",
    "certificateSha256": "0" * 64,
}


def at(seconds: float) -> datetime:
    return BORN + timedelta(seconds=seconds)


def console(**fields: Any) -> Any:
    meta = {"name": "c", "namespace": "team-a", "uid": "u"} | fields.pop("metadata", {})
    return CONSOLE.parse({"metadata": meta, "spec": SPEC, "status": fields})


def channel(status: str = "", reason: str = "") -> Any:
    said = [{"type": "Connected", "status": status, "reason": reason}] if status else []
    return CONSOLE_CHANNEL.parse({"metadata": {"name": "c-1"}, "spec": CHANNEL, "status": {"conditions": said}})


@pytest.mark.parametrize(("token", "good"), [("token", True), ("Token", False), ("", False), ("\udcff", False)])
def test_matches(token: str, good: bool) -> None:
    assert matches(console(), token) is good


@pytest.mark.parametrize(
    ("of", "now", "why"),
    [
        (console(), 0, ""),
        (console(), 60, ""),
        (console(), 61, "older than 60 seconds"),
        (console(claimedAt="2026-11-21T12:00:01Z"), 2, "used already"),
        (console(metadata={"deletionTimestamp": "2026-11-21T12:00:01Z"}), 2, "was closed"),
    ],
)
def test_refusal(of: Any, now: float, why: str) -> None:
    said = refusal(of, Seen(at(now), BORN))
    assert why in said and bool(why) == bool(said)


FOR_GOOD = AT_MOST.total_seconds()


@pytest.mark.parametrize(
    ("seen", "ends"),
    [
        # never used
        ({}, 75),
        # used, and the replica died before it made the channel
        ({"claimed": at(10)}, 85),
        # used, and the agent has not said a word, or is at it
        ({"claimed": at(10), "channel": channel()}, 85),
        ({"claimed": at(10), "channel": channel("False", "Connecting")}, 85),
        # over
        ({"claimed": at(10), "channel": channel("False", "Closed")}, 25),
        ({"claimed": at(10), "channel": channel("False", "HypervisorError")}, 25),
        # open
        ({"claimed": at(10), "channel": channel("True", "Connected")}, 10 + FOR_GOOD + 15),
    ],
)
def test_its_time(seen: dict[str, Any], ends: float) -> None:
    of = console()
    assert plan(of, Seen(now=at(5), created=BORN, **seen)) == ((), Done(after=ends - 5))
    assert plan(of, Seen(now=at(ends - 0.5), created=BORN, **seen)) == ((), Done(after=0.5))
    assert plan(of, Seen(now=at(ends), created=BORN, **seen)) == ((Remove(of),), Done())
    assert plan(of, Seen(now=at(ends), created=BORN, here=True, **seen)) == ((), Done())


def test_what_is_being_deleted_is_let_be() -> None:
    of = console(metadata={"deletionTimestamp": "2026-11-21T12:00:01Z"})
    assert plan(of, Seen(now=at(9999), created=BORN)) == ((), Done())
