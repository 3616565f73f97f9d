"""One small function per action, safe to repeat."""

from __future__ import annotations

from dataclasses import replace

from operators.compute import restarts
from operators.compute.act import body
from operators.compute.capacity import Claim, Ledger
from operators.compute.migrations.model import Action, LetGo, Migration, Protect, Put, Remove, Unprotect
from operators.compute.migrations.plan import FINALIZER
from operators.compute.model import VM
from operators.contract import names
from operators.contract.codec import Json
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key
from operators.contract.migrations import MIGRATION, Outgoing
from operators.contract.reasons import Reason
from operators.kernel.making import make
from operators.kernel.outcome import Problem, Retry
from operators.kernel.store import Store


async def act(action: Action, store: Store, ledger: Ledger) -> None:
    """Do one action."""
    match action:
        case Protect(migration=migration):
            await store.finalize(MIGRATION, migration.meta, migration.meta.finalizers_with(FINALIZER))
        case Unprotect(migration=migration):
            await store.finalize(MIGRATION, migration.meta, migration.meta.finalizers_without(FINALIZER))
        case Put(new=True):
            await _make(action, store, ledger)
        case Put():
            meta = action.like.meta
            if action.spec.outgoing is None and action.like.spec.outgoing is not None:
                await _given_up(action.vm, action.like.spec.outgoing, store)
            await store.apply(INSTANCE, _body(action, meta.name, **meta.guard))
        case Remove(instance=instance):
            # Of that very state: no commit may come between the decision and the end.
            meta = instance.meta
            await store.delete(INSTANCE, meta.key, uid=meta.uid, resource_version=meta.resource_version)
        case LetGo(instance=instance):
            await store.finalize(INSTANCE, instance.meta, instance.meta.finalizers_without(FINALIZER))


async def look_again(migration: Migration, store: Store) -> None:
    """Have the cache learn of what the API server knows by now of a Migration and its Instances."""
    await store.get(MIGRATION, migration.key)
    vm = await store.get(VIRTUAL_MACHINE, Key(migration.meta.namespace, migration.spec.virtual_machine))
    if uid := migration.status.uid or (vm["metadata"]["uid"] if vm else ""):
        for found in await store.list(INSTANCE, label_selector=f"{names.LABEL_VM_UID}={uid}"):
            await store.get(INSTANCE, Key(migration.meta.namespace, found["metadata"]["name"]))


async def _given_up(vm: VM, outgoing: Outgoing, store: Store) -> None:
    """Raise unless nobody can commit the move any more: then its source may go on."""
    key = Key(vm.meta.namespace, names.instance_moved(vm.meta.name, outgoing.migration.uid))
    target = await store.get(INSTANCE, key)
    if target is not None and not target["metadata"].get("deletionTimestamp"):
        raise Problem(Retry(Reason.PROGRESSING, f"Instance {key.name} is there after all", 0.1))


async def _make(action: Put, store: Store, ledger: Ledger) -> None:
    """Make the target. Its claim is entered before the first await, so that nobody else is given its place."""
    namespace, incoming = action.vm.meta.namespace, action.spec.incoming
    assert incoming is not None
    claim = Claim.of(namespace, action.spec, active=True)
    ledger.enter(replace(claim, vm=Key(namespace, f"{claim.vm.name}/{incoming.migration.uid}")))
    try:
        await make(store, INSTANCE, _body(action, names.instance_moved(action.vm.meta.name, incoming.migration.uid)))
    finally:
        ledger.forget(Key(namespace, f"{claim.vm.name}/{incoming.migration.uid}"))


def _body(action: Put, name: str, **guard: str) -> Json:
    """A new target takes after its source; a change is of the very state that was decided on, or refused."""
    like = action.like.meta
    counters, flow = restarts.kept(like.annotations), like.labels.get(names.LABEL_FLOW, "")
    return body(action.vm, action.spec, counters, flow, name, {} if action.new else like.annotations, **guard)
