"""What is decided about a Console."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from operators.contract.consoles import ConsoleChannelSpec, ConsoleChannelStatus, ConsoleSpec, ConsoleStatus
from operators.contract.meta import Obj

Console: TypeAlias = Obj[ConsoleSpec, ConsoleStatus]
Channel: TypeAlias = Obj[ConsoleChannelSpec, ConsoleChannelStatus]


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is of it."""

    now: datetime
    created: datetime
    claimed: datetime | None = None
    here: bool = False
    """Whether its client is connected to this very replica."""
    channel: Channel | None = None


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete it, and its channel."""

    console: Console

    def __str__(self) -> str:
        return str(self.console.key)


Action: TypeAlias = Remove
