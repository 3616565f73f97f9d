"""Make and remove what a tenant has of its own."""

from __future__ import annotations

from collections.abc import Awaitable

from operators.contract import names
from operators.contract.codec import Json
from operators.contract.core import NAMESPACE, QUOTA, ROLE_BINDING
from operators.contract.meta import Key
from operators.contract.reasons import Reason
from operators.data.tenants.model import (
    BINDING,
    EDIT,
    QUOTA_NAME,
    VIEW,
    Action,
    Admit,
    Bound,
    Hold,
    LetGo,
    MakeNamespace,
    Remove,
)
from operators.data.tenants.plan import FINALIZER
from operators.kernel.outcome import Blocked, Problem
from operators.kernel.store import AlreadyExists, Invalid, NotFound, Store

RBAC = "rbac.authorization.k8s.io"


async def act(store: Store, action: Action) -> None:
    """Do one action."""
    match action:
        case Hold(kind, meta):
            await store.finalize(kind, meta, meta.finalizers_with(FINALIZER))
        case MakeNamespace(tenant, adopt):
            await _make(store, tenant, adopt=adopt)
        case Admit(tenant, people):
            subjects = [{"kind": "User", "name": name, "apiGroup": RBAC} for name in people]
            # The one that says who was let in comes last: until then, all of it is done again.
            for name, role in ((f"{BINDING}-view", VIEW), (BINDING, EDIT)):
                body = ROLE_BINDING.body(
                    Key(tenant, name),
                    labels={names.LABEL_TENANT: tenant},
                    annotations={names.ANNOTATION_HASH: ",".join(people)},
                )
                given = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
                await _in(store.apply(ROLE_BINDING, body | {"roleRef": given, "subjects": subjects}), tenant)
        case Bound(tenant, hard):
            body = QUOTA.body(Key(tenant, QUOTA_NAME), spec={"hard": dict(hard)}, labels={names.LABEL_TENANT: tenant})
            await _in(store.apply(QUOTA, body), tenant)
        case Remove(kind, ref):
            try:
                await store.delete(kind, Key(ref.namespace, ref.name), uid=ref.uid)
            except Invalid as refused:
                raise Problem(Blocked(Reason.HELD, f"{kind.kind} {ref.name} cannot be deleted: {refused}")) from refused
        case LetGo(kind, meta):
            await store.finalize(kind, meta, meta.finalizers_without(FINALIZER))


async def _make(store: Store, tenant: str, *, adopt: bool) -> None:
    label = {names.LABEL_TENANT: tenant}
    body = NAMESPACE.body(Key("", tenant), labels=label)
    if not adopt:
        made = NAMESPACE.body(Key("", tenant), labels=label, annotations={names.ANNOTATION_MADE: "yes"})
        try:
            await store.create(NAMESPACE, made)
            return
        except AlreadyExists:
            pass  # somebody else's, that bears no label yet, and so was not seen
    await store.apply(NAMESPACE, body)


async def _in(write: Awaitable[Json], tenant: str) -> None:
    try:
        await write
    except NotFound as gone:
        raise Problem(Blocked(Reason.WAITING_FOR_NAMESPACE, f"namespace {tenant} is not there yet")) from gone
