"""The controller that asks this host's guests how they are; `instances` tells it, in the one report on an Instance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.hypervisor.driver import Hypervisor, HypervisorError
from agents.hypervisor.guestinfo import told
from agents.hypervisor.model import Instance
from agents.hypervisor.statistics import Statistics
from operators.contract.compute import GuestInfo, Power
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Done, Outcome

LOOK = 300.0
"""Seconds between two looks at a running guest. What it says counts as the same until enough of it changed."""
LOOK_SOON = 20.0
"""The same while its agent has not been heard of: a guest takes a while to boot."""
SOON = 300.0
"""Seconds after its start for which a guest is looked at soon."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a guest says of itself just now."""

    runs: bool
    info: GuestInfo | None = None
    age: float = 0.0
    """Seconds for which this process has known that it runs."""


class Guests:
    """Keyed by Instance. It changes nothing, so there is nothing to plan but the next look."""

    name = "guests"
    kind = INSTANCE
    workers = 1

    def __init__(self, context: Context, hypervisor: Hypervisor, statistics: Statistics) -> None:
        self._context = context
        self._hypervisor = hypervisor
        self._statistics = statistics
        self._since: dict[Key, tuple[str, float]] = {}
        """Since when each guest is known to run, with the time of its start."""
        self._said: dict[str, GuestInfo] = {}
        """What the status of each guest should say, by uid."""
        self._next: dict[Key, float] = {}
        """When each guest is to be asked again; what else happens to its Instance asks it nothing."""

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """An Instance concerns itself."""
        return {INSTANCE: lambda instance: (instance.key,)}

    async def observe(self, key: Key) -> tuple[Instance, Seen] | None:
        """Ask the guest, if it is time to."""
        instance = self._context.cache.get(INSTANCE, key)
        if instance is None or instance.meta.deleting:
            self._since.pop(key, None)
            self._next.pop(key, None)
            return None
        now = self._context.clock.monotonic()
        if instance.status.power != Power.RUNNING:
            self._since.pop(key, None)
            self._next.pop(key, None)
            return instance, Seen(runs=instance.status.power == Power.PAUSED, info=instance.status.guest)
        started = instance.status.started_at
        known = self._since.get(key)
        if known is None or known[0] != started:  # It may run before it is known since when.
            known = self._since[key] = started, now
            self._next[key] = now + LOOK_SOON
        age = now - known[1]
        if now < self._next.get(key, 0.0):
            return instance, Seen(runs=True, info=instance.status.guest, age=age)
        uuid = instance.spec.virtual_machine.uid
        try:
            info = await self._hypervisor.guest(uuid)
        except HypervisorError:
            info = None
        if info is None and instance.status.guest is not None:
            info = replace(instance.status.guest, usage=None)  # its agent is away for a moment, or for good
        if info is not None:
            info = replace(info, usage=self._statistics.usage(uuid))
        self._next[key] = now + (LOOK_SOON if info is None and age < SOON else LOOK)
        return instance, Seen(runs=True, info=info, age=age)

    def plan(self, instance: Instance, seen: Seen) -> tuple[Sequence[None], Outcome]:
        """Look again later, for as long as it runs."""
        if instance.status.power != Power.RUNNING:
            return (), Done()
        due = self._next.get(instance.key, 0.0) - self._context.clock.monotonic()
        return (), Done(after=max(1.0, due))

    async def act(self, action: None) -> None:
        """There is nothing to do."""

    def report(self, instance: Instance, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """What the guest says goes to the controller that reports on its Instance, if it is news."""
        uid = instance.spec.virtual_machine.uid
        info = told(instance.status.guest, seen.info) if seen.runs else None
        if info is None:
            self._said.pop(uid, None)
        else:
            self._said[uid] = info
        if info != instance.status.guest:
            self._context.poke("instances", instance.key)
        return ()

    def word(self, instance: Instance, active: bool) -> GuestInfo | None:
        """What the status should say of the inside of a guest; nothing of one that is off."""
        return self._said.get(instance.spec.virtual_machine.uid, instance.status.guest) if active else None
