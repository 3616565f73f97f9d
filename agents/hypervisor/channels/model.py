"""What the connection of one ConsoleChannel is decided from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from operators.contract.consoles import ConsoleChannelSpec, ConsoleChannelStatus
from operators.contract.meta import Key, Obj

Channel: TypeAlias = Obj[ConsoleChannelSpec, ConsoleChannelStatus]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A channel that there is, or the key of one that is gone."""

    key: Key
    channel: Channel | None


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a connection is over."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What this process has of it."""

    runs: bool = False
    """Whether an Instance of this host, in the channel's namespace, has that guest, and it is on."""
    held: str = ""
    """uid of the channel that an attempt is held for; empty without one."""
    nonce_sha256: str = ""
    """What the status must say before the agent dials."""
    dialled: bool = False
    connected: bool = False
    ended: Ended | None = None


@dataclass(frozen=True, slots=True)
class Prepare:
    """Draw what the agent will say to the replica."""

    channel: Channel

    def __str__(self) -> str:
        return str(self.channel.key)


@dataclass(frozen=True, slots=True)
class Connect:
    """Open the console and dial out to the replica."""

    channel: Channel

    def __str__(self) -> str:
        return f"{self.channel.spec.virtual_machine.name} to {self.channel.spec.address}"


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close what is open, and forget it."""

    key: Key

    def __str__(self) -> str:
        return str(self.key)


Action: TypeAlias = Prepare | Connect | HangUp
