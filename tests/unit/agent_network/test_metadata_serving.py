"""How the agent serves and ceases to serve, on real sockets."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest

from agents.network.metadata import serving
from agents.network.metadata.guests import Guests
from agents.network.metadata.passwords import Passwords
from operators.contract.meta import Key
from operators.kernel.cache import Cache
from operators.kernel.clock import SystemClock
from operators.kernel.manager import Context
from operators.kernel.memory import MemoryServer, MemoryStore


def loopback(port: int) -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


async def test_what_opens_after_a_service_has_closed_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed socket's number goes to the next one: `ip`, which the agent runs then, was once waited for without end."""
    monkeypatch.setattr(serving, "within", lambda netns, make: make())
    monkeypatch.setattr(serving, "_listening", loopback)
    context = Context(MemoryStore(MemoryServer(), "agent-network"), Cache([]), SystemClock(), random.Random(1), {})
    services = serving.Services(Guests(context.cache), Passwords(context))
    services.open("csm7", Key("team-a", "net-n1"))
    await asyncio.sleep(0)
    await services.close("csm7")
    near, far = socket.socketpair()
    heard = asyncio.Event()
    with near, far:
        # At once, as the event loop itself does with the process descriptor of a new child.
        asyncio.get_running_loop().add_reader(near, heard.set)
        far.send(b"x")
        async with asyncio.timeout(10):
            await heard.wait()
        asyncio.get_running_loop().remove_reader(near)
