"""The controller of the rates of all taps of this host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from agents.network import tools
from agents.network.check import is_device
from agents.network.rates import observe, plan
from agents.network.rates.model import HOST, Action, Seen, Shape, Wanted
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind
from operators.contract.networking import PORT_BINDING
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Done, Outcome


class Rates:
    """Keyed by the host. Where no guest has a limit, and none had one, nothing is looked at."""

    name = "rates"
    kind = INSTANCE
    workers = 1

    def __init__(self, context: Context) -> None:
        self._context = context
        self._clean = False
        """Whether the host is known to have no limit of ours."""

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        return {INSTANCE: lambda each: [HOST] if each.spec.nics else [], PORT_BINDING: lambda _: [HOST]}

    async def observe(self, key: Key) -> tuple[Wanted, Seen] | None:
        wanted, there = Wanted(self._rates()), observe.taps()
        if self._clean and not wanted.rates:
            return None
        return wanted, await observe.observe(there)

    def _rates(self) -> dict[str, int]:
        """The limit of each tap, as the Instance states it whose NIC it is."""
        rates = {
            (each.meta.namespace, nic.port_binding): nic.rate
            for each in self._context.cache.all(INSTANCE)
            for nic in each.spec.nics
            if nic.rate
        }
        if not rates:
            return {}
        found = ((each.spec.tap, rates.get((each.meta.namespace, each.meta.name), 0)) for each in self._bindings())
        return {tap: rate for tap, rate in found if rate and is_device(tap)}

    def _bindings(self) -> Iterable[Any]:
        return (each for each in self._context.cache.all(PORT_BINDING) if not each.meta.deleting)

    def plan(self, wanted: Wanted, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        return plan.plan(wanted, seen)

    async def act(self, action: Action) -> None:
        if isinstance(action, Shape):
            await tools.tc(action.lines)
        else:
            await tools.nft(action.commands)

    def report(self, wanted: Wanted, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        self._clean = isinstance(outcome, Done) and not wanted.rates
        return []
