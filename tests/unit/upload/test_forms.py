"""A file that a browser posts as a form: whole or not at all, and an Image may name it before it has come."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from operators.contract.meta import Key
from operators.contract.storage import IMAGE, VOLUME
from operators.contract.uploads import IMAGE_UPLOAD
from tests.unit.upload.world import BASE, DATA, NS, World, world

SIGNATURE = {"X-signature": "t0ken", "X-expires": "later", "X-metadata": "whatever"}


async def form(cloud: World, *, size: int = 1 << 20, sha256: str = "") -> str:
    """An ImageUpload for a form; its uid."""
    spec = {"size": size, "form": True, "tokenSha256": hashlib.sha256(b"t0ken").hexdigest()}
    spec |= {"sha256": sha256} if sha256 else {}
    body = await cloud.user.create(IMAGE_UPLOAD, IMAGE_UPLOAD.body(Key(NS, "debian"), spec=spec))
    return str(body["metadata"]["uid"])


def posted(data: bytes = DATA) -> aiohttp.FormData:
    """As CloudStack's user interface makes it."""
    made = aiohttp.FormData()
    made.add_field("note", "not the file")
    made.add_field("files", data, filename="debian.qcow2", content_type="application/octet-stream")
    return made


async def post(cloud: World, data: object, **headers: str) -> tuple[int, str]:
    async with cloud.session.post(cloud.url(), data=data, headers=SIGNATURE | headers) as answer:
        return answer.status, await answer.text()


async def test_it_is_there_when_the_form_has_ended(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        uid = await form(cloud)
        await cloud.image(f"{BASE}/images/{uid}")
        await cloud.until(lambda: cloud.reason() == "Uploading")
        assert cloud.status().get("url") is None and (await cloud.fetch(uid))[0] == 404
        assert (await post(cloud, posted()))[0] == 200
        await cloud.until(lambda: cloud.status().get("phase") == "Ready")
        assert await cloud.fetch(uid) == (200, DATA)
        assert (cloud.status()["received"], cloud.status()["url"]) == (100, f"{BASE}/images/{uid}")
        assert (await post(cloud, posted()))[0] == 409, "its token has done its work"


async def test_one_that_breaks_off_leaves_nothing_and_may_be_posted_again(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        uid = await form(cloud)
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'

        async def broken() -> AsyncIterator[bytes]:
            yield head + DATA
            raise ConnectionResetError

        said = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(len(DATA) * 3)}
        await asyncio.gather(post(cloud, broken(), **said), return_exceptions=True)
        assert (await cloud.fetch(uid))[0] == 404
        async with asyncio.timeout(30):
            while (answer := await post(cloud, posted()))[0] == 423:
                await asyncio.sleep(0.01)
        assert answer[0] == 200 and await cloud.fetch(uid) == (200, DATA)


async def test_a_form_that_is_cut_short_is_none(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        uid = await form(cloud)
        short = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n' + DATA
        status, said = await post(cloud, short, **{"Content-Type": "multipart/form-data; boundary=x"})
        assert (status, "post the file again" in said) == (400, True)
        assert (await cloud.fetch(uid))[0] == 404


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [
        (posted(bytes(1000)), {}, 413),
        (posted(), {"X-signature": "another"}, 403),
        (DATA[:90], {"Content-Type": "application/octet-stream"}, 415),
        (DATA[:90], {"Content-Type": "multipart/form-data"}, 400),
        (b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, 400),
    ],
)
async def test_refusals(tmp_path: Path, data: object, headers: dict[str, str], status: int) -> None:
    async with world(tmp_path) as cloud:
        await form(cloud, size=999)
        assert (await post(cloud, data, **headers))[0] == status


async def test_each_comes_its_own_way(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        await form(cloud)
        assert (await cloud.patch(0, DATA))[0] == 405
        await cloud.upload("other")
        async with cloud.session.post(cloud.url("other"), data=posted(), headers=SIGNATURE) as answer:
            assert answer.status == 405


async def test_another_file_than_was_said_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        uid = await form(cloud, sha256=hashlib.sha256(b"another").hexdigest())
        status, said = await post(cloud, posted())
        assert (status, "not the one of spec.sha256" in said) == (409, True)
        await cloud.until(lambda: cloud.reason() == "ChecksumMismatch")
        assert (await cloud.fetch(uid))[0] == 404


async def test_a_volume_keeps_its_file_too_and_one_that_is_lost_is_told(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        uid = await form(cloud)
        assert (await post(cloud, posted()))[0] == 200
        spec = {"source": {"url": f"{BASE}/images/{uid}", "format": "qcow2"}}
        await cloud.user.create(VOLUME, VOLUME.body(Key(NS, "ledger"), spec=spec))
        await cloud.until(lambda: "expires" not in cloud.status() and cloud.status().get("received") == 100)
        await cloud.kill()
        (tmp_path / f"{uid}.image").unlink()
        await cloud.start()
        await cloud.until(lambda: cloud.reason() == "FileLost")


async def test_a_page_of_another_address_may_post(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        await form(cloud)
        async with cloud.session.options(cloud.url()) as answer:
            assert answer.status == 204 and answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "x-signature" in answer.headers["Access-Control-Allow-Headers"]
        assert cloud.server.read(IMAGE, Key(NS, "debian")) is None
