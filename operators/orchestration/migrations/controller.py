"""The controller of Migrations' Flows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from operators.contract.flows import flow_of_migration, key_of_migration
from operators.contract.meta import Key, Kind
from operators.contract.migrations import MIGRATION
from operators.contract.orchestration import FLOW, Operation
from operators.contract.reasons import Type
from operators.kernel.clock import stamp
from operators.kernel.manager import Context
from operators.kernel.outcome import Outcome
from operators.kernel.report import Report, Voice
from operators.kernel.store import AlreadyExists
from operators.orchestration.migrations.plan import Begin, Migration, plan, reportable, status_of
from operators.orchestration.record import Flow


class MigrationFlows:
    """Gives each Migration its Flow, and shows in it how far the Migration is."""

    name = "migration-flows"
    kind = MIGRATION
    workers = 4
    voice = Voice(Type.SUCCEEDED, silent=lambda _: True)
    """It says nothing in the Migration, which is Compute's."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        return {MIGRATION: lambda migration: (migration.key,), FLOW: _of_flow}

    async def observe(self, key: Key) -> tuple[Migration, Flow | None] | None:
        migration = self._context.cache.get(MIGRATION, key)
        if migration is None:
            return None
        flow = self._context.cache.get(FLOW, key_of_migration(migration))
        mine = flow is not None and flow.spec.target.uid == migration.meta.uid
        return migration, flow if mine else None

    def plan(self, wanted: Migration, seen: Flow | None) -> tuple[Sequence[Begin], Outcome]:
        return plan(wanted, seen)

    async def act(self, action: Begin) -> None:
        migration = action.migration
        try:
            await self._context.store.create(FLOW, flow_of_migration(migration, migration.status.uid))
        except AlreadyExists:
            await self._context.store.get(FLOW, key_of_migration(migration))  # which shows it to the cache

    def report(self, wanted: Migration, seen: Flow | None, outcome: Outcome) -> Sequence[Report]:
        if seen is None or not reportable(seen):
            return ()
        fields = status_of(wanted, seen, outcome, stamp(self._context.clock.now()))
        return (Report(seen, fields, verdict=Type.SUCCEEDED),)


def _of_flow(flow: Flow) -> Iterable[Key]:
    if flow.spec.operation is Operation.MIGRATE:
        return (Key(flow.meta.namespace, flow.spec.target.name),)
    return ()


def of_a_migration(flow: Flow) -> bool:
    """Whether a Flow is a Migration's, which is shown here and by nobody else."""
    return flow.spec.operation is Operation.MIGRATE and flow.spec.target.kind == MIGRATION.kind
