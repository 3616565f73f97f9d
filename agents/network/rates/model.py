"""The rates of this host's taps: what is wanted and what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agents.network.rules import Listed
from operators.contract.codec import Json
from operators.contract.meta import Key

HOST = Key("", "host")
"""The one key of the controller."""

TABLE = "cloudstack"
"""Of the family netdev."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Mbit/s by tap, of those that have a limit."""

    rates: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there."""

    taps: frozenset[str]
    """All that are plugged in."""
    shaped: Mapping[str, int]
    """Bytes a second towards the guest, by tap that has a limit of ours."""
    table: Listed
    """The rules on what comes from guests."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Lines for `tc -batch`: what goes towards guests."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Police:
    """One transaction of nftables: what comes from guests."""

    commands: tuple[Json, ...]

    def __str__(self) -> str:
        return f"Police({len(self.commands)} commands)"


Action = Shape | Police
