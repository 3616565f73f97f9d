"""Decide what a tenant needs, and the order in which it ends."""

from __future__ import annotations

from operators.contract import names
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.core import NAMESPACE
from operators.contract.identity import USER
from operators.contract.meta import ObjectRef
from operators.contract.reasons import Reason
from operators.data.tenants.model import Action, Admit, Bound, Hold, LetGo, MakeNamespace, Remove, Seen, Wanted
from operators.kernel.outcome import Blocked, Done, Outcome, Rejected

FINALIZER = names.finalizer("data")
NAMED = 3


def plan(want: Wanted, seen: Seen) -> tuple[list[Action], Outcome]:
    """A namespace of its own name, with its people and its quota."""
    tenant, name = want.tenant, want.tenant.meta.name
    if tenant.meta.deleting:
        return _end(want, seen)
    if want.reserved:
        return [], Rejected(Reason.INVALID, f"namespace {name} is the cloud's own: choose another name")
    actions: list[Action] = []
    if FINALIZER not in tenant.meta.finalizers:
        actions.append(Hold(tenant.kind, tenant.meta))
    if seen.namespace is None or seen.namespace.labels.get(names.LABEL_TENANT) != name:
        actions.append(MakeNamespace(name, adopt=seen.namespace is not None))
    if seen.people != want.people:
        actions.append(Admit(name, want.people))
    if dict(seen.hard or {}) != dict(want.hard):
        actions.append(Bound(name, want.hard))
    if not seen.domain:
        return actions, Blocked(Reason.WAITING_FOR_DOMAIN, f"there is no Domain {tenant.spec.domain}: make it")
    return actions, Done()


def _end(want: Wanted, seen: Seen) -> tuple[list[Action], Outcome]:
    """First its people, then its guests, then all else, then the namespace if it was ours to make."""
    tenant = want.tenant
    if FINALIZER not in tenant.meta.finalizers:
        return [], Done(Reason.RELEASED)
    if want.reserved:
        return [LetGo(tenant.kind, tenant.meta)], Done(Reason.RELEASED)
    users: list[Action] = [Remove(USER, ref) for ref in seen.users]
    if seen.machines:
        ends: list[Action] = [Remove(VIRTUAL_MACHINE, ref) for ref in seen.machines]
        return [*users, *ends], _ending("virtual machines", [ref.name for ref in seen.machines])
    if seen.belongings:
        rest: list[Action] = [Remove(kind, ref) for kind, ref in seen.belongings]
        return [*users, *rest], _ending("objects", [f"{kind.kind} {ref.name}" for kind, ref in seen.belongings])
    if seen.users:
        return users, _ending("users", [ref.name for ref in seen.users])
    space = seen.namespace
    if space is not None and names.ANNOTATION_MADE in space.annotations:
        gone = Remove(NAMESPACE, ObjectRef(space.name, space.uid))
        return [] if space.deleting else [gone], Blocked(Reason.DELETING, f"namespace {space.name} is being deleted")
    return [LetGo(tenant.kind, tenant.meta)], Done(Reason.RELEASED)


def _ending(what: str, found: list[str]) -> Blocked:
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return Blocked(Reason.DELETING, f"its {what} are being deleted: {', '.join(sorted(found)[:NAMED])}{more}")
