"""Which agents were heard of lately, by our own clock alone.

A Lease says when its agent renewed it by the agent's clock, which may be wrong; so what counts is when *we* saw it
change. A beat touches one entry of a dictionary. Only the sweep makes a verdict worse, and only after a look at the
API server itself, since it may be us who hear nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from operators.contract import names
from operators.contract.core import LeaseSpec, Nothing
from operators.contract.meta import Key, Obj
from operators.kernel.clock import Clock, parse_stamp

LATE_AFTER = 20.0
"""Seconds of silence after which a host is suspected: two beats missed."""
SILENT_AFTER = 40.0
"""Seconds of silence after which an agent counts as gone; also the grace for those never heard since our own start.

A Lease that says a longer duration beats less often, and has both times in proportion: those of simulated hosts do."""
LONGEST = 3600.0
"""Seconds of silence after which an agent counts as gone, whatever its Lease says."""

Lease: TypeAlias = Obj[LeaseSpec, Nothing]


class Pulse(StrEnum):
    """What is known of one agent."""

    FRESH = "fresh"
    LATE = "late"
    SILENT = "silent"
    UNKNOWN = "unknown"
    """Not heard since our own start, which is not long ago."""
    PRESUMED = "presumed"
    """As UNKNOWN, but by the wall clock its last beat is recent: good enough where nothing was known before."""


@dataclass(slots=True)
class _Agent:
    renewed: str
    """The Lease's renewTime, as it was last seen; "" when there is no Lease."""
    since: float
    """Since when we listen."""
    lease: Key | None = None
    heard: float | None = None
    """When we last saw it change."""
    recent: bool = False
    judged: Pulse = Pulse.UNKNOWN
    silent_after: float = SILENT_AFTER

    def pulse(self, now: float) -> Pulse:
        silence = now - (self.since if self.heard is None else self.heard)
        if silence >= self.silent_after:
            return Pulse.SILENT
        if self.heard is None:
            return Pulse.PRESUMED if self.recent else Pulse.UNKNOWN
        return Pulse.LATE if silence >= self.silent_after * LATE_AFTER / SILENT_AFTER else Pulse.FRESH


class Heartbeats:
    """All agents of all hosts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._agents: dict[tuple[str, str], _Agent] = {}

    def heard(self, lease: Lease) -> Iterable[Key]:
        """Take in a Lease, as a watch, a list or a read shows it; the host, if its verdict may change by that."""
        whose = _whose(lease)
        if whose is None or not lease.spec.renew_time:
            return ()
        agent, now = self._agents.get(whose), self._clock.monotonic()
        if agent is None:
            # It may be an old one, so it is no sign of life yet.
            self._agents[whose] = agent = _Agent(lease.spec.renew_time, now, lease.key, recent=self._recent(lease))
            agent.silent_after = _patience(lease)
            agent.judged = agent.pulse(now)
            return (Key("", whose[0]),)
        agent.silent_after = _patience(lease)
        if agent.renewed == lease.spec.renew_time:
            return ()
        agent.lease, agent.renewed, agent.heard = lease.key, lease.spec.renew_time, now
        if agent.judged is Pulse.FRESH:
            return ()
        agent.judged = Pulse.FRESH
        return (Key("", whose[0]),)

    def pulses(self, host: str) -> dict[str, Pulse]:
        """The verdict on each agent of a host. From the first time it is asked for, its agents are listened for."""
        now = self._clock.monotonic()
        return {name: self._agents.setdefault((host, name), _Agent("", now)).judged for name in names.AGENTS}

    def forget(self, host: str) -> None:
        """A host is gone."""
        for name in names.AGENTS:
            self._agents.pop((host, name), None)

    def doubtful(self) -> Iterator[tuple[str, str]]:
        """Host and agent of those whose verdict is about to become worse."""
        now = self._clock.monotonic()
        for whose, agent in tuple(self._agents.items()):
            if agent.pulse(now) is not agent.judged:
                yield whose

    def lease(self, host: str, name: str) -> Key | None:
        """Where an agent's Lease is, if it ever had one."""
        return self._agents[host, name].lease

    def any_lease(self) -> Key | None:
        """Where some Lease is."""
        return next((agent.lease for agent in self._agents.values() if agent.lease), None)

    def judge(self) -> set[Key]:
        """Make the verdicts what the silence says; the hosts for which one changed."""
        hosts = set()
        for host, name in self.doubtful():
            agent = self._agents[host, name]
            agent.judged = agent.pulse(self._clock.monotonic())
            hosts.add(Key("", host))
        return hosts

    def listen_anew(self) -> None:
        """We were deaf for a while: as after our own start, silence so far says nothing."""
        now = self._clock.monotonic()
        for agent in self._agents.values():
            agent.since, agent.heard, agent.recent, agent.judged = now, None, False, Pulse.UNKNOWN

    def _recent(self, lease: Lease) -> bool:
        try:
            age = self._clock.now() - parse_stamp(lease.spec.renew_time)
        except ValueError:
            return False
        return abs(age.total_seconds()) < _patience(lease)


def _patience(lease: Lease) -> float:
    return min(LONGEST, max(SILENT_AFTER, float(lease.spec.lease_duration_seconds)))


def _whose(lease: Lease) -> tuple[str, str] | None:
    """Host and agent that a Lease beats for; None for a Lease of something else."""
    labels = lease.meta.labels
    node, agent = labels.get(names.LABEL_NODE), labels.get(names.LABEL_COMPONENT, "").removeprefix("agent-")
    return (node, agent) if node and agent in names.AGENTS else None
