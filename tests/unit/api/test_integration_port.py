"""The integration port: off unless it is asked for, for programs of the same machine, with a root admin's rights."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

import aiohttp
import pytest

from operators.api import handlers
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore
from tests.apiserver.control_plane import free_ports
from tests.unit.api.world import ENV, World


@pytest.mark.parametrize("path", ["/client/api", "/", "/api"])
async def test_nobody_proves_anything_there(world: World, path: str) -> None:
    query = {"command": "listAccounts", "listall": "true", "response": "json"}
    async with world.session.get(world.integration + path, params=query) as answer:
        told = (await answer.json())["listaccountsresponse"]
        assert answer.status == 200
    assert {"admin", "alice", "bob"} <= {each["name"] for each in told["account"]}
    async with world.session.get(world.url, params=query) as answer:
        assert answer.status == 401


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
async def test_pages_of_a_browser_are_strangers(world: World, headers: Mapping[str, str]) -> None:
    query = {"command": "listAccounts", "response": "json"}
    async with world.session.get(f"{world.integration}/client/api", params=query, headers=headers) as answer:
        assert answer.status == 403


@pytest.mark.parametrize("wanted", [False, True])
async def test_it_is_open_only_where_it_was_asked_for(wanted: bool) -> None:
    server = MemoryServer()
    own, trusted = free_ports(2)
    env = ENV | {"API_PORT": str(own)} | ({"API_INTEGRATION_PORT": str(trusted)} if wanted else {})
    store = MemoryStore(server, "api")
    manager = Manager(store, server.clock, handlers.COMPONENT.watches(env), handlers.COMPONENT.build, env=env)
    server.feed(manager)
    serving = asyncio.create_task(handlers.serve(manager.context))
    try:
        async with aiohttp.ClientSession() as session:
            async with asyncio.timeout(60):
                while not await _answers(session, own) or (wanted and not await _answers(session, trusted)):
                    await asyncio.sleep(0.01)
            assert await _answers(session, trusted) is wanted
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def _answers(session: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with session.get(f"http://127.0.0.1:{port}/client/api"):
            return True
    except aiohttp.ClientConnectionError:
        return False
