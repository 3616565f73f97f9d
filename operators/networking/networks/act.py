"""The writes of the Networks' controller, each safe to repeat."""

from __future__ import annotations

from operators.contract.codec import to_wire
from operators.contract.meta import Key
from operators.contract.networking import CLAIM, HOST_NETWORK, NETWORK, ROUTER
from operators.contract.reasons import Reason
from operators.kernel.making import make
from operators.kernel.outcome import Problem, Retry
from operators.kernel.store import AlreadyExists, Store
from operators.networking import claims
from operators.networking.networks.model import (
    Action,
    Apply,
    Create,
    Delete,
    GiveBack,
    Protect,
    TakeOne,
    Unprotect,
)
from operators.networking.networks.resolved import FINALIZER

_KINDS = {kind.kind: kind for kind in (ROUTER, HOST_NETWORK)}


async def act(store: Store, action: Action) -> None:
    """Do one action."""
    match action:
        case Protect(network):
            await store.finalize(NETWORK, network.meta, network.meta.finalizers_with(FINALIZER))
        case Unprotect(network):
            await store.finalize(NETWORK, network.meta, network.meta.finalizers_without(FINALIZER))
        case TakeOne():
            await take_one(store, action)
        case GiveBack():
            await give_back(store, action)
        case Create(kind, body):
            await _create(store, kind, body)
        case Apply(kind, body) if "uid" in body["metadata"]:
            await store.apply(_KINDS[kind], body)
        case Apply(kind, body):
            await make(store, _KINDS[kind], body)  # not over that of an earlier Network of the name
        case Delete(obj):
            await store.delete(obj.kind, obj.key, uid=obj.meta.uid)


async def take_one(store: Store, action: TakeOne) -> str:
    """Claim the first value that nobody has, or has had for us already; the value."""
    for value in action.values:
        key = Key("", claims.name(action.pool, value))
        spec = claims.claim(action.pool, value, action.owner)
        try:
            await store.create(CLAIM, CLAIM.body(key, spec=to_wire(spec)))
        except AlreadyExists:
            body = await store.get(CLAIM, key)
            if body is None or CLAIM.parse(body).spec.owner.uid != action.owner.uid:
                continue
        return value
    why = f"others claimed all of {len(action.values)} values of {action.pool} at the same moment"
    raise Problem(Retry(Reason.RETRYING, why))


async def give_back(store: Store, action: GiveBack) -> None:
    """Delete a Claim, unless the Network that owns it lives after all: the cache may be behind."""
    claim = await store.get(CLAIM, Key("", action.claim.name))
    if claim is None or claim["metadata"]["uid"] != action.claim.uid:
        return
    network = await store.get(NETWORK, action.network)
    if network is not None and "deletionTimestamp" not in network["metadata"]:
        owner = CLAIM.parse(claim).spec.owner
        if owner.uid == network["metadata"]["uid"]:
            return
    await store.delete(CLAIM, Key("", action.claim.name), uid=action.claim.uid)


async def _create(store: Store, kind: str, body: dict[str, object]) -> None:
    try:
        await store.create(_KINDS[kind], body)
    except AlreadyExists as error:
        # Ours from before, which the cache will show; or one that is being cleared away.
        raise Problem(Retry(Reason.RETRYING, f"there is a {kind} of that name already")) from error
