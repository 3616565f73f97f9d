"""The whole storage agent over a driver that has no files: nothing above the port knows of folders."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from agents.storage import handlers
from agents.storage.driver import Driver, Drivers
from operators.contract.backups import DISK_BACKUP
from operators.contract.fabric import HOST_REPORT, IMAGE_STORE, STORAGE_POOL
from operators.contract.meta import Condition, Key, Obj, condition
from operators.contract.snapshots import DISK_SNAPSHOT
from operators.contract.storage import DISK, IMAGE_COPY
from operators.kernel.memory import MemoryStore
from tests.host.storage.harness import FINALIZER, NODE, Agent
from tests.unit.agent_storage.shelf import Shelf

MIB = 1 << 20


@asynccontextmanager
async def agent(root: Path, *drivers: Driver) -> AsyncIterator[Agent]:
    """An agent whose pool `local` is of the first driver's type."""
    host = Agent(root)
    (root / "attic").mkdir()
    await host.pool_and_report(type=drivers[0].type)
    await host.store.create(
        IMAGE_STORE, IMAGE_STORE.body(Key("", "attic"), spec={"type": "Directory", "path": str(root / "attic")})
    )
    with mock.patch.object(handlers, "drivers", lambda *_: Drivers({each.type: each for each in drivers})):
        await host.start()
    try:
        yield host
    finally:
        await host.kill()


async def backup(host: Agent, snapshot: Obj[Any, Any]) -> Obj[Any, Any]:
    uid = str(uuid.uuid4())
    spec = {
        "hostName": NODE,
        "pool": "local",
        "source": snapshot.spec.path,
        "imageStore": "attic",
        "backup": {"name": "offsite", "uid": uid},
        "volumeUid": snapshot.spec.volume.uid,
    }
    body = DISK_BACKUP.body(Key(host.space, "offsite"), spec=spec, finalizers=[FINALIZER])
    return DISK_BACKUP.parse(await host.store.create(DISK_BACKUP, body))


async def image(host: Agent, disk: Obj[Any, Any]) -> Obj[Any, Any]:
    uid = str(uuid.uuid4())
    spec = {
        "hostName": NODE,
        "pool": "local",
        "path": f"images/{uid}.qcow2",
        "image": {"name": "golden", "uid": uid},
        "source": {"pool": "local", "path": disk.spec.path},
    }
    body = IMAGE_COPY.body(Key(host.space, "golden"), spec=spec, finalizers=[FINALIZER])
    return IMAGE_COPY.parse(await host.store.create(IMAGE_COPY, body))


async def written(host: Agent, shelf: Shelf, text: bytes, name: str = "data") -> Obj[Any, Any]:
    """A disk with something on it."""
    disk = await host.disk(name)
    await host.verdict(DISK, name, "AsSpecified")
    shelf.things[f"local/{disk.spec.path}"][: len(text)] = text
    return disk


def content(shelf: Shelf, obj: Obj[Any, Any], length: int = 4) -> bytes:
    return bytes(shelf.things[f"local/{obj.spec.path}"][:length])


async def test_snapshots_are_taken_and_brought_back(tmp_path: Path) -> None:
    shelf = Shelf()
    async with agent(tmp_path, shelf.serve()) as host:
        disk = await written(host, shelf, b"once")
        snapshot = await host.snapshot(disk)
        await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified")
        said = host.read(DISK_SNAPSHOT, "snap").status
        assert said.path == f"shelf:local/{snapshot.spec.path}" and said.stored == 8 * MIB
        await written(host, shelf, b"more", "other")
        shelf.things[f"local/{disk.spec.path}"][:4] = b"more"
        await host.change(snapshot, revertRequest=1)
        await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified", "Reverted")
        assert content(shelf, disk) == b"once"
        await host.gone(snapshot)
        assert f"local/{snapshot.spec.path}" not in shelf.things


async def test_what_a_hypervisor_copies_lands_where_the_driver_says(tmp_path: Path) -> None:
    shelf = Shelf()
    async with agent(tmp_path, shelf.serve()) as host:
        disk = await written(host, shelf, b"once")
        shelf.open.add(f"local/{disk.spec.path}")
        snapshot = await host.snapshot(disk)
        await host.until(DISK_SNAPSHOT, "snap", lambda obj: bool(obj.status.target))
        target = host.read(DISK_SNAPSHOT, "snap").status.target
        assert target == f"local/landing/{snapshot.meta.uid}."
        shelf.things[f"{target}1.capture"] = bytearray(b"guest")
        file = f"{snapshot.meta.uid}.1.capture"
        status = {
            "capture": {"file": file, "at": "2026-11-21T12:00:00Z"},
            "conditions": [{"type": "Captured", "status": "True", "reason": "AsSpecified"}],
        }
        await MemoryStore(host.server, "agent-hypervisor").apply_status(
            DISK_SNAPSHOT, snapshot.key, status, resource_version=""
        )
        await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified")
        assert content(shelf, snapshot, 5) == b"guest"
        assert f"local/landing/{file}" not in shelf.things


async def test_backups_come_and_go_through_the_driver(tmp_path: Path) -> None:
    shelf = Shelf()
    async with agent(tmp_path, shelf.serve()) as host:
        disk = await written(host, shelf, b"once")
        snapshot = await host.snapshot(disk)
        await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified")
        kept = await backup(host, snapshot)
        await host.verdict(DISK_BACKUP, "offsite", "AsSpecified")
        ref = {"imageStore": "attic", "volumeUid": kept.spec.volume_uid, "backupUid": kept.spec.backup.uid}
        again = await host.disk("again", "16Mi", backup=ref)
        await host.verdict(DISK, "again", "AsSpecified")
        assert content(shelf, again) == b"once" and len(shelf.things[f"local/{again.spec.path}"]) == 16 * MIB


async def test_images_and_copies_are_made_by_the_driver(tmp_path: Path) -> None:
    shelf = Shelf()
    async with agent(tmp_path, shelf.serve()) as host:
        disk = await written(host, shelf, b"once")
        copy = await image(host, disk)
        await host.verdict(IMAGE_COPY, "golden", "AsSpecified")
        assert host.read(IMAGE_COPY, "golden").status.checksum.startswith("sha256:")
        child = await host.disk("child", copy="golden")
        twin = await host.disk("twin", snapshot=disk.spec.path)
        for name, made in (("child", child), ("twin", twin)):
            await host.verdict(DISK, name, "AsSpecified")
            assert content(shelf, made) == b"once"
        for made in (child, twin, copy, disk):
            await host.gone(made)
        assert shelf.things == {}


async def test_a_driver_with_disks_alone_refuses_the_rest_with_a_sentence(tmp_path: Path) -> None:
    shelf = Shelf()
    async with agent(tmp_path, shelf.serve(more=False)) as host:
        disk = await written(host, shelf, b"once")
        snapshot = await host.snapshot(disk)
        made = (snapshot, await backup(host, snapshot), await image(host, disk))
        for each, what in zip(made, ("keep snapshots", "be backed up", "keep images"), strict=True):
            said = await host.verdict(each.kind, each.meta.name, "Unsupported")
            assert f"pool local is of the type Directory, which cannot {what}" in said.message
        for each in (snapshot, made[2]):
            await host.gone(each)
        report = await host.until(HOST_REPORT, NODE, lambda obj: obj.status.storage is not None)
        (pool,) = report.status.storage.pools
        assert [sorted(each.abilities) for each in pool.formats] == [["Thin"]]


async def test_a_disk_does_not_go_from_one_type_to_another(tmp_path: Path) -> None:
    shelf, rack = Shelf(), Shelf()
    async with agent(tmp_path, shelf.serve(), rack.serve("SharedDirectory")) as host:
        spec = {"type": "SharedDirectory", "path": str(tmp_path / "rack")}
        await host.store.create(STORAGE_POOL, STORAGE_POOL.body(Key("", "rack"), spec=spec))
        rack.things["rack/volumes/there.qcow2"] = bytearray(8 * MIB)
        from_there = {"pool": "rack", "path": "volumes/there.qcow2"}
        await host.disk("data", replaces=str(uuid.uuid4()), takeFrom=from_there)
        said: Condition = await host.verdict(DISK, "data", "Unsupported")
        assert (
            "from pool rack (SharedDirectory) to pool local (Directory)" in said.message
            and "VolumeBackup" in said.message
        )
        assert condition(host.read(DISK, "data").status.conditions, "Provisioned") is not None
        assert list(rack.things) == ["rack/volumes/there.qcow2"] and shelf.things == {}
