"""Backups of snapshots in a folder and in an S3 service: only what is new, whole or not there, checked on the way back."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from agents.storage import jobs, stores
from agents.storage.backups import transfer
from agents.storage.backups.layout import PIECE
from operators.contract.backups import DISK_BACKUP
from operators.contract.fabric import IMAGE_STORE
from operators.contract.meta import Key, Obj
from operators.contract.snapshots import DISK_SNAPSHOT
from operators.contract.storage import DISK
from tests.host.storage.harness import FINALIZER, NODE, Agent, agent
from tests.host.storage.test_snapshots import MIB, read, write
from tests.support.s3 import make_bucket, s3

pytestmark = pytest.mark.timeout(900)
VOLUME_UID = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    with mock.patch.object(jobs, "FIRST_AGAIN", 0.2):
        yield


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with s3(port, tmp_path_factory.mktemp("s3") / "log") as address:
        yield address


async def attic(host: Agent, **spec: Any) -> None:
    await host.store.create(IMAGE_STORE, IMAGE_STORE.body(Key("", "attic"), spec=spec))


@pytest.fixture(params=["Directory", "S3"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """An agent with a store of each sort."""
    keys = tmp_path / "keys" / "attic"
    keys.mkdir(parents=True)
    (keys / "access-key").write_text("someone\n")
    (keys / "secret-key").write_text("secret\n")
    async with agent(tmp_path / "pools", IMAGE_STORE_KEYS=str(tmp_path / "keys")) as host:
        if request.param == "S3":
            address, bucket = request.getfixturevalue("service"), f"b{uuid.uuid4().hex[:20]}"
            make_bucket(address, bucket)
            await attic(host, type="S3", endpoint=address, bucket=bucket, region="us-east-1", prefix="cloud")
        else:
            (host.root / "attic").mkdir()
            await attic(host, type="Directory", path=str(host.root / "attic"))
        yield host


async def snapshot(host: Agent, disk: Obj[Any, Any], name: str) -> Obj[Any, Any]:
    made = await host.snapshot(disk, name)
    await host.verdict(DISK_SNAPSHOT, name, "AsSpecified")
    return made


async def backup(host: Agent, of: Obj[Any, Any], name: str) -> Obj[Any, Any]:
    uid = str(uuid.uuid4())
    spec = {
        "hostName": NODE,
        "pool": "local",
        "source": of.spec.path,
        "imageStore": "attic",
        "backup": {"name": name, "uid": uid},
        "volumeUid": VOLUME_UID,
    }
    body = DISK_BACKUP.body(Key("team", name), spec=spec, finalizers=[FINALIZER])
    return DISK_BACKUP.parse(await host.store.create(DISK_BACKUP, body))


async def restored(host: Agent, of: Obj[Any, Any], name: str, size: str = "64Mi") -> Path:
    ref = {"imageStore": "attic", "volumeUid": VOLUME_UID, "backupUid": of.spec.backup.uid}
    disk = await host.disk(name, size, backup=ref)
    await host.verdict(DISK, name, "AsSpecified")
    return host.pool / disk.spec.path


async def pieces(host: Agent) -> set[str]:
    assert host.manager is not None
    found = stores.Stores(host.manager.cache, str(host.root), Path(host.env["IMAGE_STORE_KEYS"])).open("attic")
    return {key async for key, _ in found.keys(VOLUME_UID)}


async def test_only_what_is_new_is_copied_and_each_backup_stands_on_its_own(kept: Agent) -> None:
    host = kept
    disk = await host.disk("data", "64Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    path = host.pool / disk.spec.path
    for number, letter in enumerate("ABCD"):
        write(path, letter, number * 2 * PIECE)
    first = await backup(host, await snapshot(host, disk, "s1"), "one")
    await host.verdict(DISK_BACKUP, "one", "AsSpecified")
    one = host.read(DISK_BACKUP, "one").status
    assert one.virtual_size == 64 * MIB and one.transferred == one.stored > 0 and one.finished_at
    write(path, "Z", 2 * PIECE)
    second = await backup(host, await snapshot(host, disk, "s2"), "two")
    await host.verdict(DISK_BACKUP, "two", "AsSpecified")
    two = host.read(DISK_BACKUP, "two").status
    assert 0 < two.transferred < two.stored / 2, "one piece of four"
    assert len(await pieces(host)) == 4 + 1 + 2
    for name in ("s1", "s2"):
        await host.gone(host.read(DISK_SNAPSHOT, name))
    was, now = await restored(host, first, "was"), await restored(host, second, "now", "128Mi")
    assert [read(was, number * 2 * PIECE) for number in range(4)] == list("ABCD")
    assert [read(now, number * 2 * PIECE) for number in range(4)] == list("AZCD")
    await host.gone(host.read(DISK_BACKUP, "one"))
    assert len(await pieces(host)) == 4 + 1, "what only the first had is gone"
    again = await restored(host, second, "again")
    assert [read(again, number * 2 * PIECE) for number in range(4)] == list("AZCD")
    await host.gone(host.read(DISK_BACKUP, "two"))
    assert await pieces(host) == set()
    assert not [file for file in host.files() if "/." in file]


@pytest.mark.parametrize("kept", ["Directory"], indirect=True)
@pytest.mark.parametrize("step", ["put", "list", "restore", "convert", "forget"])
async def test_killed_on_the_way(kept: Agent, step: str) -> None:
    host = kept
    disk = await host.disk("data", "64Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    for number, letter in enumerate("ABCD"):
        write(host.pool / disk.spec.path, letter, number * 2 * PIECE)
    taken = await snapshot(host, disk, "s1")
    reached = asyncio.Event()
    puts: list[str] = []
    real = stores.Store.put

    async def stop(*_: Any, **__: Any) -> Any:
        reached.set()
        await asyncio.Event().wait()

    async def put(self: stores.Store, key: str, data: bytes) -> None:
        if (step == "list" and key.endswith(".json")) or (step == "put" and len(puts) == 2):
            await stop()
        puts.append(key)
        await real(self, key, data)

    cut = {
        "put": mock.patch.object(stores.Store, "put", put),
        "list": mock.patch.object(stores.Store, "put", put),
        "restore": mock.patch.object(transfer, "_piece", stop),
        "convert": mock.patch("agents.storage.qemuimg.QemuImg.convert", stop),
        "forget": mock.patch.object(stores.Store, "delete", stop),
    }[step]
    one = await backup(host, taken, "one") if step in ("restore", "convert", "forget") else None
    if one is not None:
        await host.verdict(DISK_BACKUP, "one", "AsSpecified")
    with cut:
        if step == "forget":
            assert one is not None
            await host.store.delete(DISK_BACKUP, one.key, uid=one.meta.uid)
        elif one is not None:
            ref = {"imageStore": "attic", "volumeUid": VOLUME_UID, "backupUid": one.spec.backup.uid}
            await host.disk("back", "64Mi", backup=ref)
        else:
            one = await backup(host, taken, "one")
        async with asyncio.timeout(20):
            await reached.wait()
        await host.kill()
    done = len(puts)
    with mock.patch.object(stores.Store, "put", put) if step in ("put", "list") else mock.patch.object(os, "sync"):
        if step in ("put", "list"):
            step = "over"
        await host.start()
        if step == "forget":
            await host.verdict(DISK_BACKUP, "one", "Released", "Released")
            assert await pieces(host) == set()
        else:
            await host.verdict(DISK_BACKUP, "one", "AsSpecified")
            assert len(puts) in (0, 5), "what was there already is not copied again"
            if step in ("restore", "convert"):
                await host.verdict(DISK, "back", "AsSpecified")
            path = (
                host.pool / host.read(DISK, "back").spec.path if step != "over" else await restored(host, one, "back")
            )
            assert [read(path, number * 2 * PIECE) for number in range(4)] == list("ABCD")
    assert done <= 5
    assert not [file for file in host.files() if "/." in file]


@pytest.mark.parametrize("kept", ["Directory"], indirect=True)
@pytest.mark.parametrize("how", ["changed", "bomb", "missing", "list"])
async def test_store_that_was_tampered_with_is_refused(kept: Agent, how: str) -> None:
    import zlib

    host = kept
    disk = await host.disk("data", "64Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    write(host.pool / disk.spec.path, "A")
    one = await backup(host, await snapshot(host, disk, "s1"), "one")
    await host.verdict(DISK_BACKUP, "one", "AsSpecified")
    folder = host.root / "attic" / VOLUME_UID
    (piece,) = (folder / "pieces").iterdir()
    match how:
        case "changed":
            piece.write_bytes(zlib.compress(b"B" * PIECE))
        case "bomb":
            piece.write_bytes(zlib.compress(bytes(1 << 28)))
        case "missing":
            piece.unlink()
        case _:
            next((folder / "backups").iterdir()).write_bytes(b"{}")
    ref = {"imageStore": "attic", "volumeUid": VOLUME_UID, "backupUid": one.spec.backup.uid}
    await host.disk("back", "64Mi", backup=ref)
    await host.verdict(DISK, "back", "ChecksumMismatch" if how == "changed" else "StorageError")
    assert not [file for file in host.files() if "/." in file]


async def test_store_that_cannot_be_reached_is_said(host: Agent) -> None:
    disk = await host.disk("data", "8Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    taken = await snapshot(host, disk, "s1")
    await backup(host, taken, "one")
    await host.verdict(DISK_BACKUP, "one", "ImageStoreNotFound")
    await attic(host, type="Directory", path=str(host.root / "absent"))
    said = await host.verdict(DISK_BACKUP, "one", "ImageStoreUnreachable")
    assert "mount it" in said.message
    (host.root / "absent").mkdir()
    await host.verdict(DISK_BACKUP, "one", "AsSpecified")
