"""`cloudstack image upload` against Upload itself, behind an API server in memory."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import client.images
import client.tus
from client.cluster import ClientError, Cluster
from client.images import Asked, asked_by, recognised, upload
from client.progress import Bar, sized
from operators import launch
from operators.contract.codec import Json
from operators.contract.meta import Key, Kind
from operators.contract.storage import IMAGE
from operators.contract.uploads import IMAGE_UPLOAD
from operators.kernel import health
from tests.unit.client.kubeconfig import as_kubeconfig
from tests.unit.upload.world import World, world

PROXY = "/api/v1/namespaces/cloudstack-system/services/cloudstack-upload:http/proxy"
CONTENT = b"QFI\xfb" + bytes(range(256)) * 64
GROUP = "/apis/storage.cloudstack.dev/v1alpha1/namespaces/{ns}/"


class Front:
    """The API server as a client sees it: two kinds, and the proxy of Upload's Service, which may break off."""

    def __init__(self, cloud: World) -> None:
        self.cloud = cloud
        self.passed: list[tuple[str, str]] = []
        self.before: Callable[[web.Request], int] = lambda request: 0
        """A status to answer in Upload's stead."""

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", PROXY + "/{rest:.*}", self._proxy)
        for kind in (IMAGE, IMAGE_UPLOAD):
            where = GROUP + kind.plural
            app.router.add_post(where, self._create(kind))
            app.router.add_get(where, self._watch(kind))
            app.router.add_get(where + "/{name}", self._get(kind))
        return app

    async def _proxy(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer ann"
        if status := self.before(request):
            return web.Response(status=status, text="no endpoints\n")
        self.passed.append((request.method, request.headers.get("Upload-Offset", "")))
        assert self.cloud.running is not None
        url = f"http://127.0.0.1:{self.cloud.running.port}/{request.match_info['rest']}"
        kept = {name: value for name, value in request.headers.items() if name not in ("Authorization", "Host")}
        data = await request.read() if request.can_read_body else None
        async with self.cloud.session.request(request.method, url, headers=kept, data=data) as answer:
            told = {name: value for name, value in answer.headers.items() if name != "Content-Length"}
            return web.Response(status=answer.status, headers=told, body=await answer.read())

    def _create(self, kind: Kind[Any, Any]) -> Callable[[web.Request], Any]:
        async def create(request: web.Request) -> web.Response:
            body: Json = await request.json()
            return web.json_response(await self.cloud.user.create(kind, body), status=201)

        return create

    def _get(self, kind: Kind[Any, Any]) -> Callable[[web.Request], Any]:
        async def get(request: web.Request) -> web.Response:
            key = Key(request.match_info["ns"], request.match_info["name"])
            if (body := await self.cloud.user.get(kind, key)) is not None:
                return web.json_response(body)
            return web.json_response({"message": f"{key} not found", "details": {"name": key.name}}, status=404)

        return get

    def _watch(self, kind: Kind[Any, Any]) -> Callable[[web.Request], Any]:
        async def watch(request: web.Request) -> web.StreamResponse:
            assert request.query["watch"] == "true"
            name = request.query["fieldSelector"].removeprefix("metadata.name=")
            stream = web.StreamResponse()
            await stream.prepare(request)
            said = ""
            with contextlib.suppress(ConnectionError):
                while True:
                    body = await self.cloud.user.get(kind, Key(request.match_info["ns"], name))
                    line = json.dumps({"type": "MODIFIED", "object": body}) + "\n"
                    await stream.write(line.encode() if line != said else b"")
                    said = line
                    await asyncio.sleep(0.01)
            return stream

        return watch


@pytest.fixture
async def front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Front]:
    (folder := tmp_path / "uploads").mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(client.tus, "PIECE", 5000)
    (tmp_path / "debian.qcow2").write_bytes(CONTENT)
    async with world(folder) as cloud:
        made = Front(cloud)
        async with health.served(made.app(), 0, "127.0.0.1") as port:
            as_kubeconfig(port, tmp_path, monkeypatch)
            yield made


async def run(tmp_path: Path, name: str = "debian", url: str = "", **more: Any) -> None:
    """As typed in a shell."""

    def typed() -> None:
        with contextlib.closing(Cluster()) as cluster:
            upload(cluster, Asked(tmp_path / "debian.qcow2", name, **more), url)

    await asyncio.to_thread(typed)


def tokens(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "state" / "cloudstack" / "uploads").iterdir())


async def test_a_file_becomes_an_image(front: Front, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await run(tmp_path, os_type="Debian 12")
    (image,) = front.cloud.server.all(IMAGE)
    assert image["spec"]["url"] == front.cloud.status()["url"]
    assert (image["spec"]["format"], image["spec"]["osType"]) == ("qcow2", "Debian 12")
    uid = image["spec"]["url"].rpartition("/")[2]
    assert await front.cloud.fetch(uid) == (200, CONTENT)
    assert front.passed == [("HEAD", ""), ("PATCH", "0"), ("PATCH", "5000"), ("PATCH", "10000"), ("PATCH", "15000")]
    assert tokens(tmp_path) == []
    said = capsys.readouterr()
    assert "uploading 100% of 16.0 KiB" in said.err
    await run(tmp_path)
    assert "there already" in capsys.readouterr().out


async def test_where_it_is_published_the_api_server_sees_no_byte(front: Front, tmp_path: Path) -> None:
    assert front.cloud.running is not None
    await run(tmp_path, url=f"http://127.0.0.1:{front.cloud.running.port}/")
    assert len(list(front.cloud.server.all(IMAGE))) == 1
    assert front.passed == []


async def test_the_same_command_goes_on_where_it_was(front: Front, tmp_path: Path) -> None:
    front.before = lambda request: 507 if request.headers.get("Upload-Offset") == "10000" else 0
    with pytest.raises(ClientError, match="no endpoints"):
        await run(tmp_path)
    (token,) = tokens(tmp_path)
    assert token.stat().st_mode & 0o777 == 0o600
    front.before = lambda request: 0
    front.passed.clear()
    await run(tmp_path)
    assert front.passed == [("HEAD", ""), ("PATCH", "10000"), ("PATCH", "15000")]
    assert tokens(tmp_path) == []


async def test_what_is_broken_for_a_moment_is_tried_again(
    front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble = [0, 0, 503, 503, 0, 502]
    front.before = lambda request: trouble.pop(0) if trouble else 0
    pause = client.tus.Pause(lambda seconds: None, lambda: 0.0)
    monkeypatch.setattr(client.images, "carry", partial(client.tus.carry, pause=pause))
    await run(tmp_path)
    assert len(list(front.cloud.server.all(IMAGE))) == 1
    assert not trouble


async def test_it_ends_where_it_does_not_go_on(front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 10_000, 50))
    pause = client.tus.Pause(lambda seconds: None, lambda: next(now))
    monkeypatch.setattr(client.images, "carry", partial(client.tus.carry, pause=pause))
    front.before = lambda request: 503
    with pytest.raises(ClientError, match="the same command goes on from there later"):
        await run(tmp_path)


async def test_another_file_under_way_is_not_touched(front: Front, tmp_path: Path) -> None:
    await front.cloud.upload()
    with pytest.raises(ClientError, match="an upload of another file as debian"):
        await run(tmp_path)


async def test_one_begun_elsewhere_has_its_token_there(front: Front, tmp_path: Path) -> None:
    await front.cloud.upload(data=CONTENT)
    with pytest.raises(ClientError, match="begun elsewhere"):
        await run(tmp_path)


async def test_an_image_of_another_file_stays(front: Front, tmp_path: Path) -> None:
    await front.cloud.image("http://example.org/x.qcow2")
    with pytest.raises(ClientError, match="a new version is a new Image"):
        await run(tmp_path)
    assert not list(front.cloud.server.all(IMAGE_UPLOAD))


async def test_a_file_that_changes_meanwhile_is_refused(front: Front, tmp_path: Path) -> None:
    def change(request: web.Request) -> int:
        (tmp_path / "debian.qcow2").write_bytes(CONTENT[::-1])
        return 0

    front.before = change
    with pytest.raises(ClientError, match=r"not the one of spec\.sha256"):
        await run(tmp_path)
    assert not list(front.cloud.server.all(IMAGE))


@pytest.mark.parametrize(
    ("content", "suffix", "form"),
    [
        (CONTENT, "", "qcow2"),
        (b"KDMV" + bytes(600), ".img", "vmdk"),
        (bytes(0x40) + b"\x7f\x10\xda\xbe", "", "vdi"),
        (bytes(0x8001) + b"CD001", "", "iso"),
        (bytes(512), ".RAW", "raw"),
    ],
)
def test_formats(content: bytes, suffix: str, form: str) -> None:
    assert recognised(io.BytesIO(content), suffix) == form


def test_no_format_is_guessed() -> None:
    with pytest.raises(ClientError, match="--format"):
        recognised(io.BytesIO(b"hello"), ".txt")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_fills() -> None:
    now, out = [0.0], Terminal()
    bar = Bar("uploading", 4 << 20, out, lambda: now[0])
    bar.at(1 << 20)
    now[0] = 2.0
    bar.at(3 << 20)
    line = out.getvalue().rpartition("\r")[2]
    assert "[" + "#" * 22 + " " * 8 + "]  75%  3.0 MiB of 4.0 MiB  1.0 MiB/s  00:01 left" in line
    bar.at(4 << 20)
    bar.end()
    assert out.getvalue().endswith("\n") and "100%" in out.getvalue()


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (150 << 20, "150 MiB"), (5 << 40, "5.0 TiB")]
)
def test_sizes(count: int, text: str) -> None:
    assert sized(count) == text


def test_an_upload_is_handed_over_as_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[argparse.Namespace] = []

    def run(chosen: argparse.Namespace) -> int:
        handed.append(chosen)
        return 7

    monkeypatch.delenv("CLOUDSTACK_UPLOAD_URL", raising=False)
    monkeypatch.setattr("client.commands.run", run)
    assert launch.main(["image", "upload", "debian.iso", "debian", "-n", "team-a", "--format", "iso", "--public"]) == 7
    (chosen,) = handed
    assert asked_by(chosen) == Asked(Path("debian.iso"), "debian", format="iso", public=True)
    assert (chosen.command, chosen.namespace, chosen.url) == ("image", "team-a", "")
