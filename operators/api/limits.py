"""Limits: what tenants and domains have, and what is reserved for them before it is made.

A reservation is written into the status of whoever has a limit, guarded by resourceVersion, so of a hundred calls at
once each sees those before it. It counts until the object counts by itself in every replica's cache, which is some
seconds after it was made; only that is why it stays so long.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

from operators.api import errors
from operators.api.call import Call
from operators.api.cloud import Image, Volume
from operators.api.directory import Account, Domain, Project
from operators.api.sizes import Size, size_of
from operators.contract.codec import to_wire
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE
from operators.contract.identity import ACCOUNT, DOMAIN, PROJECT, ROOT, Reservation, Resource
from operators.contract.kinds import ALL
from operators.contract.meta import Key, Kind
from operators.contract.networking import NETWORK
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import IMAGE, VOLUME
from operators.kernel.clock import parse_stamp, stamp
from operators.kernel.store import Conflict

Holder: TypeAlias = Account | Project | Domain
Make: TypeAlias = Callable[[Holder, tuple[Reservation, ...]], tuple[Reservation, ...]]
GIB = 2**30
SEEN_BY_ALL = timedelta(seconds=10)
"""After which every replica's watch has told of an object that was made."""
NEVER_CAME = timedelta(seconds=60)
"""After which a reservation whose object nobody saw is dropped: its maker was killed."""
TRIES = 50
KINDS = {kind.kind: kind for kind in ALL}


@dataclass(frozen=True, slots=True)
class Numbered:
    """CloudStack's number and name of a resource."""

    number: int
    name: str


NUMBERS: Mapping[Resource, Numbered] = {
    Resource.VIRTUAL_MACHINES: Numbered(0, "user_vm"),
    Resource.PUBLIC_IPS: Numbered(1, "public_ip"),
    Resource.VOLUMES: Numbered(2, "volume"),
    Resource.SNAPSHOTS: Numbered(3, "snapshot"),
    Resource.IMAGES: Numbered(4, "template"),
    Resource.PROJECTS: Numbered(5, "project"),
    Resource.NETWORKS: Numbered(6, "network"),
    Resource.VPCS: Numbered(7, "vpc"),
    Resource.CPUS: Numbered(8, "cpu"),
    Resource.MEMORY: Numbered(9, "memory"),
    Resource.PRIMARY_STORAGE: Numbered(10, "primary_storage"),
    Resource.SECONDARY_STORAGE: Numbered(11, "secondary_storage"),
}


def used(call: Call, holder: Holder) -> Counter[str]:
    """What a tenant has, or all tenants of a domain and of those beneath, by Resource."""
    total: Counter[str] = Counter()
    where = frozenset(tenant.meta.name for tenant in tenants(call, holder))
    for vm in call.cloud.all(VIRTUAL_MACHINE, where):
        total.update(of_machine(size_of(call.cloud.named(COMPUTE_OFFERING, vm.spec.offering), vm.spec)))
        if vm.spec.image and call.cloud.named(VOLUME, vm.spec.root_of(vm.meta.name), vm.meta.namespace) is None:
            image = call.cloud.image(vm.spec.image, vm.meta.namespace)
            total.update(of_root_disk(image, int(vm.spec.root_disk_size or 0)))
    for volume in call.cloud.all(VOLUME, where):
        total.update({Resource.VOLUMES: 1, Resource.PRIMARY_STORAGE: gib(int(_size(volume)))})
    total[Resource.NETWORKS] = len(call.cloud.all(NETWORK, where))
    total[Resource.SNAPSHOTS] = len(call.cloud.all(VOLUME_SNAPSHOT, where))
    total[Resource.IMAGES] = len(call.cloud.all(IMAGE, where))
    total[Resource.PROJECTS] = len(call.cloud.all(PROJECT, None, lambda each: _runs(each, holder, where)))
    return total


def _runs(project: Project, holder: Holder, where: frozenset[str]) -> bool:
    """A project counts for the account that began it, and for the domains above."""
    first = project.spec.members[0].account if project.spec.members else ""
    return first == holder.meta.name if holder.kind is ACCOUNT else project.meta.name in where


def tenants(call: Call, holder: Holder) -> Iterator[Account | Project]:
    """The accounts and projects that a limit is about."""
    every: Sequence[Account | Project] = [*call.cloud.all(ACCOUNT), *call.cloud.all(PROJECT)]
    for tenant in every:
        its = call.directory.domain_of(tenant) if holder.kind is DOMAIN else None
        above = call.directory.lineage(its) if its is not None else ()
        if tenant.meta.uid == holder.meta.uid or any(each.meta.uid == holder.meta.uid for each in above):
            yield tenant


def of_machine(size: Size) -> Mapping[str, int]:
    """What a virtual machine counts for, running or not; its root disk counts as a volume."""
    return {Resource.VIRTUAL_MACHINES: 1, Resource.CPUS: size.cpus, Resource.MEMORY: size.memory}


def of_root_disk(image: Image | None, asked: int | None) -> Mapping[str, int]:
    """What a root disk will count for, as far as its size is known before it is made."""
    size = asked or (int(image.status.virtual_size or image.spec.minimum_disk or 0) if image else 0)
    return {Resource.VOLUMES: 1, Resource.PRIMARY_STORAGE: gib(size)}


def gib(size: int) -> int:
    """Whole GiB, rounded up."""
    return -(-size // GIB)


def _size(volume: Volume) -> int:
    return int(volume.status.size or volume.spec.size or 0)


def holders(call: Call, namespace: str) -> list[Holder]:
    """Whoever may have a limit on what is in a namespace: its tenant, and the domains above."""
    tenant = call.directory.project_of(namespace) or call.directory.account_of(namespace)
    if tenant is None:
        return []
    domain = call.directory.domain_of(tenant)
    return [tenant, *(call.directory.lineage(domain) if domain is not None else ())]


@asynccontextmanager
async def reserved(
    call: Call, namespace: str, kind: Kind[Any, Any], name: str, amounts: Mapping[str, int]
) -> AsyncIterator[None]:
    """Make something only after it was reserved with everybody who has a limit on it; given back when that fails."""
    plain = {str(resource): amount for resource, amount in amounts.items() if amount}
    own = Reservation(f"{kind.kind}/{namespace if kind.namespaced else ''}/{name}", stamp(call.clock.now()), plain)
    taken: list[Holder] = []
    try:
        for holder in holders(call, namespace):
            if plain.keys() & holder.spec.limits.keys():
                await _reserve(call, holder, own)
                taken.append(holder)
        yield
    except BaseException:
        for holder in taken:
            await _write(call, holder, lambda _, now: tuple(each for each in now if each.object != own.object))
        raise


async def _reserve(call: Call, holder: Holder, own: Reservation) -> None:
    def add(newest: Holder, now: tuple[Reservation, ...]) -> tuple[Reservation, ...]:
        kept = tuple(each for each in now if each.object != own.object)
        _check(call, newest, kept, own)
        return (*kept, own)

    await _write(call, holder, add)


def _check(call: Call, holder: Holder, reserved_: Sequence[Reservation], own: Reservation) -> None:
    has = used(call, holder)
    for each in reserved_:
        if not _counts(call, each):
            has.update(each.amounts)
    for resource, amount in own.amounts.items():
        limit = holder.spec.limits.get(resource)
        if limit is not None and amount and has[resource] + amount > limit:
            raise errors.over_limit(
                f"Maximum amount of resources of type '{NUMBERS[Resource(resource)].name}' for {called(holder)} "
                f"has been exceeded: it has {has[resource]} of {limit}, and {amount} more are asked for"
            )


def _counts(call: Call, reservation: Reservation) -> bool:
    """Whether its object is in the cache, in the generation that it is about, and so counts by itself."""
    kind, namespace, rest = reservation.object.split("/", 2)
    name, _, generation = rest.partition("/")
    found = call.cloud.named(KINDS[kind], name, namespace) if kind in KINDS else None
    return found is not None and found.meta.generation >= int(generation or 0)


_TURNS: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
"""One call of this replica at a time for each holder: the others would only meet Conflicts."""


async def _write(call: Call, holder: Holder, make: Make) -> None:
    """Write the reservations that `make` makes of the newest ones, guarded; anew when another replica was faster."""
    turn = _TURNS.setdefault(holder.meta.uid, asyncio.Lock())
    async with turn:
        for _ in range(TRIES):
            body = await call.store.get(holder.kind, holder.key)
            newest = holder.kind.parse(body) if body is not None else None
            if newest is None or newest.meta.uid != holder.meta.uid:
                raise errors.invalid(f"{holder.kind.kind} {holder.meta.name} does not exist any more")
            kept = make(newest, tuple(each for each in newest.status.reservations if _alive(call, each)))
            status = {"reservations": to_wire(kept)}
            try:
                await call.store.apply_status(
                    holder.kind,
                    Key("", holder.meta.name),
                    status,
                    resource_version=newest.meta.resource_version,
                    manager="reservations",
                )
                return
            except Conflict:
                continue
    raise errors.unavailable("the account is being used by too many at once: try again in a moment")


def _alive(call: Call, reservation: Reservation) -> bool:
    age = call.clock.now() - parse_stamp(reservation.made)
    return age < (SEEN_BY_ALL if _counts(call, reservation) else NEVER_CAME)


def called(holder: Holder) -> str:
    """What people call it: `account ann`."""
    shown = holder.spec.display_name or ("ROOT" if holder.meta.name == ROOT else holder.meta.name)
    return f"{holder.kind.kind.lower()} {shown}"
