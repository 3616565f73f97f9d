"""The controller of Routers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.network.routers import act, observe, plan
from agents.network.routers.dnsmasq import Exits, running
from agents.network.routers.model import Action, Seen, Wanted
from agents.network.status import report
from operators.contract.meta import Key, Kind
from operators.contract.networking import ROUTER
from operators.contract.reasons import Reason, Type
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Blocked, Done, Outcome, Problem, Retry
from operators.kernel.report import Voice

STATE = "/var/lib/cloudstack/network"
"""The folder for the routers' DHCP and DNS servers, unless NETWORK_STATE names another."""


FRESH = 45.0
"""Seconds for which devices and rules that were found right are taken to be so: less than between two looks at all."""


@dataclass(frozen=True, slots=True)
class _Found:
    """When the devices and rules of a router were right, and of which router."""

    uid: str
    frame: str
    at: float


class Routers:
    """Keyed by Router.

    A new reservation changes files only. So that a guest does not cost a look at every device and rule of its router,
    those are looked at when the rest of the spec changed, when a device went, and every minute; `_found` says when they
    were right.
    """

    name = "routers"
    kind = ROUTER
    workers = 4
    voice = Voice(Type.PROGRAMMED)

    def __init__(self, context: Context) -> None:
        self._context = context
        self._state = Path(context.env.get("NETWORK_STATE", STATE))
        self._found: dict[Key, _Found] = {}
        self._exits = Exits()

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        return {ROUTER: lambda router: [router.key]}

    async def observe(self, key: Key) -> tuple[Wanted, Seen] | None:
        router = self._context.cache.get(ROUTER, key)
        if router is None:
            self._found.pop(key, None)
            return None
        wanted = Wanted(router, self._state / router.spec.netns)
        return wanted, await observe.observe(wanted, devices=not self._known(wanted))

    def plan(self, wanted: Wanted, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        return plan.plan(wanted, seen)

    async def act(self, action: Action) -> None:
        try:
            await act.act(action)
        except OSError as error:
            raise Problem(
                Retry(Reason.NETWORK_ERROR, f"{type(action).__name__} on the host failed: {error}")
            ) from error

    def report(self, wanted: Wanted, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        router = wanted.router
        if isinstance(outcome, Done):
            if seen.devices is not None:
                self._found[router.key] = _Found(router.meta.uid, wanted.frame, self._context.clock.monotonic())
            if pid := running(wanted.state):
                self._exits.watch(pid, lambda: self._context.poke(self.name, router.key))
        else:
            self._found.pop(router.key, None)
        if isinstance(outcome, Blocked) and outcome.reason == Reason.WAITING_FOR_NETWORK:
            return []
        return report(router, outcome, wanted.frame)

    def _known(self, wanted: Wanted) -> bool:
        """Whether the devices and rules were right a moment ago, and none of the devices is gone."""
        found = self._found.get(wanted.router.key)
        if wanted.deleting or found is None or (found.uid, found.frame) != (wanted.router.meta.uid, wanted.frame):
            return False
        return self._context.clock.monotonic() - found.at < FRESH and observe.stands(wanted)
