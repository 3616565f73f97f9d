"""A tenant and what there is of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from operators.contract.identity import AccountSpec, ProjectSpec, TenantStatus
from operators.contract.meta import Kind, Meta, Obj, ObjectRef

Tenant: TypeAlias = Obj[AccountSpec, TenantStatus] | Obj[ProjectSpec, TenantStatus]

EDIT, VIEW = "cloudstack-tenant-edit", "cloudstack-tenant-view"
"""The chart's ClusterRoles for people."""
BINDING, QUOTA_NAME = "cloudstack-people", "cloudstack-limits"
"""What the objects in the namespace are called."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The tenant, and what follows from it."""

    tenant: Tenant
    people: tuple[str, ...]
    """Who may do there what its users may, as Kubernetes names them."""
    hard: Mapping[str, str]
    """The quota, as Kubernetes writes it."""
    reserved: bool = False
    """Whether the namespace of that name is the cloud's own."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is."""

    domain: bool = True
    namespace: Meta | None = None
    people: tuple[str, ...] | None = None
    """Who was given the role last; None without a binding."""
    hard: Mapping[str, str] | None = None
    """The quota that is there; None without one."""
    users: tuple[ObjectRef, ...] = ()
    """Its Users; looked for, as all below, only when it is to go."""
    machines: tuple[ObjectRef, ...] = ()
    belongings: tuple[tuple[Kind[Any, Any], ObjectRef], ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """Put our finalizer on the tenant."""

    kind: Kind[Any, Any]
    meta: Meta


@dataclass(frozen=True, slots=True)
class MakeNamespace:
    """Make the namespace, or say on one that is there whose it is."""

    tenant: str
    adopt: bool


@dataclass(frozen=True, slots=True)
class Admit:
    """Let people in."""

    tenant: str
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """Write the quota."""

    tenant: str
    hard: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete something of a tenant that goes."""

    kind: Kind[Any, Any]
    ref: ObjectRef


@dataclass(frozen=True, slots=True)
class LetGo:
    """Take our finalizer off."""

    kind: Kind[Any, Any]
    meta: Meta


Action: TypeAlias = Hold | MakeNamespace | Admit | Bound | Remove | LetGo
