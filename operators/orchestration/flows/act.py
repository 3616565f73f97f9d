"""Make and delete what a Flow is about. Each of it may be cut off and done again."""

from __future__ import annotations

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Key
from operators.contract.orchestration import FLOW
from operators.kernel.store import AlreadyExists, Store
from operators.orchestration.flows.model import Action, Doomed, Draft, Forget, LetGo, Make, Unmake
from operators.orchestration.record import FINALIZER
from operators.orchestration.together import together


async def act(store: Store, action: Action) -> None:
    """Do one action."""
    match action:
        case Make(drafts):
            await together(*(_make(store, draft) for draft in drafts))
        case Unmake(objects):
            await together(*(_unmake(store, doomed) for doomed in objects))
        case LetGo(vm):
            await store.finalize(VIRTUAL_MACHINE, vm, vm.finalizers_without(FINALIZER))
        case Forget(flow):
            await store.delete(FLOW, flow.key, uid=flow.uid)


async def _make(store: Store, draft: Draft) -> None:
    body = draft.kind.body(
        draft.key,
        spec=to_wire(draft.spec),
        labels={names.LABEL_VM_UID: draft.owner.uid, names.LABEL_FLOW: draft.flow},
        ownerReferences=[to_wire(draft.owner)],
        finalizers=[draft.finalizer],
    )
    try:
        await store.create(draft.kind, body)
    except AlreadyExists:
        # Made before a restart, or somebody else's: the cache learns which, and the next look decides.
        await store.get(draft.kind, draft.key)


async def _unmake(store: Store, doomed: Doomed) -> None:
    key = Key(doomed.ref.namespace, doomed.ref.name)
    await store.delete(doomed.kind, key, uid=doomed.ref.uid)
