"""What Orchestration watches, and which keys become dirty by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from operators.contract import names
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.flows import key_of
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind, Obj
from operators.contract.migrations import MIGRATION
from operators.contract.networking import PORT
from operators.contract.orchestration import FLOW
from operators.contract.quantity import Duration
from operators.contract.reasons import Type
from operators.contract.storage import VOLUME
from operators.kernel.cache import Cache
from operators.kernel.component import Component
from operators.kernel.controller import Report, Watch
from operators.kernel.manager import AnyController, Context
from operators.kernel.outcome import Outcome
from operators.kernel.report import Voice
from operators.orchestration.flows import model as flow_model
from operators.orchestration.flows.act import act
from operators.orchestration.flows.model import Instance
from operators.orchestration.flows.observe import observe as observe_flow
from operators.orchestration.flows.plan import plan as plan_flow
from operators.orchestration.flows.report import report as report_flow
from operators.orchestration.intents import model as intent_model
from operators.orchestration.intents.act import take
from operators.orchestration.intents.observe import observe as observe_intent
from operators.orchestration.intents.plan import plan as plan_intent
from operators.orchestration.making import Making
from operators.orchestration.migrations.controller import MigrationFlows, of_a_migration
from operators.orchestration.record import COMPONENT as NAME
from operators.orchestration.record import Flow, ended, newest, target_key

FLOW_TTL = "FLOW_TTL"
"""Environment: how long an ended Flow is kept, such as `1h`, the default."""

Triggers = Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]


class Intents:
    """Gives each VirtualMachine the Flow that it asks for."""

    name = "intents"
    kind = VIRTUAL_MACHINE
    workers = 8

    def __init__(self, context: Context, making: Making) -> None:
        self._context = context
        self._making = making

    def triggers(self) -> Triggers:
        return {VIRTUAL_MACHINE: lambda vm: (vm.key,), FLOW: lambda flow: (target_key(flow),)}

    async def observe(self, key: Key) -> tuple[intent_model.Wanted, intent_model.Seen] | None:
        vm = self._context.cache.get(VIRTUAL_MACHINE, key)
        flow = newest(self._context.cache.by(FLOW, "target", vm.meta.uid)) if vm else None
        if flow is not None:
            await _catch_up(self._context, flow)
        return observe_intent(self._context.cache, key)

    def plan(
        self, wanted: intent_model.Wanted, seen: intent_model.Seen
    ) -> tuple[Sequence[intent_model.Action], Outcome]:
        return plan_intent(wanted, seen)

    async def act(self, action: intent_model.Action) -> None:
        try:
            await take(self._context.store, self._making, action)
        except BaseException:
            if action.begin is not None:
                # It may have passed over what was on its way.
                self._context.poke(Flows.name, key_of(action.begin.vm, action.begin.operation))
            raise

    def report(self, wanted: intent_model.Wanted, seen: intent_model.Seen, outcome: Outcome) -> Sequence[Report]:
        return ()


class Flows:
    """Brings each Flow to its end."""

    name = "flows"
    kind = FLOW
    workers = 8
    voice = Voice(Type.SUCCEEDED, silent=ended)

    def __init__(self, context: Context, making: Making) -> None:
        self._context = context
        self._making = making
        self._ttl = float(Duration.parse(context.env.get(FLOW_TTL) or "1h"))

    def triggers(self) -> Triggers:
        return {
            FLOW: self._siblings,
            VIRTUAL_MACHINE: lambda vm: self._of_uid(vm.meta.uid),
            PORT: self._of_dependent,
            VOLUME: self._of_dependent,
            INSTANCE: lambda instance: self._of_uid(instance.spec.virtual_machine.uid),
        }

    async def observe(self, key: Key) -> tuple[flow_model.Wanted, flow_model.Seen] | None:
        flow = self._context.cache.get(FLOW, key)
        if flow is not None and of_a_migration(flow):
            return None
        if flow is not None:
            await _catch_up(self._context, flow)
        return observe_flow(self._context.cache, key, self._context.clock.now(), self._ttl)

    def plan(self, wanted: flow_model.Wanted, seen: flow_model.Seen) -> tuple[Sequence[flow_model.Action], Outcome]:
        return plan_flow(wanted, seen)

    async def act(self, action: flow_model.Action) -> None:
        await act(self._context.store, self._making, action)

    def report(self, wanted: flow_model.Wanted, seen: flow_model.Seen, outcome: Outcome) -> Sequence[Report]:
        return report_flow(wanted, seen)

    def _siblings(self, flow: Flow) -> Iterable[Key]:
        return {flow.key, *self._of_uid(flow.spec.target.uid)}

    def _of_uid(self, uid: str) -> Iterable[Key]:
        return [flow.key for flow in self._context.cache.by(FLOW, "target", uid)]

    def _of_dependent(self, obj: Obj[Any, Any]) -> Iterable[Key]:
        """By its label for what we made, and by its name, for it may be in the way of what we have to make."""
        vm = self._context.cache.get(VIRTUAL_MACHINE, Key(obj.meta.namespace, obj.meta.name.rpartition("-")[0]))
        uids = {obj.meta.labels.get(names.LABEL_VM_UID, ""), vm.meta.uid if vm else ""} - {""}
        return [key for uid in uids for key in self._of_uid(uid)]


async def _catch_up(context: Context, flow: Flow) -> None:
    """Read the target past the cache where the Flow, which the API may have made, knows a newer state of it.

    The watch of one kind may tell of a Flow before that of another tells of what it is about; such a Flow would look as
    if its target were gone, or as it was before the change that the Flow is to carry out.
    """
    vm = context.cache.get(VIRTUAL_MACHINE, target_key(flow))
    there = vm is not None and vm.meta.uid == flow.spec.target.uid
    outdated = vm is not None and there and vm.meta.generation < flow.spec.target_generation
    if outdated or not (there or ended(flow)):
        await context.store.get(VIRTUAL_MACHINE, target_key(flow))


def indexes(cache: Cache) -> None:
    """What is looked up by something else than its name or owner."""
    cache.index(FLOW, "target", _target)
    cache.index(INSTANCE, "vm", _vm)


def _target(flow: Flow) -> Iterable[str]:
    return (flow.spec.target.uid,)


def _vm(instance: Instance) -> Iterable[str]:
    return (instance.spec.virtual_machine.uid,)


def build(context: Context) -> Sequence[AnyController]:
    """All controllers over one cache."""
    indexes(context.cache)
    making = Making(context.store)
    return (Intents(context, making), Flows(context, making), MigrationFlows(context))


COMPONENT = Component(
    name=NAME,
    watches=lambda env: [Watch(kind) for kind in (VIRTUAL_MACHINE, FLOW, PORT, VOLUME, INSTANCE, MIGRATION)],
    build=build,
)
