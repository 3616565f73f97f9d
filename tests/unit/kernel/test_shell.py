"""The shell of kopf against an API server that misbehaves as no real one does on demand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

REPO = Path(__file__).resolve().parents[3]
KINDS = {
    "storage.cloudstack.dev": ("volumes", "Volume"),
    "networking.cloudstack.dev": ("claims", "Claim"),
}


def _resource(plural: str, kind: str) -> dict[str, object]:
    return {"name": plural, "singularName": "", "kind": kind, "namespaced": True, "verbs": ["list", "watch"]}


class Odd:
    """An API server of two empty kinds and a Lease, whose watch of Volumes ends in an error."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.watches = 0
        self.lists = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.rstrip("/")
        if path == "/api":
            return web.json_response({"versions": ["v1"]})
        if path == "/api/v1":
            return web.json_response({"resources": [_resource("namespaces", "Namespace")]})
        if path == "/apis":
            one = {"version": "v1alpha1"}
            groups = [{"name": each, "versions": [one], "preferredVersion": one} for each in KINDS]
            return web.json_response({"groups": groups})
        if path.endswith("/v1alpha1"):
            return web.json_response({"resources": [_resource(*KINDS[path.split("/")[2]])]})
        if "/leases" in path and request.method == "GET":
            return web.json_response({"reason": "NotFound"}, status=404)
        if "/leases" in path:
            body = await request.json()
            body["metadata"] |= {"uid": "u", "resourceVersion": "1"}
            return web.json_response(body, status=201)
        if request.query.get("watch"):
            return await self.watch(request)
        self.lists += path.endswith("volumes")
        return web.json_response({"metadata": {"resourceVersion": "5"}, "items": []})

    async def watch(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        if "volumes" in request.path:
            self.watches += 1
            status = {"kind": "Status", "code": self.code, "message": "etcdserver: no leader"}
            await answer.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
        else:
            await asyncio.sleep(60)
        return answer

    @contextlib.asynccontextmanager
    async def toy(self, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
        """A process of the toy with this as its API server."""
        runner = web.ServerRunner(web.Server(self.handle), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server = f"http://127.0.0.1:{runner.addresses[0][1]}"
        config = {
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        (folder / "config").write_text(json.dumps(config))
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO), "KUBECONFIG": str(folder / "config")}
        env |= {"POD_NAMESPACE": "system", "HEALTH_PORT": "0"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.toy", env=env, stdout=asyncio.subprocess.PIPE
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await runner.cleanup()


async def test_a_watch_that_ends_in_an_error_ends_the_process_and_says_why(tmp_path: Path) -> None:
    async with Odd(500).toy(tmp_path) as process:
        out, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    (said,) = [line for line in map(json.loads, out.splitlines()) if line["event"] == "part_ended"]
    assert said["part"] == "watches"
    assert "etcdserver: no leader" in said["exception"]


async def test_410_gone_begins_the_watch_anew(tmp_path: Path) -> None:
    odd = Odd(410)
    async with odd.toy(tmp_path) as process:
        while odd.watches < 4 or odd.lists < 4:
            await asyncio.sleep(0.05)
            assert process.returncode is None


async def test_an_access_that_is_unusable_is_said(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("{}")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO), "KUBECONFIG": str(tmp_path / "config")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.toy", env=env, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert "not a usable kubeconfig" in json.loads(out.splitlines()[-1])["error"]
