"""Disks of each format, made in every way there is, on a real folder with the real qemu-img."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from agents.storage import jobs
from operators.contract.fabric import HOST_REPORT
from operators.contract.formats import Ability
from operators.contract.meta import Obj
from operators.contract.quantity import Quantity
from operators.contract.snapshots import DISK_SNAPSHOT
from operators.contract.storage import DISK
from tests.host.storage.harness import NODE, Agent, Source, info
from tests.host.storage.test_snapshots import reverted

MIB = 1 << 20
SECRET = b"not for guests"


async def raw(host: Agent, name: str = "data", size: str = "16Mi", **spec: Any) -> tuple[Obj[Any, Any], Path]:
    """A Disk of the format raw, and its file."""
    disk = await host.disk(name, size, path=f"volumes/{name}.raw", format="raw", **spec)
    return disk, host.pool / "volumes" / f"{name}.raw"


def put(path: Path, text: bytes, at: int) -> None:
    """What a guest would have written."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(text)


async def test_a_blank_raw_disk_is_its_bytes_and_takes_only_what_is_written(host: Agent) -> None:
    _, path = await raw(host)
    await host.verdict(DISK, "data", "AsSpecified")
    assert path.stat().st_size == 16 * MIB and path.stat().st_blocks * 512 < MIB
    assert host.read(DISK, "data").status.virtual_size == Quantity.parse("16Mi")


@pytest.mark.parametrize("form", ["qcow2", "raw"])
async def test_a_fat_disk_takes_all_of_its_size_and_so_does_what_it_grows_by(host: Agent, form: str) -> None:
    disk = await host.disk("data", "16Mi", path=f"volumes/data.{form}", format=form, preallocated=True)
    await host.verdict(DISK, "data", "AsSpecified")
    path = host.pool / "volumes" / f"data.{form}"
    assert path.stat().st_blocks * 512 >= 16 * MIB
    await host.change(disk, size="24Mi")
    await host.until(DISK, "data", lambda obj: obj.status.virtual_size == Quantity.parse("24Mi"))
    assert path.stat().st_blocks * 512 >= 24 * MIB


@pytest.mark.parametrize(("form", "fat"), [("raw", False), ("raw", True), ("qcow2", True)])
async def test_an_image_is_copied_whole_where_it_cannot_be_shared(
    host: Agent, web_source: Source, tmp_path: Path, form: str, fat: bool
) -> None:
    copy = await host.copy(web_source.url, web_source.checksum)
    await host.disk("root", "16Mi", copy="tiny", path=f"volumes/root.{form}", format=form, preallocated=fat)
    await host.verdict(DISK, "root", "AsSpecified")
    path = host.pool / "volumes" / f"root.{form}"
    assert "backing-filename" not in info(path) and info(path)["virtual-size"] == 16 * MIB
    out, wanted = tmp_path / "root", tmp_path / "image"
    for source, target, of in ((path, out, form), (host.pool / copy.spec.path, wanted, "qcow2")):
        subprocess.run(["qemu-img", "convert", "-f", of, "-O", "raw", source, target], check=True, timeout=60)
    data = wanted.read_bytes()
    assert out.read_bytes()[: len(data)] == data


async def test_what_a_guest_writes_to_a_raw_disk_is_never_taken_for_a_format(host: Agent, tmp_path: Path) -> None:
    """A guest that writes the header of a qcow2 file with a backing file would else read the host's files."""
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET.ljust(MIB, b"\0"))
    evil = tmp_path / "evil.qcow2"
    backing = ["-u", "-F", "raw", "-b", str(secret)]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, evil, "16M"], check=True, timeout=60)
    disk, path = await raw(host)
    await host.verdict(DISK, "data", "AsSpecified")
    put(path, evil.read_bytes(), 0)
    await host.change(disk, size="32Mi")
    await host.until(DISK, "data", lambda obj: obj.status.virtual_size == Quantity.parse("32Mi"))
    snapshot = await host.snapshot(host.read(DISK, "data"))
    await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified")
    _, second = await raw(host, "second", "32Mi", snapshot=disk.spec.path)
    _, third = await raw(host, "third", "32Mi", snapshot=snapshot.spec.path)
    for name, each in (("second", second), ("third", third)):
        await host.verdict(DISK, name, "AsSpecified")
        assert each.read_bytes() == path.read_bytes() and SECRET not in each.read_bytes()


async def test_a_raw_disk_is_copied_and_brought_back(host: Agent) -> None:
    disk, path = await raw(host)
    await host.verdict(DISK, "data", "AsSpecified")
    put(path, b"before", 3 * MIB)
    snapshot = await host.snapshot(disk)
    await host.verdict(DISK_SNAPSHOT, "snap", "AsSpecified")
    put(path, b"after!", 3 * MIB)
    await host.change(snapshot, revertRequest=1)
    await reverted(host, 1)
    data = path.read_bytes()
    assert (data[3 * MIB : 3 * MIB + 6], len(data)) == (b"before", 16 * MIB)


async def test_a_guest_on_a_raw_disk_is_noticed(host: Agent) -> None:
    disk, path = await raw(host)
    await host.verdict(DISK, "data", "AsSpecified")
    guest = subprocess.Popen(["qemu-io", "-f", "raw", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert guest.stdin and guest.stdout
    guest.stdin.write("write 0 4k\n")
    guest.stdin.flush()
    guest.stdout.readline()
    try:
        with mock.patch.object(jobs, "FIRST_AGAIN", 0.2):
            await raw(host, "copy", snapshot=disk.spec.path)
            said = await host.verdict(DISK, "copy", "StillAttached")
            assert "a guest runs on volumes/" in said.message
            assert not host.read(DISK, "copy").status.virtual_size
            await host.snapshot(disk)
            await host.verdict(DISK_SNAPSHOT, "snap", "Capturing")
            await host.store.delete(DISK, disk.key, uid=disk.meta.uid)
            await host.verdict(DISK, "data", "StillAttached", "Released")
    finally:
        guest.kill()
        guest.communicate()


async def test_a_raw_disk_moves(host: Agent) -> None:
    disk, path = await raw(host)
    await host.verdict(DISK, "data", "AsSpecified")
    put(path, b"before", 3 * MIB)
    take = {"pool": "local", "path": disk.spec.path}
    await host.disk("moved", "16Mi", path="volumes/m.raw", format="raw", replaces=disk.meta.uid, takeFrom=take)
    await host.verdict(DISK, "moved", "AsSpecified")
    assert (host.pool / "volumes/m.raw").read_bytes()[3 * MIB :][:6] == b"before" and not path.exists()


async def test_only_volumes_may_be_raw(host: Agent) -> None:
    await host.disk("odd", path="images/odd.raw", format="raw")
    said = await host.verdict(DISK, "odd", "PoolOffline")
    assert "is not of the form" in said.message


async def test_what_a_pool_can_do_is_reported(host: Agent) -> None:
    report = await host.until(HOST_REPORT, NODE, lambda obj: obj.status.storage is not None)
    told = {each.format: each.abilities for each in report.status.storage.pools[0].formats}
    assert Ability.LINKED_CLONES in told["qcow2"] and Ability.LINKED_CLONES not in told["raw"]
    assert told["raw"] >= {Ability.SNAPSHOTS, Ability.GROW_ONLINE, Ability.MOVE_LIVE}
