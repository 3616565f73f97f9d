"""A file comes by pieces, whatever breaks off meanwhile; what is not it, or not entitled, is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from operators.contract.meta import Key
from operators.contract.storage import IMAGE
from operators.contract.uploads import IMAGE_UPLOAD
from tests.unit.upload.world import BASE, DATA, NS, world

HALF = len(DATA) // 2


async def test_it_comes_whole_and_is_served(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        uid = await cloud.upload()
        assert await cloud.head() == (200, "0")
        assert await cloud.patch(0, DATA[:HALF]) == (204, str(HALF))
        await cloud.until(lambda: cloud.status().get("received") == 50)
        assert cloud.status().get("url") is None
        assert (await cloud.fetch(uid))[0] == 404, "half an image is nobody's"
        assert await cloud.patch(HALF, DATA[HALF:]) == (204, str(len(DATA)))
        await cloud.until(lambda: cloud.status().get("phase") == "Ready")
        assert cloud.status()["url"] == f"{BASE}/images/{uid}"
        assert await cloud.fetch(uid) == (200, DATA)
        assert await cloud.fetch(uid, Range=f"bytes={HALF}-") == (206, DATA[HALF:])
        assert cloud.files() == {f"{uid}.image"}


async def test_a_restart_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        await cloud.upload()
        await cloud.patch(0, DATA[:HALF])
        await cloud.kill()
        await cloud.start()
        assert await cloud.head() == (200, str(HALF))
        await cloud.patch(HALF, DATA[HALF:])
        await cloud.until(lambda: cloud.status().get("phase") == "Ready")


async def test_a_restart_before_the_check_checks(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        await cloud.kill()
        uid = await cloud.upload()
        (tmp_path / f"{uid}.part").write_bytes(DATA)
        await cloud.start()
        await cloud.until(lambda: cloud.status().get("phase") == "Ready")


async def test_what_came_of_a_request_that_broke_off_stays(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        uid = await cloud.upload()
        part = tmp_path / f"{uid}.part"
        half_is_there = asyncio.Event()

        async def broken() -> AsyncIterator[bytes]:
            yield DATA[:HALF]
            await half_is_there.wait()
            raise ConnectionResetError

        request = asyncio.create_task(cloud.patch(0, broken(), **{"Content-Length": str(len(DATA))}))
        await cloud.until(lambda: part.exists() and part.stat().st_size == HALF)
        assert (await cloud.patch(HALF, DATA[HALF:]))[0] == 423, "one at a time"
        half_is_there.set()
        await asyncio.gather(request, return_exceptions=True)
        async with asyncio.timeout(30):
            while (answer := await cloud.patch(HALF, DATA[HALF:]))[0] == 423:
                await asyncio.sleep(0.01)
        assert answer == (204, str(len(DATA)))
        await cloud.until(lambda: cloud.status().get("phase") == "Ready")


async def test_another_file_is_thrown_away(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        uid = await cloud.upload()
        await cloud.patch(0, DATA[::-1])
        await cloud.until(lambda: cloud.reason() == "ChecksumMismatch")
        assert cloud.status()["phase"] == "Failed"
        assert (tmp_path / f"{uid}.wrong").stat().st_size == 0
        assert (await cloud.head())[0] == 409
        status, said = await cloud.patch(0, DATA)
        assert (status, "delete this ImageUpload" in said) == (409, True)
        assert (await cloud.fetch(uid))[0] == 404


async def test_no_byte_too_many(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        await cloud.upload()
        assert (await cloud.patch(0, DATA + b"!"))[0] == 413
        assert cloud.files() == set()
        await cloud.patch(0, DATA[:HALF])
        assert (await cloud.patch(HALF, DATA))[0] == 413
        assert await cloud.head() == (200, str(HALF))


async def test_a_length_that_is_not_said_is_refused(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield DATA

    async with world(tmp_path) as cloud:
        await cloud.upload()
        assert (await cloud.patch(0, endless()))[0] == 411
        assert cloud.files() == set()


@pytest.mark.parametrize(
    ("offset", "more", "status"),
    [
        (1, {}, 409),
        (0, {"Upload-Offset": "-0"}, 409),
        (0, {"Content-Type": "application/json"}, 415),
        (0, {"Tus-Resumable": "0.2.2"}, 412),
        (0, {"Upload-Token": "guessed"}, 403),
        (0, {"Upload-Token": ""}, 403),
    ],
)
async def test_refusals(tmp_path: Path, offset: int, more: dict[str, str], status: int) -> None:
    async with world(tmp_path) as cloud:
        await cloud.upload()
        assert (await cloud.patch(offset, DATA, **more))[0] == status
        assert cloud.files() == set()


async def test_a_token_is_for_one_upload_and_one_file(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        await cloud.upload()
        await cloud.upload("fedora", token="other")
        assert (await cloud.head("t0ken", "fedora"))[0] == 403
        assert (await cloud.head("t0ken", "nothing"))[0] == 403
        await cloud.patch(0, DATA)
        await cloud.until(lambda: cloud.status().get("phase") == "Ready")
        status, said = await cloud.patch(0, DATA)
        assert (status, "done its work" in said) == (409, True)
        status, said = await cloud.patch(len(DATA), b"")
        assert status == 409, "nor with nothing"


async def test_a_later_one_of_its_name_begins_anew(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        uid = await cloud.upload()
        await cloud.patch(0, DATA[:HALF])
        await cloud.user.delete(IMAGE_UPLOAD, Key(NS, "debian"), uid=uid)
        await cloud.until(lambda: cloud.files() == set())
        await cloud.upload(token="new")
        assert (await cloud.head())[0] == 403, "the old token"
        assert await cloud.head("new") == (200, "0")


async def test_too_large_for_an_image(tmp_path: Path) -> None:
    async with world(tmp_path, IMAGE_MAX_DOWNLOAD="1k") as cloud:
        await cloud.upload()
        await cloud.until(lambda: cloud.reason() == "ImageTooLarge")
        assert (await cloud.patch(0, DATA))[0] == 413


async def test_no_room_for_it(tmp_path: Path) -> None:
    async with world(tmp_path, IMAGE_MAX_DOWNLOAD="8E") as cloud:
        await cloud.upload(size=1 << 61)
        status, said = await cloud.patch(0, DATA)
        assert (status, "room" in said) == (507, True)
        assert cloud.files() == set()


async def test_the_file_stays_while_an_image_of_its_namespace_names_it(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        await cloud.upload()
        await cloud.patch(0, DATA)
        await cloud.until(lambda: cloud.status().get("phase") == "Ready")
        url = cloud.status()["url"]
        await cloud.image(url, namespace="team-b")
        assert cloud.status()["expires"]
        await cloud.image(url)
        await cloud.until(lambda: "expires" not in cloud.status())
        body = await cloud.user.get(IMAGE, Key(NS, "debian"))
        assert body is not None
        await cloud.user.delete(IMAGE, Key(NS, "debian"), uid=body["metadata"]["uid"])
        await cloud.until(lambda: "expires" in cloud.status())


async def test_a_volume_that_was_lost_is_told(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        uid = await cloud.upload()
        await cloud.patch(0, DATA)
        await cloud.until(lambda: cloud.status().get("phase") == "Ready")
        await cloud.image(cloud.status()["url"])
        await cloud.kill()
        (tmp_path / f"{uid}.image").unlink()
        await cloud.start()
        await cloud.until(lambda: cloud.reason() == "FileLost")


async def test_orphans_go_and_strangers_stay(tmp_path: Path) -> None:
    async with world(tmp_path) as cloud:
        await cloud.kill()
        (tmp_path / "00000000-0000-4000-8000-000000000000.image").touch()
        (tmp_path / "lost+found").mkdir()
        uid = await cloud.upload()
        (tmp_path / f"{uid}.part").write_bytes(DATA[:HALF])
        await cloud.start()
        await cloud.until(lambda: cloud.files() == {"lost+found", f"{uid}.part"})
