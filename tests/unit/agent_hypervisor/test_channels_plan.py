"""How one ConsoleChannel is connected, as a table: once, and never again."""

from __future__ import annotations

from typing import Any

import pytest

from agents.hypervisor.channels.model import Connect, Ended, HangUp, Prepare, Seen, Wanted
from agents.hypervisor.channels.plan import plan
from operators.contract.consoles import CONSOLE_CHANNEL
from operators.contract.meta import Key
from operators.kernel.outcome import Blocked, Done

KEY = Key("team-a", "c-1")
SPEC = {
    "hostName": "node1",
    "console": {"name": "c", "uid": "u"},
    "virtualMachine": {"name": "web", "uid": "v"},
    "type": "Serial",
    "address": "10.0.0.1:8443",
    "certificateSha256": "0" * 64,
}
HELD = {"held": "ch", "nonce_sha256": "hash"}


def channel(nonce: str = "", reason: str = "", **metadata: str) -> Any:
    said = [{"type": "Connected", "status": "False", "reason": reason, "message": "as it was"}] if reason else []
    meta = {"name": KEY.name, "namespace": KEY.namespace, "uid": "ch"} | metadata
    return CONSOLE_CHANNEL.parse({"metadata": meta, "spec": SPEC, "status": {"nonceSha256": nonce, "conditions": said}})


GOING = channel(deletionTimestamp="2026-11-21T12:00:00Z")


@pytest.mark.parametrize(
    ("of", "seen", "actions", "reason"),
    [
        (channel(), Seen(runs=True), [Prepare], "Connecting"),
        (channel(), Seen(runs=False), [], "Stopped"),
        (channel("hash"), Seen(runs=True), [], "Closed"),  # an earlier process dialled
        (channel("hash", "NetworkError"), Seen(runs=True), [], "NetworkError"),  # and said how it ended
        (channel("", "Stopped"), Seen(runs=True), [], "Stopped"),  # it came too late
        (channel("hash", "Connecting"), Seen(runs=True), [], "Closed"),
        (channel(), Seen(runs=True, **HELD), [], "Connecting"),  # not before the status says it
        (channel("other"), Seen(runs=True, **HELD), [], "Connecting"),
        (channel("hash"), Seen(runs=True, **HELD), [Connect], "Connecting"),
        (channel("hash"), Seen(runs=False, **HELD), [], "Stopped"),
        (channel("hash"), Seen(runs=True, dialled=True, **HELD), [], "Connecting"),
        (channel("hash"), Seen(runs=True, dialled=True, connected=True, **HELD), [], "Connected"),
        (channel("hash"), Seen(runs=True, dialled=True, ended=Ended("Closed", "x"), **HELD), [], "Closed"),
        (channel(uid="another"), Seen(runs=True, **HELD), [HangUp, Prepare], "Connecting"),
        (GOING, Seen(**HELD), [HangUp], "Closed"),
        (GOING, Seen(), [], "Closed"),
        (None, Seen(**HELD), [HangUp], "Closed"),
    ],
)
def test_next_step(of: Any, seen: Seen, actions: list[type], reason: str) -> None:
    chosen, outcome = plan(Wanted(KEY, of), seen)
    assert [type(action) for action in chosen] == actions
    assert outcome.reason == reason
    assert isinstance(outcome, Done) == (reason == "Connected")
    assert isinstance(outcome, Done | Blocked), "whatever comes next wakes it"
