"""Read a tenant, its people and its namespace from the cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from operators.contract import names
from operators.contract.compute import USER_DATA, VIRTUAL_MACHINE
from operators.contract.core import NAMESPACE, QUOTA, ROLE_BINDING
from operators.contract.identity import ACCOUNT, DOMAIN, USER, ProjectSpec, Resource, Role
from operators.contract.instancegroups import INSTANCE_GROUP
from operators.contract.keypairs import SSH_KEY_PAIR
from operators.contract.meta import Key, Kind
from operators.contract.networking import NETWORK
from operators.contract.placement import AFFINITY_GROUP
from operators.contract.snapshots import SNAPSHOT_SCHEDULE, VOLUME_SNAPSHOT
from operators.contract.storage import IMAGE, VOLUME
from operators.contract.uploads import IMAGE_UPLOAD
from operators.contract.vmsnapshots import VIRTUAL_MACHINE_SNAPSHOT
from operators.contract.webhooks import WEBHOOK
from operators.data.tenants.model import BINDING, QUOTA_NAME, Seen, Tenant, Wanted
from operators.kernel.cache import Cache

COUNTED: Mapping[Resource, Kind[Any, Any]] = {
    Resource.VIRTUAL_MACHINES: VIRTUAL_MACHINE,
    Resource.VOLUMES: VOLUME,
    Resource.SNAPSHOTS: VOLUME_SNAPSHOT,
    Resource.NETWORKS: NETWORK,
    Resource.IMAGES: IMAGE,
}
"""Limits that a ResourceQuota can hold, so that kubectl meets them too."""
BELONGINGS: tuple[Kind[Any, Any], ...] = (
    SNAPSHOT_SCHEDULE,
    VIRTUAL_MACHINE_SNAPSHOT,
    VOLUME_SNAPSHOT,
    VOLUME,
    NETWORK,
    IMAGE,
    IMAGE_UPLOAD,
    USER_DATA,
    AFFINITY_GROUP,
    INSTANCE_GROUP,
    SSH_KEY_PAIR,
    WEBHOOK,
)
"""What people make in a namespace, guests aside."""
DEEPEST = 64


def observe(cache: Cache, kind: Kind[Any, Any], key: Key, reserved: frozenset[str]) -> tuple[Wanted, Seen] | None:
    """The tenant and what there is of it; None for one that is gone."""
    found = cache.get(kind, key)
    if found is None:
        return None
    tenant = cast(Tenant, found)
    wanted = Wanted(tenant, people(cache, tenant), hard(tenant), key.name in reserved)
    space = cache.get(NAMESPACE, key)
    binding = cache.get(ROLE_BINDING, Key(key.name, BINDING))
    quota = cache.get(QUOTA, Key(key.name, QUOTA_NAME))
    said = binding.meta.annotations.get(names.ANNOTATION_HASH, "") if binding else None
    return wanted, Seen(
        domain=cache.get(DOMAIN, Key("", tenant.spec.domain)) is not None,
        namespace=space.meta if space else None,
        people=None if said is None else tuple(each for each in said.split(",") if each),
        hard=quota.spec.hard if quota else None,
        **(_leaving(cache, tenant) if tenant.meta.deleting else {}),
    )


def _leaving(cache: Cache, tenant: Tenant) -> dict[str, Any]:
    name = tenant.meta.name

    def inside(kind: Kind[Any, Any]) -> Iterator[Any]:
        return (obj for obj in cache.all(kind) if obj.meta.namespace == name)

    users = (user for user in cache.all(USER) if tenant.kind is ACCOUNT and user.spec.account == name)
    return {
        "users": tuple(user.ref for user in users),
        "machines": tuple(vm.ref for vm in inside(VIRTUAL_MACHINE)),
        "belongings": tuple((kind, obj.ref) for kind in BELONGINGS for obj in inside(kind)),
    }


def hard(tenant: Tenant) -> Mapping[str, str]:
    """The quota of a tenant's limits."""
    limits = tenant.spec.limits
    return {f"count/{kind.crd}": str(limits[name]) for name, kind in COUNTED.items() if name in limits}


def people(cache: Cache, tenant: Tenant) -> tuple[str, ...]:
    """Its users, those of a project's members, and the admins of its domain and of those above."""
    if isinstance(tenant.spec, ProjectSpec):
        accounts = {member.account for member in tenant.spec.members}
    else:
        accounts = {tenant.meta.name}
    above = set(_lineage(cache, tenant.spec.domain))
    accounts |= {
        account.meta.name
        for account in cache.all(ACCOUNT)
        if account.spec.role is Role.DOMAIN_ADMIN and account.spec.domain in above
    }
    return tuple(sorted(set(_users(cache, accounts))))


def _users(cache: Cache, accounts: Iterable[str]) -> Iterator[str]:
    wanted = set(accounts)
    for user in cache.all(USER):
        account = cache.get(ACCOUNT, Key("", user.spec.account))
        enabled = account is not None and account.spec.enabled and user.spec.enabled
        if user.spec.account in wanted and enabled and not user.meta.deleting:
            yield user.spec.kubernetes_user or f"cloudstack:{user.meta.name}"


def _lineage(cache: Cache, name: str) -> Iterator[str]:
    for _ in range(DEEPEST):
        domain = cache.get(DOMAIN, Key("", name)) if name else None
        if domain is None:
            return
        yield name
        name = domain.spec.parent
