"""Snapshots and schedules by the whole operator, with an agent that answers, on a virtual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from operators.contract.instances import INSTANCE
from operators.contract.meta import Key
from operators.contract.snapshots import DISK_SNAPSHOT, SNAPSHOT_SCHEDULE, VOLUME_SNAPSHOT
from operators.contract.storage import DISK, VOLUME
from operators.kernel.memory import MemoryStore
from tests.unit.storage.test_volumes_end_to_end import Cloud, virtual

TAKEN = "2026-11-21T12:00:00Z"


class Snapshots(Cloud):
    """The cloud, with an agent that takes snapshots."""

    def __init__(self) -> None:
        super().__init__()
        self.takes = True
        self.server.subscribe(DISK_SNAPSHOT, lambda type_, body: self._answer(DISK_SNAPSHOT, type_, body))

    async def _reply(self, kind: Any, obj: Any) -> None:
        if kind is not DISK_SNAPSHOT:
            await super()._reply(kind, obj)
            return
        body = self.server.read(kind, obj.key)
        if body is None:
            return
        now = kind.parse(body)
        if not self.takes and not now.meta.deleting:
            return
        type_ = "Released" if now.meta.deleting else "Provisioned"
        status = {
            "path": f"/pools/{now.spec.path}",
            "virtualSize": "1Gi",
            "takenAt": TAKEN,
            "revertObserved": now.spec.revert_request,
            "conditions": [{"type": type_, "status": "True", "reason": "AsSpecified"}],
        }
        await MemoryStore(self.server, "agent-storage").apply_status(kind, obj.key, status, resource_version="")

    async def snapshot(self, name: str = "snap", **spec: Any) -> None:
        body = VOLUME_SNAPSHOT.body(Key("team", name), spec={"volume": "data"} | spec)
        await self.user.apply(VOLUME_SNAPSHOT, body)

    def all(self, kind: Any) -> list[str]:
        return sorted(body["metadata"]["name"] for body in self.server.all(kind))


@asynccontextmanager
async def cloud() -> AsyncIterator[Snapshots]:
    made = Snapshots()
    await made.prepare()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@virtual
async def test_snapshot_outlives_its_volume_and_becomes_another() -> None:
    async with cloud() as it:
        await it.volume(size="1Gi")
        await it.snapshot()
        await it.settle()
        assert it.reason("snap", kind=VOLUME_SNAPSHOT) == "WaitingForVolumes"
        await it.run_vm("data")
        await it.settle()
        assert it.reason("snap", kind=VOLUME_SNAPSHOT) == "AsSpecified"
        taken = it.get(VOLUME_SNAPSHOT, "snap")
        assert taken is not None and (taken.status.pool, taken.status.taken_at) == ("local-h1", TAKEN)
        await it.stop_vm()
        it.server.delete("user", VOLUME, Key("team", "data"))
        await it.settle()
        assert it.get(VOLUME, "data") is None
        assert it.reason("snap", kind=VOLUME_SNAPSHOT) == "AsSpecified"
        await it.volume("copy", source={"snapshot": "snap"})
        await it.settle()
        copy = it.get(VOLUME, "copy")
        assert copy is not None and (copy.status.pool, copy.status.size) == ("local-h1", 1 << 30), (
            "at once, where it is"
        )
        disk = it.get(DISK, copy.status.disk)
        assert disk is not None and disk.spec.snapshot == f"snapshots/{taken.meta.uid}.qcow2"
        it.server.delete("user", VOLUME_SNAPSHOT, Key("team", "snap"))
        await it.settle()
        assert it.all(VOLUME_SNAPSHOT) == it.all(DISK_SNAPSHOT) == []
        await it.volume("late", source={"snapshot": "snap"})
        await it.volume("small", size="1Mi", source={"snapshot": "snap"})
        await it.settle()
        assert it.reason("late") == it.reason("small") == "SnapshotNotFound"


@virtual
async def test_volume_that_goes_before_it_was_taken_ends_the_snapshot() -> None:
    async with cloud() as it:
        it.takes = False
        await it.volume(size="1Gi")
        await it.run_vm("data")
        await it.snapshot()
        await it.settle()
        assert it.all(DISK_SNAPSHOT) == ["snap"]
        await it.stop_vm()
        it.server.delete("user", VOLUME, Key("team", "data"))
        await it.settle()
        assert it.reason("snap", kind=VOLUME_SNAPSHOT) == "VolumeNotFound"
        await it.volume(size="1Gi")
        await it.run_vm("data")
        await it.settle()
        assert it.reason("snap", kind=VOLUME_SNAPSHOT) == "VolumeNotFound", "not of a later Volume of that name"
        it.server.delete("user", VOLUME_SNAPSHOT, Key("team", "snap"))
        await it.settle()
        assert it.all(VOLUME_SNAPSHOT) == it.all(DISK_SNAPSHOT) == []


@virtual
async def test_it_is_brought_back_once_the_guest_is_stopped() -> None:
    async with cloud() as it:
        await it.volume(size="1Gi")
        await it.run_vm("data")
        await it.snapshot()
        await it.settle()
        await it.snapshot(revertRequest=3)
        await it.settle()
        assert it.reason("snap", "Reverted", VOLUME_SNAPSHOT) == "StillAttached"
        await it.stop_vm()
        await it.run_vm("data", power="Stopped")
        await it.settle()
        assert it.reason("snap", "Reverted", VOLUME_SNAPSHOT) == "AsSpecified"
        back = it.get(VOLUME_SNAPSHOT, "snap")
        assert back is not None and back.status.revert_observed == 3


@virtual
async def test_a_day_of_a_schedule_with_a_restart_and_an_outage() -> None:
    async with cloud() as it:
        await it.volume(size="1Gi")
        await it.run_vm("data")
        spec = {"volume": "data", "hourly": {"minute": 0, "keep": 3}}
        await it.user.create(SNAPSHOT_SCHEDULE, SNAPSHOT_SCHEDULE.body(Key("team", "safe"), spec=spec))
        await it.settle(5 * 3600 + 600)
        names = it.all(VOLUME_SNAPSHOT)
        assert len(names) == 3 and all(name.startswith("safe-hourly-2") for name in names)
        await it.stop()
        await it.start()
        await it.settle(60)
        assert it.all(VOLUME_SNAPSHOT) == names, "none twice"
        await it.stop()
        await it.settle(4 * 3600)
        await it.start()
        await it.settle(60)
        now = it.get(SNAPSHOT_SCHEDULE, "safe")
        assert now is not None and now.status.missed == 3
        assert it.reason("safe", kind=SNAPSHOT_SCHEDULE) == "SnapshotsMissed"
        newest = it.clock.now().replace(minute=0, second=0, microsecond=0)
        assert it.all(VOLUME_SNAPSHOT)[-1] == f"safe-hourly-{newest:%Y%m%dt%H%M%Sz}"
        it.server.delete("user", VOLUME_SNAPSHOT, Key("team", it.all(VOLUME_SNAPSHOT)[-1]))
        await it.settle(60)
        assert f"{newest:%H%M}" not in it.all(VOLUME_SNAPSHOT)[-1].rpartition("t")[2], (
            "what its user deleted stays away"
        )
        before = len(it.server.log)
        await it.settle(timedelta(minutes=30).total_seconds())
        assert not [
            each for each in it.server.log[before:] if each[2] in (SNAPSHOT_SCHEDULE, VOLUME_SNAPSHOT, INSTANCE)
        ]
