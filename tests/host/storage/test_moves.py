"""A disk's data brought to another pool while no guest runs on it, on real files; killed at each step, one disk counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from agents.storage import folders, jobs
from agents.storage.directories import taking
from agents.storage.qemuimg import QemuImg
from operators.contract.fabric import STORAGE_POOL
from operators.contract.meta import Key, Obj
from operators.contract.storage import DISK
from tests.host.storage.harness import Agent, Source, info
from tests.host.storage.test_snapshots import MIB, Guest, read, write


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    with mock.patch.object(jobs, "FIRST_AGAIN", 0.2):
        yield


@pytest.fixture
async def two(host: Agent) -> Agent:
    """A host with a second pool."""
    spec = {"type": "Directory", "path": str(host.root / "fast"), "hostName": host.node}
    await host.store.create(STORAGE_POOL, STORAGE_POOL.body(Key("", "fast"), spec=spec))
    return host


def files(host: Agent, pool: str) -> set[str]:
    top = host.root / pool
    return {str(path.relative_to(top)) for path in top.glob("*/*")}


async def heir(host: Agent, disk: Obj[Any, Any], **spec: Any) -> tuple[Obj[Any, Any], Path]:
    """The Disk that is to take a disk's place on the other pool, and where its file will be."""
    take = {"pool": disk.spec.pool, "path": disk.spec.path}
    said = {"pool": "fast", "path": disk.spec.path, "replaces": disk.meta.uid, "takeFrom": take, "size": "16Mi"}
    made = await host.disk("moved", **(said | spec))
    return made, host.root / "fast" / disk.spec.path


async def written(host: Agent, *, copy: str = "") -> tuple[Obj[Any, Any], Path]:
    """A disk with something in it."""
    disk = await host.disk("data", "16Mi", copy=copy)
    await host.verdict(DISK, "data", "AsSpecified")
    path = host.pool / disk.spec.path
    write(path, "A", 2 * MIB)
    return disk, path


async def test_the_data_is_copied_verified_and_the_first_file_removed(two: Agent, web_source: Source) -> None:
    await two.copy(web_source.url, web_source.checksum)
    disk, old = await written(two, copy="tiny")
    _, new = await heir(two, disk, size="32Mi")
    await two.verdict(DISK, "moved", "AsSpecified")
    assert not old.exists()
    found = info(new)
    assert (found["virtual-size"], "backing-filename" in found) == (32 * MIB, False)
    assert read(new, 2 * MIB) == "A"
    await two.gone(disk)
    assert {each for each in files(two, "local") if each.startswith("volumes")} == set()
    assert files(two, "fast") == {disk.spec.path}


async def test_under_a_guest_it_waits_and_goes_on_when_that_ends(two: Agent) -> None:
    disk, old = await written(two)
    guest = Guest(old)
    _, new = await heir(two, disk)
    said = await two.verdict(DISK, "moved", "StillAttached")
    assert "a guest runs on it" in said.message and not new.exists()
    guest.end()
    await two.verdict(DISK, "moved", "AsSpecified")
    assert (read(new, 2 * MIB), read(new, MIB)) == ("A", "Z")


async def test_no_guest_can_start_while_it_is_copied_and_none_on_the_old_file_afterwards(two: Agent) -> None:
    disk, old = await written(two)
    comes, go = asyncio.Event(), asyncio.Event()
    real = QemuImg.compare

    async def compare(self: QemuImg, *arguments: Any) -> None:
        comes.set()
        await go.wait()
        await real(self, *arguments)

    with mock.patch.object(QemuImg, "compare", compare):
        _, new = await heir(two, disk)
        async with asyncio.timeout(30):
            await comes.wait()
        process = await asyncio.create_subprocess_exec(
            "qemu-io", "-f", "qcow2", "-c", "write 0 4k", str(old), stderr=asyncio.subprocess.PIPE
        )
        _, err = await process.communicate()
        assert process.returncode != 0 and b"lock" in err
        go.set()
        await two.verdict(DISK, "moved", "AsSpecified")
    assert not old.exists() and read(new, 2 * MIB) == "A"


async def test_a_copy_that_is_not_the_same_does_not_count(two: Agent) -> None:
    disk, old = await written(two)
    real = QemuImg.copy
    spoilt = asyncio.Event()

    async def copy(self: QemuImg, layers: Any, target: int, *how: Any) -> None:
        await real(self, layers, target, *how)
        if not spoilt.is_set():
            spoilt.set()
            process = await asyncio.create_subprocess_exec(
                "qemu-io", "-f", "qcow2", "-c", "write -P 66 2M 4k", f"/proc/self/fd/{target}", pass_fds=(target,)
            )
            await process.wait()

    with mock.patch.object(QemuImg, "copy", copy), mock.patch.object(jobs, "FIRST_AGAIN", 1.0):
        _, new = await heir(two, disk)
        said = await two.verdict(DISK, "moved", "StorageError")
        assert "not like what it was made from" in said.message
        assert old.exists() and not new.exists()
        await two.verdict(DISK, "moved", "AsSpecified")
    assert read(new, 2 * MIB) == "A"


async def test_what_is_given_up_leaves_the_first_file_as_it_was(two: Agent) -> None:
    disk, old = await written(two)
    made, new = await heir(two, disk)
    await two.verdict(DISK, "moved", "AsSpecified")
    assert not old.exists()
    await two.gone(made)
    assert old.exists() and not new.exists() and read(old, 2 * MIB) == "A"
    assert files(two, "local") == {disk.spec.path} and files(two, "fast") == set()
    _, new = await heir(two, disk)
    await two.verdict(DISK, "moved", "AsSpecified")
    assert not old.exists() and read(new, 2 * MIB) == "A"


class Cut:
    """Stops an agent at one step of a move."""

    def __init__(self, step: str) -> None:
        self.where, _, self.when = step.partition(":")
        self.reached, self.never = asyncio.Event(), asyncio.Event()
        self.loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        self.reached.set()
        await self.never.wait()

    def patches(self, host: Agent) -> list[Any]:
        keep = mock.patch.object(folders.Draft, "discard", lambda self: None)
        if self.where == "status":

            async def hook(verb: str, kind: Any, key: Key) -> None:
                if verb == "apply_status" and key.name == "moved" and host.root.joinpath("fast/volumes").exists():
                    await self.stop()

            return [mock.patch.object(host.server, "hook", hook), keep]
        if self.where in ("copy", "compare"):
            return [mock.patch.object(QemuImg, self.where, self._async(getattr(QemuImg, self.where))), keep]
        owner: Any = folders.Draft if self.where == "publish" else taking
        return [mock.patch.object(owner, self.where, self._blocking(getattr(owner, self.where))), keep]

    def _async(self, real: Callable[..., Any]) -> Callable[..., Any]:
        async def cut(*arguments: Any) -> None:
            if self.when == "before":
                await self.stop()
            await real(*arguments)
            await self.stop()

        return cut

    def _blocking(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def cut(*arguments: Any) -> None:
            if self.when == "after":
                real(*arguments)
            self.loop.call_soon_threadsafe(self.reached.set)
            raise folders.PoolOffline("killed")

        return cut


STEPS = [f"{where}:{when}" for where in ("copy", "compare", "publish", "_set_aside") for when in ("before", "after")]


@pytest.mark.parametrize("step", [*STEPS, "status:before"])
async def test_killed_at_any_step_one_disk_counts(two: Agent, step: str) -> None:
    """What a guest writes to the file that counts at that moment is what is there in the end."""
    disk, old = await written(two)
    cut = Cut(step)
    patches = cut.patches(two)
    for patch in patches:
        patch.start()
    try:
        _, new = await heir(two, disk)
        async with asyncio.timeout(30):
            await cut.reached.wait()
        await two.kill()
    finally:
        for patch in patches:
            patch.stop()
    assert old.exists() or new.exists()
    write(old if old.exists() else new, "B", 4 * MIB)
    await two.start()
    await two.verdict(DISK, "moved", "AsSpecified")
    assert not old.exists() and (read(new, 2 * MIB), read(new, 4 * MIB)) == ("A", "B")
    await two.gone(disk)
    assert files(two, "local") == set() and files(two, "fast") == {disk.spec.path}


async def test_the_first_disk_says_where_its_data_is(two: Agent) -> None:
    disk, _ = await written(two)
    await heir(two, disk)
    await two.verdict(DISK, "moved", "AsSpecified")
    await two.kill()
    await two.start()
    await two.verdict(DISK, "data", "Moving")
