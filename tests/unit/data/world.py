"""The Data service over an API server in memory, with a namespace controller's part played."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import aiohttp

from operators.contract.codec import Json
from operators.contract.core import NAMESPACE, SECRET, SUBJECT_ACCESS_REVIEW, TOKEN_REVIEW
from operators.contract.meta import Key, Kind
from operators.data import handlers
from operators.kernel import health
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore
from operators.kernel.store import Forbidden

ENV = {
    "POD_NAMESPACE": "cloudstack-system",
    "CATALOG_NAMESPACE": "cloudstack-catalog",
    "IDENTITY_NAMESPACE": "cloudstack-identity",
}
GOOD, STRANGER = "good-token", "stranger-token"


class Reviewing(MemoryStore):
    """Answers reviews as an API server does, which keeps none of them, and refuses what nobody let it read."""

    closed: ClassVar[set[str]] = set()
    """Namespaces whose Secrets it may not read."""

    async def get(self, kind: Kind[Any, Any], key: Key) -> Json | None:
        if kind is SECRET and key.namespace in self.closed:
            raise Forbidden("secrets are forbidden")
        return await super().get(kind, key)

    async def create(self, kind: Kind[Any, Any], body: Json) -> Json:
        if kind is TOKEN_REVIEW:
            known = body["spec"]["token"] in (GOOD, STRANGER)
            return body | {"status": {"authenticated": known, "user": {"username": body["spec"]["token"]}}}
        if kind is SUBJECT_ACCESS_REVIEW:
            return body | {"status": {"allowed": body["spec"]["user"] == GOOD}}
        return await super().create(kind, body)


@dataclass
class World:
    """One cloud and its Data service."""

    server: MemoryServer
    user: MemoryStore
    manager: Manager
    service: handlers.Service
    session: aiohttp.ClientSession
    url: str

    async def make(self, kind: Kind[Any, Any], name: str, spec: Json, namespace: str = "", **metadata: Any) -> Json:
        return await self.user.create(kind, kind.body(Key(namespace, name), spec=spec, **metadata))

    def body(self, kind: Kind[Any, Any], name: str, namespace: str = "") -> Json | None:
        return self.server.read(kind, Key(namespace, name))

    async def until(self, holds: Any, what: str = "") -> None:
        for _ in range(4000):
            if holds():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(what or "it did not come about")

    async def get(self, path: str, token: str = GOOD, **params: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.get(f"{self.url}{path}", params=params, headers=headers) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def running(folder: Path, **more: str) -> AsyncIterator[World]:
    """The service at work."""
    server = MemoryServer()
    component, env = handlers.COMPONENT, ENV | {"DATABASE_URL": f"sqlite:///{folder}/history.db"} | more
    store = Reviewing(server, component.name)
    manager = Manager(store, server.clock, component.watches(env), component.build, env=env)
    server.feed(manager)
    service = handlers.service_of(manager.context)
    tasks = [asyncio.create_task(manager.run()), asyncio.create_task(service.prepare())]
    await manager.synced.wait()
    async with health.served(service.application(), 0, "127.0.0.1") as port, aiohttp.ClientSession() as session:
        yield World(server, MemoryStore(server, "kubectl"), manager, service, session, f"http://127.0.0.1:{port}")
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    service.database.close()


__all__ = ["NAMESPACE", "World", "running"]
