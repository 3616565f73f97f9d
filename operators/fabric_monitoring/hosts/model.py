"""A Host and what is heard of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from operators.contract.fabric import HostSpec, HostState, HostStatus
from operators.contract.meta import Condition, Obj
from operators.fabric_monitoring.heartbeats import Pulse

Host: TypeAlias = Obj[HostSpec, HostStatus]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The Host."""

    host: Host


@dataclass(frozen=True, slots=True)
class Seen:
    """What is heard of it."""

    pulses: Mapping[str, Pulse]
    """By agent."""
    address: str = ""
    reported: frozenset[str] = frozenset()
    """The agents that have written their part of the HostReport."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of it."""

    state: HostState
    reachable: Condition
    """Whether its hypervisor agent beats; the scheduler goes by it."""
