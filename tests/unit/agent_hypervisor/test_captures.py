"""How the disks of a running guest are copied for DiskSnapshots, alone and several at one moment, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from agents.hypervisor.captures.model import Begin, Guest, Part, Seen
from agents.hypervisor.captures.plan import plan
from agents.hypervisor.driver import Backup
from operators.contract.meta import Obj
from operators.contract.snapshots import DISK_SNAPSHOT
from operators.kernel import Blocked, Retry

GUEST = Guest("uuid", "/pool/a", "web", active=True)
A, B = Part("uid-a", "/pool/a", "/pool/.uid-a."), Part("uid-b", "/pool/b", "/pool/.uid-b.")
OURS = Backup(("/pool/.uid-b.7.capture", "/pool/.uid-a.7.capture"))


def snapshot(
    name: str = "a", *, target: bool = True, captured: bool = False, deleting: bool = False, memory: str = ""
) -> Obj[Any, Any]:
    about = {"name": name, "namespace": "team", "uid": f"uid-{name}", "resourceVersion": "1"}
    spec = {
        "hostName": "h1",
        "pool": "local",
        "path": f"snapshots/{name}.qcow2",
        "snapshot": {"name": name, "uid": f"uid-{name}"},
        "volume": {"name": name, "uid": f"uid-volume-{name}"},
        "source": f"volumes/{name}.qcow2",
        "moment": {"id": "moment", "size": 2, "memory": memory},
    }
    conditions = [{"type": "Captured", "status": "True", "reason": "Captured"}] if captured else []
    status = {"target": f"/pool/.uid-{name}.", "conditions": conditions} if target else {}
    gone = {"deletionTimestamp": "2026-11-21T12:00:00Z"} if deleting else {}
    return DISK_SNAPSHOT.parse({"metadata": about | gone, "spec": spec, "status": status})


def seen(**more: Any) -> Seen:
    return Seen(**({"guest": GUEST, "thawed": True, "parts": (A, B)} | more))


@pytest.mark.parametrize(
    ("want", "there", "actions", "reason"),
    [
        (snapshot(), seen(), "Begin", "Capturing"),
        (snapshot("b"), seen(), "", "Capturing"),  # the first one begins it for both
        (snapshot(), seen(parts=(A,), lacking=1), "", "Capturing"),
        (snapshot(), seen(parts=(A,), lacking=1, passed=True), "", "MomentPassed"),
        (snapshot(), seen(parts=(A,), lacking=1, passed=True, known=True, failure=""), "", "Captured"),
        (snapshot(), seen(backup=OURS), "", "Capturing"),
        (snapshot("b"), seen(backup=OURS), "", "Capturing"),
        (snapshot(), seen(backup=Backup(("/pool/.other.1.capture",))), "", "Capturing"),
        (snapshot(), seen(known=True, failure=""), "", "Captured"),
        (snapshot(), seen(hold=3.0, held="no space"), "", "HypervisorError"),
        (snapshot(), seen(thawed=False), "Thaw Begin", "Capturing"),
        (snapshot(), Seen(), "", "Stopped"),
        (snapshot(), seen(trouble="no answer"), "", "HypervisorError"),
        (snapshot(deleting=True), seen(backup=OURS), "End", "AsSpecified"),
        (snapshot(captured=True), seen(), "", "AsSpecified"),
        (snapshot(target=False), seen(), "", "AsSpecified"),
    ],
)
def test_capture(want: Any, there: Seen, actions: str, reason: str) -> None:
    steps, outcome = plan(want, there)
    assert " ".join(type(each).__name__ for each in steps) == actions
    assert outcome.reason == reason, outcome


KEEPS = Part("uid-a", "/pool/a", "/pool/.uid-a.", memory=True)
STILL = Guest("uuid", "/pool/a", "web", active=True, stands=True)
ENDED = Guest("uuid", "/pool/a", "web", active=False)


@pytest.mark.parametrize(
    ("name", "there", "actions", "reason"),
    [
        ("a", {}, "Still", "Capturing"),  # first it stands still
        ("a", {"guest": STILL}, "Begin", "Capturing"),
        ("b", {"guest": STILL}, "", "Capturing"),
        ("a", {"guest": STILL, "backup": OURS, "stood": True}, "Still", "Capturing"),
        ("a", {"backup": OURS}, "End", "Capturing"),  # it has gone on meanwhile, or an earlier process began it
        ("a", {"guest": STILL, "known": True, "failure": "", "stood": True}, "SaveMemory", "Capturing"),
        ("b", {"guest": STILL, "known": True, "failure": "", "stood": True}, "Still", "Capturing"),
        ("a", {"known": True, "failure": ""}, "Still", "Capturing"),  # of another moment: all anew
        ("a", {"remembered": True}, "", "Captured"),
        ("b", {"remembered": True}, "", "Captured"),
        ("a", {"guest": ENDED, "remembered": True}, "", "Captured"),  # whatever has become of the guest
        ("a", {"guest": ENDED}, "", "Stopped"),
        ("a", {"guest": STILL, "known": True, "failure": "", "passed": True}, "", "MomentPassed"),
    ],
)
def test_memory(name: str, there: dict[str, Any], actions: str, reason: str) -> None:
    steps, outcome = plan(snapshot(name, memory="a"), seen(parts=(KEEPS, B), **there))
    assert " ".join(type(each).__name__ for each in steps) == actions
    assert outcome.reason == reason, outcome


def test_one_job_copies_all_each_into_a_file_of_this_attempt() -> None:
    (begin,), _ = plan(snapshot(), seen(token=7))
    assert isinstance(begin, Begin)
    assert {part.disk: begin.file(part) for part in begin.parts} == {
        "/pool/a": "/pool/.uid-a.7.capture",
        "/pool/b": "/pool/.uid-b.7.capture",
    }


def test_a_guest_that_is_started_anew_meanwhile_is_found_without_anybody_saying_so() -> None:
    """It crashed as it was asked for, and runs again before the storage agent looks: found by seed 53."""
    assert isinstance(plan(snapshot(), Seen())[1], Retry)
    assert isinstance(plan(snapshot(captured=True), Seen())[1], Blocked)
