"""The real controllers of the hypervisor agent, one set for each simulated host, behind one queue."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents.hypervisor.handlers import Agent
from agents.hypervisor.simulated import SimulatedFiles, SimulatedHost, SimulatedHypervisor, simulated_host
from agents.simulator.settings import Settings
from operators.contract.meta import Key, Kind, Obj, SpecT, StatusT
from operators.kernel.cache import AnyKind, Cache, IndexFn
from operators.kernel.controller import Report
from operators.kernel.manager import AnyController, Context
from operators.kernel.outcome import Outcome
from operators.kernel.report import Speaks, Voice

BY_HOST = "host"
"""Index of every host-side kind: `spec.hostName`."""


class HostCache(Cache):
    """What the agent of one host would have in its cache: a view of the process's own."""

    def __init__(self, whole: Cache, node: str, indexed: set[tuple[AnyKind, str]]) -> None:
        self._whole = whole
        self._node = node
        self._indexed = indexed
        """Shared by all hosts: an index is kept once."""

    def index(self, kind: AnyKind, name: str, values: IndexFn) -> None:
        """Keep an index, unless another host's agent asked for it before."""
        if (kind, name) not in self._indexed:
            self._indexed.add((kind, name))
            self._whole.index(kind, name, values)

    def get(self, kind: Kind[SpecT, StatusT], key: Key) -> Obj[SpecT, StatusT] | None:
        """One object of this host."""
        found = self._whole.get(kind, key)
        return found if found is not None and host_of(found) == self._node else None

    def all(self, kind: Kind[SpecT, StatusT]) -> Iterator[Obj[SpecT, StatusT]]:
        """Every object of this host."""
        return iter(self._whole.by(kind, BY_HOST, self._node))

    def by(self, kind: Kind[SpecT, StatusT], index: str, value: str) -> tuple[Obj[SpecT, StatusT], ...]:
        """Those of an index that are of this host."""
        return tuple(each for each in self._whole.by(kind, index, value) if host_of(each) == self._node)

    @property
    def kinds(self) -> Collection[AnyKind]:
        """The kinds that are held."""
        return self._whole.kinds


def host_of(obj: Obj[Any, Any]) -> str:
    """The host that a host-side object is for."""
    return str(obj.spec.host_name)


class Guests:
    """All simulated hypervisors of the process, by the name of their host."""

    def __init__(self, context: Context, settings: Settings) -> None:
        indexed: set[tuple[AnyKind, str]] = set()
        self.agents: dict[str, Agent] = {}
        for node in settings.names:
            cache = HostCache(context.cache, node, indexed)
            own = Context(context.store, cache, context.clock, context.rng, {**context.env, "NODE_NAME": node})
            own.poke = context.poke
            own.synced = context.synced
            chosen = settings.hypervisor(node)
            host: SimulatedHost = simulated_host(chosen)
            host.latencies, host.faults = settings.latencies, settings.hypervisor_faults
            self.agents[node] = Agent(own, chosen, SimulatedHypervisor(host, context.clock), SimulatedFiles(host))


class Fleet:
    """One controller of each simulated host's agent, such as its `instances`, as one controller of the process."""

    def __init__(
        self, context: Context, guests: Guests, part: Callable[[Agent], AnyController], workers: int, speaks: str = ""
    ) -> None:
        self._cache = context.cache
        self._parts = {node: part(agent) for node, agent in guests.agents.items()}
        self._triggers = {node: each.triggers() for node, each in self._parts.items()}
        self._speaks = speaks
        """The name of the part of a status that it writes, where others write the rest."""
        self._hosts: dict[Key, str] = {}
        """Whose each key is, beyond the end of its object."""
        first = next(iter(self._parts.values()))
        self.name, self.kind, self.workers = first.name, first.kind, workers
        self.voice = first.voice if isinstance(first, Speaks) else Voice(silent=lambda about: True)

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """Each object concerns the controller of its own host."""

        def of(kind: Kind[Any, Any]) -> Callable[[Any], Iterable[Key]]:
            def keys(obj: Any) -> Iterable[Key]:
                triggers = self._triggers.get(host_of(obj))
                return triggers[kind](obj) if triggers is not None else ()

            return keys

        first = next(iter(self._triggers.values()))
        return {kind: of(kind) for kind in first}

    async def observe(self, key: Key) -> tuple[Any, Any] | None:
        """What the controller of the key's host sees."""
        obj = self._cache.get(self.kind, key)
        host = host_of(obj) if obj is not None else self._hosts.pop(key, "")
        part = self._parts.get(host)
        if part is None:
            return None
        if obj is not None:
            self._hosts[key] = host
        observed = await part.observe(key)
        return None if observed is None else ((part, observed[0]), observed[1])

    def plan(self, wanted: tuple[AnyController, Any], seen: Any) -> tuple[Sequence[Any], Outcome]:
        """What that controller decides."""
        part, asked = wanted
        actions, outcome = part.plan(asked, seen)
        return [_Of(part, action) for action in actions], outcome

    async def act(self, action: _Of) -> None:
        """Do it, as that controller would."""
        await action.part.act(action.action)

    def report(self, wanted: tuple[AnyController, Any], seen: Any, outcome: Outcome) -> Sequence[Report]:
        """What that controller says."""
        part, asked = wanted
        reports = part.report(asked, seen, outcome)
        return [replace(each, part=self._speaks or each.part) for each in reports]


class _Of:
    """An action of one host's controller."""

    def __init__(self, part: AnyController, action: Any) -> None:
        self.part = part
        self.action = action

    def __str__(self) -> str:
        return f"{type(self.action).__name__} {self.action}"
