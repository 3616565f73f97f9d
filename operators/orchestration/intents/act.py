"""Hold a VirtualMachine and make its Flow."""

from __future__ import annotations

from operators.contract import names
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.flows import flow_of, key_of
from operators.contract.instances import INSTANCE
from operators.contract.meta import Meta
from operators.contract.networking import PORT
from operators.contract.orchestration import FLOW
from operators.contract.reasons import Reason
from operators.contract.storage import VOLUME
from operators.kernel.outcome import Problem, Retry
from operators.kernel.store import AlreadyExists, Conflict, Invalid, Store
from operators.orchestration.intents.model import Begin, Take
from operators.orchestration.making import Making
from operators.orchestration.record import FINALIZER
from operators.orchestration.together import together

TERMINATING = "being terminated"
"""What the API server says when it refuses a new object in a namespace that is being deleted."""
LOOK_AGAIN = 2.0
"""Seconds until the next look at a namespace's end; no event tells of a refusal's cause."""


async def take(store: Store, making: Making, action: Take) -> None:
    """All writes at once: the Flow does nothing before it sees the finalizer, and the finalizer alone harms nobody."""
    writes = []
    if action.hold is not None:
        writes.append(_hold(store, action.hold))
    if action.begin is not None:
        writes.append(_begin(store, action.begin))
        writes.append(making.make(*action.begin.drafts))
    await together(*writes)


async def _hold(store: Store, vm: Meta) -> None:
    await store.finalize(VIRTUAL_MACHINE, vm, vm.finalizers_with(FINALIZER))


async def _begin(store: Store, begin: Begin) -> None:
    vm = begin.vm
    try:
        await store.create(FLOW, flow_of(vm, begin.operation))
    except AlreadyExists:
        # The API's, or ours from before a restart: reading it shows it to the cache. Or, once in a blue moon, one of
        # another target with the same name; then look again later.
        key = key_of(vm, begin.operation)
        found = await store.get(FLOW, key)
        if found is None or FLOW.parse(found).spec.target.uid != vm.meta.uid:
            raise Conflict(f"the name of Flow {key} is taken") from None
    except Invalid as error:
        if not vm.meta.deleting or TERMINATING not in str(error):
            raise
        await _go_with_namespace(store, vm.meta)


async def _go_with_namespace(store: Store, vm: Meta) -> None:
    """Let a VirtualMachine go without a Flow: its namespace is being deleted, which admits no new object.

    Everything else there is being deleted too, each thing when what needs it is gone; this one is the last."""
    for kind in (INSTANCE, PORT, VOLUME):
        left = await store.list(kind, label_selector=f"{names.LABEL_VM_UID}={vm.uid}")
        if left:
            what = f"{kind.kind} {left[0]['metadata']['name']}"
            raise Problem(Retry(Reason.DELETING, f"its namespace is being deleted; {what} is still there", LOOK_AGAIN))
    await store.finalize(VIRTUAL_MACHINE, vm, vm.finalizers_without(FINALIZER))
