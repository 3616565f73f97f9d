"""The agent killed at every step, on real files: what it left is finished or cleared by the next one, and done once.

A step is an await of the controllers' or the import's, so the agent is killed before the first, the second, … until a
run needs no further one. What a real SIGKILL adds, files half written, is made by hand at the end.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from agents.storage import folders, jobs
from agents.storage.naming import temporary
from agents.storage.qemuimg import QemuImg
from operators.contract.fabric import HOST_REPORT
from operators.contract.storage import DISK, IMAGE_COPY
from tests.host.storage.harness import NODE, Agent, image, info, source

STEPS = (
    "folders.Draft._open",
    "folders.Draft.publish:before",
    "folders.Draft.publish:after",
    "qemu.create:before",
    "qemu.create:after",
    "qemu.info:before",
    "qemu.convert:before",
    "qemu.convert:after",
    "store.apply_status:before",
    "store.apply_status:after",
    "folders.remove:before",
    "folders.remove:after",
)


class Killed(BaseException):
    """The process would be gone here."""


@pytest.fixture
async def host(tmp_path: Path) -> Agent:
    made = Agent(tmp_path / "pools")
    made.root.mkdir()
    await made.pool_and_report()
    return made


async def _killed_at(host: Agent, step: str, work: Callable[[], Awaitable[None]]) -> bool:
    """Run an agent until it comes to a step, and kill it there; whether it came there."""
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()
    never = asyncio.Event()

    async def stop() -> None:
        reached.set()
        await never.wait()

    def stop_thread() -> None:
        loop.call_soon_threadsafe(reached.set)
        raise folders.PoolOffline("killed")

    where, _, when = step.partition(":")
    patches = []
    if where.startswith("qemu."):
        name = where.removeprefix("qemu.")
        real = getattr(QemuImg, name)

        async def cut(*args: Any) -> Any:
            if when == "before":
                await stop()
            out = await real(*args)
            await stop()
            return out

        patches.append(mock.patch.object(QemuImg, name, cut))
    elif where == "store.apply_status":

        async def hook(verb: str, kind: Any, key: Any) -> None:
            if verb == "apply_status" and when == "before":
                await stop()
            await asyncio.sleep(0)

        patches.append(mock.patch.object(host.server, "hook", hook))
        if when == "after":
            seen = len(host.server.log)

            async def watch() -> None:
                while not any(
                    verb == "apply_status" and kind in (DISK, IMAGE_COPY) for _, verb, kind, _ in host.server.log[seen:]
                ):
                    await asyncio.sleep(0)
                reached.set()

            watcher = asyncio.create_task(watch())
    else:
        owner, _, name = where.removeprefix("folders.").rpartition(".")
        target: Any = folders.Draft if owner == "Draft" else folders
        real = getattr(target, name)

        def cut_thread(*args: Any, **kwargs: Any) -> Any:
            if when == "before":
                stop_thread()
            real(*args, **kwargs)
            stop_thread()

        # Its own clearing up would not happen in a process that is gone either.
        patches += [
            mock.patch.object(target, name, cut_thread),
            mock.patch.object(folders.Draft, "discard", lambda self: None),
        ]
    patches.append(mock.patch.object(folders.Draft, "discard", lambda self: None))
    for patch in patches:
        patch.start()
    try:
        await host.start()
        finished = asyncio.create_task(work())  # type: ignore[arg-type]
        asked = asyncio.create_task(reached.wait())
        await asyncio.wait({finished, asked}, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        for task in (finished, asked):
            task.cancel()
        await asyncio.gather(finished, asked, return_exceptions=True)
        await host.kill()
    finally:
        mock.patch.stopall()
        if step == "store.apply_status:after":
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
    return reached.is_set()


@pytest.mark.parametrize("form", ["qcow2", "raw"])
@pytest.mark.parametrize("step", STEPS)
async def test_killed_while_an_image_and_its_disk_are_made(host: Agent, tmp_path: Path, step: str, form: str) -> None:
    async with source(image(tmp_path, "4M", form)) as made:
        copy = await host.copy(made.url, made.checksum, format=form)
        disk = await host.disk("root", "16Mi", copy="tiny")

        async def done() -> None:
            await host.verdict(DISK, "root", "AsSpecified")

        came = await _killed_at(host, step, done)
        if not came:
            pytest.skip("this way does not lead there")
        await host.start()
        await done()
        await host.until(IMAGE_COPY, "tiny", lambda obj: obj.status.progress == 100)
        await asyncio.sleep(0.05)
    assert host.files() == {copy.spec.path, disk.spec.path}
    assert info(host.pool / disk.spec.path)["virtual-size"] == 16 << 20
    await host.kill()


@pytest.mark.parametrize("step", ["folders.remove:before", "folders.remove:after", "store.apply_status:before"])
async def test_killed_while_a_disk_is_removed(host: Agent, step: str) -> None:
    await host.start()
    disk = await host.disk()
    await host.verdict(DISK, "data", "AsSpecified")
    await host.kill()
    await host.store.delete(DISK, disk.key, uid=disk.meta.uid)

    async def done() -> None:
        await host.verdict(DISK, "data", "Released", "Released")

    assert await _killed_at(host, step, done)
    await host.start()
    await done()
    assert host.files() == set()
    await host.kill()


async def test_half_written_files_are_made_anew(host: Agent, tmp_path: Path) -> None:
    """As after a power cut: files of both kinds in the making, with rubbish in them."""
    async with source(image(tmp_path)) as made:
        copy = await host.copy(made.url, made.checksum)
        disk = await host.disk("root", "16Mi", copy="tiny")
        for folder, name in (("images", f".{copy.meta.uid}.part"), ("volumes", temporary(disk.meta.uid))):
            (host.pool / folder).mkdir(parents=True, exist_ok=True)
            (host.pool / folder / name).write_bytes(os.urandom(100_000))
        with mock.patch.object(jobs, "FIRST_AGAIN", 0.1):
            await host.start()
            await host.verdict(DISK, "root", "AsSpecified")
    assert host.files() == {copy.spec.path, disk.spec.path}
    await host.kill()


async def test_only_what_is_surely_left_over_is_swept(host: Agent) -> None:
    """Files in the making whose object is gone go; whatever else is unknown is reported, and stays."""
    disk = await host.disk("root", copy="absent")
    gone = "12345678-1234-4234-8234-123456789abc"
    files = {
        f"images/.{gone}.part": False,
        f"images/.{gone}.conv": False,
        f"volumes/.{gone}.part": False,
        f"volumes/{temporary(disk.meta.uid)}": True,
        "images/.mine.part": True,
        "volumes/notes.txt": True,
        f"volumes/{gone}.qcow2": True,
    }
    for file in files:
        (host.pool / file).parent.mkdir(parents=True, exist_ok=True)
        (host.pool / file).write_text("x")
    await host.start()
    report = await host.until(HOST_REPORT, NODE, lambda obj: obj.status.storage is not None)
    assert set(report.status.storage.unknown_files) == {
        "local/images/.mine.part",
        "local/volumes/notes.txt",
        f"local/volumes/{gone}.qcow2",
    }
    assert host.files() == {file for file, stays in files.items() if stays}
    await host.kill()
