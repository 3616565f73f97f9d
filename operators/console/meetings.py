"""Where a client and the agent of a guest's host await each other, in this replica."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import structlog
from aiohttp import web

from operators.console.model import Channel, Console, Seen
from operators.console.plan import matches, refusal
from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.consoles import CONSOLE, CONSOLE_CHANNEL, ConsoleChannelSpec, ConsoleStatus
from operators.contract.meta import Condition, Key, ObjectRef, condition
from operators.contract.reasons import Reason, Type
from operators.kernel.clock import parse_stamp, stamp
from operators.kernel.manager import Context
from operators.kernel.outcome import settled
from operators.kernel.store import Conflict, NotFound, StoreError

log = structlog.get_logger()

ARRIVES = 5.0
"""Seconds in which a Console that was made a moment ago is seen by our watch."""
CALLS = 20.0
"""Seconds in which the agent of the host calls."""
MOST = 500
"""Consoles that are open or being opened in one replica."""
NOBODY = "there is no such console, or the token is not its own"


class Refused(Exception):
    """A client gets no console; the HTTP status, and a sentence for people."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass
class Meeting:
    """One client, and the agent that it awaits."""

    console: Console
    channel: Key
    uid: str = ""
    """Of the channel, once there is one."""
    agent: asyncio.Future[web.WebSocketResponse] = field(default_factory=asyncio.Future)
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Meetings:
    """All of this replica."""

    def __init__(self, context: Context, identity: str, certificate_sha256: str) -> None:
        self._context = context
        self._identity = identity
        self._certificate = certificate_sha256
        self._meetings: dict[str, Meeting] = {}
        """By the uid of their Console."""
        self._arrivals: dict[Key, asyncio.Event] = {}
        self.address = ""
        """Where agents reach this replica, once that is known."""

    def here(self, console: Console) -> bool:
        """Whether its client is in this replica."""
        return console.meta.uid in self._meetings

    def look(self, key: Key, console: Console | None, channel: Channel | None) -> None:
        """Tell whoever waits what became of a Console and its channel."""
        if console is not None and key in self._arrivals:
            self._arrivals[key].set()
        for meeting in [each for each in self._meetings.values() if each.console.key == key]:
            if console is None or console.meta.deleting or console.meta.uid != meeting.console.meta.uid:
                meeting.over.set()
            if channel is not None and channel.meta.uid == meeting.uid and not meeting.agent.done():
                self._refuse(meeting, channel)

    @staticmethod
    def _refuse(meeting: Meeting, channel: Channel) -> None:
        """Pass on the agent's word that there will be no console."""
        said = condition(channel.status.conditions, Type.CONNECTED)
        if said is not None and not said.true and said.reason != Reason.CONNECTING:
            meeting.agent.set_exception(Refused(409, said.message))

    @contextlib.asynccontextmanager
    async def open(self, key: Key, token: str) -> AsyncIterator[Meeting]:
        """Use a token: from here on it works for nobody else. Raises Refused; at the end nothing is left of it."""
        console = await self._arrived(key)
        if console is None or not matches(console, token):
            raise Refused(403, NOBODY)
        if why := refusal(console, self._seen(console)) or ("its token is being used" if self.here(console) else ""):
            raise Refused(409, why)
        if len(self._meetings) >= MOST:
            raise Refused(503, "too many consoles are open here: try again in a while")
        meeting = Meeting(console, Key(key.namespace, names.console_channel(key.name, console.meta.uid)))
        self._meetings[console.meta.uid] = meeting
        try:
            await self._begin(meeting)
            yield meeting
        except StoreError as error:
            raise Refused(503, f"the API server refused: {error}") from error
        finally:
            meeting.over.set()
            if meeting.agent.done() and not meeting.agent.cancelled():
                meeting.agent.exception()  # seen, whether or not somebody still asked for it
            meeting.agent.cancel()
            del self._meetings[console.meta.uid]
            await self._clear(meeting)

    def _seen(self, console: Console) -> Seen:
        return Seen(self._context.clock.now(), parse_stamp(console.meta.creation_timestamp))

    async def _arrived(self, key: Key) -> Console | None:
        """The Console, which our watch may tell of only after its client came."""
        found = self._context.cache.get(CONSOLE, key)
        if found is not None or len(self._arrivals) >= MOST:
            return found
        arrival = self._arrivals.setdefault(key, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ARRIVES):
                await arrival.wait()
        self._arrivals.pop(key, None)
        return self._context.cache.get(CONSOLE, key)

    async def _begin(self, meeting: Meeting) -> None:
        """Find the guest, claim the token, and have the guest's host called."""
        console = meeting.console
        machine, host = await self._guest(console)
        now, generation = stamp(self._context.clock.now()), console.meta.generation
        used = Condition(Type.READY, "True", Reason.IN_USE, "its token was used, and works no more")
        status = to_wire(ConsoleStatus(generation, now, self._identity, settled((used,), (), generation, now)))
        try:
            version = console.meta.resource_version
            await self._context.store.apply_status(CONSOLE, console.key, status, resource_version=version)
        except (Conflict, NotFound) as error:
            raise Refused(409, "this token was used already: it works once") from error
        spec = ConsoleChannelSpec(
            host_name=host,
            console=ObjectRef(console.meta.name, console.meta.uid),
            virtual_machine=machine,
            type=console.spec.type,
            address=self.address,
            certificate_sha256=self._certificate,
        )
        body = CONSOLE_CHANNEL.body(
            meeting.channel,
            spec=to_wire(spec),
            labels={names.LABEL_VM_UID: machine.uid},
            ownerReferences=[to_wire(console.owner)],
        )
        meeting.uid = (await self._context.store.create(CONSOLE_CHANNEL, body))["metadata"]["uid"]

    async def _guest(self, console: Console) -> tuple[ObjectRef, str]:
        name = console.spec.virtual_machine
        body = await self._context.store.get(VIRTUAL_MACHINE, Key(console.meta.namespace, name))
        if body is None:
            raise Refused(404, f"there is no VirtualMachine {name} in namespace {console.meta.namespace}")
        machine = VIRTUAL_MACHINE.parse(body)
        if not machine.status.host_name:
            raise Refused(409, f"VirtualMachine {name} has no host yet: start it, or wait until it runs")
        return ObjectRef(name, machine.meta.uid), machine.status.host_name

    async def agent(self, meeting: Meeting) -> web.WebSocketResponse:
        """The agent's connection. Raises Refused with the agent's word why there is none."""
        try:
            async with asyncio.timeout(CALLS):
                return await asyncio.shield(meeting.agent)
        except TimeoutError as error:
            raise Refused(504, "the guest's host has not answered in time: see its Host's conditions") from error

    async def called(self, uid: str, nonce: str) -> Meeting | None:
        """The meeting that an agent calls for, if it proves to be the one of the guest's host."""
        meeting = next((each for each in self._meetings.values() if each.uid and each.uid == uid), None)
        if meeting is None or meeting.agent.done() or not nonce:
            return None
        body = await self._context.store.get(CONSOLE_CHANNEL, meeting.channel)
        if body is None or meeting.agent.done():
            return None
        channel = CONSOLE_CHANNEL.parse(body)
        said = hashlib.sha256(nonce.encode(errors="replace")).hexdigest()
        good = channel.meta.uid == uid and hmac.compare_digest(said, channel.status.nonce_sha256)
        return meeting if good else None

    async def _clear(self, meeting: Meeting) -> None:
        """Remove what was made for it. What cannot be is removed later, by whichever replica."""
        store, console = self._context.store, meeting.console
        try:
            if meeting.uid:
                await store.delete(CONSOLE_CHANNEL, meeting.channel, uid=meeting.uid)
                await store.delete(CONSOLE, console.key, uid=console.meta.uid)
        except StoreError as error:
            log.warning("console_not_removed", console=str(console.key), error=str(error))
