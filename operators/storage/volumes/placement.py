"""Chooses the pool of a Volume, and says of every pool that it refused why."""

from __future__ import annotations

from operators.contract.formats import Ability
from operators.contract.meta import condition
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Problem
from operators.storage import abilities
from operators.storage.volumes.model import CopyObj, Pool, Seen, VolumeObj
from operators.storage.volumes.shape import format_of


def choose(volume: VolumeObj, seen: Seen, size: Quantity, needs: Ability | None = None) -> Pool:
    """The best pool for a new Disk that it must be able to do something with, where that is said.

    Raises Problem that lists every pool with the reason against it."""
    host = seen.holders[0].host
    tags = seen.offering.spec.tags if seen.offering else frozenset()
    form = format_of(volume, seen)
    refused = {pool.name: refusal(volume, pool, tags, size, form) for pool in seen.pools}
    if needs is not None:
        lacks = {pool.name: abilities.lack(pool.name, pool.told, needs, form) for pool in seen.pools}
        refused = {name: why or lacks[name] for name, why in refused.items()}
    fits = [pool for pool in seen.pools if not refused[pool.name]]
    if fits:
        return max(fits, key=lambda pool: (_standing(pool.copy), pool.free, pool.name))
    why = "; ".join(f"{name}: {reason}" for name, reason in sorted(refused.items())) or "it has none"
    raise Problem(Blocked(Reason.NO_POOL_FITS, f"no pool of host {host} can take {size}: {why}"))


def refusal(volume: VolumeObj, pool: Pool, tags: frozenset[str], size: Quantity, form: str) -> str:
    """Why the Volume cannot go there, or nothing."""
    if volume.spec.pool and volume.spec.pool != pool.name:
        return f"the Volume asks for pool {volume.spec.pool}"
    if pool.problem:
        return pool.problem
    if missing := tags - pool.tags:
        return f"lacks the tags {', '.join(sorted(missing))} of DiskOffering {volume.spec.disk_offering}"
    if form not in pool.formats:
        return f"it holds {' and '.join(sorted(pool.formats))} disks, no {form} ones"
    if pool.free < size:
        return f"{Quantity(pool.free)} free"
    if pool.promisable < size:
        return f"only {Quantity(max(0, pool.promisable))} may still be given out, the rest is promised to other disks"
    return ""


def _standing(copy: CopyObj | None) -> int:
    """Prefer a pool that has the image, then one that is getting it, and last one where that has failed."""
    if copy is None:
        return 0
    provisioned = condition(copy.status.conditions, Type.PROVISIONED)
    if provisioned is None or provisioned.reason == Reason.IMPORTING:
        return 1
    return 2 if provisioned.true else -1
