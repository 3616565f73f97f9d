"""What is decided for VolumeBackups, and for Volumes made from them, as tables."""

from __future__ import annotations

from typing import Any

import pytest

from operators.contract.backups import DISK_BACKUP, VOLUME_BACKUP
from operators.contract.meta import Obj
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.kernel.outcome import Blocked, Done, Rejected
from operators.storage.backups.model import Seen
from operators.storage.backups.plan import plan
from operators.storage.volumes.plan import plan as plan_volume
from tests.unit.storage.objects import FINALIZER, meta, volume
from tests.unit.storage.objects import seen as around

READY = [{"type": "Ready", "status": "True", "reason": "AsSpecified"}]


def backup(*, deleting: bool = False, **status: Any) -> Obj[Any, Any]:
    spec = {"snapshot": "snap", "imageStore": "attic"}
    return VOLUME_BACKUP.parse(
        {"metadata": meta("safe", deleting=deleting, finalizers=[FINALIZER]), "spec": spec, "status": status}
    )


def snapshot(*, ready: bool = True, deleting: bool = False) -> Obj[Any, Any]:
    status = {"pool": "local-h1", "hostName": "h1", "volumeUid": "uid-data", "size": "1Gi"}
    status |= {"conditions": READY} if ready else {}
    return VOLUME_SNAPSHOT.parse(
        {"metadata": meta("snap", deleting=deleting), "spec": {"volume": "data"}, "status": status}
    )


def mine(reason: str = "AsSpecified", *, deleting: bool = False) -> Obj[Any, Any]:
    spec = {
        "hostName": "h1",
        "pool": "local-h1",
        "source": "snapshots/uid-snap.qcow2",
        "imageStore": "attic",
        "backup": {"name": "safe", "uid": "uid-safe"},
        "volumeUid": "uid-data",
    }
    said = {"type": "Provisioned", "status": str(reason == "AsSpecified"), "reason": reason, "message": "said"}
    return DISK_BACKUP.parse(
        {"metadata": meta("safe", deleting=deleting), "spec": spec, "status": {"conditions": [said]}}
    )


@pytest.mark.parametrize(
    ("want", "seen", "actions", "outcome", "reason"),
    [
        (backup(), Seen(snapshot()), "Make", Blocked, "Copying"),
        (backup(), Seen(snapshot(ready=False)), "", Blocked, "WaitingForVolumes"),
        (backup(), Seen(), "", Blocked, "SnapshotNotFound"),
        (backup(), Seen(snapshot(deleting=True)), "", Blocked, "SnapshotNotFound"),
        (backup(), Seen(snapshot(), store=False), "", Blocked, "ImageStoreNotFound"),
        (backup(), Seen(snapshot(), busy="team/other"), "", Blocked, "Retrying"),
        (backup(), Seen(snapshot(), name_taken=True), "", Blocked, "Deleting"),
        (backup(), Seen(snapshot(), mine=mine()), "", Done, "AsSpecified"),
        (backup(), Seen(mine=mine()), "", Done, "AsSpecified"),
        (backup(), Seen(snapshot(), mine=mine("ImageStoreUnreachable")), "", Blocked, "ImageStoreUnreachable"),
        (backup(finishedAt="2026-11-21T12:00:00Z"), Seen(snapshot()), "", Blocked, "StorageError"),
        (backup(deleting=True), Seen(mine=mine()), "Drop", Blocked, "Deleting"),
        (backup(deleting=True), Seen(mine=mine(), busy="team/other"), "", Blocked, "Retrying"),
        (backup(deleting=True), Seen(mine=mine(), readers=("team/copy",)), "", Blocked, "StillInUse"),
        (backup(deleting=True), Seen(mine=mine(deleting=True), busy="team/other"), "", Blocked, "Deleting"),
        (backup(deleting=True), Seen(), "Unprotect", Done, "Released"),
    ],
)
def test_backup(want: Any, seen: Seen, actions: str, outcome: type, reason: str) -> None:
    did, said = plan(want, seen)
    assert " ".join(type(action).__name__ for action in did) == actions
    assert (type(said), said.reason) == (outcome, reason)
    assert isinstance(said, Done) or said.message


WHOLE = {"size": "1Gi", "volumeUid": "uid-gone", "conditions": READY}


@pytest.mark.parametrize(
    ("spec", "there", "actions", "outcome", "reason"),
    [
        ({}, {"backup": backup(**WHOLE)}, "MakeDisk", Blocked, "Provisioning"),
        ({}, {"backup": backup(**WHOLE), "holders": ()}, "", Blocked, "WaitingForFirstConsumer"),
        ({}, {"backup": backup()}, "", Blocked, "WaitingForVolumes"),
        ({}, {}, "", Blocked, "BackupNotFound"),
        ({}, {"backup": backup(deleting=True, **WHOLE)}, "", Blocked, "BackupNotFound"),
        ({"size": "512Mi"}, {"backup": backup(**WHOLE)}, "", Rejected, "SizeTooSmall"),
        ({"size": "2Gi"}, {"backup": backup(**WHOLE), "pools": ()}, "", Blocked, "NoPoolFits"),
    ],
)
def test_volume_from_a_backup(
    spec: dict[str, Any], there: dict[str, Any], actions: str, outcome: type, reason: str
) -> None:
    did, said = plan_volume(volume(source={"backup": "safe"}, **spec), around(**there))
    assert " ".join(type(action).__name__ for action in did) == actions
    assert (type(said), said.reason) == (outcome, reason)
    for action in did:
        ref = action.spec.backup  # type: ignore[union-attr]
        assert ref is not None and (ref.volume_uid, ref.backup_uid) == ("uid-gone", "uid-safe")
