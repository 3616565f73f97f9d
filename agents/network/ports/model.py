"""The ports of this host: what is wanted and what is there."""

from __future__ import annotations

from dataclasses import dataclass

from agents.network.rules import Listed
from operators.contract.meta import Key, Obj
from operators.contract.networking import HostSideStatus, PortBindingSpec
from operators.kernel.outcome import Outcome

HOST = Key("", "host")
"""The one key of the controller: the ports of a host share their rules, and so a burst of them shares a transaction."""

LOOK_AGAIN = Key("", "host, look again")
"""The same, for when the rules may not be as they were left."""

Binding = Obj[PortBindingSpec, HostSideStatus]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Every PortBinding of this host."""

    bindings: tuple[Binding, ...]


@dataclass(frozen=True, slots=True)
class Tables:
    """Our two tables, as they are."""

    guests: Listed
    host: Listed


@dataclass(frozen=True, slots=True)
class Seen:
    """Our tables, and which devices there are."""

    tables: Tables
    devices: frozenset[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it ended for one PortBinding."""

    binding: Binding
    outcome: Outcome
