"""Make and delete what a Flow is about. Each of it may be cut off and done again."""

from __future__ import annotations

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Key
from operators.contract.orchestration import FLOW
from operators.kernel.store import Store
from operators.orchestration.flows.model import Action, Doomed, Forget, LetGo, Make, Unmake
from operators.orchestration.making import Making
from operators.orchestration.record import FINALIZER
from operators.orchestration.together import together


async def act(store: Store, making: Making, action: Action) -> None:
    """Do one action."""
    match action:
        case Make(drafts):
            await making.make(*drafts)
        case Unmake(objects):
            await together(*(_unmake(store, doomed) for doomed in objects))
        case LetGo(vm):
            await store.finalize(VIRTUAL_MACHINE, vm, vm.finalizers_without(FINALIZER))
        case Forget(flow):
            await store.delete(FLOW, flow.key, uid=flow.uid)


async def _unmake(store: Store, doomed: Doomed) -> None:
    key = Key(doomed.ref.namespace, doomed.ref.name)
    await store.delete(doomed.kind, key, uid=doomed.ref.uid)
