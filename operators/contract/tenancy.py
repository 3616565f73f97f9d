"""Whose a namespace is, and which limits hold there: its tenant's, and those of the domains above.

Counts are held by a ResourceQuota and by the API's reservations. Sums (processors, memory, GiB) are held by whoever
gives them out, who asks here, so that they hold by kubectl, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from operators.contract.identity import (
    ACCOUNT,
    DOMAIN,
    PROJECT,
    AccountSpec,
    DomainSpec,
    DomainStatus,
    ProjectSpec,
    Resource,
    TenantStatus,
)
from operators.contract.meta import Key, Kind, Obj, SpecT, StatusT

Tenant: TypeAlias = Obj[AccountSpec, TenantStatus] | Obj[ProjectSpec, TenantStatus]

DEEPEST = 64
"""Levels of domains; whoever makes a ring of them has a tree that ends there."""
KINDS: tuple[Kind[Any, Any], ...] = (ACCOUNT, PROJECT, DOMAIN)
"""What must be watched by whoever asks."""
UNITS: Mapping[Resource, str] = {
    Resource.CPUS: "processors",
    Resource.MEMORY: "MiB of memory",
    Resource.PRIMARY_STORAGE: "GiB of primary storage",
}
GIB, MIB = 2**30, 2**20


class Objects(Protocol):
    """The part of a cache that is asked."""

    def get(self, kind: Kind[SpecT, StatusT], key: Key) -> Obj[SpecT, StatusT] | None:
        """One object."""

    def all(self, kind: Kind[SpecT, StatusT]) -> Iterator[Obj[SpecT, StatusT]]:
        """Every object of a kind."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The most of something that some namespaces may have together."""

    whose: str
    """`Account team-a`."""
    resource: Resource
    most: int
    namespaces: frozenset[str]


@dataclass(frozen=True, slots=True)
class Room:
    """A limit, and how much of it is taken by others than what is asked about."""

    limit: Limit
    used: int


def limits_on(objects: Objects, namespace: str, resources: Iterable[Resource]) -> tuple[Limit, ...]:
    """The limits that hold in a namespace; none where it is no tenant's."""
    tenant = _tenant(objects, namespace)
    if tenant is None:
        return ()
    wanted = tuple(resources)
    found = [*_of(tenant.kind.kind, namespace, tenant.spec.limits, wanted, frozenset({namespace}))]
    for domain in _lineage(objects, tenant.spec.domain):
        if any(resource in domain.spec.limits for resource in wanted):
            beneath = frozenset(_beneath(objects, domain.meta.name))
            found += _of(DOMAIN.kind, domain.meta.name, domain.spec.limits, wanted, beneath)
    return tuple(found)


def excess(rooms: Iterable[Room], amounts: Mapping[Resource, int]) -> str:
    """Which limit would be passed, in a sentence; empty when none would."""
    for room in rooms:
        limit, amount = room.limit, amounts.get(room.limit.resource, 0)
        if amount and room.used + amount > limit.most:
            what = UNITS.get(limit.resource, limit.resource.value)
            return (
                f"{limit.whose} may have {limit.most} {what} (spec.limits.{limit.resource.value}): {room.used} are "
                f"taken, and {amount} more are asked for; free some, or have the limit raised"
            )
    return ""


def gib(size: int) -> int:
    """Whole GiB, rounded up."""
    return -(-size // GIB)


def mib(size: int) -> int:
    """Whole MiB, rounded up."""
    return -(-size // MIB)


def _of(
    kind: str, name: str, limits: Mapping[str, int], wanted: Iterable[Resource], namespaces: frozenset[str]
) -> Iterator[Limit]:
    for resource in wanted:
        if resource in limits:
            yield Limit(f"{kind} {name}", resource, limits[resource], namespaces)


def _tenant(objects: Objects, namespace: str) -> Tenant | None:
    key = Key("", namespace)
    return objects.get(PROJECT, key) or objects.get(ACCOUNT, key)


def _lineage(objects: Objects, name: str) -> Iterator[Obj[DomainSpec, DomainStatus]]:
    """A domain and those above it."""
    for _ in range(DEEPEST):
        domain = objects.get(DOMAIN, Key("", name)) if name else None
        if domain is None:
            return
        yield domain
        name = domain.spec.parent


def _beneath(objects: Objects, domain: str) -> Iterator[str]:
    """The namespaces of all tenants of a domain and of those beneath it."""
    tenants: tuple[Tenant, ...] = (*objects.all(ACCOUNT), *objects.all(PROJECT))
    for tenant in tenants:
        if any(each.meta.name == domain for each in _lineage(objects, tenant.spec.domain)):
            yield tenant.meta.name
