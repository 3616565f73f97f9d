"""What is decided for VirtualMachineSnapshots, as tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from operators.compute.snapshots import tree
from operators.compute.snapshots.model import Seen
from operators.compute.snapshots.plan import ATTEMPTS, FINALIZER, decide
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Obj
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import VOLUME
from operators.contract.vmsnapshots import VIRTUAL_MACHINE_SNAPSHOT
from operators.kernel.outcome import Blocked, Done, Rejected

NOW = "2026-11-21T12:00:00Z"
PARTS = [
    {"volume": name, "volumeUid": f"uid-{name}", "volumeSnapshot": f"snap-{name}"} for name in ("web-root", "data")
]
BEGUN: dict[str, Any] = {"virtualMachineUid": "uid-web", "parts": PARTS, "attempt": 1, "guestStartedAt": "t1"}
TAKEN: dict[str, Any] = BEGUN | {"takenAt": NOW, "currentSince": NOW, "current": True}


def meta(name: str, *, deleting: bool = False, **more: Any) -> dict[str, Any]:
    out = {"name": name, "namespace": "team", "uid": f"uid-{name}", "resourceVersion": "1", "generation": 1}
    return out | ({"deletionTimestamp": NOW} if deleting else {}) | more


def snapshot(name: str = "snap", *, deleting: bool = False, spec: Any = None, **status: Any) -> Obj[Any, Any]:
    about = meta(name, deleting=deleting, finalizers=[FINALIZER], creationTimestamp=f"{NOW}{name}")
    said = {"virtualMachine": "web"} | (spec or {})
    return VIRTUAL_MACHINE_SNAPSHOT.parse({"metadata": about, "spec": said, "status": status})


def vm(*, policy: str = "Running", **more: Any) -> Obj[Any, Any]:
    spec = {"offering": "tiny", "image": "tiny", "volumes": ["data"], "runPolicy": policy}
    return VIRTUAL_MACHINE.parse({"metadata": meta("web", **more), "spec": spec})


def instance(
    *,
    asked: str = "Running",
    power: str = "Running",
    disks: Any = ("web-root", "data"),
    turn: str = "",
    start: int = 0,
    started: int = 0,
    heard: int = 1,
    **more: Any,
) -> Obj[Any, Any]:
    spec = {
        "hostName": "a",
        "virtualMachine": {"name": "web", "uid": "uid-web"},
        "domain": "web",
        "cpus": 1,
        "memory": "128Mi",
        "power": asked,
        "startRequest": start,
    } | more
    listed = [{"volume": each, "device": "vda", "size": "1Gi"} for each in disks]
    status = {"power": power, "startedAt": "t1", "disks": listed, "startObserved": started}
    status |= {"observedGeneration": heard}
    marked = {"compute.cloudstack.dev/snapshot": turn} if turn else {}
    return INSTANCE.parse({"metadata": meta("web-a", annotations=marked), "spec": spec, "status": status})


def volume(name: str, *, pool: str = "local-a", move_to: str = "", attached: str = "") -> Obj[Any, Any]:
    status = {"disk": f"{name}-d0", "pool": pool, "moveTo": move_to, "attachedTo": attached}
    return VOLUME.parse({"metadata": meta(name), "spec": {"size": "1Gi"}, "status": status})


def part(of: str, *, taken: str = NOW, running: bool = True, reason: str = "", request: int = 0, **more: Any) -> Any:
    conditions = [{"type": "Ready", "status": str(not reason), "reason": reason or "AsSpecified", "message": "said"}]
    if more.get("stalled"):
        conditions.append({"type": "Stalled", "status": "True", "reason": reason})
    status = {
        "takenAt": taken,
        "running": running,
        "pool": "local-a",
        "conditions": conditions,
        "revertObserved": more.get("observed", 0),
        "memory": more.get("memory", False),
        "hostName": "a",
    }
    spec = {"volume": of, "revertRequest": request}
    about = meta(f"snap-{of}", deleting=more.get("deleting", False))
    return VOLUME_SNAPSHOT.parse({"metadata": about, "spec": spec, "status": status})


def made(*parts: Any) -> dict[str, Any]:
    return {each.meta.name: each for each in parts}


def there(**more: Any) -> Seen:
    volumes = {name: volume(name) for name in ("web-root", "data")}
    seen = {"vm": vm(), "instance": instance(), "wanted": ("web-root", "data"), "volumes": volumes, "now": NOW}
    return Seen(**(seen | more))


MINE, BACK, OTHERS = "take/uid-snap", "revert/uid-snap", "take/uid-early"
OFF: dict[str, Any] = {"vm": vm(policy="Stopped"), "instance": instance(asked="Stopped", power="Stopped")}
BOTH = made(part("web-root"), part("data"))
OURS: dict[str, Any] = OFF | {"instance": instance(asked="Stopped", power="Stopped", turn=BACK)}
WITH = made(part("web-root", memory=True), part("data"))
MEMORY: dict[str, Any] = {"spec": {"memory": True}}
STILL = made(part("web-root", running=False), part("data", running=False, taken="later"))


@pytest.mark.parametrize(
    ("want", "seen", "actions", "outcome", "reason"),
    [
        (snapshot(), Seen(), "", Blocked, "VirtualMachineNotFound"),
        (snapshot(virtualMachineUid="another"), there(), "", Rejected, "VirtualMachineNotFound"),
        (snapshot(), there(vm=vm(deleting=True)), "", Rejected, "VirtualMachineNotFound"),
        (snapshot(), there(), "TakeTurn", Blocked, "Progressing"),
        (snapshot(), there(instance=instance(turn=MINE)), "", Blocked, "Capturing"),
        (snapshot(), there(instance=instance(turn=BACK)), "TakeTurn", Blocked, "Progressing"),
        (snapshot(), there(instance=instance(turn=OTHERS)), "TakeTurn", Blocked, "Progressing"),
        (
            snapshot(),
            there(instance=instance(turn=OTHERS), others=(snapshot("early", **TAKEN),)),
            "",
            Blocked,
            "WaitingForSnapshot",
        ),
        (snapshot(), there(instance=instance(turn=MINE), moving=True), "EndTurn", Blocked, "WaitingForMigration"),
        (snapshot(), there(instance=None), "", Blocked, "Starting"),
        (snapshot(**MEMORY), there(instance=instance(turn=MINE)), "", Blocked, "Capturing"),
        (snapshot(**MEMORY), there(**OFF), "", Rejected, "Stopped"),
        (snapshot(**MEMORY), there(instance=instance(asked="Stopped", power="Stopped")), "", Blocked, "Starting"),
        (snapshot(**MEMORY, **BEGUN), there(made=made(part("web-root", taken="")), **OFF), "", Blocked, "Retrying"),
        (snapshot(**MEMORY, **BEGUN), there(made=BOTH), "", Blocked, "Retrying"),
        (snapshot(**MEMORY, **BEGUN), there(made=WITH), "", Done, "AsSpecified"),
        (snapshot(), there(moving=True), "", Blocked, "WaitingForMigration"),
        (snapshot(), there(volumes={}), "", Blocked, "WaitingForVolumes"),
        (snapshot(), there(volumes=made(volume("web-root", move_to="x"), volume("data"))), "", Blocked, "Moving"),
        (
            snapshot(),
            there(volumes=made(volume("web-root"), volume("data", attached="other"))),
            "",
            Blocked,
            "StillAttached",
        ),
        (snapshot(), there(instance=instance(asked="Stopped")), "", Blocked, "Stopping"),
        (snapshot(), there(instance=instance(power="Stopped")), "", Blocked, "Starting"),
        (snapshot(), there(instance=instance(disks=("web-root",))), "", Blocked, "Attaching"),
        (snapshot(), there(others=(snapshot("early", **BEGUN),)), "", Blocked, "WaitingForSnapshot"),
        (snapshot(), there(others=(snapshot("early", deleting=True, **BEGUN),)), "TakeTurn", Blocked, "Progressing"),
        (snapshot(), there(made=made(part("old"))), "Drop TakeTurn", Blocked, "Progressing"),
        (snapshot(**BEGUN), there(), "Take Take", Blocked, "Capturing"),
        (snapshot(**BEGUN), there(made=made(part("web-root", taken=""))), "Take", Blocked, "Capturing"),
        (snapshot(**BEGUN), there(made=BOTH), "", Done, "AsSpecified"),
        (snapshot(**BEGUN), there(made=BOTH | made(part("old"))), "Drop", Done, "AsSpecified"),
        (snapshot(**BEGUN), there(made=made(part("web-root"), part("data", taken="x"))), "", Blocked, "Retrying"),
        (snapshot(**BEGUN), there(made=made(part("web-root"), part("data", running=False))), "", Blocked, "Retrying"),
        (snapshot(**BEGUN), there(made=STILL, **OFF), "", Done, "AsSpecified"),
        (snapshot(**BEGUN), there(made=STILL, starting=True, **OFF), "", Blocked, "Retrying"),
        (snapshot(**BEGUN), there(made=STILL), "", Blocked, "Retrying"),
        (snapshot(**BEGUN | {"guestStartedAt": "t0"}), there(made=STILL, **OFF), "", Blocked, "Retrying"),
        (
            snapshot(**BEGUN),
            there(made=made(part("web-root"), part("data", taken="", reason="MomentPassed"))),
            "",
            Blocked,
            "Retrying",
        ),
        (
            snapshot(**BEGUN | {"attempt": ATTEMPTS}),
            there(made=made(part("web-root"), part("data", taken="x"))),
            "Drop Drop",
            Rejected,
            "Failed",
        ),
        (
            snapshot(**BEGUN),
            there(made=made(part("web-root"), part("data", taken="", reason="VolumeNotFound", stalled=True))),
            "",
            Rejected,
            "VolumeNotFound",
        ),
        (
            snapshot(**BEGUN),
            there(made=made(part("web-root", taken="", reason="GuestNotQuiesced"), part("data", taken=""))),
            "",
            Blocked,
            "GuestNotQuiesced",
        ),
        (snapshot(**TAKEN), there(made=BOTH), "", Done, "AsSpecified"),
        (snapshot(**TAKEN), there(made=BOTH, instance=instance(turn=MINE)), "EndTurn", Done, "AsSpecified"),
        (snapshot(**TAKEN), there(made=BOTH, instance=instance(turn=OTHERS)), "", Done, "AsSpecified"),
        (snapshot(**TAKEN), Seen(made=BOTH), "", Done, "AsSpecified"),
        (snapshot(**TAKEN), there(made=made(part("data"))), "", Blocked, "SnapshotNotFound"),
        (snapshot(deleting=True, **TAKEN), there(made=BOTH), "Drop Drop", Blocked, "Deleting"),
        (snapshot(deleting=True, **TAKEN), there(), "Unprotect", Done, "Released"),
        (snapshot(deleting=True, **TAKEN), there(instance=instance(turn=MINE)), "EndTurn", Blocked, "Deleting"),
        (
            snapshot(deleting=True, **TAKEN),
            there(others=(snapshot("child", **TAKEN | {"parent": "snap"}),)),
            "",
            Blocked,
            "Deleting",
        ),
    ],
)
def test_snapshot(want: Any, seen: Seen, actions: str, outcome: type, reason: str) -> None:
    decision = decide(want, seen)
    assert " ".join(type(each).__name__ for each in decision.actions) == actions
    assert (type(decision.outcome), decision.outcome.reason) == (outcome, reason), decision.outcome


ASKED: dict[str, Any] = {"spec": {"revertRequest": 1}}
ON_ITS_WAY: dict[str, Any] = TAKEN | {"reverting": 1, "parts": [each | {"revert": 1} for each in PARTS]}


@pytest.mark.parametrize(
    ("want", "seen", "actions", "reverting", "reason"),
    [
        (snapshot(**ASKED, **TAKEN), there(made=BOTH), "", 0, "StillAttached"),
        (snapshot(**ASKED, **TAKEN), there(made=BOTH, **OFF), "TakeTurn", 0, "Reverting"),
        (snapshot(**ASKED, **TAKEN), there(made=BOTH, **OURS), "", 1, "Reverting"),
        (snapshot(**ASKED, **TAKEN), there(made=BOTH, starting=True, **OFF), "", 0, "StillAttached"),
        (snapshot(**ASKED, **TAKEN), Seen(made=BOTH), "", 0, "VirtualMachineNotFound"),
        (snapshot(**ASKED, **TAKEN), there(made=made(part("data")), **OFF), "", 0, "SnapshotNotFound"),
        (snapshot(**ASKED, **TAKEN), there(made=BOTH, volumes={}, **OFF), "", 0, "VolumeNotFound"),
        (
            snapshot(**ASKED, **TAKEN),
            there(made=BOTH, volumes=made(volume("web-root"), volume("data", pool="x")), **OFF),
            "",
            0,
            "Unsupported",
        ),
        (
            snapshot(**ASKED, **TAKEN),
            there(made=BOTH, volumes=made(volume("web-root"), volume("data", attached="db")), **OFF),
            "",
            0,
            "StillAttached",
        ),
        (
            snapshot(**ASKED, **TAKEN),
            there(made=BOTH, others=(snapshot("other", **ON_ITS_WAY),), **OFF),
            "",
            0,
            "WaitingForSnapshot",
        ),
        (snapshot(**ASKED, **ON_ITS_WAY), there(made=BOTH, **OFF), "BringBack BringBack", 1, "Reverting"),
        (snapshot(**ASKED, **ON_ITS_WAY), there(made=BOTH, starting=True, **OFF), "", 1, "Reverting"),
        (
            snapshot(**ASKED, **ON_ITS_WAY),
            there(made=made(part("web-root", request=1, observed=1), part("data", request=1)), **OFF),
            "",
            1,
            "Reverting",
        ),
        (
            snapshot(**ASKED, **ON_ITS_WAY),
            there(
                made=made(part("web-root", request=1, observed=1), part("data", request=1, observed=1)),
                **OFF,
            ),
            "",
            1,
            "AsSpecified",
        ),
    ],
)
def test_way_back(want: Any, seen: Seen, actions: str, reverting: int, reason: str) -> None:
    decision = decide(want, seen)
    assert " ".join(type(each).__name__ for each in decision.actions) == actions
    assert decision.status.reverting == reverting
    assert decision.reverted is not None and decision.reverted.reason == reason, decision.reverted


KEPT: dict[str, Any] = {"spec": {"memory": True, "revertRequest": 1}}
NIC = [{"port": "web-0", "portBinding": "b"}]
GUEST: dict[str, Any] = {"guest": {"cpus": 1, "memory": "128Mi"}}
WAS: dict[str, Any] = TAKEN | GUEST
COMING: dict[str, Any] = ON_ITS_WAY | GUEST
ALL_BACK = made(part("web-root", request=1, observed=1, memory=True), part("data", request=1, observed=1))
NOT_HEARD = instance(asked="Stopped", power="Stopped", turn=BACK, start=4, heard=0)
"""A start may be on its way there, of which its host's last word knows nothing."""
CUT = instance(asked="Stopped", power="Stopped", turn=BACK, start=4)


@pytest.mark.parametrize(
    ("want", "seen", "actions", "status", "reason"),
    [
        (snapshot(**KEPT, **WAS), there(made=WITH), "TakeTurn", {"reverting": 0}, "Reverting"),
        (snapshot(**KEPT, **WAS), there(made=WITH, **OFF), "", {"reverting": 0}, "Stopped"),
        (snapshot(**KEPT, **WAS), there(made=WITH, instance=None), "", {"reverting": 0}, "Starting"),
        (snapshot(**KEPT, **WAS), there(made=WITH, moving=True), "", {"reverting": 0}, "WaitingForMigration"),
        (snapshot(**KEPT, **WAS), there(made=WITH, wanted=("web-root",)), "", {"reverting": 0}, "Unsupported"),
        (
            snapshot(**KEPT, **WAS),
            there(made=WITH, instance=instance(hostName="b")),
            "",
            {"reverting": 0},
            "Unsupported",
        ),
        (snapshot(**KEPT, **WAS), there(made=WITH, instance=instance(nics=NIC)), "", {"reverting": 0}, "Unsupported"),
        (snapshot(**KEPT, **WAS), there(made=WITH, instance=instance(turn=BACK)), "", {"reverting": 1}, "Reverting"),
        (snapshot(**KEPT, **COMING), there(made=WITH, instance=instance(turn=BACK)), "", {}, "Reverting"),
        (snapshot(**KEPT, **COMING), there(made=WITH, instance=CUT), "BringBack BringBack", {}, "Reverting"),
        (snapshot(**KEPT, **COMING), there(made=WITH, instance=NOT_HEARD), "", {}, "Reverting"),
        (snapshot(**KEPT, **COMING), there(made=ALL_BACK, instance=CUT), "", {"resume_start": 5}, "Reverting"),
        (snapshot(**KEPT, **COMING, resumeStart=5), there(made=ALL_BACK, instance=CUT), "", {}, "Reverting"),
        (
            snapshot(**KEPT, **COMING, resumeStart=5),
            there(made=ALL_BACK, instance=instance(turn=BACK, start=5, started=5)),
            "",
            {"revert_observed": 1},
            "AsSpecified",
        ),
        (
            snapshot(**KEPT, **COMING, resumeStart=5),
            there(made=ALL_BACK, vm=vm(policy="Stopped"), instance=CUT),
            "",
            {"revert_observed": 1},
            "AsSpecified",
        ),
        (
            snapshot(**KEPT, **COMING, resumeStart=5),
            Seen(made=ALL_BACK, now=NOW),
            "",
            {"revert_observed": 1},
            "AsSpecified",
        ),
    ],
)
def test_way_back_of_memory(want: Any, seen: Seen, actions: str, status: dict[str, Any], reason: str) -> None:
    decision = decide(want, seen)
    assert " ".join(type(each).__name__ for each in decision.actions) == actions
    assert {name: getattr(decision.status, name) for name in status} == status
    assert decision.reverted is not None and decision.reverted.reason == reason, decision.reverted


def test_what_somebody_asked_of_a_part_by_itself_is_not_taken_for_ours() -> None:
    seen = there(made=made(part("web-root", request=7, observed=7), part("data")), **OURS)
    decision = decide(snapshot(**ASKED, **TAKEN), seen)
    assert [each.revert for each in decision.status.parts] == [8, 1]


def test_one_that_goes_hands_its_place_on() -> None:
    def at(name: str, since: str, parent: str = "", *, deleting: bool = False) -> Any:
        return snapshot(name, deleting=deleting, takenAt=NOW, currentSince=since, parent=parent)

    one, two = at("one", "1"), at("two", "2", "one", deleting=True)
    three = at("three", "3", "two", deleting=True)
    found = tree.current((one, two, three))
    assert found is one and tree.since(one, (two, three)) == "3"
    assert tree.tied(three, (one, two)) == "one", "until it has said so"
    assert tree.tied(three, (at("one", "3"), two)) == ""
    assert tree.parent(at("four", "4", "three"), (one, two, three)) == "one"


def test_what_was_given_up_is_not_begun_again() -> None:
    """It named its disks still, which were taken and dropped for ever (found by a seed, whose disk another guest had)."""
    last = snapshot(**BEGUN | {"attempt": ATTEMPTS})
    given_up = decide(last, there(made=made(part("web-root"), part("data", taken="x"))))
    assert not given_up.status.parts
    after = decide(replace(last, status=given_up.status), there(made={}))
    assert (after.actions, type(after.outcome)) == ((), Rejected)
