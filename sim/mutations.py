"""Mistakes put into our own code on purpose, each of which the simulation must find within a stated number of seeds.

A mutation is a patch of a function of a component, an agent or the kernel, as a careless change might be.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from agents.hypervisor import instances as hypervisor_instances
from agents.hypervisor import plan as hypervisor_plan
from agents.storage import folders
from agents.storage.disks import act as disk_act
from operators.contract import names
from operators.contract.compute import Power
from operators.contract.instances import INSTANCE
from operators.contract.networking import CLAIM, ROUTER
from operators.contract.reasons import Reason
from operators.kernel.cache import Cache
from operators.kernel.controller import Runner
from operators.kernel.manager import Manager, OwnStore
from operators.kernel.outcome import Done
from operators.kernel.queue import WorkQueue
from operators.kernel.rest import RestStore
from sim.run import Verdict, run

Undo = Callable[[], None]


@dataclass(frozen=True)
class Mutation:
    """One mistake."""

    name: str
    says: str
    make: Callable[[], Undo]
    seeds: int
    """Within how many it must be found."""
    first: int = 1
    """The first of them."""
    theme: str = ""
    """Of the faults; of whatever theme each seed has, unless one is named."""
    scale: str = "large"


@contextlib.contextmanager
def made(mutation: Mutation) -> Iterator[None]:
    """Have the mistake in place while the block runs."""
    undo = mutation.make()
    try:
        yield
    finally:
        undo()


def found(mutation: Mutation) -> tuple[int, Verdict | None]:
    """The seed that finds it, and how; None when none of those allowed does."""
    with made(mutation):
        for seed in range(mutation.first, mutation.first + mutation.seeds):
            verdict = run(seed, mutation.theme, mutation.scale)
            if not verdict.ok:
                return seed, verdict
    return 0, None


def _patched(holder: Any, name: str, new: Any) -> Undo:
    old = getattr(holder, name)
    setattr(holder, name, new)
    return lambda: setattr(holder, name, old)


# The kernel.


def _no_status_guard() -> Undo:
    old = RestStore.apply_status

    async def apply_status(
        self: Any, kind: Any, key: Any, status: Any, *, resource_version: str, manager: str = ""
    ) -> Any:
        return await old(self, kind, key, status, resource_version="", manager=manager)

    return _patched(RestStore, "apply_status", apply_status)


def _stale_events_win() -> Undo:
    from operators.kernel import cache

    return _patched(cache, "_newer", lambda version, known: True)


def _no_resync() -> Undo:
    async def never(self: Any) -> None:
        await self.clock.sleep(1e9)

    return _patched(Manager, "_resync_for_ever", never)


def _lost_mark() -> Undo:
    def done(self: Any, key: Any) -> None:
        self._working.discard(key)
        self._dirty.discard(key)

    return _patched(WorkQueue, "done", done)


def _no_retry() -> Undo:
    return _patched(WorkQueue, "add_backoff", lambda self, key: 0.0)


def _always_a_new_time() -> Undo:
    from operators.kernel import report

    old = report.settled  # type: ignore[attr-defined]

    def settled(new: Any, before: Any, generation: int, now: str) -> Any:
        return tuple(replace(each, last_transition_time=now) for each in old(new, before, generation, now))

    return _patched(report, "settled", settled)


def _deletions_are_missed() -> Undo:
    """A full list is taken in, and what it does not hold any more stays in the cache."""

    def keep(self: Any, kind: Any, bodies: Any, *rest: Any, **options: Any) -> Any:
        for body in bodies:
            if (change := self.put(kind, body)) is not None:
                yield change

    return _patched(Cache, "replace", keep)


def _crash_is_an_end() -> Undo:
    """A run that fails is forgotten in place of being tried again."""
    old = Runner.run

    async def run_once(self: Any, key: Any) -> None:
        before = self.queue.add_backoff
        self.queue.add_backoff = lambda key: 0.0
        try:
            await old(self, key)
        finally:
            self.queue.add_backoff = before

    return _patched(Runner, "run", run_once)


# Components.


def _no_finalizer(kind: Any) -> Callable[[], Undo]:
    def make() -> Undo:
        undos = []
        for verb in ("create", "apply"):
            old = getattr(OwnStore, verb)

            async def write(self: Any, of: Any, body: Any, old: Any = old) -> Any:
                if of is kind:
                    body = {**body, "metadata": {**body["metadata"], "finalizers": []}}
                return await old(self, of, body)

            undos.append(_patched(OwnStore, verb, write))

        def undo() -> None:
            for each in undos:
                each()

        return undo

    return make


def _claims_are_not_atomic() -> Undo:
    """A Claim is applied in place of created, and every network begins with the same segment."""
    from operators.networking import claims

    old = OwnStore.create

    async def create(self: Any, kind: Any, body: Any) -> Any:
        if kind is CLAIM:
            return await self.apply(kind, body)
        return await old(self, kind, body)

    first = _patched(claims, "segments", lambda uid, taken: tuple(str(each) for each in range(1000, 1016)))
    second = _patched(OwnStore, "create", create)

    def undo() -> None:
        first()
        second()

    return undo


def _ledger_without_guard() -> Undo:
    """The Router's reservations are written without a guard, by two who both believe to lead."""
    old = OwnStore.apply

    async def apply(self: Any, kind: Any, body: Any) -> Any:
        if kind is ROUTER:
            meta = {name: value for name, value in body["metadata"].items() if name != "resourceVersion"}
            body = {**body, "metadata": meta}
        return await old(self, kind, body)

    return _patched(OwnStore, "apply", apply)


def _names_by_chance() -> Undo:
    chance = random.Random(0)
    return _patched(names, "port", lambda vm, nic: names.joined(vm, f"nic{nic}", f"{chance.randrange(100)}"))


def _volumes_let_go_while_used() -> Undo:
    from operators.storage.volumes import plan

    old = plan._end
    believed, looked = _patched(plan, "_end", lambda volume, seen: old(volume, replace(seen, holders=()))), _no_look()

    def undo() -> None:
        believed()
        looked()

    return undo


def _no_look() -> Undo:
    """A Disk is deleted without a look past the cache."""
    from operators.storage.volumes import act

    async def unused(disk: Any, store: Any) -> None:
        """Nobody is asked."""

    return _patched(act, "_unused", unused)


def _made_over() -> Undo:
    """What is to be made once is made over what is there."""
    from operators.kernel import making

    return _patched(making, "ABSENT", "")


def _unclaimed() -> Undo:
    """Volumes are given out from what the cache says."""
    from operators.compute.claims import Claims

    async def take(self: Any, action: Any) -> None:
        """Claims nothing."""

    return _patched(Claims, "take", take)


def _nothing_is_reserved() -> Undo:
    """Limits are looked at, and what is about to be made is not written down."""
    from operators.api import limits

    async def look(call: Any, holder: Any, own: Any) -> None:
        limits._check(call, holder, holder.status.reservations, own)

    return _patched(limits, "_reserve", look)


def _ends_are_not_recorded() -> Undo:
    """What is gone goes on being used, in the history."""
    from operators.data.history.recorder import Recorder

    return _patched(Recorder, "_ended", lambda *_: None)


# Agents.


def _released_before_it_is() -> Undo:
    return _patched(hypervisor_plan, "_end", lambda want, seen: ([], Done(Reason.RELEASED)))


def _starts_what_ended() -> Undo:
    return _patched(hypervisor_plan, "_start_due", lambda want, seen: True)


def _record_forgotten() -> Undo:
    """The agent tells no start from another, so a request for one is answered again and again."""
    from agents.hypervisor import act

    old = act._act

    async def forget(action: Any, *rest: Any) -> None:
        if type(action).__name__ == "Keep":
            return
        await old(action, *rest)

    return _patched(act, "_act", forget)


def _says_running_early() -> Undo:
    old = hypervisor_instances.status
    return _patched(
        hypervisor_instances, "status", lambda instance, seen: replace(old(instance, seen), power=Power.RUNNING)
    )


def _no_sync() -> Undo:
    """A disk is said to be there before it is on the disk."""

    def publish(self: Any, mode: int) -> None:
        os = folders.os  # type: ignore[attr-defined]
        os.rename(self._temporary, self._place.file, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    return _patched(folders.Draft, "publish", publish)


def _removes_what_is_open() -> Undo:
    async def remove(action: Any, driver: Any) -> None:
        await driver.remove(action.place, action.uid)

    return _patched(disk_act, "remove", remove)


def _nics_let_go_while_used() -> Undo:
    """Networking takes a Port for free once no Instance lists it, whatever the guest still has."""
    from operators.networking import lookup
    from operators.networking.ports import act

    old = lookup.instances

    def instances(cache: Any, port: Any) -> Any:
        return tuple(each for each in old(cache, port) if port.meta.name in each.spec.ports)

    async def unused(binding: Any, store: Any) -> None:
        """Nobody is asked."""

    believed, looked = _patched(lookup, "instances", instances), _patched(act, "_unused", unused)

    def undo() -> None:
        believed()
        looked()

    return undo


def _rules_stay() -> Undo:
    """What a PortBinding let through stays let through when it is gone."""
    from agents.network.ports import plan

    old = plan.difference  # type: ignore[attr-defined]

    def difference(want: Any, seen: Any) -> Any:
        return [each for each in old(want, seen) if not ("delete" in each and "element" in each["delete"])]

    return _patched(plan, "difference", difference)


MUTATIONS: tuple[Mutation, ...] = (
    Mutation("finalizer-dropped", "Compute makes Instances without its finalizer", _no_finalizer(INSTANCE), 6),
    Mutation("released-too-early", "the agent says Released and leaves the domain", _released_before_it_is, 6),
    Mutation("start-repeated", "the agent starts again what ended by itself", _starts_what_ended, 20, 3),
    Mutation("running-too-early", "the agent says Running before it is", _says_running_early, 6),
    Mutation("claim-not-atomic", "two networks may claim one segment", _claims_are_not_atomic, 6),
    Mutation("name-by-chance", "the name of a Port is another at each attempt", _names_by_chance, 6),
    Mutation("mark-lost", "a key marked while it is worked on does not come back", _lost_mark, 10),
    Mutation("time-rewritten", "a condition's time changes with every report", _always_a_new_time, 6),
    Mutation("rules-stay", "addresses stay let through when their Port is gone", _rules_stay, 6),
    Mutation("nic-let-go", "a Port is freed while a guest has it", _nics_let_go_while_used, 60),
    Mutation("no-status-guard", "a status is written over a newer state", _no_status_guard, 6),
    Mutation("not-synced", "a disk is called made before it is safe from a loss of power", _no_sync, 60, theme="hosts"),
    Mutation("deletion-missed", "a relist does not drop what is gone", _deletions_are_missed, 60, theme="gaps"),
    Mutation("no-resync", "nobody looks at everything now and then", _no_resync, 30, theme="gaps"),
    Mutation(
        "stale-event-wins", "an older state replaces a newer one in the cache", _stale_events_win, 40, 3, theme="stale"
    ),
    Mutation("retry-forgotten", "what failed is not tried again", _no_retry, 60, 8, theme="brownout"),
    Mutation("crash-is-an-end", "a run that fails is forgotten", _crash_is_an_end, 60, 3, theme="brownout"),
    Mutation("open-disk-removed", "a disk is removed under a running guest", _removes_what_is_open, 30, theme="ruin"),
    Mutation("start-not-recorded", "the agent keeps no record of a start", _record_forgotten, 40, 1, theme="axe"),
    Mutation(
        "ledger-unguarded", "addresses are reserved without a guard", _ledger_without_guard, 60, 100, theme="rivals"
    ),
    Mutation("limits-unreserved", "limits are only looked at", _nothing_is_reserved, 20, scale="tenants"),
    Mutation(
        "end-not-recorded", "what is gone is used on, in the history", _ends_are_not_recorded, 10, scale="tenants"
    ),
    Mutation("made-over", "what is to be made once is made over what is there", _made_over, 40, 50, theme="rivals"),
)
"""Most of the last dozen have a second line of defence behind them: only runs with a theme meet what gets past both."""


def by_name(name: str) -> Mutation:
    """One of the list."""
    return next(each for each in MUTATIONS if each.name == name)


HARD: tuple[Mutation, ...] = (
    Mutation("volume-unclaimed", "Volumes are given out from what the cache says", _unclaimed, 60, theme="rivals"),
    Mutation(
        "volume-let-go", "a Volume is freed while a machine uses it", _volumes_let_go_while_used, 60, theme="swarm"
    ),
)
"""Not found within that many seeds. The first needs two machines that list one Volume, two leaders, and a late watch.
The second takes away two lines of defence; the agent's look at the file's lock, a mutation of its own, is the third."""
