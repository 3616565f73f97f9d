"""Upload over an API server in memory; its clients and storage agents by real HTTP on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from operators.contract.codec import Json
from operators.contract.meta import Key
from operators.contract.storage import IMAGE
from operators.contract.uploads import CONTENT_TYPE, IMAGE_UPLOAD
from operators.kernel.clock import SystemClock
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore
from operators.upload.handlers import COMPONENT, Replica, replica

NS = "team-a"
BASE = "http://cloudstack-upload.test:8081"
DATA = bytes(range(256)) * 40


@dataclass
class World:
    """What a test holds in its hands."""

    folder: Path
    server: MemoryServer = field(default_factory=MemoryServer)
    session: aiohttp.ClientSession = field(default_factory=aiohttp.ClientSession)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    running: Replica | None = None

    @property
    def user(self) -> MemoryStore:
        return MemoryStore(self.server, "kubectl")

    async def start(self, **env: str) -> None:
        env = {"UPLOAD_FOLDER": str(self.folder), "UPLOAD_PORT": "0", "IMAGES_PORT": "0", "IMAGES_URL": BASE} | env
        store = MemoryStore(self.server, COMPONENT.name)
        manager = Manager(store, SystemClock(), COMPONENT.watches(env), COMPONENT.build, rng=random.Random(1), env=env)
        self.server.feed(manager)
        made = self.running = replica(manager.context)
        self.tasks = [asyncio.ensure_future(each) for each in COMPONENT.background(manager.context)]
        self.tasks.append(asyncio.create_task(manager.run()))
        await self.until(lambda: made.port)

    async def kill(self) -> None:
        self.server.unsubscribe_all()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def upload(self, name: str = "debian", data: bytes = DATA, token: str = "t0ken", **spec: Any) -> str:
        """An ImageUpload for that content; its uid."""
        sha, hashed = (hashlib.sha256(each).hexdigest() for each in (data, token.encode()))
        spec = {"size": len(data), "sha256": sha, "tokenSha256": hashed} | spec
        body = await self.user.create(IMAGE_UPLOAD, IMAGE_UPLOAD.body(Key(NS, name), spec=spec))
        return str(body["metadata"]["uid"])

    async def image(self, url: str, name: str = "debian", namespace: str = NS) -> None:
        checksum = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
        await self.user.create(IMAGE, IMAGE.body(Key(namespace, name), spec={"url": url, "checksum": checksum}))

    def url(self, name: str = "debian") -> str:
        assert self.running is not None
        return f"http://127.0.0.1:{self.running.port}/uploads/{NS}/{name}"

    async def head(self, token: str = "t0ken", name: str = "debian") -> tuple[int, str]:
        async with self.session.head(self.url(name), headers={"Upload-Token": token}) as answer:
            return answer.status, answer.headers.get("Upload-Offset", "")

    async def patch(
        self, offset: int, data: Any, token: str = "t0ken", name: str = "debian", **more: str
    ) -> tuple[int, str]:
        """Status, and the offset after it or what was said."""
        headers = {"Upload-Token": token, "Upload-Offset": str(offset), "Content-Type": CONTENT_TYPE} | more
        async with self.session.patch(self.url(name), data=data, headers=headers) as answer:
            return answer.status, answer.headers.get("Upload-Offset", "") or await answer.text()

    async def fetch(self, uid: str, **headers: str) -> tuple[int, bytes]:
        """As a storage agent."""
        assert self.running is not None
        url = f"http://127.0.0.1:{self.running.images_port}/images/{uid}"
        async with self.session.get(url, headers=headers) as answer:
            return answer.status, await answer.read()

    def status(self, name: str = "debian") -> Json:
        bodies = [each for each in self.server.all(IMAGE_UPLOAD) if each["metadata"]["name"] == name]
        return dict(bodies[0].get("status", {})) if bodies else {}

    def reason(self) -> str:
        ready = [each for each in self.status().get("conditions", ()) if each["type"] == "Ready"]
        return str(ready[0]["reason"]) if ready else ""

    def files(self) -> set[str]:
        return {each.name for each in self.folder.iterdir()}

    async def until(self, what: Callable[[], Any], seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def world(folder: Path, **env: str) -> AsyncIterator[World]:
    made = World(folder)
    await made.start(**env)
    try:
        yield made
    finally:
        await made.session.close()
        await made.kill()
