"""Carries bytes between a guest's console and the replica of Console that waits for them.

The agent dials out, so that no port of it is open to anybody, and talks to no one but the owner of the certificate
that the ConsoleChannel names. The replica is at the other end of the same rule: it takes the call only for a nonce
whose hash this host's agent alone can have written.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine

import aiohttp

from operators.contract.consoles import NONCE_HEADER, PROTOCOL, ConsoleChannelSpec

CHUNK = 65536
DIAL = aiohttp.ClientWSTimeout(ws_close=5.0)
HEARTBEAT = 20.0
"""Seconds between pings, by which a replica that is gone without a word is noticed."""


async def carry(
    uid: str, spec: ConsoleChannelSpec, nonce: str, console: socket.socket, connected: Callable[[], None]
) -> None:
    """Dial the replica and carry until either side ends. Raises aiohttp.ClientError or OSError; closes the console."""
    reader, writer = await asyncio.open_connection(sock=console)
    try:
        pinned = aiohttp.Fingerprint(bytes.fromhex(spec.certificate_sha256))
        # The replica is reached by its own address, whatever proxy the host has for other things.
        async with (
            aiohttp.ClientSession(trust_env=False, timeout=aiohttp.ClientTimeout(sock_connect=5)) as session,
            session.ws_connect(
                f"https://{spec.address}/channels/{uid}",
                ssl=pinned,
                headers={NONCE_HEADER: nonce},
                protocols=(PROTOCOL,),
                timeout=DIAL,
                heartbeat=HEARTBEAT,
            ) as ws,
        ):
            connected()
            await _both(_from_guest(reader, ws), _to_guest(ws, writer))
    finally:
        writer.close()


async def _both(*ways: Coroutine[None, None, None]) -> None:
    """Run both ways until one of them ends."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _from_guest(reader: asyncio.StreamReader, ws: aiohttp.ClientWebSocketResponse) -> None:
    while data := await reader.read(CHUNK):
        await ws.send_bytes(data)


async def _to_guest(ws: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter) -> None:
    async for message in ws:
        if message.type is aiohttp.WSMsgType.BINARY:
            writer.write(message.data)
            await writer.drain()
