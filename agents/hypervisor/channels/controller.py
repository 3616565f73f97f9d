"""The controller of channels, and the connections that it keeps."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from agents.hypervisor.channels.carry import carry
from agents.hypervisor.channels.model import Action, Channel, Connect, Ended, HangUp, Prepare, Seen, Wanted
from agents.hypervisor.channels.plan import AGAIN, plan
from agents.hypervisor.driver import Hypervisor, HypervisorError
from operators.contract.consoles import CONSOLE_CHANNEL, ConsoleChannelStatus
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind
from operators.contract.reasons import Reason, Type
from operators.kernel import Outcome, Report
from operators.kernel.manager import Context


@dataclass
class _Attempt:
    """The one attempt that this process makes at a channel."""

    uid: str
    nonce: str
    task: asyncio.Task[None] | None = None
    connected: bool = False
    ended: Ended | None = None

    @property
    def nonce_sha256(self) -> str:
        """What of the nonce may be known."""
        return hashlib.sha256(self.nonce.encode()).hexdigest()


class Channels:
    """Keyed by ConsoleChannel."""

    name = "channels"
    kind = CONSOLE_CHANNEL
    workers = 4

    def __init__(self, context: Context, hypervisor: Hypervisor) -> None:
        self._context = context
        self._hypervisor = hypervisor
        self._attempts: dict[Key, _Attempt] = {}

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A channel concerns itself; what becomes of its guest is seen by the console's end."""
        return {CONSOLE_CHANNEL: lambda channel: (channel.key,)}

    async def observe(self, key: Key) -> tuple[Wanted, Seen] | None:
        """The channel, and what this process has of it."""
        channel = self._context.cache.get(CONSOLE_CHANNEL, key)
        attempt = self._attempts.get(key)
        if channel is None and attempt is None:
            return None
        runs = channel is not None and not channel.meta.deleting and await self._runs(channel)
        if attempt is None:
            return Wanted(key, channel), Seen(runs)
        seen = Seen(
            runs,
            held=attempt.uid,
            nonce_sha256=attempt.nonce_sha256,
            dialled=attempt.task is not None,
            connected=attempt.connected,
            ended=attempt.ended,
        )
        return Wanted(key, channel), seen

    async def _runs(self, channel: Channel) -> bool:
        """Whether it is a guest of an Instance here: what else runs on the host is nobody's to see."""
        uid = channel.spec.virtual_machine.uid
        here = self._context.cache.by(INSTANCE, "vm", uid)
        if not any(instance.meta.namespace == channel.meta.namespace for instance in here):
            return False
        try:
            domain = await self._hypervisor.domain(uid)
        except HypervisorError:
            return True  # opening it will say what the trouble is
        return domain is not None and domain.active

    def plan(self, wanted: Wanted, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """See `plan`."""
        return plan(wanted, seen)

    async def act(self, action: Action) -> None:
        """Do one action; a connection goes on beside it."""
        match action:
            case Prepare(channel):
                self._attempts[channel.key] = _Attempt(channel.meta.uid, secrets.token_urlsafe(32))
            case Connect(channel):
                attempt = self._attempts[channel.key]
                attempt.task = asyncio.create_task(self._carry(channel, attempt))
            case HangUp(key):
                attempt = self._attempts.pop(key)
                if attempt.task is not None:
                    attempt.task.cancel()

    async def _carry(self, channel: Channel, attempt: _Attempt) -> None:
        spec = channel.spec

        def connected() -> None:
            attempt.connected = True
            self._context.poke(self.name, channel.key)

        try:
            console = await self._hypervisor.console(spec.virtual_machine.uid, spec.type)
            await carry(channel.meta.uid, spec, attempt.nonce, console, connected)
            attempt.ended = Ended(Reason.CLOSED, "the console was closed")
        except HypervisorError as error:
            attempt.ended = Ended(Reason.HYPERVISOR_ERROR, str(error))
        except (aiohttp.ClientError, OSError) as error:
            attempt.ended = Ended(Reason.NETWORK_ERROR, f"{spec.address} is not reached ({error}): {AGAIN}")
        finally:
            attempt.connected = False
            self._context.poke(self.name, channel.key)

    def report(self, wanted: Wanted, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """How the channel is."""
        channel = wanted.channel
        if channel is None or channel.meta.deleting:
            return ()
        attempt = self._attempts.get(wanted.key)
        nonce = attempt.nonce_sha256 if attempt is not None else channel.status.nonce_sha256
        return (Report(channel, ConsoleChannelStatus(nonce_sha256=nonce), verdict=Type.CONNECTED),)
