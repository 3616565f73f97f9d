"""The command line's way to a console: what the API server and Console are told, and what comes to the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from client.carry import ESCAPE
from client.cluster import ClientError, Cluster
from client.commands import screen, serial
from operators.contract.codec import Json
from operators.contract.consoles import PROTOCOL, TOKEN_PROTOCOL
from tests.unit.client.kubeconfig import as_kubeconfig

BASE = "/api/v1/namespaces/cloudstack-system/services/cloudstack-console:http/proxy"


class Server:
    """An API server with Console behind its proxy, in a thread of its own: the command line waits where it reads."""

    def __init__(self) -> None:
        self.made: list[Json] = []
        self.asked: list[web.Request] = []
        self.refusal = ""
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        app = web.Application()
        app.add_routes(
            [
                web.post("/apis/compute.cloudstack.dev/v1alpha1/namespaces/{ns}/consoles", self._make),
                web.get(BASE + "/consoles/{ns}/{name}", self._console),
                web.get("/elsewhere/consoles/{ns}/{name}", self._console),
            ]
        )
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._over.wait()
        await runner.cleanup()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    async def _make(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["spec"]["virtualMachine"] == "forbidden":
            return web.json_response({"kind": "Status", "message": "ann may not create consoles"}, status=403)
        body["metadata"]["uid"] = "u"
        self.made.append(body)
        return web.json_response(body, status=201)

    async def _console(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        if self.refusal:
            return web.Response(status=409, text=self.refusal)
        ws = web.WebSocketResponse(protocols=(PROTOCOL,))
        await ws.prepare(request)
        await ws.ping()
        async for message in ws:
            if message.data == b"bye":
                break
            await ws.send_bytes(message.data.upper())
        await ws.close()
        return ws

    def token(self) -> str:
        """The token of the newest request, which must be that of the newest Console."""
        words = self.asked[-1].headers["Sec-WebSocket-Protocol"].replace(" ", "").split(",")
        (token,) = [each.removeprefix(TOKEN_PROTOCOL) for each in words if each.startswith(TOKEN_PROTOCOL)]
        assert self.made[-1]["spec"]["tokenSha256"] == hashlib.sha256(token.encode()).hexdigest()
        return token


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.end()


@pytest.fixture
def cluster(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    as_kubeconfig(server.port, tmp_path, monkeypatch)
    with contextlib.closing(Cluster()) as made:
        yield made


class Terminal:
    """Pipes in place of a terminal."""

    def __init__(self) -> None:
        self.keyboard, self.type = os.pipe()
        self.show, self.display = os.pipe()

    @property
    def numbers(self) -> dict[str, int]:
        return {"keyboard": self.keyboard, "display": self.display}


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    for number in (made.keyboard, made.type, made.show, made.display):
        os.close(number)


def test_serial_until_the_escape(server: Server, cluster: Cluster, terminal: Terminal) -> None:
    done = threading.Thread(target=lambda: serial(cluster, "web", **terminal.numbers))
    done.start()
    os.write(terminal.type, b"whoami\r")
    assert os.read(terminal.show, 100) == b"WHOAMI\r"
    os.write(terminal.type, b"x" + ESCAPE + b"never sent")
    done.join(10)
    assert not done.is_alive()
    (body,) = server.made
    assert body["metadata"]["namespace"] == "team-a"
    assert body["spec"]["virtualMachine"] == "web"
    assert body["spec"]["type"] == "Serial"
    token = server.token()
    assert len(token) >= 43
    assert token not in str(body) and token not in server.asked[0].path_qs, "never in an object, never in a URL"
    assert server.asked[0].headers["Authorization"] == "Bearer ann"


def test_serial_ends_with_the_guest(server: Server, cluster: Cluster, terminal: Terminal) -> None:
    os.write(terminal.type, b"bye")
    assert serial(cluster, "web", **terminal.numbers) == 0


def test_published_elsewhere_without_the_kubeconfigs_token(
    server: Server, cluster: Cluster, terminal: Terminal
) -> None:
    os.write(terminal.type, b"bye")
    assert serial(cluster, "web", f"ws://127.0.0.1:{server.port}/elsewhere", **terminal.numbers) == 0
    assert server.asked[0].path.startswith("/elsewhere/consoles/team-a/web-")
    assert "Authorization" not in server.asked[0].headers


def test_what_is_refused_is_said(server: Server, cluster: Cluster) -> None:
    with pytest.raises(ClientError, match="ann may not create consoles"):
        serial(cluster, "forbidden")
    server.refusal = "VirtualMachine web does not run on this host: start it first\n"
    with pytest.raises(ClientError, match=r"start it first$"):
        serial(cluster, "web")


def test_screen_for_one_viewer(server: Server, cluster: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = threading.Thread(target=lambda: screen(cluster, "web", port=port, proxy_only=True))
    done.start()
    said = ""
    while f"vnc://127.0.0.1:{port}" not in said:
        said += capfd.readouterr().err
    assert not server.made, "a token lives a minute: it is asked for when the viewer comes"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as viewer:
        viewer.sendall(b"rfb")
        assert viewer.recv(100) == b"RFB"
    done.join(10)
    assert not done.is_alive()
    assert server.made[0]["spec"]["type"] == "VNC"


def test_without_the_client_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['kubernetes'] = None\nfrom operators.launch import main; sys.exit(main(['console', 'web']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "pip install 'cloudstack[client]'" in done.stderr
