"""Console as a component: what it watches, what it removes, and the two servers that run beside.

It has no leader: every replica serves the clients that reach it, and removes what any replica left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog

from operators.console import certificate, server
from operators.console.meetings import Meetings
from operators.console.model import Action, Console, Remove, Seen
from operators.console.plan import plan
from operators.contract import names
from operators.contract.consoles import CONSOLE, CONSOLE_CHANNEL
from operators.contract.meta import Key, Kind
from operators.kernel import Outcome, Report, health
from operators.kernel.clock import parse_stamp
from operators.kernel.component import Component, shared
from operators.kernel.controller import Watch
from operators.kernel.manager import AnyController, Context

log = structlog.get_logger()

NAME = "console"
PORT = "CONSOLE_PORT"
"""Environment: the port for clients; 8000 by default, a free one for 0."""
CHANNEL_PORT = "CHANNEL_PORT"
"""Environment: the port for agents; 8443 by default, a free one for 0."""
ADDRESS = "POD_IP"
"""Environment: where agents reach this replica."""


class Consoles:
    """Keyed by Console: removes those whose time has passed."""

    name = "consoles"
    kind = CONSOLE
    workers = 2

    def __init__(self, context: Context, meetings: Meetings) -> None:
        self._context = context
        self._meetings = meetings

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A Console, and its channel."""
        return {
            CONSOLE: lambda console: (console.key,),
            CONSOLE_CHANNEL: lambda channel: (Key(channel.meta.namespace, channel.spec.console.name),),
        }

    async def observe(self, key: Key) -> tuple[Console, Seen] | None:
        """The Console, and its channel; whoever waits for news of them here is told."""
        console, channel = self._context.cache.get(CONSOLE, key), None
        if console is not None:
            name = names.console_channel(key.name, console.meta.uid)
            channel = self._context.cache.get(CONSOLE_CHANNEL, Key(key.namespace, name))
        self._meetings.look(key, console, channel)
        if console is None:
            return None
        claimed = console.status.claimed_at
        return console, Seen(
            now=self._context.clock.now(),
            created=parse_stamp(console.meta.creation_timestamp),
            claimed=parse_stamp(claimed) if claimed else None,
            here=self._meetings.here(console),
            channel=channel,
        )

    def plan(self, console: Console, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """See `plan`."""
        return plan(console, seen)

    async def act(self, action: Action) -> None:
        """Delete both: the garbage collector would have the channel, but later."""
        match action:
            case Remove(console):
                name = names.console_channel(console.meta.name, console.meta.uid)
                channel = self._context.cache.get(CONSOLE_CHANNEL, Key(console.meta.namespace, name))
                if channel is not None:
                    await self._context.store.delete(CONSOLE_CHANNEL, channel.key, uid=channel.meta.uid)
                await self._context.store.delete(CONSOLE, console.key, uid=console.meta.uid)

    def report(self, console: Console, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """Nothing: what a Console says is written when its token is used."""
        return ()


class Replica:
    """The parts of one replica, wired together."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.certificate = certificate.made(context.clock.now())
        self.meetings = Meetings(context, context.env.get("POD_NAME", ""), self.certificate.sha256)
        self.consoles = Consoles(context, self.meetings)
        self.port = 0
        """For clients, once it serves."""

    async def serve(self) -> None:
        """Serve clients and agents until the process ends."""
        env, tls = self.context.env, self.certificate.tls
        async with health.served(server.agents(self.meetings), int(env.get(CHANNEL_PORT) or "8443"), tls=tls) as port:
            ip = env.get(ADDRESS) or "127.0.0.1"
            self.meetings.address = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
            async with health.served(server.clients(self.meetings), int(env.get(PORT) or "8000")) as self.port:
                log.info("serving", port=self.port, agents=self.meetings.address)
                await asyncio.Event().wait()


replica = shared(Replica)


def _build(context: Context) -> Sequence[AnyController]:
    return (replica(context).consoles,)


def _background(context: Context) -> Sequence[Awaitable[None]]:
    return (replica(context).serve(),)


COMPONENT = Component(
    name=NAME,
    watches=lambda env: [Watch(CONSOLE), Watch(CONSOLE_CHANNEL)],
    build=_build,
    background=_background,
    leads=False,
)
