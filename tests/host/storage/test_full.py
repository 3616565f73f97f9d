"""A pool that fills up, on a real file system of a few MiB: it is said, nothing half made stays, and it heals."""

from __future__ import annotations

import gzip
import os
import subprocess
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from unittest import mock

import pytest

from agents.storage import jobs
from operators.contract.backups import DISK_BACKUP
from operators.contract.meta import Key
from operators.contract.storage import DISK, IMAGE_COPY
from tests.host.storage.harness import Agent, agent, image, info, source
from tests.host.storage.test_backups import VOLUME_UID, attic, backup, snapshot

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system of its own")
MIB = 1 << 20


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Agent]:
    """A storage agent whose pools have 8 MiB."""
    root = tmp_path / "pools"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", root], check=True, timeout=30)
    try:
        with mock.patch.object(jobs, "FIRST_AGAIN", 0.2):
            async with agent(root) as made:
                yield made
    finally:
        subprocess.run(["umount", "-l", root], check=True, timeout=30)


def fill(small: Agent, megabytes: int) -> Path:
    ballast = small.root / "ballast"
    ballast.write_bytes(os.urandom(megabytes * MIB))
    return ballast


def sparsely(path: Path, content: bytes) -> None:
    """Write what a disk holds, as a guest would: the zeros that it never wrote take no room."""
    with path.open("r+b") as disk:
        disk.write(content.rstrip(b"\0"))


@pytest.mark.parametrize("length", [True, False])
async def test_an_image_that_does_not_fit_is_given_up_and_fetched_once_there_is_room(
    small: Agent, tmp_path: Path, length: bool
) -> None:
    ballast = fill(small, 6)
    data = image(tmp_path, "4M") + os.urandom(3 * MIB)
    async with source(data, length=length) as served:
        copy = await small.copy(served.url, served.checksum)
        await small.verdict(IMAGE_COPY, "tiny", "PoolFull")
        assert small.files() == set()
        ballast.unlink()
        await small.verdict(IMAGE_COPY, "tiny", "AsSpecified")
    assert small.files() == {copy.spec.path}


async def test_a_fat_disk_that_does_not_fit_takes_nothing_and_is_made_once_there_is_room(small: Agent) -> None:
    ballast = fill(small, 5)
    disk = await small.disk("fat", "4Mi", path="volumes/fat.raw", format="raw", preallocated=True)
    await small.verdict(DISK, "fat", "PoolFull")
    assert small.files() == set()
    ballast.unlink()
    await small.verdict(DISK, "fat", "AsSpecified", "Provisioned")
    assert (small.pool / disk.spec.path).stat().st_blocks * 512 >= 4 * MIB


async def test_a_copy_that_does_not_fit_leaves_the_first_disk_as_it_was(small: Agent) -> None:
    first = await small.disk("data", "4Mi", path="volumes/data.raw", format="raw")
    await small.verdict(DISK, "data", "AsSpecified")
    path = small.pool / first.spec.path
    content = os.urandom(4 * MIB)
    path.write_bytes(content)
    ballast = fill(small, 2)
    await small.disk("copy", "4Mi", path="volumes/copy.raw", format="raw", snapshot=first.spec.path)
    await small.verdict(DISK, "copy", "PoolFull")
    assert small.files() == {first.spec.path} and path.read_bytes() == content
    ballast.unlink()


async def test_an_image_of_a_disk_that_does_not_fit_leaves_that_as_it_was(small: Agent) -> None:
    disk = await small.disk("data", "4Mi", path="volumes/data.raw", format="raw")
    await small.verdict(DISK, "data", "AsSpecified")
    content = os.urandom(2 * MIB) + bytes(2 * MIB)
    path = small.pool / disk.spec.path
    sparsely(path, content)
    ballast = fill(small, 5)
    uid = str(uuid.uuid4())
    spec = {
        "hostName": small.node,
        "pool": "local",
        "path": f"images/{uid}.qcow2",
        "image": {"name": "golden", "uid": uid},
        "source": {"pool": "local", "path": disk.spec.path},
    }
    await small.store.create(IMAGE_COPY, IMAGE_COPY.body(Key(small.space, "golden"), spec=spec))
    await small.verdict(IMAGE_COPY, "golden", "PoolFull")
    assert small.files() == {disk.spec.path} and path.read_bytes() == content
    ballast.unlink()
    await small.verdict(IMAGE_COPY, "golden", "AsSpecified")
    assert small.files() == {disk.spec.path, spec["path"]}


async def test_a_backup_that_does_not_fit_into_its_store_and_a_disk_that_does_not_fit_back(small: Agent) -> None:
    (small.root / "attic").mkdir()
    await attic(small, type="Directory", path=str(small.root / "attic"))
    disk = await small.disk("data", "4Mi", path="volumes/data.raw", format="raw")
    await small.verdict(DISK, "data", "AsSpecified")
    content = os.urandom(MIB) + bytes(3 * MIB)
    sparsely(small.pool / disk.spec.path, content)
    taken = await snapshot(small, disk, "monday")
    before = small.files()

    ballast = fill(small, 5)
    kept = await backup(small, taken, "offsite")
    await small.verdict(DISK_BACKUP, "offsite", "PoolFull")
    ballast.unlink()
    await small.verdict(DISK_BACKUP, "offsite", "AsSpecified")

    ballast = fill(small, 3)
    ref = {"imageStore": "attic", "volumeUid": VOLUME_UID, "backupUid": kept.spec.backup.uid}
    again = await small.disk("again", "4Mi", path="volumes/again.raw", format="raw", backup=ref)
    await small.verdict(DISK, "again", "PoolFull")
    assert small.files() == before
    ballast.unlink()
    await small.verdict(DISK, "again", "AsSpecified")
    assert (small.pool / again.spec.path).read_bytes() == content


async def test_what_a_server_packs_is_not_unfolded(tmp_path: Path) -> None:
    """A gibibyte of zeros in a megabyte on the wire: the bytes that came are what is looked at."""
    bomb = gzip.compress(bytes(256 * MIB), 9)
    (tmp_path / "pools").mkdir()
    with mock.patch.object(jobs, "FIRST_AGAIN", 0.2):
        async with agent(tmp_path / "pools") as host, source(bomb) as served:
            await host.copy(served.url, served.checksum, format="raw")
            said = await host.verdict(IMAGE_COPY, "tiny", "UnsafeImage")
            assert "gzip" in said.message and host.files() == set()


async def test_a_compressed_image_unfolds_no_further_than_its_limit(tmp_path: Path) -> None:
    raw = tmp_path / "zeros.raw"
    with raw.open("wb") as file:
        file.truncate(512 * MIB)
    packed = tmp_path / "bomb.qcow2"
    command = ["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, packed]
    subprocess.run(command, check=True, timeout=60)
    assert info(packed)["virtual-size"] == 512 * MIB and packed.stat().st_size < MIB
    (tmp_path / "pools").mkdir()
    with mock.patch.object(jobs, "FIRST_AGAIN", 0.2):
        async with (
            agent(tmp_path / "pools", IMAGE_MAX_VIRTUAL_SIZE="256Mi") as host,
            source(packed.read_bytes()) as served,
        ):
            await host.copy(served.url, served.checksum)
            await host.verdict(IMAGE_COPY, "tiny", "ImageTooLarge")
            assert host.files() == set()
