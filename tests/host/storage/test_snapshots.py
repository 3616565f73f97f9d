"""Snapshots of disks that no guest uses, on a real folder: taken, restored, brought back, removed, killed at each step."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from agents.storage import folders, jobs
from agents.storage.directories import snapshots as act
from agents.storage.qemuimg import QemuImg
from operators.contract.fabric import HOST_REPORT
from operators.contract.meta import holds
from operators.contract.quantity import Quantity
from operators.contract.snapshots import DISK_SNAPSHOT
from operators.contract.storage import DISK
from tests.host.storage.harness import NODE, Agent, Source, info, qemu_img

MIB = 1 << 20


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    with mock.patch.object(jobs, "FIRST_AGAIN", 0.2):
        yield


def write(path: Path, text: str, at: int = 0) -> None:
    """What a guest would have written."""
    subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", f"write -P {ord(text)} {at} 64k", str(path)], check=True, timeout=20
    )


def read(path: Path, at: int = 0) -> str:
    """What a guest would read."""
    out = path.with_suffix(".raw")
    qemu_img("convert", "-U", "-O", "raw", path, out)
    with out.open("rb") as file:
        file.seek(at)
        data = file.read(65536)
    out.unlink()
    assert len(set(data)) == 1
    return chr(data[0]) if data[0] else ""


class Guest:
    """Something that holds a disk open for writing, as a guest's QEMU does."""

    def __init__(self, path: Path) -> None:
        command = ["qemu-io", "-f", "qcow2", str(path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("write -P 90 1M 64k\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


async def reverted(host: Agent, request: int) -> None:
    await host.until(DISK_SNAPSHOT, "snap", lambda obj: obj.status.revert_observed == request)


async def test_snapshot_holds_what_was_there_and_stands_on_its_own(host: Agent, web_source: Source) -> None:
    await host.copy(web_source.url, web_source.checksum)
    disk = await host.disk("root", "16Mi", copy="tiny")
    await host.verdict(DISK, "root", "AsSpecified")
    path = host.pool / disk.spec.path
    write(path, "A", 2 * MIB)
    snapshot = await host.snapshot(disk)
    await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified")
    write(path, "B", 2 * MIB)
    taken = host.pool / snapshot.spec.path
    found = info(taken)
    assert "backing-filename" not in found and found["virtual-size"] == 16 * MIB
    assert read(taken, 2 * MIB) == "A"
    status = host.read(DISK_SNAPSHOT, "snap").status
    assert (status.path, status.virtual_size) == (str(taken), Quantity.parse("16Mi"))
    assert status.stored == taken.stat().st_blocks * 512 > 0
    assert status.taken_at and not status.quiesced and not status.target
    assert host.writes(DISK_SNAPSHOT) <= 2
    await host.gone(disk)
    assert read(taken, 2 * MIB) == "A", "it outlives its Disk"
    await host.gone(snapshot)
    assert not [file for file in host.files() if file.startswith(("snapshots", "volumes"))]


async def test_new_disk_from_a_snapshot_is_a_copy_of_its_own(host: Agent) -> None:
    disk = await host.disk("data", "8Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    write(host.pool / disk.spec.path, "A")
    snapshot = await host.snapshot(disk)
    await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified")
    copy = await host.disk("copy", "16Mi", snapshot=snapshot.spec.path)
    await host.verdict(DISK, "copy", "AsSpecified")
    await host.gone(snapshot)
    found = info(host.pool / copy.spec.path)
    assert found["virtual-size"] == 16 * MIB and "backing-filename" not in found
    assert read(host.pool / copy.spec.path) == "A"
    assert (host.pool / copy.spec.path).stat().st_mode & 0o777 == 0o600
    await host.disk("late", "16Mi", snapshot=snapshot.spec.path)
    await host.verdict(DISK, "late", "SnapshotNotFound")


async def test_content_is_brought_back_once_for_each_request(host: Agent) -> None:
    disk = await host.disk("data", "8Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    path = host.pool / disk.spec.path
    write(path, "A")
    snapshot = await host.snapshot(disk)
    await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified")
    write(path, "B")
    await host.change(disk, size="16Mi")
    await host.until(DISK, "data", lambda obj: obj.status.virtual_size == 16 * MIB)
    await host.change(snapshot, revertRequest=1)
    await reverted(host, 1)
    assert read(path) == "A"
    assert info(path)["virtual-size"] == 16 * MIB, "it keeps the size that it had"
    assert path.stat().st_nlink == 1 or await _settles(path)
    write(path, "C")
    await host.kill()
    await host.start()
    await asyncio.sleep(0.3)
    assert read(path) == "C", "not a second time"
    await host.change(snapshot, revertRequest=7)
    await reverted(host, 7)
    assert read(path) == "A"
    await _settles(path)
    assert host.files() == {disk.spec.path, snapshot.spec.path}


async def _settles(path: Path) -> bool:
    async with asyncio.timeout(10):
        while path.stat().st_nlink > 1:
            await asyncio.sleep(0.01)
    return True


async def test_nothing_is_brought_back_under_a_guest(host: Agent) -> None:
    disk = await host.disk("data", "8Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    path = host.pool / disk.spec.path
    write(path, "A")
    snapshot = await host.snapshot(disk)
    await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified")
    guest = Guest(path)
    inode = path.stat().st_ino
    await host.change(snapshot, revertRequest=1)
    said = await host.verdict(DISK_SNAPSHOT, "snap", "StillAttached", "Reverted")
    assert "once that is stopped" in said.message
    assert path.stat().st_ino == inode
    guest.end()
    await reverted(host, 1)
    assert read(path, MIB) == "", "what the guest wrote is undone"


async def test_disk_of_a_guest_is_left_to_its_hypervisor(host: Agent, tmp_path: Path) -> None:
    disk = await host.disk("data", "8Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    guest = Guest(host.pool / disk.spec.path)
    snapshot = await host.snapshot(disk)
    await host.verdict(DISK_SNAPSHOT, "snap", "Capturing")
    target = host.read(DISK_SNAPSHOT, "snap").status.target
    assert target == f"{host.pool}/snapshots/.{snapshot.meta.uid}."
    broken_off, target = Path(f"{target}1.capture"), Path(f"{target}2.capture")
    broken_off.write_bytes(b"half")
    qemu_img("convert", "-U", "-O", "qcow2", host.pool / disk.spec.path, target)
    capture = {"capture": {"file": target.name, "at": "2026-11-21T12:00:00Z", "quiesced": True}}
    done = {"conditions": [{"type": "Captured", "status": "True", "reason": "Captured"}]}
    other = host.store.as_manager("agent-hypervisor")
    await other.apply_status(DISK_SNAPSHOT, snapshot.key, capture | done, resource_version="")
    await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified")
    guest.end()
    status = host.read(DISK_SNAPSHOT, "snap").status
    assert (status.taken_at, status.quiesced, status.target) == ("2026-11-21T12:00:00Z", True, "")
    async with asyncio.timeout(5):
        while broken_off.exists():
            await asyncio.sleep(0.01)
    assert host.files() == {disk.spec.path, snapshot.spec.path}


async def test_guest_that_ends_meanwhile_leaves_it_to_a_copy(host: Agent) -> None:
    disk = await host.disk("data", "8Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    guest = Guest(host.pool / disk.spec.path)
    with mock.patch("agents.storage.snapshots.plan.CAPTURING", 0.1):
        snapshot = await host.snapshot(disk)
        await host.verdict(DISK_SNAPSHOT, "snap", "Capturing")
        half = host.pool / "snapshots" / f".{snapshot.meta.uid}.3.capture"
        half.write_bytes(os.urandom(1000))
        guest.end()
        await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified")
    assert read(host.pool / snapshot.spec.path, MIB) == "Z", "what the guest had written"
    async with asyncio.timeout(5):
        while half.exists():
            await asyncio.sleep(0.01)
    assert host.files() == {disk.spec.path, snapshot.spec.path}


async def test_lost_snapshot_is_never_taken_again(host: Agent) -> None:
    disk = await host.disk("data", "8Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    snapshot = await host.snapshot(disk)
    await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified")
    (host.pool / snapshot.spec.path).unlink()
    host.manager.poke("snapshots", snapshot.key)  # type: ignore[union-attr]
    said = await host.verdict(DISK_SNAPSHOT, "snap", "StorageError")
    assert "is gone" in said.message


async def test_volume_without_a_file(host: Agent) -> None:
    disk = await host.disk("data", copy="absent")
    await host.snapshot(disk)
    await host.verdict(DISK_SNAPSHOT, "snap", "VolumeNotFound")


@pytest.mark.parametrize("where", ["snapshots", "volumes"])
async def test_planted_link_is_not_followed(host: Agent, tmp_path: Path, where: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    disk = await host.disk("data", "8Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    await host.kill()
    snapshot = await host.snapshot(disk)
    (host.pool / "snapshots").mkdir(exist_ok=True)
    if where == "snapshots":
        (host.pool / "snapshots" / f".{snapshot.meta.uid}.part").symlink_to(secret)
    else:
        path = host.pool / disk.spec.path
        path.unlink()
        path.symlink_to(secret)
    await host.start()
    await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified" if where == "snapshots" else "StorageError")
    assert secret.read_text() == "secret"


async def test_full_pool_is_said_and_the_space_given_back(host: Agent) -> None:
    disk = await host.disk("data", "8Mi")
    await host.verdict(DISK, "data", "AsSpecified")

    async def full(self: QemuImg, layers: Any, target: int, *how: Any) -> None:
        os.write(target, b"x" * 100_000)
        raise OSError(28, "No space left on device")

    with mock.patch.object(QemuImg, "copy", full):
        await host.snapshot(disk)
        await host.verdict(DISK_SNAPSHOT, "snap", "PoolFull")
        assert host.files() == {disk.spec.path}
    await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified")


STEPS = ("copy:before", "copy:after", "publish:before", "publish:after", "status:before", "status:after")


class _Cut:
    """Kills the agent at one step: whatever comes to it never returns."""

    def __init__(self, host: Agent, step: str) -> None:
        self.reached = asyncio.Event()
        self.host = host
        self.where, _, self.when = step.partition(":")
        self.loop = asyncio.get_running_loop()

    def patches(self) -> list[Any]:
        cut = self

        async def stop() -> None:
            cut.reached.set()
            await asyncio.Event().wait()

        real_copy, real_publish = QemuImg.copy, folders.Draft.publish

        async def copy(self: QemuImg, layers: Any, target: int, *how: Any) -> None:
            if cut.when == "before":
                await stop()
            await real_copy(self, layers, target, *how)
            await stop()

        def publish(self: folders.Draft, mode: int) -> None:
            if cut.when == "after":
                real_publish(self, mode)
            cut.loop.call_soon_threadsafe(cut.reached.set)
            raise folders.PoolOffline("killed")

        def swap(*args: Any) -> None:
            if cut.when == "after":
                real_swap(*args)
            cut.loop.call_soon_threadsafe(cut.reached.set)
            raise folders.PoolOffline("killed")

        real_swap = act._swap
        seen = len(self.host.server.log)

        async def hook(verb: str, kind: Any, key: Any) -> None:
            if verb != "apply_status" or kind is not DISK_SNAPSHOT:
                return
            if cut.when == "before":
                await stop()
            cut.loop.call_later(0.02, cut.reached.set)

        assert seen >= 0
        keep = mock.patch.object(folders.Draft, "discard", lambda self: None)
        return {
            "copy": [mock.patch.object(QemuImg, "copy", copy), keep],
            "publish": [mock.patch.object(folders.Draft, "publish", publish), keep],
            "swap": [mock.patch.object(act, "_swap", swap)],
            "status": [mock.patch.object(self.host.server, "hook", hook)],
        }[self.where]


async def _killed_at(host: Agent, step: str) -> None:
    cut = _Cut(host, step)
    patches = cut.patches()
    for patch in patches:
        patch.start()
    try:
        await host.start()
        async with asyncio.timeout(20):
            await cut.reached.wait()
        await host.kill()
    finally:
        for patch in patches:
            patch.stop()


@pytest.mark.parametrize("step", STEPS)
async def test_killed_while_a_snapshot_is_taken(host: Agent, step: str) -> None:
    disk = await host.disk("data", "8Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    write(host.pool / disk.spec.path, "A")
    await host.kill()
    snapshot = await host.snapshot(disk)
    await _killed_at(host, step)
    await host.start()
    await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified")
    assert read(host.pool / snapshot.spec.path) == "A"
    assert host.files() == {disk.spec.path, snapshot.spec.path}
    assert holds(host.read(DISK_SNAPSHOT, "snap").status.conditions, "Provisioned")


@pytest.mark.parametrize("step", (*STEPS, "swap:before", "swap:after"))
async def test_killed_while_content_is_brought_back(host: Agent, step: str) -> None:
    """Whatever is written after it was brought back stays, though the agent was killed before it could say so."""
    disk = await host.disk("data", "8Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    path = host.pool / disk.spec.path
    write(path, "A")
    snapshot = await host.snapshot(disk)
    await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified")
    write(path, "B")
    await host.kill()
    await host.change(snapshot, revertRequest=1)
    await _killed_at(host, step)
    brought_back = read(path) == "A"
    assert brought_back or not step.endswith("swap:after")
    if brought_back:
        write(path, "C")
    await host.start()
    await reverted(host, 1)
    assert read(path) == ("C" if brought_back else "A")
    await _settles(path)
    assert host.files() == {disk.spec.path, snapshot.spec.path}


@pytest.mark.parametrize("step", [each for each in STEPS if not each.startswith("status")])
async def test_killed_while_a_disk_is_made_from_a_snapshot(host: Agent, step: str) -> None:
    disk = await host.disk("data", "8Mi")
    await host.verdict(DISK, "data", "AsSpecified")
    write(host.pool / disk.spec.path, "A")
    snapshot = await host.snapshot(disk)
    await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified")
    await host.kill()
    copy = await host.disk("copy", "8Mi", snapshot=snapshot.spec.path)
    await _killed_at(host, step)
    await host.start()
    await host.verdict(DISK, "copy", "AsSpecified")
    assert read(host.pool / copy.spec.path) == "A"
    assert host.files() == {disk.spec.path, snapshot.spec.path, copy.spec.path}


async def test_what_a_killed_agent_left_of_a_snapshot_that_is_gone_is_swept(host: Agent) -> None:
    gone = "12345678-1234-4234-8234-123456789abc"
    await host.kill()
    for folder, name in (
        ("snapshots", "part"),
        ("snapshots", "12.capture"),
        ("volumes", "3.revert"),
        ("volumes", "swap"),
    ):
        (host.pool / folder).mkdir(parents=True, exist_ok=True)
        (host.pool / folder / f".{gone}.{name}").write_text("x")
    await host.start()
    await host.until(HOST_REPORT, NODE, lambda obj: obj.status.storage is not None)
    async with asyncio.timeout(10):
        while host.files():
            await asyncio.sleep(0.01)
