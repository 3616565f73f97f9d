"""One small function per action, safe to repeat."""

from __future__ import annotations

from dataclasses import replace

from operators.compute import restarts
from operators.compute.act import body
from operators.compute.capacity import Claim, Ledger
from operators.compute.migrations.model import Action, LetGo, Protect, Put, Remove, Unprotect
from operators.compute.migrations.plan import FINALIZER
from operators.contract import names
from operators.contract.codec import Json
from operators.contract.compute import INSTANCE, MIGRATION
from operators.contract.meta import Key
from operators.contract.reasons import Reason
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
            await store.apply(INSTANCE, _body(action))
        case Remove(instance=instance):
            await store.delete(INSTANCE, instance.key, uid=instance.meta.uid)
        case LetGo(instance=instance):
            await store.finalize(INSTANCE, instance.meta, instance.meta.finalizers_without(FINALIZER))


async def _make(action: Put, store: Store, ledger: Ledger) -> None:
    """Make the target. Its claim is entered before the first await, so that nobody else is given its place."""
    namespace, incoming = action.vm.meta.namespace, action.spec.incoming
    assert incoming is not None
    claim = Claim.of(namespace, action.spec, active=True)
    ledger.enter(replace(claim, vm=Key(namespace, f"{claim.vm.name}/{incoming.migration.uid}")))
    key = Key(namespace, names.instance(action.vm.meta.name, action.spec.host_name))
    try:
        # Past the cache, which may lack what another leader has made: it must not be made again over a move under way.
        if await store.get(INSTANCE, key) is not None:
            raise Problem(Retry(Reason.PROGRESSING, f"Instance {key.name} was there already", 0.1))
        await store.apply(INSTANCE, _body(action))
    finally:
        ledger.forget(Key(namespace, f"{claim.vm.name}/{incoming.migration.uid}"))


def _body(action: Put) -> Json:
    """A new target takes after its source; a change is of the very state that was decided on, or refused."""
    like = action.like.meta
    counters, flow = restarts.kept(like.annotations), like.labels.get(names.LABEL_FLOW, "")
    made = body(action.vm, action.spec, counters, flow, "" if action.new else like.uid)
    if not action.new:
        made["metadata"]["resourceVersion"] = like.resource_version
    return made
