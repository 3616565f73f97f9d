"""Images made of disks, on real folders with the real qemu-img: whole, once, the same bytes on every pool; killed."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from agents.storage import folders, jobs, locks
from agents.storage.directories import exporting
from operators.contract.fabric import STORAGE_POOL
from operators.contract.meta import Key, Obj
from operators.contract.quantity import Quantity
from operators.contract.storage import DISK, IMAGE_COPY
from tests.host.storage.harness import NODE, Agent, Source, info, qemu_img


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """What failed is tried again after 0.2 s in place of 5 s."""
    with mock.patch.object(jobs, "FIRST_AGAIN", 0.2):
        yield


@pytest.fixture
async def layered(host: Agent, web_source: Source) -> AsyncIterator[Obj[Any, Any]]:
    """A disk on an image, with data of its own."""
    await host.copy(web_source.url, web_source.checksum, "base")
    disk = await host.disk("root", "16Mi", copy="base")
    await host.verdict(DISK, "root", "AsSpecified")
    qemu_io(host.pool / disk.spec.path, "write -P 7 8M 1M")
    yield disk


def qemu_io(path: Path, command: str) -> None:
    """Change a disk as a guest would."""
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", command, str(path)], check=True, capture_output=True, timeout=60)


async def made_of(host: Agent, file: str, name: str = "golden", **spec: Any) -> Obj[Any, Any]:
    """An ImageCopy that is made of a file."""
    source = {"pool": "local", "path": file}
    where = {"hostName": NODE, "pool": "local", "path": f"images/{name}.qcow2", "image": {"name": name, "uid": name}}
    body = IMAGE_COPY.body(
        Key("team", name), spec=where | {"source": source} | spec, finalizers=["cloudstack.dev/storage"]
    )
    return IMAGE_COPY.parse(await host.store.create(IMAGE_COPY, body))


def total(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


async def test_an_image_stands_on_its_own_and_says_what_it_adds_up_to(host: Agent, layered: Obj[Any, Any]) -> None:
    copy = await made_of(host, layered.spec.path)
    await host.verdict(IMAGE_COPY, "golden", "AsSpecified")
    made, path = host.read(IMAGE_COPY, "golden").status, host.pool / copy.spec.path
    assert (made.checksum, made.virtual_size, made.progress) == (total(path), Quantity.parse("16Mi"), 100)
    assert "backing-filename" not in info(path) and path.stat().st_mode & 0o777 == 0o444
    assert "Images are identical" in qemu_img("compare", path, host.pool / layered.spec.path)
    qemu_io(host.pool / layered.spec.path, "write -P 9 8M 1M")
    await host.kill()
    await host.start()
    await host.disk("next", "16Mi", copy="golden")
    await host.verdict(DISK, "next", "AsSpecified")
    assert total(path) == made.checksum == host.read(IMAGE_COPY, "golden").status.checksum


async def test_a_raw_disk_becomes_a_qcow2_image(host: Agent) -> None:
    uid = "12345678-1234-4234-8234-123456789abc"
    disk = await host.disk("raw", "4Mi", path=f"volumes/{uid}.raw", format="raw")
    await host.verdict(DISK, "raw", "AsSpecified")
    with (host.pool / disk.spec.path).open("r+b") as file:
        file.write(b"data" * 1000)
    copy = await made_of(host, disk.spec.path)
    await host.verdict(IMAGE_COPY, "golden", "AsSpecified")
    assert info(host.pool / copy.spec.path)["format"] == "qcow2"
    compared = qemu_img("compare", "-f", "qcow2", "-F", "raw", host.pool / copy.spec.path, host.pool / disk.spec.path)
    assert "Images are identical" in compared


async def test_a_running_guest_is_said_and_waited_for(host: Agent, layered: Obj[Any, Any]) -> None:
    with mock.patch.object(locks, "keep_writers_out", side_effect=locks.InUse):
        await made_of(host, layered.spec.path)
        said = await host.verdict(IMAGE_COPY, "golden", "StillAttached")
        assert "stop that" in said.message
    await host.verdict(IMAGE_COPY, "golden", "AsSpecified")


async def test_a_file_that_is_gone_is_not_made_of_what_the_disk_holds_by_now(
    host: Agent, layered: Obj[Any, Any]
) -> None:
    copy = await made_of(host, layered.spec.path)
    await host.verdict(IMAGE_COPY, "golden", "AsSpecified")
    await host.kill()
    (host.pool / copy.spec.path).unlink()
    await host.start()
    said = await host.verdict(IMAGE_COPY, "golden", "StorageError")
    assert "make a new Image" in said.message
    assert not (host.pool / copy.spec.path).exists()


async def _other_pool(host: Agent) -> Path:
    folder = host.root / "other"
    spec = {"type": "Directory", "path": str(folder), "hostName": NODE}
    await host.store.create(STORAGE_POOL, STORAGE_POOL.body(Key("", "other"), spec=spec))
    return folder


async def test_other_pools_get_the_same_bytes_or_none(host: Agent, layered: Obj[Any, Any]) -> None:
    first = await made_of(host, layered.spec.path)
    await host.verdict(IMAGE_COPY, "golden", "AsSpecified")
    checksum, other = host.read(IMAGE_COPY, "golden").status.checksum, await _other_pool(host)
    more = {"pool": "other", "path": "images/golden.qcow2", "checksum": checksum}
    await made_of(host, first.spec.path, "second", **more)
    await host.verdict(IMAGE_COPY, "second", "AsSpecified")
    assert total(other / "images/golden.qcow2") == checksum
    wrong = {"pool": "other", "path": "images/wrong.qcow2", "checksum": "sha256:" + "0" * 64}
    await made_of(host, first.spec.path, "third", **wrong)
    await host.verdict(IMAGE_COPY, "third", "ChecksumMismatch")
    assert {path.name for path in (other / "images").iterdir()} == {"golden.qcow2"}


@pytest.mark.parametrize("bad", ["images/../../../etc/passwd", "volumes/x/y.qcow2", "etc/passwd"])
async def test_no_path_leads_out_of_a_pool(host: Agent, bad: str) -> None:
    await made_of(host, bad)
    said = await host.verdict(IMAGE_COPY, "golden", "StorageError")
    assert "the path" in said.message
    assert not (host.pool / "images/golden.qcow2").exists()


STEPS = ("copy:before", "copy:after", "checksum:before", "checksum:after", "publish:before", "publish:after", "status")


def _cut(host: Agent, step: str, reached: asyncio.Event) -> Any:
    """Have an agent stop for good at a step."""
    where, _, when = step.partition(":")
    if where == "status":

        async def hook(verb: str, kind: Any, key: Any) -> None:
            if verb == "apply_status" and kind is IMAGE_COPY:
                reached.set()
                await asyncio.Event().wait()

        return mock.patch.object(host.server, "hook", hook)
    if where == "publish":
        real, loop = folders.Draft.publish, asyncio.get_running_loop()

        def publish(self: folders.Draft, mode: int) -> None:
            if when == "after":
                real(self, mode)
            loop.call_soon_threadsafe(reached.set)
            raise folders.PoolOffline("killed")

        return mock.patch.object(folders.Draft, "publish", publish)
    work: Callable[..., Awaitable[Any]] = getattr(exporting, where)

    async def stop(*args: Any, **kwargs: Any) -> Any:
        out = await work(*args, **kwargs) if when == "after" else None
        reached.set()
        await asyncio.Event().wait()
        return out

    return mock.patch.object(exporting, where, stop)


@pytest.mark.parametrize("step", STEPS)
async def test_killed_while_an_image_is_made(host: Agent, layered: Obj[Any, Any], step: str) -> None:
    reached = asyncio.Event()
    with mock.patch.object(folders.Draft, "discard", lambda self: None), _cut(host, step, reached):
        copy = await made_of(host, layered.spec.path)
        async with asyncio.timeout(60):
            await reached.wait()
        await host.kill()
    await host.start()
    await host.verdict(IMAGE_COPY, "golden", "AsSpecified")
    path = host.pool / copy.spec.path
    assert host.read(IMAGE_COPY, "golden").status.checksum == total(path)
    assert "Images are identical" in qemu_img("compare", path, host.pool / layered.spec.path)
    async with asyncio.timeout(60):
        while any(name.endswith((".part", ".conv")) for name in host.files()):
            await asyncio.sleep(0.01)
    await host.gone(copy)
    assert not path.exists()
