"""Replicas of Console and the agent of one host over an API server in memory; clients by real WebSockets on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import aiohttp

from agents.hypervisor.channels.controller import Channels
from agents.hypervisor.driver import HypervisorError
from operators.console.handlers import COMPONENT, Replica, replica
from operators.contract import names
from operators.contract.codec import Json
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.consoles import CONSOLE, CONSOLE_CHANNEL, PROTOCOL, TOKEN_PROTOCOL, ConsoleType
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key
from operators.kernel.clock import SystemClock
from operators.kernel.controller import Watch
from operators.kernel.manager import Context, Manager
from operators.kernel.memory import MemoryServer, MemoryStore

NS, NODE = "team-a", "node1"
WEB = Key(NS, "web")


@dataclass
class Guests:
    """A hypervisor whose one guest answers in capitals."""

    running: set[str] = field(default_factory=set)
    opened: list[tuple[str, ConsoleType]] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    trouble: str = ""

    async def domain(self, uuid: str) -> Any:
        return SimpleNamespace(active=uuid in self.running)

    async def console(self, uuid: str, type_: ConsoleType) -> socket.socket:
        if self.trouble:
            raise HypervisorError(self.trouble)
        self.opened.append((uuid, type_))
        ours, theirs = socket.socketpair()
        self.tasks.append(asyncio.create_task(_shout(ours)))
        return theirs


async def _shout(end: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=end)
    try:
        while data := await reader.read(1 << 16):
            if data == b"poweroff":
                return
            writer.write(data.upper())
            await writer.drain()
    finally:
        writer.close()


@dataclass
class World:
    """What a test holds in its hands."""

    server: MemoryServer = field(default_factory=MemoryServer)
    guests: Guests = field(default_factory=Guests)
    replicas: list[Replica] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    agent: list[asyncio.Task[None]] = field(default_factory=list)
    session: aiohttp.ClientSession = field(default_factory=aiohttp.ClientSession)

    @property
    def user(self) -> MemoryStore:
        return MemoryStore(self.server, "kubectl")

    async def machine(self, host: str = NODE) -> str:
        """A virtual machine that runs."""
        spec = {"offering": "tiny", "image": "tiny"}
        body = await self.user.create(VIRTUAL_MACHINE, VIRTUAL_MACHINE.body(WEB, spec=spec))
        uid: str = body["metadata"]["uid"]
        compute = self.user.as_manager("compute")
        await compute.apply_status(VIRTUAL_MACHINE, WEB, {"hostName": host}, resource_version="")
        instance = {
            "hostName": NODE,
            "virtualMachine": {"name": "web", "uid": uid},
            "domain": "web",
            "cpus": 1,
            "memory": "128Mi",
        }
        await compute.create(INSTANCE, INSTANCE.body(Key(NS, names.instance("web")), spec=instance))
        self.guests.running.add(uid)
        return uid

    async def console(self, name: str = "c1", token: str = "t0ken", **spec: str) -> None:
        sha = hashlib.sha256(token.encode()).hexdigest()
        body = CONSOLE.body(Key(NS, name), spec={"virtualMachine": "web", "tokenSha256": sha} | spec)
        await self.user.create(CONSOLE, body)

    async def connect(self, name: str = "c1", token: str = "t0ken", to: int = 0) -> aiohttp.ClientWebSocketResponse:
        """As a client. Raises aiohttp.WSServerHandshakeError."""
        url = f"http://127.0.0.1:{self.replicas[to].port}/consoles/{NS}/{name}"
        return await self.session.ws_connect(url, protocols=(PROTOCOL, TOKEN_PROTOCOL + token))

    async def refused(self, name: str = "c1", token: str = "t0ken", to: int = 0) -> tuple[int, str]:
        """Try as a client; what it is told."""
        url = f"http://127.0.0.1:{self.replicas[to].port}/consoles/{NS}/{name}"
        headers = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
            "Sec-WebSocket-Protocol": f"{PROTOCOL}, {TOKEN_PROTOCOL}{token}",
        }
        async with self.session.get(url, headers=headers) as answer:
            return answer.status, await answer.text()

    def channels(self) -> list[Json]:
        return list(self.server.all(CONSOLE_CHANNEL))

    async def until(self, what: Any, seconds: float = 5.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.005)

    async def replica(self, name: str) -> None:
        env = {"POD_NAME": name, "POD_IP": "127.0.0.1", "CONSOLE_PORT": "0", "CHANNEL_PORT": "0"}
        manager = await self._manager(COMPONENT.name, COMPONENT.watches(env), COMPONENT.build, env, self.tasks)
        made = replica(manager.context)
        self.tasks.append(asyncio.create_task(made.serve()))
        await self.until(lambda: made.port)
        self.replicas.append(made)

    async def start_agent(self) -> None:
        def build(context: Context) -> Any:
            context.cache.index(INSTANCE, "vm", lambda instance: (instance.spec.virtual_machine.uid,))
            return (Channels(context, self.guests),)  # type: ignore[arg-type]

        own = f"spec.hostName={NODE}"
        watches = [Watch(kind, field_selector=own) for kind in (INSTANCE, CONSOLE_CHANNEL)]
        await self._manager("agent-hypervisor", watches, build, {}, self.agent)

    async def _manager(self, name: str, watches: Any, build: Any, env: Any, tasks: Any) -> Manager:
        store = MemoryStore(self.server, name)
        manager = Manager(store, SystemClock(), watches, build, rng=random.Random(1), env=env)
        self.server.feed(manager)
        tasks.append(asyncio.create_task(manager.run()))
        await manager.synced.wait()
        return manager


@asynccontextmanager
async def world(replicas: int = 1) -> AsyncIterator[World]:
    made = World()
    for number in range(replicas):
        await made.replica(f"console-{number}")
    await made.start_agent()
    try:
        yield made
    finally:
        await made.session.close()
        made.server.unsubscribe_all()
        tasks = [*made.tasks, *made.agent, *made.guests.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
