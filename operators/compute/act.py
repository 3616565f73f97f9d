"""One small function per action, safe to repeat."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from operators.compute import passwords, restarts, turns
from operators.compute.capacity import Claim, Ledger
from operators.compute.claims import Claims
from operators.compute.keypairs import LOOK_AGAIN, allow
from operators.compute.model import (
    VM,
    Action,
    Ascertain,
    Expunge,
    Instance,
    LetGo,
    Put,
    ReadSecrets,
    Remove,
    Restarts,
)
from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.compute import VIRTUAL_MACHINE, Power
from operators.contract.core import SECRET
from operators.contract.instances import INSTANCE, InstanceSpec
from operators.contract.meta import Key
from operators.contract.passwords import generate, secret_key, secret_of
from operators.contract.reasons import Reason
from operators.kernel.making import make
from operators.kernel.outcome import Problem, Retry
from operators.kernel.store import AlreadyExists, Forbidden, Store, Unavailable

NOTHING: Mapping[str, str] = MappingProxyType({})
FINALIZER = names.finalizer("compute")


async def act(action: Action, store: Store, ledger: Ledger, claims: Claims) -> None:
    """Do one action."""
    match action:
        case Put():
            await _put(action, store, ledger, claims)
        case Remove(instance=instance, orphan=orphan):
            if orphan:
                await _certain(instance, store)
            await store.delete(INSTANCE, instance.key, uid=instance.meta.uid)
        case Expunge(vm=machine):
            meta = machine.meta
            await store.delete(VIRTUAL_MACHINE, meta.key, uid=meta.uid, resource_version=meta.resource_version)
        case Ascertain(vm=vm, instance=key):
            await store.get(INSTANCE, key)  # which shows it to the cache, if it is there
            ledger.settle(vm)
        case LetGo(instance=instance):
            left = [name for name in instance.meta.finalizers if name != FINALIZER]
            await store.finalize(INSTANCE, instance.meta, left)


async def read_secrets(action: ReadSecrets, store: Store) -> dict[str, dict[str, str] | None]:
    """The texts of some Secrets, None for each that is not there. What is no text in UTF-8 is left out."""
    out: dict[str, dict[str, str] | None] = {}
    for name in sorted(action.names):
        try:
            body = await store.get(SECRET, Key(action.vm.namespace, name))
            if body is None and (vm := action.password_of) is not None and name == passwords.secret(vm):
                body = await _new_password(vm, store)
        except Forbidden as error:
            if action.needed:
                raise Problem(Retry(Reason.SECRETS_FORBIDDEN, allow(action.vm.namespace), LOOK_AGAIN)) from error
            body = None
        out[name] = None if body is None else dict(_texts(body.get("data") or {}))
    return out


async def _new_password(vm: VM, store: Store) -> Json | None:
    """The Secret with a password that nobody knew before; the one that another made, if that was quicker."""
    request = vm.spec.password_request
    try:
        return await store.create(SECRET, secret_of(vm, request, generate()))
    except AlreadyExists:
        return await store.get(SECRET, secret_key(vm, request))


def _texts(data: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        with contextlib.suppress(UnicodeDecodeError):
            yield key, base64.b64decode(value).decode()


async def _put(action: Put, store: Store, ledger: Ledger, claims: Claims) -> None:
    vm, spec = action.vm, action.spec
    if spec.power is Power.RUNNING:
        # Before the first await: from here on every other run reckons with it. What is being stopped still holds all.
        ledger.enter(Claim.of(vm.meta.namespace, spec, active=True, disks=action.disks))
    try:
        await claims.take(action)
        if action.now is None:
            await _only_one(vm, store)
            await make(store, INSTANCE, body(vm, spec, action.restarts, action.flow, names.instance(vm.meta.name)))
        else:
            changed = body(
                vm, spec, action.restarts, action.flow, action.now.name, action.now.annotations, **action.now.guard
            )
            await store.apply(INSTANCE, changed)
    except Unavailable:
        raise  # It may have been written all the same: the claim stands until the key runs again.
    except BaseException:
        ledger.settle(vm.key)
        raise
    ledger.settle(vm.key)


async def _only_one(vm: VM, store: Store) -> None:
    """Raise unless the API server itself knows of no Instance of the VirtualMachine: a cache may lag behind.

    The name keeps a second one from being made, but for a guest that has moved: its Instance has another. No Migration
    begins before the status says anything (`migrations.begin`), so a first placement costs no more than one read."""
    meta = vm.meta
    now = await store.get(VIRTUAL_MACHINE, meta.key)
    if now is None or now["metadata"]["uid"] != meta.uid or now["metadata"].get("deletionTimestamp"):
        raise Problem(Retry(Reason.PROGRESSING, "the VirtualMachine is not there any more"))
    if not now.get("status", {}).get("conditions"):
        return
    for found in await store.list(INSTANCE, label_selector=f"{names.LABEL_VM_UID}={meta.uid}"):
        name = found["metadata"]["name"]
        if await store.get(INSTANCE, Key(meta.namespace, name)) is not None:
            raise Problem(Retry(Reason.PROGRESSING, f"Instance {name} was there already", 0.1))


def body(
    vm: VM,
    spec: InstanceSpec,
    counters: Restarts,
    flow: str,
    name: str,
    annotations: Mapping[str, str] = NOTHING,
    **guard: str,
) -> Json:
    """An Instance as Compute writes it; of one that is there, with its `annotations`."""
    metadata: Json = {
        "labels": {
            names.LABEL_VM_UID: vm.meta.uid,
            names.LABEL_FLOW: flow,
        },
        "annotations": restarts.as_annotations(counters) | turns.kept(annotations),
        "finalizers": [FINALIZER],
        "ownerReferences": [to_wire(vm.owner)],
    }
    return INSTANCE.body(Key(vm.meta.namespace, name), spec=to_wire(spec), **metadata, **guard)


async def _certain(instance: Instance, store: Store) -> None:
    """Raise unless the API server itself says that the Instance's VirtualMachine is gone: a cache may lag behind."""
    ref = instance.spec.virtual_machine
    body = await store.get(VIRTUAL_MACHINE, Key(instance.meta.namespace, ref.name))
    if body is not None and body["metadata"]["uid"] == ref.uid:
        raise Problem(Retry(Reason.PROGRESSING, "its VirtualMachine is there after all"))
