"""Disks on a real folder: made, grown, kept, removed; and nothing that is not ours touched."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from operators.contract.fabric import HOST_REPORT, STORAGE_POOL
from operators.contract.meta import Key
from operators.contract.quantity import Quantity
from operators.contract.storage import DISK, IMAGE_COPY
from tests.host.storage.harness import NODE, Agent, Source, info, qemu_img


async def test_blank_disk_is_made_in_one_status_write(host: Agent) -> None:
    disk = await host.disk(size="8Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    made = host.read(DISK, "data")
    path = host.pool / disk.spec.path
    assert made.status.path == str(path)
    assert made.status.virtual_size == Quantity.parse("8Mi")
    assert info(path)["virtual-size"] == 8 << 20
    assert path.stat().st_mode & 0o777 == 0o600
    assert host.writes(DISK) == 1
    assert host.files() == {disk.spec.path}


async def test_disk_follows_its_image_and_the_pool_may_move(host: Agent, web_source: Source, tmp_path: Path) -> None:
    copy = await host.copy(web_source.url, web_source.checksum)
    disk = await host.disk("root", "16Mi", copy="tiny")
    await host.verdict(DISK, "root", "AsSpecified")
    await host.kill()
    moved = tmp_path / "elsewhere"
    host.pool.rename(moved)
    found = info(moved / disk.spec.path)
    assert found["backing-filename"] == f"../{copy.spec.path}"
    assert found["virtual-size"] == 16 << 20
    raw = tmp_path / "whole.raw"
    qemu_img("convert", "-f", "qcow2", "-O", "raw", moved / disk.spec.path, raw)
    assert raw.read_bytes()[: 1 << 20] == bytes(range(256)) * 4096


async def test_disk_is_ready_within_milliseconds(host: Agent, web_source: Source) -> None:
    await host.copy(web_source.url, web_source.checksum)
    await host.verdict(IMAGE_COPY, "tiny", "AsSpecified")
    times = []
    for number in range(10):
        started = time.perf_counter()
        await host.disk(f"d{number}", "16Mi", copy="tiny")
        await host.verdict(DISK, f"d{number}", "AsSpecified")
        times.append(time.perf_counter() - started)
    print("disk ready after ms:", [round(each * 1000, 1) for each in sorted(times)])
    assert sorted(times)[5] < 0.25, "far above what a shared machine explains"


async def test_grown_disk_is_resized_and_keeps_its_image(host: Agent, web_source: Source) -> None:
    await host.copy(web_source.url, web_source.checksum)
    disk = await host.disk("root", "16Mi", copy="tiny")
    await host.verdict(DISK, "root", "AsSpecified")
    spec = host.server.read(DISK, disk.key)["spec"] | {"size": "32Mi"}  # type: ignore[index]
    await host.store.apply(DISK, DISK.body(disk.key, spec=spec))
    await host.until(DISK, "root", lambda obj: obj.status.virtual_size == Quantity.parse("32Mi"))
    found = info(host.pool / disk.spec.path)
    assert found["virtual-size"] == 32 << 20
    assert "backing-filename" in found


@pytest.fixture
def qemu(request: pytest.FixtureRequest) -> object:
    """Something that holds a qcow2 file open for writing, as a guest's QEMU does."""
    held = []

    def hold(path: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["qemu-io", "-f", "qcow2", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        held.append(process)
        assert process.stdin and process.stdout
        process.stdin.write("write 0 4k\n")
        process.stdin.flush()
        process.stdout.readline()
        return process

    def end() -> None:
        for process in held:
            process.kill()
            process.communicate()

    request.addfinalizer(end)
    return hold


async def test_open_disk_is_neither_grown_nor_removed_until_it_is_closed(host: Agent, qemu: object) -> None:
    disk = await host.disk(size="8Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    path = host.pool / disk.spec.path
    guest = qemu(path)  # type: ignore[operator]
    spec = host.server.read(DISK, disk.key)["spec"] | {"size": "32Mi"}  # type: ignore[index]
    await host.store.apply(DISK, DISK.body(disk.key, spec=spec))
    found = await host.until(DISK, "data", lambda obj: obj.status.observed_generation == 2)
    assert "its hypervisor grows it" in found.status.conditions[0].message
    assert found.status.virtual_size == Quantity.parse("8Mi"), "what the guest has is what is said"
    await host.store.delete(DISK, disk.key, uid=disk.meta.uid)
    said = await host.verdict(DISK, "data", "StillAttached", "Released")
    assert "open in a running guest" in said.message
    assert path.exists()
    guest.kill()
    guest.wait()
    await host.until(DISK, "data", lambda obj: any(c.type == "Released" and c.true for c in obj.status.conditions))
    assert not path.exists()


async def test_disk_that_its_hypervisor_grew_is_seen_to_have_grown(host: Agent, qemu: object) -> None:
    disk = await host.disk(size="8Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    guest = qemu(host.pool / disk.spec.path)  # type: ignore[operator]
    spec = host.server.read(DISK, disk.key)["spec"] | {"size": "32Mi"}  # type: ignore[index]
    await host.store.apply(DISK, DISK.body(disk.key, spec=spec))
    await host.until(DISK, "data", lambda obj: obj.status.observed_generation == 2)
    guest.stdin.write("truncate 32M\n")
    guest.stdin.flush()
    await host.until(DISK, "data", lambda obj: obj.status.virtual_size == Quantity.parse("32Mi"))
    assert guest.poll() is None


async def test_deleted_disk_leaves_nothing_and_a_kept_one_its_file(host: Agent) -> None:
    gone, kept = await host.disk("gone"), await host.disk("kept", keep=True)
    for each in (gone, kept):
        await host.verdict(DISK, each.meta.name, "AsSpecified")
        await host.store.delete(DISK, each.key, uid=each.meta.uid)
        await host.verdict(DISK, each.meta.name, "Released", "Released")
    assert host.files() == {kept.spec.path}


async def test_kept_file_is_taken_up_by_a_later_disk_and_never_made_anew(host: Agent, web_source: Source) -> None:
    await host.copy(web_source.url, web_source.checksum)
    first = await host.disk("root", "16Mi", copy="tiny", keep=True)
    await host.verdict(DISK, "root", "AsSpecified")
    inode = (host.pool / first.spec.path).stat().st_ino
    await host.store.delete(DISK, first.key, uid=first.meta.uid)
    await host.verdict(DISK, "root", "Released", "Released")
    await host.store.finalize(DISK, host.read(DISK, "root").meta, ())
    await host.disk("root", "16Mi", path=first.spec.path, adopt=True)
    await host.verdict(DISK, "root", "AsSpecified")
    assert (host.pool / first.spec.path).stat().st_ino == inode
    await host.disk("other", adopt=True)
    said = await host.verdict(DISK, "other", "StorageError")
    assert "put it back" in said.message
    assert first.spec.path in host.files() and len(host.files()) == 2


async def test_deleted_before_it_was_made(host: Agent) -> None:
    disk = await host.disk("root", copy="absent")
    await host.verdict(DISK, "root", "WaitingForImage")
    await host.store.delete(DISK, disk.key, uid=disk.meta.uid)
    await host.verdict(DISK, "root", "Released", "Released")
    assert host.files() == set()


async def test_lost_file_is_never_replaced_by_a_blank_one(host: Agent) -> None:
    disk = await host.disk()
    await host.verdict(DISK, "data", "AsSpecified")
    path = host.pool / disk.spec.path
    away = path.rename(path.with_suffix(".away"))
    host.manager.poke("disks", disk.key)  # type: ignore[union-attr]
    said = await host.verdict(DISK, "data", "StorageError")
    assert "put it back" in said.message and not path.exists()
    away.rename(path)
    host.manager.poke("disks", disk.key)  # type: ignore[union-attr]
    await host.verdict(DISK, "data", "AsSpecified")


@pytest.mark.parametrize("what", ["a link", "a folder", "a fifo", "another file"])
async def test_what_is_not_ours_at_the_path_is_left_alone(host: Agent, tmp_path: Path, what: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (host.pool / "volumes").mkdir(parents=True, exist_ok=True)
    path = host.pool / "volumes" / "11111111-0000-4000-8000-000000000000.qcow2"
    match what:
        case "a link":
            path.symlink_to(secret)
        case "a folder":
            path.mkdir()
        case "a fifo":
            os.mkfifo(path)
        case _:
            path.write_text("not a disk")
    await host.disk(path=f"volumes/{path.name}")
    said = await host.verdict(DISK, "data", "StorageError")
    assert "left alone" in said.message
    assert secret.read_text() == "secret"
    assert os.path.lexists(path)


async def test_planted_link_at_the_temporary_name_is_not_followed(host: Agent, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    await host.kill()
    disk = await host.disk()
    (host.pool / "volumes").mkdir(parents=True, exist_ok=True)
    (host.pool / "volumes" / f".{disk.meta.uid}.part").symlink_to(secret)
    await host.start()
    await host.verdict(DISK, "data", "AsSpecified")
    assert secret.read_text() == "secret"
    assert host.files() == {disk.spec.path}


@pytest.mark.parametrize("linked", ["local", "local/volumes"])
async def test_planted_link_in_the_way_takes_the_pool_offline(host: Agent, tmp_path: Path, linked: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = host.root / linked
    if linked == "local" and link.exists():
        shutil.rmtree(link)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside)
    await host.disk()
    said = await host.verdict(DISK, "data", "PoolOffline")
    assert "link" in said.message
    assert list(outside.iterdir()) == []


async def test_pool_elsewhere_is_refused(host: Agent, tmp_path: Path) -> None:
    for number, path in enumerate(("/etc", f"{host.root}/../up", f"{host.root}", f"{host.root}x/pool")):
        spec = {"type": "Directory", "path": path, "hostName": "host-1"}
        await host.store.create(STORAGE_POOL, STORAGE_POOL.body(Key("", f"p{number}"), spec=spec))
        await host.disk(f"d{number}", pool=f"p{number}")
        said = await host.verdict(DISK, f"d{number}", "PoolOffline")
        assert "is not beneath" in said.message
    assert not (tmp_path / "up").exists()


async def test_disk_of_an_unknown_pool_waits_for_it(host: Agent) -> None:
    await host.disk(pool="later")
    said = await host.verdict(DISK, "data", "PoolOffline")
    assert "there is no StoragePool later" in said.message
    spec = {"type": "Directory", "path": f"{host.root}/later", "hostName": "host-1"}
    await host.store.create(STORAGE_POOL, STORAGE_POOL.body(Key("", "later"), spec=spec))
    await host.verdict(DISK, "data", "AsSpecified")


async def test_restart_changes_and_writes_nothing(host: Agent, web_source: Source) -> None:
    await host.copy(web_source.url, web_source.checksum)
    disk = await host.disk("root", copy="tiny")
    await host.verdict(DISK, "root", "AsSpecified")
    await host.until(IMAGE_COPY, "tiny", lambda obj: obj.status.progress == 100)
    before, inode = len(host.server.log), (host.pool / disk.spec.path).stat().st_ino
    for _ in range(3):
        await host.kill()
        await host.start()
        while not all(runner.queue.idle for runner in host.manager.runners.values()):  # type: ignore[union-attr]
            await asyncio.sleep(0.01)
    assert host.server.log[before:] == []
    assert (host.pool / disk.spec.path).stat().st_ino == inode


async def test_a_volume_is_copied_with_all_behind_it(host: Agent, web_source: Source, tmp_path: Path) -> None:
    await host.copy(web_source.url, web_source.checksum)
    origin = await host.disk("root", "16Mi", copy="tiny")
    await host.verdict(DISK, "root", "AsSpecified")
    clone = await host.disk("clone", "32Mi", snapshot=origin.spec.path)
    await host.verdict(DISK, "clone", "AsSpecified")
    found = info(host.pool / clone.spec.path)
    assert found["virtual-size"] == 32 << 20 and "backing-filename" not in found
    raw = tmp_path / "whole.raw"
    qemu_img("convert", "-O", "raw", host.pool / clone.spec.path, raw)
    assert raw.read_bytes()[: 1 << 20] == bytes(range(256)) * 4096


async def test_a_file_that_was_put_into_the_pool_becomes_a_disk(host: Agent) -> None:
    await host.until(HOST_REPORT, NODE, lambda obj: obj.status.storage is not None)
    folder = host.pool / "adopt"
    folder.mkdir()
    qemu_img("create", "-q", "-f", "qcow2", folder / "old.qcow2", "8M")
    disk = await host.disk("data", "16Mi", adoptFile="old.qcow2")
    await host.verdict(DISK, "data", "AsSpecified")
    path = host.pool / disk.spec.path
    assert info(path)["virtual-size"] == 16 << 20 and not (folder / "old.qcow2").exists()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_what_would_lead_to_the_host_is_not_adopted(host: Agent, tmp_path: Path) -> None:
    await host.until(HOST_REPORT, NODE, lambda obj: obj.status.storage is not None)
    folder, secret = host.pool / "adopt", tmp_path / "secret.qcow2"
    folder.mkdir()
    qemu_img("create", "-q", "-f", "qcow2", secret, "8M")
    qemu_img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", secret, folder / "backed.qcow2")
    qemu_img("create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path}/data.raw", folder / "data.qcow2", "8M")
    (folder / "raw.qcow2").write_bytes(b"\0" * 4096)
    for name in ("backed", "data", "raw"):
        await host.disk(name, adoptFile=f"{name}.qcow2")
        await host.verdict(DISK, name, "UnsafeImage")
    (folder / "link.qcow2").symlink_to(secret)
    await host.disk("link", adoptFile="link.qcow2")
    await host.verdict(DISK, "link", "StorageError")
    await host.disk("missing", adoptFile="missing.qcow2")
    await host.verdict(DISK, "missing", "SourceUnreachable")
    assert not (host.pool / "volumes").exists() or list((host.pool / "volumes").iterdir()) == []
    assert secret.exists()
