"""Hold a VirtualMachine and make its Flow."""

from __future__ import annotations

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Key, Meta, ObjectRef
from operators.contract.orchestration import FLOW, FlowSpec
from operators.kernel.store import AlreadyExists, Conflict, Store
from operators.orchestration.intents.model import Begin, Take
from operators.orchestration.record import FINALIZER, name_of
from operators.orchestration.together import together


async def take(store: Store, action: Take) -> None:
    """Both writes at once: the Flow does nothing before it sees the finalizer, and the finalizer alone harms nobody."""
    writes = []
    if action.hold is not None:
        writes.append(_hold(store, action.hold))
    if action.begin is not None:
        writes.append(_begin(store, action.begin))
    await together(*writes)


async def _hold(store: Store, vm: Meta) -> None:
    await store.finalize(VIRTUAL_MACHINE, vm, vm.finalizers_with(FINALIZER))


async def _begin(store: Store, begin: Begin) -> None:
    target = begin.target
    key = Key(target.namespace, name_of(target.name, target.uid, begin.operation, target.generation))
    spec = FlowSpec(
        begin.operation,
        ObjectRef(target.name, target.uid, kind=VIRTUAL_MACHINE.kind),
        target.generation,
        begin.intent.inputs,
        begin.deadline,
        begin.on_failure,
    )
    body = FLOW.body(key, spec=to_wire(spec), labels={names.LABEL_VM_UID: target.uid})
    try:
        await store.create(FLOW, body)
    except AlreadyExists:
        # Ours, from before a restart: reading it shows it to the cache. Or, once in a blue moon, one of another target
        # with the same name; then look again later.
        found = await store.get(FLOW, key)
        if found is None or FLOW.parse(found).spec.target.uid != target.uid:
            raise Conflict(f"the name of Flow {key} is taken") from None
