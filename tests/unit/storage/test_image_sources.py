"""Images that are made of Volumes and VolumeSnapshots, by the whole operator, with an agent that answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from operators.contract.fabric import HOST_REPORT
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind, condition
from operators.contract.snapshots import DISK_SNAPSHOT, VOLUME_SNAPSHOT
from operators.contract.storage import DISK, IMAGE, IMAGE_COPY, VOLUME
from tests.support.virtual_time import virtual
from tests.unit.storage.objects import instance
from tests.unit.storage.test_snapshots_end_to_end import Snapshots

SUM = "sha256:" + "5" * 64


class Sources(Snapshots):
    """The cloud, with an agent that makes images of disks."""

    def __init__(self) -> None:
        super().__init__()
        self.exports = True
        """Whether agents get done with images of disks."""
        self.refuses = ""
        """Why agents can make no image of a disk."""

    async def _reply(self, kind: Any, obj: Any) -> None:
        body = self.server.read(kind, obj.key)
        now = kind.parse(body) if body is not None else obj
        if kind is not IMAGE_COPY or now.meta.deleting or now.spec.source is None or now.spec.checksum:
            await super()._reply(kind, obj)
            return
        await asyncio.sleep(0.02)
        if self.server.read(kind, obj.key) is None or not self.exports:
            return
        said = {"type": "Provisioned", "status": "True", "reason": "AsSpecified"}
        status: dict[str, Any] = {"virtualSize": "64Mi", "checksum": SUM, "conditions": [said]}
        if self.refuses:
            status = {"conditions": [said | {"status": "False", "reason": self.refuses, "message": "no"}]}
        await self.agent.apply_status(kind, obj.key, status, resource_version="")

    def wake(self, kind: Kind[Any, Any]) -> None:
        """Have the agents look at everything again."""
        for body in self.server.all(kind):
            self._answer(kind, "MODIFIED", body)

    async def made_of(self, name: str = "golden", **source: str) -> None:
        await self.user.create(IMAGE, IMAGE.body(Key("team", name), spec={"source": source}))

    async def stopped_volume(self) -> None:
        """A Volume that has a Disk, on which no guest runs."""
        await self.volume(size="1Gi")
        await self.run_vm("data", power="Stopped")
        await self.settle()

    def message(self, name: str = "golden", kind: Kind[Any, Any] = IMAGE) -> str:
        obj = self.get(kind, name)
        assert obj is not None
        found = condition(obj.status.conditions, "Ready")
        return found.message if found else ""

    def image_copies(self) -> list[Any]:
        return sorted(map(IMAGE_COPY.parse, self.server.all(IMAGE_COPY)), key=lambda copy: str(copy.spec.pool))


@asynccontextmanager
async def cloud() -> AsyncIterator[Sources]:
    made = Sources()
    await made.prepare()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def brings(c: Sources, *pools: str, host: str = "h1") -> None:
    """A host reports these pools."""
    told = [{"pool": pool, "online": True, "capacity": "100Gi", "free": "50Gi"} for pool in pools]
    await c.agent.apply_status(HOST_REPORT, Key("", host), {"storage": {"pools": told}}, resource_version="")


@virtual
async def test_an_image_is_made_of_a_volume_and_outlives_it() -> None:
    async with cloud() as c:
        await c.stopped_volume()
        await c.made_of(volume="data")
        await c.settle()
        disk, (copy,), image = c.get(DISK, "data-d0"), c.image_copies(), c.get(IMAGE, "golden")
        assert disk is not None and image is not None and copy.spec.source is not None
        assert (copy.spec.source.pool, copy.spec.source.path) == ("local-h1", disk.spec.path)
        assert (copy.spec.host_name, copy.spec.pool, copy.spec.url, copy.spec.checksum) == ("h1", "local-h1", "", "")
        assert (image.status.checksum, c.reason("golden", kind=IMAGE)) == (SUM, "AsSpecified")
        assert "local-h1" in c.message()
        await c.stop_vm()
        c.server.delete("user", VOLUME, Key("team", "data"))
        await c.settle()
        assert c.get(VOLUME, "data") is None and c.reason("golden", kind=IMAGE) == "AsSpecified"
        await c.volume("again", source={"image": "golden"})
        await c.run_vm("again")
        await c.settle()
        made = c.get(DISK, "again-d0")
        assert c.reason("again") == "AsSpecified" and made is not None
        assert made.spec.image_copy == f"team/{copy.meta.name}"


@virtual
async def test_a_running_guest_is_waited_for() -> None:
    async with cloud() as c:
        await c.made_of(volume="data")
        await c.settle()
        assert c.reason("golden", kind=IMAGE) == "VolumeNotFound"
        await c.volume(size="1Gi")
        await c.settle()
        assert c.reason("golden", kind=IMAGE) == "WaitingForVolumes"
        await c.run_vm("data")
        await c.settle()
        assert c.reason("golden", kind=IMAGE) == "StillAttached" and "web" in c.message()
        assert c.image_copies() == []
        await c.stop_vm()
        await c.settle()
        assert c.reason("golden", kind=IMAGE) == "AsSpecified"


@virtual
async def test_an_attempt_that_a_guest_was_faster_than_begins_anew_when_that_stops() -> None:
    async with cloud() as c:
        await c.stopped_volume()
        c.refuses = "StillAttached"
        await c.made_of(volume="data")
        await c.settle()
        (first,) = c.image_copies()
        await c.user.apply(INSTANCE, instance("web", "h1", "data"))
        await c.settle()
        assert c.image_copies() == [] and c.reason("golden", kind=IMAGE) == "StillAttached"
        c.refuses = ""
        await c.stop_vm()
        await c.settle()
        (second,) = c.image_copies()
        assert second.meta.uid != first.meta.uid and c.reason("golden", kind=IMAGE) == "AsSpecified"


@virtual
async def test_an_image_of_a_snapshot_of_a_running_guest() -> None:
    async with cloud() as c:
        await c.volume(size="1Gi")
        await c.run_vm("data")
        c.takes = False
        await c.snapshot()
        await c.made_of(snapshot="snap")
        await c.settle()
        assert c.reason("golden", kind=IMAGE) == "WaitingForVolumes"
        c.takes, c.exports = True, False
        c.wake(DISK_SNAPSHOT)
        await c.settle()
        (copy,), snapshot = c.image_copies(), c.get(VOLUME_SNAPSHOT, "snap")
        assert snapshot is not None and copy.spec.source is not None
        assert copy.spec.source.path == f"snapshots/{snapshot.meta.uid}.qcow2"
        c.server.delete("user", VOLUME_SNAPSHOT, Key("team", "snap"))
        await c.settle()
        assert "Image golden" in c.message("snap", VOLUME_SNAPSHOT)
        c.exports = True
        c.wake(IMAGE_COPY)
        await c.settle()
        assert c.get(VOLUME_SNAPSHOT, "snap") is None and c.reason("golden", kind=IMAGE) == "AsSpecified"


@virtual
async def test_a_volume_stays_until_the_image_is_made() -> None:
    async with cloud() as c:
        await c.stopped_volume()
        c.exports = False
        await c.made_of(volume="data")
        await c.settle()
        await c.stop_vm()
        c.server.delete("user", VOLUME, Key("team", "data"))
        await c.settle()
        assert c.reason() == "StillInUse" and "Image golden" in c.message("data", VOLUME)
        c.exports = True
        c.wake(IMAGE_COPY)
        await c.settle()
        assert c.get(VOLUME, "data") is None and c.reason("golden", kind=IMAGE) == "AsSpecified"


@virtual
async def test_a_volume_whose_image_is_given_up_may_go() -> None:
    async with cloud() as c:
        await c.stopped_volume()
        c.exports = False
        await c.made_of(volume="data")
        await c.settle()
        await c.stop_vm()
        c.server.delete("user", VOLUME, Key("team", "data"))
        await c.settle()
        c.server.delete("user", IMAGE, Key("team", "golden"))
        await c.settle()
        assert c.get(IMAGE, "golden") is None and c.get(VOLUME, "data") is None and c.image_copies() == []


@virtual
async def test_only_hosts_that_reach_it_can_have_it_and_that_is_said() -> None:
    async with cloud() as c:
        await c.stopped_volume()
        await c.made_of(volume="data")
        await c.settle()
        await c.volume("far", source={"image": "golden"})
        await c.run_vm("far", vm="db", host="h2")
        await c.settle()
        assert c.reason("far") == "NoPoolFits"
        assert "Image golden is on pool local-h1, which host h2 does not reach" in c.message("far", VOLUME)
        assert len(c.image_copies()) == 1


@virtual
async def test_it_comes_to_another_pool_by_a_host_that_reaches_both() -> None:
    async with cloud() as c:
        await c.share()
        await brings(c, "local-h1", "shared")
        await c.stopped_volume()
        await c.made_of(volume="data")
        await c.settle()
        (first,) = c.image_copies()
        other = ({"local-h1", "shared"} - {first.spec.pool}).pop()
        await c.volume("copy", source={"image": "golden"}, pool=other)
        await c.run_vm("copy", vm="db")
        await c.settle()
        assert c.reason("copy") == "AsSpecified"
        (second,) = (copy for copy in c.image_copies() if copy.spec.pool == other)
        assert second.spec.source is not None
        assert (second.spec.source.pool, second.spec.source.path) == (first.spec.pool, first.spec.path)
        assert (second.spec.checksum, second.spec.host_name) == (SUM, "h1")


@virtual
async def test_it_is_preseeded_by_a_host_that_reaches_both() -> None:
    async with cloud() as c:
        await c.share()
        await brings(c, "local-h2", "shared", host="h2")
        await brings(c, "local-h1", "shared")
        await c.volume(size="1Gi", pool="local-h1")
        await c.run_vm("data", power="Stopped")
        await c.settle()
        spec = {"source": {"volume": "data"}, "preseed": ["shared", "local-h2"]}
        await c.user.create(IMAGE, IMAGE.body(Key("team", "golden"), spec=spec))
        await c.settle()
        assert {copy.spec.pool: copy.spec.host_name for copy in c.image_copies()} == {"local-h1": "h1", "shared": "h1"}
        assert "local-h2" in c.message() and "it takes a host that reaches pool local-h1" in c.message()


@virtual
async def test_the_first_copy_never_goes_for_want_of_use() -> None:
    async with cloud() as c:
        await c.stopped_volume()
        await c.made_of(volume="data")
        await c.settle(72 * 3600)
        (copy,) = c.image_copies()
        assert not copy.spec.evict
        before = len(c.writes())
        await c.settle(72 * 3600)
        assert c.writes()[before:] == []


@virtual
async def test_a_first_copy_that_somebody_deleted_is_not_made_of_what_the_disk_holds_by_now() -> None:
    async with cloud() as c:
        await c.stopped_volume()
        await c.made_of(volume="data")
        await c.settle()
        (copy,) = c.image_copies()
        c.server.delete("user", IMAGE_COPY, copy.key)
        await c.settle()
        assert c.image_copies() == [] and c.reason("golden", kind=IMAGE) == "StorageError"


@virtual
async def test_a_disk_that_moved_before_it_was_copied_is_copied_where_it_is() -> None:
    async with cloud() as c:
        await c.share()
        await brings(c, "local-h1", "shared")
        await c.volume(size="1Gi", pool="local-h1")
        await c.run_vm("data", power="Stopped")
        await c.settle()
        c.exports = False
        await c.made_of(volume="data")
        await c.settle()
        assert [copy.spec.pool for copy in c.image_copies()] == ["local-h1"]
        await c.user.apply(VOLUME, VOLUME.body(Key("team", "data"), spec={"size": "1Gi", "pool": "shared"}))
        await c.settle()
        c.exports = True
        c.wake(IMAGE_COPY)
        await c.settle()
        assert [copy.spec.pool for copy in c.image_copies()] == ["shared"]
        assert c.reason("golden", kind=IMAGE) == "AsSpecified"


@pytest.mark.parametrize("nth", range(1, 9))
def test_killed_before_any_write_it_goes_on(nth: int) -> None:
    """The operator is killed before its nth write, and another one finishes."""

    @virtual
    async def run() -> None:
        async with cloud() as c:
            await c.stopped_volume()
            count = 0
            dead = asyncio.Event()

            async def hook(verb: str, kind: Kind[Any, Any], key: Key) -> None:
                nonlocal count
                await asyncio.sleep(0)
                if asyncio.current_task() in workers and verb not in ("get", "list"):
                    count += 1
                    if count == nth:
                        dead.set()
                        await asyncio.Event().wait()

            workers = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
            c.server.hook = hook
            await c.made_of(volume="data")
            await asyncio.wait({asyncio.create_task(dead.wait())}, timeout=20)
            await c.stop()
            c.server.unsubscribe_all()
            for kind in (DISK, IMAGE_COPY):
                c.server.subscribe(kind, lambda type_, body, kind=kind: c._answer(kind, type_, body))
                c.wake(kind)
            await c.start()
            await c.settle()
            assert c.reason("golden", kind=IMAGE) == "AsSpecified" and len(c.image_copies()) == 1

    run()
