"""Serves metadata in the namespaces of this host's networks, from this process.

Its askers are tenants: each address gets few connections, for a short time, so that none keeps others from theirs.
While the agent is away nobody answers, and guests ask again; nothing else depends on it.
"""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import structlog
from aiohttp import web

from agents.network.metadata import place
from agents.network.metadata.guests import Guests
from agents.network.metadata.passwords import HEADER, Passwords
from agents.network.metadata.tree import answer
from agents.network.namespaces import within
from operators.contract.meta import Key

log = structlog.get_logger()

Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

CONNECTIONS = 16
"""Open at once for one guest; cloud-init has one."""
PATIENCE = 20.0
"""Seconds in which a connection must be done with."""


@dataclass
class _Service:
    """One network's."""

    sockets: list[socket.socket]
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    open: dict[str, list[asyncio.Transport]] = field(default_factory=lambda: defaultdict(list))
    """By guest."""


class Services:
    """The metadata services that this process runs, by their namespaces."""

    def __init__(self, guests: Guests, passwords: Passwords) -> None:
        self._guests = guests
        self._passwords = passwords
        self._running: dict[str, _Service] = {}

    def serves(self, netns: str) -> bool:
        """Whether one runs there."""
        return netns in self._running

    def open(self, netns: str, host_network: Key) -> None:
        """Serve there the guests of a HostNetwork. Raises OSError."""
        service = _Service(within(netns, _sockets))
        self._running[netns] = service
        for port, sock in zip(place.PORTS, service.sockets, strict=True):
            task = asyncio.get_running_loop().create_task(
                self._accept(service, sock, self._handler(port, host_network))
            )
            task.set_name(f"metadata {netns} {port}")
            service.tasks.append(task)

    async def close(self, netns: str) -> None:
        """Serve no more there, and keep nothing open that would keep the namespace."""
        service = self._running.pop(netns)
        for task in service.tasks:
            task.cancel()
        # The event loop must have let go of a socket before it is closed. Whatever gets its number next would never be
        # heard: the next child's process descriptor, for one, and its end be waited for without end.
        await asyncio.wait(service.tasks)
        for transports in service.open.values():
            for transport in transports:
                transport.abort()
        for sock in service.sockets:
            sock.close()

    async def _accept(self, service: _Service, sock: socket.socket, handler: Handler) -> None:
        loop = asyncio.get_running_loop()
        server = web.Server(handler, access_log=None, keepalive_timeout=5.0)
        while True:
            try:
                connection, (address, _) = await loop.sock_accept(sock)
            except OSError as error:
                log.warning("metadata_accept_failed", error=str(error))
                await asyncio.sleep(1.0)  # out of file descriptors, say; whoever waits there goes on waiting
                continue
            there = [each for each in service.open[address] if not each.is_closing()]
            if len(there) >= CONNECTIONS:
                connection.close()
                continue
            transport, _ = await loop.connect_accepted_socket(server, connection)
            service.open[address] = [*there, transport]
            loop.call_later(PATIENCE, transport.abort)

    def _handler(self, port: int, host_network: Key) -> Handler:
        """Answers what is asked at one port, of the guests of one network."""

        async def handler(request: web.BaseRequest) -> web.Response:
            if request.method not in ("GET", "HEAD"):
                return web.Response(status=405, headers={"Allow": "GET, HEAD"})
            found = self._guests.find(host_network, request.remote or "")
            if found is None:
                return web.Response(status=404, text="not found\n")
            if port == place.PASSWORDS:
                return web.Response(text=self._passwords.answer(found.instance, request.headers.get(HEADER, "")))
            text = answer(found.guest, request.path)
            return web.Response(status=404, text="not found\n") if text is None else web.Response(text=text)

        return handler


def _sockets() -> list[socket.socket]:
    return [_listening(port) for port in place.PORTS]


def _listening(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # While one agent gives way to the next, both may listen.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("", port))
    sock.listen(64)
    sock.setblocking(False)
    return sock
