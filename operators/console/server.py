"""HTTP: for clients a WebSocket for each console, for agents another one, behind the certificate that they pin."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import structlog
from aiohttp import WSMsgType, web

from operators.console.meetings import Meeting, Meetings, Refused
from operators.console.plan import AT_MOST
from operators.contract.consoles import NONCE_HEADER, PROTOCOL, TOKEN_PROTOCOL
from operators.contract.meta import Key
from operators.kernel.store import StoreError

log = structlog.get_logger()

HEARTBEAT = 20.0
"""Seconds between pings, by which a peer that is gone without a word is noticed, and proxies are kept patient."""
LARGEST = 2**20
"""Bytes of a message."""
BROWSERS = "binary"
"""The protocol that noVNC asks for."""


def clients(meetings: Meetings) -> web.Application:
    """What clients reach: `/consoles/NAMESPACE/NAME`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        key = Key(request.match_info["namespace"], request.match_info["name"])
        try:
            async with meetings.open(key, _token(request)) as meeting:
                agent = await meetings.agent(meeting)
                ws = _socket(PROTOCOL, BROWSERS)
                await ws.prepare(request)
                log.info("console_open", console=str(key), vm=meeting.console.spec.virtual_machine)
                await _until_over(meeting, _carry(ws, agent), _carry(agent, ws))
                await ws.close()
                log.info("console_closed", console=str(key), vm=meeting.console.spec.virtual_machine)
                return ws
        except Refused as refused:
            return web.Response(status=refused.status, text=f"{refused.message}\n")

    app = web.Application()
    app.add_routes([web.get("/consoles/{namespace}/{name}", handle)])
    return app


def agents(meetings: Meetings) -> web.Application:
    """What agents call: `/channels/UID`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            meeting = await meetings.called(request.match_info["uid"], request.headers.get(NONCE_HEADER, ""))
        except StoreError as error:
            return web.Response(status=503, text=f"the API server does not answer: {error}\n")
        if meeting is None:
            return web.Response(status=403, text="nobody waits for this channel, or not for you\n")
        ws = _socket(PROTOCOL)
        await ws.prepare(request)
        if meeting.agent.done():  # the client left meanwhile, or another connection was quicker
            await ws.close()
            return ws
        meeting.agent.set_result(ws)
        await meeting.over.wait()
        await ws.close()
        return ws

    app = web.Application()
    app.add_routes([web.get("/channels/{uid}", handle)])
    return app


def _socket(*protocols: str) -> web.WebSocketResponse:
    return web.WebSocketResponse(protocols=protocols, heartbeat=HEARTBEAT, max_msg_size=LARGEST, compress=False)


def _token(request: web.Request) -> str:
    """The token among the protocols that the client asks for. Raises Refused."""
    asked = [each.strip() for each in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if request.headers.get("Upgrade", "").lower() != "websocket" or not {PROTOCOL, BROWSERS} & set(asked):
        raise Refused(400, f"this is a WebSocket: ask for the protocols {PROTOCOL} and {TOKEN_PROTOCOL}TOKEN")
    token = next((each for each in asked if each.startswith(TOKEN_PROTOCOL)), "")
    return token.removeprefix(TOKEN_PROTOCOL)


async def _until_over(meeting: Meeting, *ways: Coroutine[None, None, None]) -> None:
    """Run both ways until one of them ends, or the console is closed, or its time is up."""
    tasks = [asyncio.ensure_future(way) for way in (*ways, _closed(meeting))]
    try:
        await asyncio.wait(tasks, timeout=AT_MOST.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _closed(meeting: Meeting) -> None:
    await meeting.over.wait()


async def _carry(source: web.WebSocketResponse, target: web.WebSocketResponse) -> None:
    """One way: a slow reader slows the writer, as each message is taken only once the last one was sent on."""
    async for message in source:
        if message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)
        elif message.type is WSMsgType.TEXT:
            await target.send_bytes(message.data.encode())
