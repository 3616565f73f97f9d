"""The controller of HostNetworks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from agents.network.metadata import place
from agents.network.metadata.guests import Guests
from agents.network.metadata.passwords import Passwords
from agents.network.metadata.serving import Services
from agents.network.ports.model import HOST
from agents.network.segments import act, observe, plan
from agents.network.segments.model import Action, Links, Seen, Wanted
from agents.network.status import Echoes, report
from operators.contract.meta import Key, Kind
from operators.contract.networking import HOST_NETWORK, ROUTER
from operators.contract.reasons import Reason, Type
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Outcome, Problem, Retry
from operators.kernel.report import Voice


class Segments:
    """Keyed by HostNetwork."""

    name = "segments"
    kind = HOST_NETWORK
    workers = 4
    voice = Voice(Type.PROGRAMMED)

    def __init__(self, context: Context, passwords: Passwords) -> None:
        self._context = context
        self._echoes = Echoes(context.cache)
        self._services = Services(Guests(context.cache), passwords)

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        return {HOST_NETWORK: lambda each: [each.key] if self._echoes.news(each) else []}

    async def observe(self, key: Key) -> tuple[Wanted, Seen] | None:
        host_network = self._context.cache.get(HOST_NETWORK, key)
        if host_network is None:
            return None
        spec = host_network.spec
        return Wanted(host_network), await observe.observe(
            spec, listening=self._services.serves(place.netns(spec.segment_id))
        )

    def plan(self, wanted: Wanted, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        return plan.plan(wanted, seen)

    async def act(self, action: Action) -> None:
        try:
            await act.act(action, self._services)
        except OSError as error:
            why = f"{type(action).__name__} on the host failed: {error}"
            raise Problem(Retry(Reason.NETWORK_ERROR, why)) from error
        if isinstance(action, Links):
            self._wake(action)

    def report(self, wanted: Wanted, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        self._echoes.made(wanted.host_network, outcome)
        return report(wanted.host_network, outcome)

    def _wake(self, made: Links) -> None:
        """Wake those who may have waited for the bridge."""
        words = {word for line in made.lines for word in line.split()}
        self._context.poke("ports", HOST)
        for router in self._context.cache.all(ROUTER):
            if router.spec.bridge in words:
                self._context.poke("routers", router.key)
