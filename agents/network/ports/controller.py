"""The controller of all PortBindings of this host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from agents.network.ports import act, observe, plan
from agents.network.ports.model import HOST, LOOK_AGAIN, Seen, Tables, Wanted
from agents.network.rules import Rules
from agents.network.status import Echoes, report
from operators.contract.meta import Key, Kind
from operators.contract.networking import PORT_BINDING
from operators.contract.reasons import Reason
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Blocked, Done, Outcome


class Ports:
    """Keyed by the host: one run sees to every PortBinding.

    A run that changed the rules knows how they are, so a guest costs one change and no listing. They are listed anew
    every minute, when the kernel tells of a deletion, and when a change was refused.
    """

    name = "ports"
    kind = PORT_BINDING
    workers = 1

    def __init__(self, context: Context) -> None:
        self._context = context
        self._echoes = Echoes(context.cache)
        self._known: Tables | None = None

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        return {PORT_BINDING: lambda each: [HOST] if self._echoes.news(each) else []}

    async def observe(self, key: Key) -> tuple[Wanted, Seen] | None:
        bindings = tuple(sorted(self._context.cache.all(PORT_BINDING), key=lambda each: each.key))
        if self._known is None or key == LOOK_AGAIN:
            self._known = await observe.tables()
        return Wanted(bindings), Seen(self._known, observe.devices())

    def plan(self, wanted: Wanted, seen: Seen) -> tuple[Sequence[Rules], Outcome]:
        return plan.plan(wanted, seen)

    async def act(self, action: Rules) -> None:
        await act.act(action)

    def report(self, wanted: Wanted, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        self._known = plan.made(wanted, seen) if isinstance(outcome, Done) else None
        reports: list[Report] = []
        for each in plan.verdicts(wanted, seen, outcome):
            self._echoes.made(each.binding, each.outcome)
            # A bridge is there a moment later; saying so would be a write for every first guest on a host.
            waits = isinstance(each.outcome, Blocked) and each.outcome.reason == Reason.WAITING_FOR_NETWORK
            if not waits:
                reports += report(each.binding, each.outcome)
        return reports
