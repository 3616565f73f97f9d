"""What tenants may have of primary storage, and what is taken of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from operators.contract.identity import Resource
from operators.contract.reasons import Reason
from operators.contract.storage import DISK
from operators.contract.tenancy import Room, excess, gib, limits_on
from operators.kernel import Cache
from operators.kernel.outcome import Blocked, Outcome
from operators.storage.volumes.capacity import Promises
from operators.storage.volumes.model import Action, MakeDisk, Seen, VolumeObj

BY_NAMESPACE = "namespace"
"""Index of Disks."""


def add_index(cache: Cache) -> None:
    """Keep the index that `rooms` looks things up in."""
    cache.index(DISK, BY_NAMESPACE, lambda disk: (disk.meta.namespace,))


def rooms(cache: Cache, volume: VolumeObj, promises: Promises) -> tuple[Room, ...]:
    """What all other Volumes take of each limit that holds for one, Disks on their way included."""
    limits = limits_on(cache, volume.meta.namespace, (Resource.PRIMARY_STORAGE,))
    return tuple(
        Room(limit, sum(size for space in limit.namespaces for size in _taken(cache, volume, promises, space)))
        for limit in limits
    )


def _taken(cache: Cache, volume: VolumeObj, promises: Promises, namespace: str) -> Iterator[int]:
    """GiB of each Volume: what another host sees a file by, and what is yet to take its place, is the same one."""
    sizes = {key.name: size for key, size in promises.pending() if key.namespace == namespace}
    for disk in cache.by(DISK, BY_NAMESPACE, namespace):
        name = disk.spec.volume.name
        sizes[name] = max(int(disk.spec.size), sizes.get(name, 0))
    return (gib(size) for name, size in sizes.items() if (namespace, name) != (volume.meta.namespace, volume.meta.name))


def too_much(seen: Seen, size: int) -> str:
    """Which limit a Volume of that size would pass; empty when none."""
    return excess(seen.rooms, {Resource.PRIMARY_STORAGE: gib(size)})


def within(seen: Seen, actions: Sequence[Action], outcome: Outcome) -> tuple[Sequence[Action], Outcome]:
    """The same, unless a Disk would be made that passes a limit."""
    for action in actions:
        if isinstance(action, MakeDisk) and (much := too_much(seen, action.spec.size)):
            return (), Blocked(Reason.LIMIT_EXCEEDED, much)
    return actions, outcome
