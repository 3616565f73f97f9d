"""A console from the client's WebSocket to the guest and back, with the real Console and the real agent's channels."""

from __future__ import annotations

import asyncio
import hashlib

import aiohttp
import pytest

from operators.contract.consoles import CONSOLE, CONSOLE_CHANNEL, ConsoleType
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key
from tests.unit.console.world import NS, world


async def test_bytes_go_both_ways_and_nothing_is_left() -> None:
    async with world() as cloud:
        uid = await cloud.machine()
        await cloud.console(type="VNC")
        ws = await cloud.connect()
        await ws.send_bytes(b"hello")
        assert await ws.receive_bytes() == b"HELLO"
        assert cloud.guests.opened == [(uid, ConsoleType.VNC)]
        (channel,) = cloud.channels()
        assert channel["spec"]["hostName"] == "node1"
        assert "t0ken" not in str(list(cloud.server.all(CONSOLE))) + str(channel)
        await ws.close()
        await cloud.until(lambda: not cloud.channels() and not list(cloud.server.all(CONSOLE)))


async def test_a_client_may_come_before_the_watch_tells() -> None:
    async with world() as cloud:
        await cloud.machine()
        early = asyncio.create_task(cloud.connect())
        await asyncio.sleep(0.1)
        await cloud.console()
        ws = await early
        await ws.close()


async def test_a_token_works_once_wherever() -> None:
    async with world(replicas=2) as cloud:
        await cloud.machine()
        await cloud.console()
        tries = [cloud.connect(to=number % 2) for number in range(6)]
        answers = await asyncio.gather(*tries, return_exceptions=True)
        good = [each for each in answers if isinstance(each, aiohttp.ClientWebSocketResponse)]
        assert len(good) == 1
        assert {each.status for each in answers if isinstance(each, aiohttp.WSServerHandshakeError)} == {409}
        assert len(cloud.guests.opened) == 1
        await good[0].close()


@pytest.mark.parametrize(("name", "token"), [("c1", "other"), ("c1", ""), ("c1", "x" * 4000), ("c1", "é")])
async def test_no_console_without_its_token(name: str, token: str) -> None:
    async with world() as cloud:
        await cloud.machine()
        await cloud.console()
        status, _ = await cloud.refused(name, token)
        assert status == 403
        assert not cloud.channels()
        ws = await cloud.connect()  # and it is not used up by that
        await ws.close()


async def test_somebody_elses_hash_leads_nowhere_but_there() -> None:
    """Whoever copies the hash into a Console of their own does not get the client, which says which Console it wants."""
    async with world() as cloud:
        uid = await cloud.machine()
        await cloud.console()
        copy = CONSOLE.body(Key("team-b", "c1"), spec=cloud.server.read(CONSOLE, Key(NS, "c1"))["spec"])  # type: ignore[index]
        await cloud.user.create(CONSOLE, copy)
        ws = await cloud.connect()
        assert cloud.guests.opened == [(uid, ConsoleType.SERIAL)]
        await ws.close()


async def test_what_the_host_says_is_told() -> None:
    async with world() as cloud:
        await cloud.machine()
        cloud.guests.trouble = "the serial port is of an earlier release: stop and start the virtual machine"
        await cloud.console()
        assert await cloud.refused() == (409, f"{cloud.guests.trouble}\n")
        await cloud.until(lambda: not list(cloud.server.all(CONSOLE)))


async def test_a_guest_that_is_off() -> None:
    async with world() as cloud:
        await cloud.machine()
        cloud.guests.running.clear()
        await cloud.console()
        status, why = await cloud.refused()
        assert (status, "start it first" in why) == (409, True)


async def test_a_guest_without_host_uses_no_token() -> None:
    async with world() as cloud:
        await cloud.console()
        assert (await cloud.refused())[0] == 404
        await cloud.machine()
        ws = await cloud.connect()
        await ws.close()


async def test_a_guest_of_another_namespace_is_not_shown() -> None:
    """A channel alone does not open a console: an Instance in its namespace must have the guest."""
    async with world() as cloud:
        await cloud.machine()
        for body in list(cloud.server.all(INSTANCE)):
            meta = INSTANCE.parse(body).meta
            await cloud.user.delete(INSTANCE, meta.key, uid=meta.uid)
        await cloud.console()
        assert (await cloud.refused())[0] == 409
        assert not cloud.guests.opened


async def test_the_end_of_the_guest_is_the_end_of_the_console() -> None:
    async with world() as cloud:
        await cloud.machine()
        await cloud.console()
        ws = await cloud.connect()
        await ws.send_bytes(b"poweroff")
        assert (await ws.receive(5)).type is aiohttp.WSMsgType.CLOSE
        await cloud.until(lambda: not cloud.channels())


async def test_deleting_the_console_closes_it() -> None:
    async with world() as cloud:
        await cloud.machine()
        await cloud.console()
        ws = await cloud.connect()
        meta = CONSOLE.parse(cloud.server.read(CONSOLE, Key(NS, "c1"))).meta  # type: ignore[arg-type]
        await cloud.user.delete(CONSOLE, meta.key, uid=meta.uid)
        assert (await ws.receive(5)).type is aiohttp.WSMsgType.CLOSE


async def test_an_agent_that_is_started_anew_dials_no_second_time() -> None:
    async with world() as cloud:
        await cloud.machine()
        await cloud.console()
        ws = await cloud.connect()
        for task in (*cloud.agent, *cloud.guests.tasks):
            task.cancel()
        assert (await ws.receive(5)).type is aiohttp.WSMsgType.CLOSE
        await cloud.start_agent()
        await cloud.until(lambda: not cloud.channels())
        assert len(cloud.guests.opened) == 1


async def test_nobody_but_the_hosts_agent_gets_the_client() -> None:
    """Neither without the nonce, nor with one whose hash is not in the status that only that agent may write."""
    async with world() as cloud:
        await cloud.machine(host="node2")  # no agent is there, so nobody answers
        await cloud.console()
        client = asyncio.create_task(cloud.connect())
        await cloud.until(cloud.channels)
        (channel,) = cloud.channels()
        uid, address = channel["metadata"]["uid"], channel["spec"]["address"]
        pinned = aiohttp.Fingerprint(bytes.fromhex(channel["spec"]["certificateSha256"]))

        async def call(nonce: str, channel: str = uid) -> int:
            url, headers = f"https://{address}/channels/{channel}", {"X-Console-Nonce": nonce}
            async with cloud.session.get(url, ssl=pinned, headers=headers) as answer:
                return answer.status

        assert await call("") == await call("guess") == await call("guess", "00000000") == 403
        with pytest.raises(aiohttp.ServerFingerprintMismatch):
            wrong = aiohttp.Fingerprint(hashlib.sha256(b"another").digest())
            await cloud.session.get(f"https://{address}/channels/{uid}", ssl=wrong)
        key = CONSOLE_CHANNEL.parse(channel).meta.key
        agent = cloud.user.as_manager("agent-hypervisor")
        said = {"nonceSha256": hashlib.sha256(b"right").hexdigest()}
        await agent.apply_status(CONSOLE_CHANNEL, key, said, resource_version="")
        url, headers = f"https://{address}/channels/{uid}", {"X-Console-Nonce": "right"}
        async with cloud.session.ws_connect(url, ssl=pinned, headers=headers) as guest:
            ws = await client
            await guest.send_bytes(b"login: ")
            assert await ws.receive_bytes() == b"login: "
            await ws.close()
