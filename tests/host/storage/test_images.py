"""Image copies on a real folder: fetched from loopback, checked, refused, resumed, removed."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import struct
from pathlib import Path
from unittest import mock

import pycdlib
import pytest

from agents.storage import jobs
from agents.storage.copies.controller import Copies
from operators.contract.quantity import Quantity
from operators.contract.storage import DISK, IMAGE_COPY
from tests.host.storage.harness import Agent, Source, agent, image, info, qemu_img, source


@pytest.fixture(autouse=True)
def impatient() -> object:
    """Failed imports are tried again after 0.2 s in place of 5 s, and progress is told at once."""
    with mock.patch.object(jobs, "FIRST_AGAIN", 0.2), mock.patch.object(jobs, "TELL", 0.0):
        yield


async def test_image_is_fetched_checked_and_read_only(host: Agent, web_source: Source) -> None:
    copy = await host.copy(web_source.url, web_source.checksum)
    await host.verdict(IMAGE_COPY, "tiny", "AsSpecified")
    path = host.pool / copy.spec.path
    status = host.read(IMAGE_COPY, "tiny").status
    assert (status.path, status.virtual_size, status.progress) == (str(path), Quantity.parse("4Mi"), 100)
    assert path.read_bytes() == web_source.data
    assert path.stat().st_mode & 0o777 == 0o444
    assert host.files() == {copy.spec.path}


@pytest.mark.parametrize("algorithm", ["sha512", "sha1", "md5"])
async def test_other_checksums_are_checked_too(host: Agent, web_source: Source, algorithm: str) -> None:
    digits = hashlib.new(algorithm, web_source.data, usedforsecurity=False).hexdigest()
    await host.copy(web_source.url, f"{algorithm}:{digits}")
    await host.verdict(IMAGE_COPY, "tiny", "AsSpecified")
    await host.copy(web_source.url, f"{algorithm}:{digits[::-1]}", "wrong")
    said = await host.verdict(IMAGE_COPY, "wrong", "ChecksumMismatch")
    assert f"{algorithm}:{digits[:12]}" in said.message
    assert host.read(IMAGE_COPY, "tiny").status.checksum == ""


@pytest.mark.parametrize("form", ["qcow2", "raw"])
async def test_without_a_checksum_what_came_first_must_come_again(host: Agent, tmp_path: Path, form: str) -> None:
    """Where the file was removed for want of use, and the url serves another one by then, that is refused."""
    async with source(image(tmp_path, "4M", form)) as made:
        copy = await host.copy(made.url, "", format=form)
        await host.verdict(IMAGE_COPY, "tiny", "AsSpecified")
        assert host.read(IMAGE_COPY, "tiny").status.checksum == made.checksum
        for changed, reason in ((False, "AsSpecified"), (True, "ChecksumMismatch")):
            await host.change(copy, evict=True)
            await host.verdict(IMAGE_COPY, "tiny", "Unused")
            if changed:
                made.data = made.data[:-1] + b"x"
            await host.change(copy, evict=False)
            await host.verdict(IMAGE_COPY, "tiny", reason)
    assert host.files() == set()


async def test_without_a_checksum_nothing_is_resumed(host: Agent, tmp_path: Path) -> None:
    """What is there of an earlier attempt may be of another file."""
    async with source(image(tmp_path), cut_at=1 << 17) as made:
        await host.copy(made.url, "")
        await host.verdict(IMAGE_COPY, "tiny", "SourceUnreachable")
        made.cut_at = 0
        await host.verdict(IMAGE_COPY, "tiny", "AsSpecified")
    assert set(made.asked) == {""}


async def test_raw_image_becomes_qcow2(host: Agent, tmp_path: Path) -> None:
    async with source(image(tmp_path, "4M", "raw")) as made:
        copy = await host.copy(made.url, made.checksum, format="raw")
        await host.verdict(IMAGE_COPY, "tiny", "AsSpecified")
    found = info(host.pool / copy.spec.path)
    assert (found["format"], found["virtual-size"]) == ("qcow2", 4 << 20)
    assert host.files() == {copy.spec.path}


@pytest.mark.parametrize(
    ("form", "options"),
    [("vmdk", ()), ("vmdk", ("-o", "subformat=streamOptimized")), ("vdi", ()), ("vdi", ("-o", "static=on"))],
)
async def test_foreign_image_becomes_qcow2(host: Agent, tmp_path: Path, form: str, options: tuple[str, ...]) -> None:
    raw = tmp_path / "source.raw"
    raw.write_bytes(bytes(range(256)) * 16384)
    made_of = tmp_path / f"made.{form}"
    qemu_img("convert", "-f", "raw", "-O", form, *options, raw, made_of)
    async with source(made_of.read_bytes()) as made:
        copy = await host.copy(made.url, made.checksum, format=form)
        await host.verdict(IMAGE_COPY, "tiny", "AsSpecified")
    found = info(host.pool / copy.spec.path)
    assert (found["format"], found["virtual-size"]) == ("qcow2", 4 << 20)
    assert "Images are identical" in qemu_img("compare", "-f", "raw", "-F", "qcow2", raw, host.pool / copy.spec.path)
    assert host.files() == {copy.spec.path}


DESCRIPTION = """# Disk DescriptorFile
version=1
CID=12345678
parentCID={parent}
createType="{type}"
{extent}
"""


def _vmdk(parent: str = "ffffffff", type_: str = "monolithicSparse", extent: str = 'RW 8192 SPARSE "x.vmdk"') -> bytes:
    text = DESCRIPTION.format(parent=parent, type=type_, extent=extent).encode().ljust(20 * 512, b"\0")
    head = struct.pack("<4sIIQQQQIQQQ", b"KDMV", 1, 3, 8192, 128, 1, 20, 512, 21, 26, 128)
    return (head.ljust(512, b"\0") + text).ljust(1 << 20, b"\0")


def _vdi(kind: int = 1, link: bytes = bytes(32), size: int = 4 << 20) -> bytes:
    head = bytearray(1024)
    head[0x40:0x50] = struct.pack("<IIII", 0xBEDA107F, 0x00010001, 0x190, kind)
    head[0x170:0x178] = struct.pack("<Q", size)
    head[0x1A8:0x1C8] = link
    return bytes(head).ljust(1 << 20, b"\0")


@pytest.mark.parametrize(
    ("form", "data", "reason", "words"),
    [
        ("vmdk", DESCRIPTION.format(parent="ffffffff", type="monolithicFlat", extent='RW 9 FLAT "/etc/shadow" 0').encode(), "UnsafeImage", "holds its data itself"),
        ("vmdk", _vmdk(type_="monolithicFlat", extent='RW 9 FLAT "/etc/shadow" 0'), "UnsafeImage", "of type monolithicFlat"),
        ("vmdk", _vmdk(extent='RW 9 FLAT "/etc/shadow" 0'), "UnsafeImage", "its extents"),
        ("vmdk", _vmdk(extent='RW 9 SPARSE "a"\nRW 9 FLAT "/etc/shadow" 0'), "UnsafeImage", "its extents"),
        ("vmdk", _vmdk(parent="12345678"), "UnsafeImage", "its parent"),
        ("vmdk", _vmdk(extent='RW 9 SPARSE "a"\nparentFileNameHint="/etc/shadow"'), "UnsafeImage", "its parent"),
        ("vmdk", b"KDMV" + bytes(100_000), "UnsafeImage", "no description"),
        ("vdi", _vdi(kind=4), "UnsafeImage", "its parent"),
        ("vdi", _vdi(link=b"x" * 32), "UnsafeImage", "its parent"),
        ("vdi", _vdi(size=1 << 60), "ImageTooLarge", "unfolds to"),
        ("vdi", b"<<< something else >>>".ljust(5000), "UnsafeImage", "not a VDI file"),
    ],
)  # fmt: skip
async def test_foreign_image_that_leads_elsewhere_is_refused(
    host: Agent, form: str, data: bytes, reason: str, words: str
) -> None:
    async with source(data) as made:
        await host.copy(made.url, made.checksum, format=form)
        said = await host.verdict(IMAGE_COPY, "tiny", reason)
    assert words in said.message
    assert not [file for file in host.files() if file.endswith(".qcow2")]


async def test_progress_is_told_in_steps_of_ten(host: Agent, tmp_path: Path) -> None:
    data = image(tmp_path) + os.urandom(20 << 20)
    seen = []
    async with source(data, pause_at=10 << 20) as made:
        await host.copy(made.url, made.checksum)
        status = (await host.until(IMAGE_COPY, "tiny", lambda obj: obj.status.progress >= 30)).status
        seen.append(status.progress)
        made.go.set()
        await host.verdict(IMAGE_COPY, "tiny", "AsSpecified")
    assert seen[0] % 10 == 0
    assert host.writes(IMAGE_COPY) <= 12


async def test_wrong_checksum_is_said_and_heals_when_the_source_does(host: Agent, tmp_path: Path) -> None:
    good = image(tmp_path)
    async with source(b"not what was asked for") as made:
        wrong = made.data
        made.data = good
        right = made.checksum
        made.data = wrong
        copy = await host.copy(made.url, right)
        said = await host.verdict(IMAGE_COPY, "tiny", "ChecksumMismatch")
        assert "served a file of sha256:" in said.message
        assert host.files() == set()
        written = host.writes(IMAGE_COPY)
        while len(made.asked) < 3:
            await asyncio.sleep(0.05)
        assert host.writes(IMAGE_COPY) == written, "a failure that goes on is not written again and again"
        made.data = good
        await host.verdict(IMAGE_COPY, "tiny", "AsSpecified")
    assert host.files() == {copy.spec.path}


async def test_failing_image_says_the_same_after_a_restart_and_at_every_attempt(host: Agent, tmp_path: Path) -> None:
    """Neither its reason nor its progress goes to and fro while it is fetched again and again, until it succeeds."""
    data = image(tmp_path) + os.urandom(4 << 20)
    async with source(data) as made:
        await host.copy(made.url, "sha256:" + "0" * 64)
        await host.verdict(IMAGE_COPY, "tiny", "ChecksumMismatch")
        before = host.read(IMAGE_COPY, "tiny").status
        assert before.progress >= 10
        await host.kill()
        writes, asked = host.writes(IMAGE_COPY), len(made.asked)
        await host.start()
        async with asyncio.timeout(20):
            while len(made.asked) < asked + 3:
                await asyncio.sleep(0.01)
        assert host.read(IMAGE_COPY, "tiny").status == before
        assert host.writes(IMAGE_COPY) == writes


async def test_unreachable_source_heals(host: Agent, web_source: Source) -> None:
    web_source.status = 503
    await host.copy(web_source.url, web_source.checksum)
    said = await host.verdict(IMAGE_COPY, "tiny", "SourceUnreachable")
    assert "503" in said.message
    web_source.status = 200
    await host.verdict(IMAGE_COPY, "tiny", "AsSpecified")


async def test_nobody_listens(host: Agent) -> None:
    await host.copy("http://127.0.0.1:1/image", "sha256:" + "0" * 64)
    await host.verdict(IMAGE_COPY, "tiny", "SourceUnreachable")


@pytest.mark.parametrize("ranges", [True, False])
async def test_broken_download_goes_on_or_starts_over(host: Agent, tmp_path: Path, ranges: bool) -> None:
    async with source(image(tmp_path) + os.urandom(4 << 20), cut_at=3 << 20, ranges=ranges) as made:
        await host.copy(made.url, made.checksum)
        await host.verdict(IMAGE_COPY, "tiny", "SourceUnreachable")
        made.cut_at = 0
        await host.verdict(IMAGE_COPY, "tiny", "AsSpecified")
        assert made.asked[0] == ""
        assert made.asked[-1].startswith("bytes="), "what was there is not fetched twice, if the source can do that"


async def test_file_that_changed_between_two_parts_is_fetched_anew(host: Agent, tmp_path: Path) -> None:
    old, new = image(tmp_path) + os.urandom(4 << 20), image(tmp_path) + os.urandom(4 << 20)
    async with source(new) as made:
        checksum = made.checksum
        made.data, made.cut_at = old, 3 << 20
        await host.copy(made.url, checksum)
        await host.verdict(IMAGE_COPY, "tiny", "SourceUnreachable")
        made.data, made.cut_at = new, 0
        await host.verdict(IMAGE_COPY, "tiny", "AsSpecified")


def _with_backing(data: bytes, name: bytes) -> bytes:
    """A qcow2 file that claims a backing file, as a hostile one would."""
    changed = bytearray(data)
    changed[512 : 512 + len(name)] = name
    struct.pack_into(">QI", changed, 8, 512, len(name))
    return bytes(changed)


def _with_data_file(data: bytes) -> bytes:
    changed = bytearray(data)
    changed[72:80] = struct.pack(">Q", 1 << 2)
    return bytes(changed)


def _with_size(data: bytes, size: int) -> bytes:
    changed = bytearray(data)
    changed[24:32] = struct.pack(">Q", size)
    return bytes(changed)


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        (lambda data: _with_backing(data, b"/etc/shadow"), "UnsafeImage", "backing file"),
        (lambda data: _with_backing(data, b'json:{"driver":"nbd"}'), "UnsafeImage", "backing file"),
        (_with_data_file, "UnsafeImage", "another file"),
        (lambda data: _with_size(data, 1 << 50), "ImageTooLarge", "unfolds to 1Pi"),
        (lambda data: _with_size(data, 0), "UnsafeImage", "empty"),
        (lambda data: b"<html>not found</html>" * 10, "UnsafeImage", "does not start as a qcow2"),
        (lambda data: data[:60], "UnsafeImage", "cut off"),
        (lambda data: data[:4] + struct.pack(">I", 1) + data[8:], "UnsafeImage", "version 1"),
        (lambda data: data[:72] + b"\xff" * 8 + data[80:], "UnsafeImage", ""),
        (lambda data: data[:20] + struct.pack(">I", 63) + data[24:], "UnsafeImage", "no sound qcow2"),
        (lambda data: data[:36] + struct.pack(">I", 1 << 30) + data[40:], "UnsafeImage", ""),
    ],
)
async def test_unsafe_image_is_refused(host: Agent, tmp_path: Path, change: object, reason: str, words: str) -> None:
    async with source(change(image(tmp_path))) as made:  # type: ignore[operator]
        await host.copy(made.url, made.checksum)
        said = await host.verdict(IMAGE_COPY, "tiny", reason)
    assert words in said.message
    assert host.files() == set()


async def test_image_with_a_real_backing_or_data_file_or_password(host: Agent, tmp_path: Path) -> None:
    base = tmp_path / "base.qcow2"
    qemu_img("create", "-f", "qcow2", base, "4M")
    for number, options in enumerate(
        (
            ("-F", "qcow2", "-b", base),
            ("-o", f"data_file={tmp_path / 'data.raw'}"),
            ("--object", "secret,id=s,data=abc", "-o", "encrypt.format=aes,encrypt.key-secret=s"),
        )
    ):
        made = tmp_path / f"bad{number}.qcow2"
        qemu_img("create", "-f", "qcow2", *options, made, "4M")
        async with source(made.read_bytes()) as served:
            await host.copy(served.url, served.checksum, f"bad{number}")
            await host.verdict(IMAGE_COPY, f"bad{number}", "UnsafeImage")


async def test_qcow2_that_is_declared_raw_is_refused(host: Agent, web_source: Source) -> None:
    await host.copy(web_source.url, web_source.checksum, format="raw")
    said = await host.verdict(IMAGE_COPY, "tiny", "UnsafeImage")
    assert "the file is qcow2" in said.message


@pytest.mark.parametrize("length", [True, False])
async def test_file_above_the_limit_is_not_fetched(tmp_path: Path, length: bool) -> None:
    async with (
        agent(tmp_path / "pools", IMAGE_MAX_DOWNLOAD="2Mi") as host,
        source(os.urandom(8 << 20), length=length) as made,
    ):
        await host.copy(made.url, made.checksum)
        await host.verdict(IMAGE_COPY, "tiny", "ImageTooLarge")
        assert host.files() == set()


@pytest.mark.parametrize(
    "location",
    ["http://169.254.169.254/latest/meta-data", "http://localhost:1/x", "http://127.0.0.1:1/x", "file:///etc/shadow"],
)
async def test_redirect_to_another_place_is_refused(host: Agent, web_source: Source, location: str) -> None:
    web_source.redirect = location
    await host.copy(web_source.url, web_source.checksum)
    said = await host.verdict(IMAGE_COPY, "tiny", "SourceRefused")
    assert "redirects to another place" in said.message


async def test_redirect_on_the_same_host_is_followed(host: Agent, web_source: Source) -> None:
    web_source.redirect = f"{web_source.url}-moved"
    await host.copy(web_source.url, web_source.checksum)
    await host.verdict(IMAGE_COPY, "tiny", "SourceRefused")  # for ever in a circle
    web_source.redirect = ""
    await host.verdict(IMAGE_COPY, "tiny", "AsSpecified")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "127.1", "[::1]", "2130706433", "[::ffff:127.0.0.1]"])
async def test_loopback_is_refused_unless_allowed(tmp_path: Path, web_source: Source, name: str) -> None:
    async with agent(tmp_path / "pools", IMAGE_SOURCES_ALLOW="") as host:
        await host.copy(f"http://{name}:{web_source.port}/image", web_source.checksum)
        said = await host.verdict(IMAGE_COPY, "tiny", "SourceRefused")
        assert "IMAGE_SOURCES_ALLOW" in said.message or "cannot be understood" in said.message
    assert web_source.asked == []


async def test_deleted_image_is_kept_while_disks_are_made_from_it(host: Agent, web_source: Source) -> None:
    copy = await host.copy(web_source.url, web_source.checksum)
    used = await host.disk("used", copy="tiny")
    kept = await host.disk("kept", copy="tiny", keep=True)
    for each in (used, kept):
        await host.verdict(DISK, each.meta.name, "AsSpecified")
    await host.store.delete(IMAGE_COPY, copy.key, uid=copy.meta.uid)
    said = await host.verdict(IMAGE_COPY, "tiny", "StillInUse", "Released")
    assert "team/used" in said.message
    for each in (used, kept):
        await host.store.delete(DISK, each.key, uid=each.meta.uid)
        await host.verdict(DISK, each.meta.name, "Released", "Released")
        left = host.read(DISK, each.meta.name)
        await host.store.finalize(DISK, left.meta, ())
    await host.until(IMAGE_COPY, "tiny", lambda obj: "kept" not in obj.status.conditions[-1].message)
    said = await host.verdict(IMAGE_COPY, "tiny", "StillInUse", "Released")
    assert kept.spec.path in said.message, "the file of a kept disk needs the image as before"
    (host.pool / kept.spec.path).unlink()
    host.manager.poke(Copies.name, copy.key)  # type: ignore[union-attr]
    await host.verdict(IMAGE_COPY, "tiny", "Released", "Released")
    assert host.files() == set()


async def test_deleted_while_it_is_fetched(host: Agent, tmp_path: Path) -> None:
    async with source(image(tmp_path) + os.urandom(8 << 20), pause_at=4 << 20) as made:
        copy = await host.copy(made.url, made.checksum)
        await host.until(IMAGE_COPY, "tiny", lambda obj: obj.status.progress >= 30)
        await host.store.delete(IMAGE_COPY, copy.key, uid=copy.meta.uid)
        await host.verdict(IMAGE_COPY, "tiny", "Released", "Released")
    assert host.files() == set()


async def test_lost_copy_is_fetched_again(host: Agent, web_source: Source) -> None:
    copy = await host.copy(web_source.url, web_source.checksum)
    await host.verdict(IMAGE_COPY, "tiny", "AsSpecified")
    (host.pool / copy.spec.path).unlink()
    host.manager.poke(Copies.name, copy.key)  # type: ignore[union-attr]
    while not (host.pool / copy.spec.path).exists():
        await asyncio.sleep(0.01)
    await host.verdict(IMAGE_COPY, "tiny", "AsSpecified")


async def test_unused_copy_goes_when_told_and_comes_back(host: Agent, web_source: Source) -> None:
    copy = await host.copy(web_source.url, web_source.checksum)
    disk = await host.disk("root", copy="tiny")
    await host.verdict(DISK, "root", "AsSpecified")
    await host.change(copy, evict=True)
    await host.until(IMAGE_COPY, "tiny", lambda obj: obj.status.observed_generation == obj.meta.generation)
    assert (host.pool / copy.spec.path).exists(), "a disk is made from it"
    await host.gone(disk)
    said = await host.verdict(IMAGE_COPY, "tiny", "Unused")
    assert not said.true and host.files() == set()
    again = await host.disk("again", copy="tiny")
    await host.verdict(DISK, "again", "WaitingForImage")
    await host.change(copy, evict=False)
    await host.verdict(DISK, "again", "AsSpecified")
    assert host.files() == {copy.spec.path, again.spec.path}


@pytest.mark.parametrize("sound", [True, False])
async def test_cd_is_taken_for_one_only_if_it_is(host: Agent, sound: bool) -> None:
    made = pycdlib.PyCdlib()
    made.new(vol_ident="SETUP")
    made.add_fp(io.BytesIO(b"x" * 4096), 4096, "/FILE.;1")
    out = io.BytesIO()
    made.write_fp(out)
    async with source(out.getvalue() if sound else b"x" * 200_000) as served:
        copy = await host.copy(served.url, served.checksum, format="iso")
        if not sound:
            said = await host.verdict(IMAGE_COPY, "tiny", "UnsafeImage")
            assert "no file system of a CD" in said.message and host.files() == set()
            return
        await host.verdict(IMAGE_COPY, "tiny", "AsSpecified")
        await host.disk("cd", "1Mi", copy="tiny")
        await host.verdict(DISK, "cd", "AsSpecified")
    path = host.pool / copy.spec.path
    back = path.with_suffix(".iso")
    qemu_img("convert", "-O", "raw", path, back)
    assert back.read_bytes()[: len(out.getvalue())] == out.getvalue()
