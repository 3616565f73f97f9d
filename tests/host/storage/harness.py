"""The storage agent on a real folder with the real qemu-img, an API server in memory, and images from loopback."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from agents.storage.handlers import COMPONENT
from operators.contract import names
from operators.contract.fabric import HOST_REPORT, STORAGE_POOL
from operators.contract.meta import Condition, Key, Kind, Obj, condition
from operators.contract.snapshots import DISK_SNAPSHOT
from operators.contract.storage import DISK, IMAGE_COPY
from operators.kernel.clock import SystemClock
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore

NODE = "host-1"
FINALIZER = names.finalizer("storage")


@dataclass
class Agent:
    """One storage agent and the world around it."""

    root: Path
    node: str = NODE
    server: MemoryServer = field(default_factory=MemoryServer)
    env: dict[str, str] = field(default_factory=dict)
    space: str = "team"
    manager: Manager | None = None
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.store = MemoryStore(self.server, "storage")
        allow = {"IMAGE_SOURCES_ALLOW": "127.0.0.0/8"}
        self.env = {"NODE_NAME": self.node, "POOL_ROOT": str(self.root)} | allow | self.env

    @property
    def pool(self) -> Path:
        return self.root / "local"

    async def start(self) -> None:
        """As a pod starts: list, then work."""
        mine = MemoryStore(self.server, "agent-storage")
        self.manager = Manager(mine, SystemClock(), COMPONENT.watches(self.env), COMPONENT.build, env=self.env)
        self.server.feed(self.manager)
        self.task = asyncio.create_task(self.manager.run())
        await self.manager.synced.wait()

    async def kill(self) -> None:
        """As a process dies: every task ends where it is, the watches break, and nothing is put in order."""
        self.server.unsubscribe_all()
        others = [
            task
            for task in asyncio.all_tasks()
            if task is not asyncio.current_task() and (task is self.task or task.get_name().startswith("job-"))
        ]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def pool_and_report(self, *, report: bool = True, **spec: Any) -> None:
        """A StoragePool of this host, and the HostReport to tell of it."""
        spec = {"type": "Directory", "path": str(self.pool), "hostName": self.node} | spec
        await self.store.create(STORAGE_POOL, STORAGE_POOL.body(Key("", "local"), spec=spec))
        if report:
            await self.store.create(HOST_REPORT, HOST_REPORT.body(Key("", self.node), spec={"hostName": self.node}))

    async def disk(self, name: str = "data", size: str = "8Mi", *, copy: str = "", **spec: Any) -> Obj[Any, Any]:
        uid = str(uuid.uuid4())
        said = {
            "hostName": self.node,
            "pool": "local",
            "path": f"volumes/{uid}.qcow2",
            "volume": {"name": name, "uid": uid},
            "size": size,
        } | ({"imageCopy": f"{self.space}/{copy}"} if copy else {})
        body = DISK.body(Key(self.space, name), spec=said | spec, finalizers=[FINALIZER])
        return DISK.parse(await self.store.create(DISK, body))

    async def copy(self, url: str, checksum: str, name: str = "tiny", **spec: Any) -> Obj[Any, Any]:
        uid = str(uuid.uuid4())
        said = {
            "hostName": self.node,
            "pool": "local",
            "path": f"images/{uid}.qcow2",
            "image": {"name": name, "uid": uid},
            "url": url,
        } | ({"checksum": checksum} if checksum else {})
        body = IMAGE_COPY.body(Key(self.space, name), spec=said | spec, finalizers=[FINALIZER])
        return IMAGE_COPY.parse(await self.store.create(IMAGE_COPY, body))

    async def snapshot(self, disk: Obj[Any, Any], name: str = "snap", **spec: Any) -> Obj[Any, Any]:
        uid = str(uuid.uuid4())
        said = {
            "hostName": self.node,
            "pool": "local",
            "path": f"snapshots/{uid}.qcow2",
            "snapshot": {"name": name, "uid": uid},
            "volume": {"name": disk.spec.volume.name, "uid": disk.spec.volume.uid},
            "source": disk.spec.path,
        }
        body = DISK_SNAPSHOT.body(Key(self.space, name), spec=said | spec, finalizers=[FINALIZER])
        return DISK_SNAPSHOT.parse(await self.store.create(DISK_SNAPSHOT, body))

    async def change(self, obj: Obj[Any, Any], **spec: Any) -> None:
        """Change a spec as the operator does."""
        body = self.server.read(obj.kind, obj.key)
        assert body is not None
        await self.store.apply(obj.kind, obj.kind.body(obj.key, spec=body["spec"] | spec, finalizers=[FINALIZER]))

    async def gone(self, obj: Obj[Any, Any]) -> None:
        """Delete an object and let go of it once the agent has."""
        await self.store.delete(obj.kind, obj.key, uid=obj.meta.uid)
        await self.verdict(obj.kind, obj.meta.name, "Released", "Released")
        await self.store.finalize(obj.kind, self.read(obj.kind, obj.meta.name).meta, ())

    def read(self, kind: Kind[Any, Any], name: str, namespace: str | None = None) -> Obj[Any, Any]:
        body = self.server.read(kind, Key(self.space if namespace is None else namespace, name))
        assert body is not None, f"there is no {kind.kind} {name}"
        return kind.parse(body)

    async def until(
        self, kind: Kind[Any, Any], name: str, holds: Callable[[Obj[Any, Any]], bool], timeout: float = 60.0
    ) -> Obj[Any, Any]:
        """Wait for an object's state."""
        namespace = self.space if kind.namespaced else ""
        try:
            async with asyncio.timeout(timeout):
                while not holds(found := self.read(kind, name, namespace)):
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"{kind.kind} {name} stays at {self.read(kind, name, namespace).status}") from None
        return found

    async def verdict(self, kind: Kind[Any, Any], name: str, reason: str, type_: str = "Provisioned") -> Condition:
        """Wait for a condition's reason."""
        found = await self.until(kind, name, lambda obj: _reason(obj, type_) == reason)
        said = condition(found.status.conditions, type_)
        assert said is not None
        return said

    def writes(self, kind: Kind[Any, Any]) -> int:
        """How many statuses the agent wrote."""
        return sum(1 for _, verb, written, _ in self.server.log if verb == "apply_status" and written is kind)

    def files(self) -> set[str]:
        """Everything in the pool's folders."""
        return {str(path.relative_to(self.pool)) for path in self.pool.glob("*/*")}


def _reason(obj: Obj[Any, Any], type_: str) -> str:
    found = condition(obj.status.conditions, type_)
    return found.reason if found else ""


@asynccontextmanager
async def agent(root: Path, **env: str) -> AsyncIterator[Agent]:
    """A running agent with a pool."""
    root.mkdir(exist_ok=True)
    made = Agent(root, env=env)
    await made.pool_and_report()
    await made.start()
    try:
        yield made
    finally:
        await made.kill()


@dataclass
class Source:
    """An HTTP server on loopback that serves one file, in the ways that a real one may."""

    data: bytes = b""
    status: int = 200
    redirect: str = ""
    cut_at: int = 0
    """Break the connection after so many bytes."""
    pause_at: int = 0
    """Stop after so many bytes until `go` is set."""
    ranges: bool = True
    length: bool = True
    asked: list[str] = field(default_factory=list)
    """The Range of each request."""
    port: int = 0

    def __post_init__(self) -> None:
        self.go = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/image.qcow2"

    @property
    def checksum(self) -> str:
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        said = request.headers.get("Range", "")
        self.asked.append(said)
        if self.redirect:
            return web.Response(status=302, headers={"Location": self.redirect})
        if self.status != 200:
            return web.Response(status=self.status)
        start = int(said.removeprefix("bytes=").rstrip("-")) if said and self.ranges else 0
        if start >= len(self.data) > 0:
            return web.Response(status=416)
        response = web.StreamResponse(status=206 if start else 200)
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
        if self.length:
            response.content_length = len(self.data) - start
        await response.prepare(request)
        for at in range(start, len(self.data), 65536):
            if self.pause_at and at >= self.pause_at:
                await self.go.wait()
            if self.cut_at and at >= self.cut_at:
                assert request.transport is not None
                request.transport.abort()
                break
            await response.write(self.data[at : at + 65536])
        return response


@asynccontextmanager
async def source(data: bytes = b"", **how: Any) -> AsyncIterator[Source]:
    """A running source."""
    made = Source(data, **how)
    app = web.Application()
    app.router.add_get("/{tail:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        made.go.set()
        await runner.cleanup()


def qemu_img(*arguments: str | Path) -> str:
    """Run qemu-img, for what a test expects of it."""
    done = subprocess.run(["qemu-img", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def info(path: Path) -> dict[str, Any]:
    """What qemu-img says of a file."""
    found: dict[str, Any] = json.loads(qemu_img("info", "--output=json", path))
    return found


def image(folder: Path, size: str = "4M", form: str = "qcow2", *options: str) -> bytes:
    """An image with some data in it."""
    raw = folder / "source.raw"
    raw.write_bytes(bytes(range(256)) * 4096)
    out = folder / f"made.{form}"
    qemu_img("convert", "-f", "raw", "-O", form, *options, raw, out)
    qemu_img("resize", "-f", form, out, size)
    data = out.read_bytes()
    raw.unlink()
    if out.exists():
        out.unlink()
    return data
