"""What is decided for VolumeSnapshots, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from operators.contract.meta import Obj
from operators.contract.snapshots import DISK_SNAPSHOT, VOLUME_SNAPSHOT
from operators.kernel.outcome import Blocked, Done, Rejected
from operators.storage.snapshots.model import Seen
from operators.storage.snapshots.plan import plan, reverted
from tests.unit.storage.objects import FINALIZER, disk, holder, meta, volume


def snapshot(*, deleting: bool = False, revert: int = 0, **status: Any) -> Obj[Any, Any]:
    spec = {"volume": "data", "revertRequest": revert}
    return VOLUME_SNAPSHOT.parse(
        {"metadata": meta("snap", deleting=deleting, finalizers=[FINALIZER]), "spec": spec, "status": status}
    )


def mine(
    *, ready: bool = True, reason: str = "AsSpecified", deleting: bool = False, host: str = "h1", **more: Any
) -> Obj[Any, Any]:
    revert, observed = more.get("revert", 0), more.get("observed", 0)
    spec = {
        "hostName": host,
        "pool": "local-h1",
        "path": "snapshots/uid-snap.qcow2",
        "snapshot": {"name": "snap", "uid": "uid-snap"},
        "volume": {"name": "data", "uid": more.get("of", "uid-data")},
        "source": "volumes/uid-data.qcow2",
        "revertRequest": revert,
    }
    conditions = [{"type": "Provisioned", "status": str(ready), "reason": reason, "message": "said"}]
    if more.get("not_back"):
        conditions.append({"type": "Reverted", "status": "False", "reason": more["not_back"], "message": "said"})
    status = {"conditions": conditions, "revertObserved": observed}
    return DISK_SNAPSHOT.parse({"metadata": meta("snap", deleting=deleting), "spec": spec, "status": status})


def there(**more: Any) -> Seen:
    """A Volume with its Disk."""
    return Seen(**({"volume": volume(placed=True), "disk": disk()} | more))


RUNNING = {"holders": (holder(),), "reached": frozenset({"h1"})}
TAKEN = {"taken_at": "2026-11-21T12:00:00Z"}
WAS = {"takenAt": "2026-11-21T12:00:00Z", "volumeUid": "uid-data"}


@pytest.mark.parametrize(
    ("want", "seen", "actions", "outcome", "reason"),
    [
        (snapshot(), there(), "Take", Blocked, "Provisioning"),
        (snapshot(), there(**RUNNING), "Take", Blocked, "Provisioning"),
        (snapshot(), Seen(), "", Blocked, "VolumeNotFound"),
        (snapshot(volumeUid="uid-data"), Seen(), "", Rejected, "VolumeNotFound"),
        (snapshot(volumeUid="another"), there(), "", Rejected, "VolumeNotFound"),
        (snapshot(), Seen(volume()), "", Blocked, "WaitingForVolumes"),
        (snapshot(), there(name_taken=True), "", Blocked, "Deleting"),
        (snapshot(), there(mine=mine()), "", Done, "AsSpecified"),
        (snapshot(), Seen(mine=mine()), "", Done, "AsSpecified"),
        (snapshot(), there(mine=mine(ready=False, reason="PoolFull")), "", Blocked, "PoolFull"),
        (snapshot(), there(mine=mine(ready=False, reason="Capturing")), "", Blocked, "Capturing"),
        (snapshot(), Seen(mine=mine(ready=False, reason="Copying")), "Drop", Rejected, "VolumeNotFound"),
        (snapshot(), there(mine=mine(ready=False, of="another")), "Drop", Rejected, "VolumeNotFound"),
        (snapshot(), there(mine=mine(ready=False, host="h2")), "Drop", Blocked, "Retrying"),
        (snapshot(), there(mine=mine(ready=False, deleting=True)), "", Blocked, "Retrying"),
        (snapshot(**WAS), there(), "", Blocked, "StorageError"),
        (snapshot(**WAS), there(mine=mine(ready=False, reason="PoolOffline")), "", Blocked, "PoolOffline"),
        (snapshot(revert=1), there(mine=mine()), "BringBack", Done, "AsSpecified"),
        (snapshot(revert=1), there(mine=mine(revert=1)), "", Done, "AsSpecified"),
        (snapshot(revert=1), there(mine=mine(), **RUNNING), "", Done, "AsSpecified"),
        (snapshot(revert=1), Seen(mine=mine()), "", Done, "AsSpecified"),
        (snapshot(deleting=True), Seen(mine=mine()), "Drop", Blocked, "Deleting"),
        (snapshot(deleting=True), Seen(mine=mine(), readers=("team/copy",)), "", Blocked, "StillInUse"),
        (snapshot(deleting=True), Seen(mine=mine(deleting=True)), "", Blocked, "Deleting"),
        (snapshot(deleting=True), Seen(), "Unprotect", Done, "Released"),
    ],
)
def test_snapshot(want: Any, seen: Seen, actions: str, outcome: type, reason: str) -> None:
    did, said = plan(want, seen)
    assert " ".join(type(action).__name__ for action in did) == actions
    assert (type(said), said.reason) == (outcome, reason)
    assert isinstance(said, Done) or said.message


def test_it_is_taken_where_the_guest_runs() -> None:
    seen = there(holders=(holder(host="h2"),), reached=frozenset({"h1", "h2"}))
    (take,), _ = plan(snapshot(), seen)
    assert take.spec.host_name == "h2"  # type: ignore[union-attr]
    stopped = there(holders=(holder(host="h2", running=False),), reached=frozenset({"h1", "h2"}))
    (take,), _ = plan(snapshot(), stopped)
    assert take.spec.host_name == "h1"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("want", "seen", "status", "reason"),
    [
        (snapshot(revert=1), there(mine=mine(revert=1, observed=1)), "True", "AsSpecified"),
        (snapshot(revert=1), there(mine=mine(revert=1)), "False", "Reverting"),
        (snapshot(revert=1), there(mine=mine(revert=1, not_back="PoolFull")), "False", "PoolFull"),
        (snapshot(revert=1), there(mine=mine(), **RUNNING), "False", "StillAttached"),
        (snapshot(revert=1), Seen(mine=mine()), "False", "VolumeNotFound"),
        (snapshot(revert=1), Seen(volume(uid="new"), disk(), mine=mine()), "False", "VolumeNotFound"),
    ],
)
def test_way_back(want: Any, seen: Seen, status: str, reason: str) -> None:
    said = reverted(want, seen)
    assert said is not None and (said.status, said.reason) == (status, reason)
    assert said.status == "True" or said.message


def test_no_way_back_was_asked_for() -> None:
    assert reverted(snapshot(), there(mine=mine())) is None
