"""Make the shared pool, and hold pools."""

from __future__ import annotations

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.fabric import STORAGE_POOL, StoragePoolSpec
from operators.contract.meta import Key
from operators.fabric_admin.pools.model import Action, Hold, LetGo, MakeShared
from operators.fabric_admin.shared import FINALIZER, make
from operators.kernel.store import Store


async def act(store: Store, action: Action) -> None:
    """Do one action."""
    match action:
        case MakeShared(path):
            spec = to_wire(StoragePoolSpec(type="SharedDirectory", path=path))
            body = STORAGE_POOL.body(Key("", names.SHARED_POOL), spec=spec, finalizers=[FINALIZER])
            await make(store, STORAGE_POOL, body)
        case Hold(pool):
            await store.finalize(STORAGE_POOL, pool, pool.finalizers_with(FINALIZER))
        case LetGo(pool):
            await store.finalize(STORAGE_POOL, pool, pool.finalizers_without(FINALIZER))
