"""The controller of Migrations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from operators.compute.capacity import Ledger
from operators.compute.migrations.act import act, look_again
from operators.compute.migrations.model import Action, Migration, Put, Remove, Seen
from operators.compute.migrations.observe import BY_VM, observe
from operators.compute.migrations.plan import gives_up, plan
from operators.compute.migrations.status import status
from operators.compute.scheduler import Policy
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind
from operators.contract.migrations import MIGRATION
from operators.contract.orchestration import FLOW, Operation
from operators.contract.reasons import Type
from operators.contract.storage import VOLUME
from operators.contract.vmsnapshots import VIRTUAL_MACHINE_SNAPSHOT
from operators.kernel.clock import stamp
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Outcome, Rejected
from operators.kernel.report import Voice

PER_HOST = 2
"""Guests that leave or enter a host at a time: more only share its network, and each takes longer."""


class Migrations:
    """Moves running guests. One key at a time: the limits count what the run before decided."""

    name = "migrations"
    kind = MIGRATION
    workers = 1
    voice = Voice(Type.SUCCEEDED, silent=lambda migration: bool(migration.status.finished_at))

    def __init__(self, context: Context, ledger: Ledger, policy: Policy, catalogue: str) -> None:
        self._context = context
        self._cache = context.cache
        self._ledger = ledger
        self._policy = policy
        self._catalogue = catalogue
        self._limit = int(context.env.get("MIGRATIONS_PER_HOST") or PER_HOST)
        self._waiting: set[Key] = set()
        """Keys that wait for a host or their turn; whatever may make room marks them."""
        self._cache.index(MIGRATION, BY_VM, lambda each: (f"{each.meta.namespace}/{each.spec.virtual_machine}",))

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """Which Migrations a change concerns."""
        return {
            MIGRATION: lambda each: (each.key, *self._of_vm(each.meta.namespace, each.spec.virtual_machine)),
            VIRTUAL_MACHINE: lambda vm: self._of_vm(vm.meta.namespace, vm.meta.name),
            INSTANCE: self._of_instance,
            FLOW: _of_flow,
            VIRTUAL_MACHINE_SNAPSHOT: lambda each: self._of_vm(each.meta.namespace, each.spec.virtual_machine),
            HOST: self._of_host,
            HOST_REPORT: lambda _: tuple(self._waiting),
            STORAGE_POOL: lambda _: tuple(self._waiting),
            VOLUME: lambda _: tuple(self._waiting),
        }

    def _of_vm(self, namespace: str, name: str) -> Iterable[Key]:
        found = self._cache.by(MIGRATION, BY_VM, f"{namespace}/{name}")
        return [each.key for each in found if not each.status.finished_at or each.meta.deleting]

    def _of_instance(self, instance: Any) -> Iterable[Key]:
        for role in (instance.spec.incoming, instance.spec.outgoing):
            if role is not None:
                yield Key(instance.meta.namespace, role.migration.name)
        yield from self._of_vm(instance.meta.namespace, instance.spec.virtual_machine.name)
        yield from tuple(self._waiting)

    def _of_host(self, host: Any) -> Iterable[Key]:
        yield from tuple(self._waiting)
        for instance in self._cache.by(INSTANCE, "host", host.meta.name):
            if instance.spec.incoming is not None or instance.spec.outgoing is not None:
                yield from self._of_vm(instance.meta.namespace, instance.spec.virtual_machine.name)

    async def observe(self, key: Key) -> tuple[Migration, Seen] | None:
        """Read one Migration and what surrounds it; past the cache if that calls for something to be done or ended.

        Its Instances are several, so no guard of one of them tells that what was believed of the others still holds:
        somebody else who leads, too, may have gone on. After the last look nothing is awaited (`capacity.Ledger`)."""
        found = self._look(key)
        if found is None:
            return None
        actions, outcome = plan(*found)
        fails = isinstance(outcome, Rejected)  # that it succeeded nothing can take back
        if fails or any(isinstance(action, Put | Remove) for action in actions):
            await look_again(found[0], self._context.store)
            found = self._look(key)
        return found

    def _look(self, key: Key) -> tuple[Migration, Seen] | None:
        migration = self._cache.get(MIGRATION, key)
        if migration is None:
            self._waiting.discard(key)
            return None
        return migration, observe(
            migration,
            self._cache,
            self._ledger,
            catalogue=self._catalogue,
            policy=self._policy,
            limit=self._limit,
            now=stamp(self._context.clock.now()),
        )

    def plan(self, wanted: Migration, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """Decide, purely; then note who waits."""
        actions, outcome = plan(wanted, seen)
        if not actions and seen.target is None and not wanted.status.finished_at:
            self._waiting.add(wanted.key)
        else:
            self._waiting.discard(wanted.key)
        return actions, outcome

    async def act(self, action: Action) -> None:
        """See `act`."""
        await act(action, self._context.store, self._ledger)

    def report(self, wanted: Migration, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """How it stands; nothing more once it has ended."""
        if wanted.status.finished_at or (wanted.meta.deleting and not wanted.meta.finalizers):
            return ()
        return (Report(wanted, status(wanted, seen, outcome, gives_up(wanted, seen)), verdict=Type.SUCCEEDED),)


def _of_flow(flow: Any) -> Iterable[Key]:
    if flow.spec.operation is Operation.MIGRATE:
        return (Key(flow.meta.namespace, flow.spec.target.name),)
    return ()
