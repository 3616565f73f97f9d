"""What the controllers of storage do alike for an object of a user's that an agent carries out by one of ours."""

from __future__ import annotations

from typing import Any

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.meta import Key, Kind, Obj, Owner, holds
from operators.contract.reasons import Reason, Type
from operators.contract.storage import DISK
from operators.kernel import Cache, Problem, Retry, Store
from operators.kernel.store import AlreadyExists

FINALIZER = names.finalizer("storage")


async def hold(store: Store, obj: Obj[Any, Any]) -> None:
    """Put our finalizer on an object."""
    await store.finalize(obj.kind, obj.meta, obj.meta.finalizers_with(FINALIZER))


async def let_go(store: Store, obj: Obj[Any, Any]) -> None:
    """Take our finalizer off, if it is there."""
    if FINALIZER in obj.meta.finalizers:
        await store.finalize(obj.kind, obj.meta, obj.meta.finalizers_without(FINALIZER))


async def make(store: Store, kind: Kind[Any, Any], key: Key, spec: Any, owner: Owner, **metadata: Any) -> None:
    """Make an object for an agent: its owner's, and ours to see to its end. Raises Problem when there was one."""
    ours = {"ownerReferences": [to_wire(owner)], "finalizers": [FINALIZER]} | metadata
    try:
        await store.create(kind, kind.body(key, spec=to_wire(spec), **ours))
    except AlreadyExists:
        await store.get(kind, key)
        raise Problem(Retry(Reason.PROVISIONING, f"{kind.kind} {key} was there already", after=0.1)) from None


async def look_up(cache: Cache, store: Store, kind: Kind[Any, Any], key: Key, *, known: bool) -> Obj[Any, Any] | None:
    """What has a name. One that is `known` to have been there is asked for before it is called lost."""
    found = cache.get(kind, key)
    if found is None and known:
        await store.get(kind, key)
        found = cache.get(kind, key)
    return found


def readers(cache: Cache, index: str, value: str) -> tuple[str, ...]:
    """The Volumes that are still being made from something, by an index of Disks."""
    return tuple(
        f"{disk.meta.namespace}/{disk.spec.volume.name}"
        for disk in cache.by(DISK, index, value)
        if not disk.meta.deleting and not holds(disk.status.conditions, Type.PROVISIONED)
    )
