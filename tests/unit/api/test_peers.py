"""Two replicas without any affinity: what one did, the other shows at once, however late its watch is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from operators.api import handlers, peers
from operators.api.dispatch import Dispatcher
from operators.api.server import application
from operators.api.sessions import Sessions
from operators.contract.codec import Json
from operators.contract.meta import Key
from operators.contract.storage import VOLUME
from operators.kernel import health
from operators.kernel.cache import AnyKind
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryStore
from tests.unit.api.world import ENV, PASSWORD_OF, Told, World

LATE, NEVER = 0.4, 600.0
"""Seconds by which the second replica's watches are late: less than it waits for them, whatever the machine does."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@asynccontextmanager
async def beside(world: World, *, knows: bool) -> AsyncIterator[tuple[World, Dispatcher]]:
    """A second replica, late, that has made itself known or not."""
    port = free_port()
    first = world.url.removeprefix("http://").removesuffix("/client/api")
    env = ENV | {"API_PORT": str(port), "POD_IP": "127.0.0.1"} | ({"API_PEERS": first} if knows else {})
    component = handlers.COMPONENT
    manager = Manager(
        MemoryStore(world.server, "api"), world.server.clock, component.watches(env), component.build, env=env
    )
    loop = asyncio.get_running_loop()
    for watch in manager.watches:

        def tell(type_: str, body: Json, kind: AnyKind = watch.kind) -> None:
            loop.call_later(LATE if knows else NEVER, manager.event, kind, type_, body)

        world.server.subscribe(watch.kind, tell)
    task = asyncio.create_task(manager.run())
    await manager.synced.wait()
    dispatcher, doors = await handlers.behind(manager.context, Told())
    async with health.served(application(dispatcher, doors), port, "127.0.0.1"):
        await dispatcher.peers.meet()
        try:
            yield replace(world, url=f"http://127.0.0.1:{port}/client/api"), dispatcher
        finally:
            task.cancel()
            await asyncio.wait([task])
            await dispatcher.peers.close()


async def test_the_other_replica_shows_what_one_did(world: World) -> None:
    async with beside(world, knows=True) as (other, _):
        zone = (await world.ids("alice"))["zoneid"]
        offering = (await world.call("alice", "listDiskOfferings"))["diskoffering"][0]["id"]
        for number in range(3):
            about = {"name": f"v{number}", "zoneid": zone, "diskofferingid": offering, "size": "1"}
            made = await world.call("alice", "createVolume", **about)
            listed = await other.call("alice", "listVolumes")
            assert [each["name"] for each in listed["volume"]] == [f"v{at}" for at in range(number + 1)]
            (one,) = (await other.call("alice", "listVolumes", id=made["id"]))["volume"]
            assert one["name"] == f"v{number}"
        await world.call("alice", "updateVolume", id=made["id"], name="renamed")
        assert "renamed" in [each["name"] for each in (await other.call("alice", "listVolumes"))["volume"]]
        await other.call("alice", "updateVolume", id=made["id"], name="again")
        assert "again" in [each["name"] for each in (await world.call("alice", "listVolumes"))["volume"]]


async def test_what_was_deleted_is_gone_there_too(world: World) -> None:
    async with beside(world, knows=True) as (other, _):
        made = (await world.call("alice", "createSSHKeyPair", name="k"))["keypair"]
        assert (await other.call("alice", "listSSHKeyPairs"))["sshkeypair"][0]["name"] == made["name"]
        await world.call("alice", "deleteSSHKeyPair", name="k")
        assert await other.call("alice", "listSSHKeyPairs") == {}


async def test_without_the_news_it_would_not(world: World) -> None:
    """So that the tests above show something."""
    async with beside(world, knows=False) as (other, _):
        await world.call("alice", "createSSHKeyPair", name="k")
        assert await other.call("alice", "listSSHKeyPairs") == {}


async def test_one_that_has_just_started_is_told_what_was_written_before(world: World) -> None:
    await world.call("alice", "createSSHKeyPair", name="k")
    async with beside(world, knows=True) as (_, dispatcher):
        assert dispatcher.peers.floors.newest["versions"]


async def test_one_that_died_is_in_nobodys_way(world: World) -> None:
    async with beside(world, knows=True):
        await world.call("alice", "createSSHKeyPair", name="k")
    await world.call("alice", "deleteSSHKeyPair", name="k")
    assert await world.call("alice", "listSSHKeyPairs") == {}


async def test_a_session_that_was_logged_out_is_over_everywhere(world: World) -> None:
    async with beside(world, knows=True) as (other, _):
        login = {"command": "login", "username": "alice", "password": PASSWORD_OF["alice"], "response": "json"}
        login["domain"] = "ROOT/sales/east"
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            async with session.post(world.url, data=login) as answer:
                assert answer.status == 200, await answer.text()
                kept = {cookie.key: cookie.value for cookie in jar}
            query = {"response": "json", "sessionkey": kept["sessionkey"]}

            async def listed(at: World) -> int:
                cookies = {"JSESSIONID": kept["JSESSIONID"]}
                async with (
                    aiohttp.ClientSession(cookies=cookies) as own,
                    own.get(at.url, params=query | {"command": "listVolumes"}) as told,
                ):
                    return told.status

            assert [await listed(at) for at in (world, other)] == [200] * 2
            async with session.get(other.url, params=query | {"command": "logout"}) as answer:
                assert answer.status == 200
            assert [await listed(at) for at in (world, other)] == [401] * 2


@pytest.mark.parametrize("signature", ["", "0" * 64])
async def test_news_of_strangers_is_refused(world: World, signature: str) -> None:
    url = world.url.removesuffix("/client/api") + peers.PATH
    body = b'{"versions":{"volumes.storage.cloudstack.dev":99999999},"gone":[],"from":"192.0.2.1:1"}'
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers={peers.SIGNATURE: signature}) as answer,
    ):
        assert answer.status == 403
    assert await world.call("alice", "listVolumes") == {}


async def test_a_watch_that_never_tells_holds_nobody_up_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PATIENCE", 0.05)
    floors = peers.Floors(world.manager.cache, Sessions(b"key"))
    floors.told(
        {"versions": {VOLUME.crd: 10**9, "others.example.org": 7}, "gone": [["others.example.org", "", "", ""]]}
    )
    await asyncio.wait_for(floors.caught_up(), 30)
    floors.told({"versions": {}, "gone": [[VOLUME.crd, "alice", "none", "u"]]})
    assert world.manager.cache.get(VOLUME, Key("alice", "none")) is None
