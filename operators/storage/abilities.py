"""What a pool cannot do with its disks, as the driver that serves it says of itself (`StoragePool.status.formats`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from operators.contract.fabric import STORAGE_POOL
from operators.contract.formats import Ability, FormatReport
from operators.contract.meta import Key, Kind, condition
from operators.contract.reasons import Reason, Type
from operators.kernel import Cache

Told = tuple[FormatReport, ...]

_DOES = {
    Ability.COPIES: "copy {}",
    Ability.SNAPSHOTS: "take snapshots of {}",
    Ability.BACKUPS: "back up or restore {}",
    Ability.MOVE_LIVE: "move {} under a guest",
    Ability.GROW_ONLINE: "grow {} under a guest",
    Ability.ADOPTION: "take over {}",
}


def told(cache: Cache, pool: str) -> Told:
    """What is said of a pool; nothing while no agent has said anything."""
    found = cache.get(STORAGE_POOL, Key("", pool))
    return found.status.formats if found is not None else ()


def lack(pool: str, said: Told, ability: Ability, form: str = "") -> str:
    """That a pool cannot do something with disks of a format, or with any; empty when it can, or nobody said yet."""
    if not said or any(ability in each.abilities for each in said if form in ("", each.format)):
        return ""
    disks = f"{form} disks" if form else "disks"
    return f"pool {pool} cannot {_DOES[ability].format(disks)} (see StoragePool {pool}, status.formats)"


def refused(cache: Cache, kind: Kind[Any, Any]) -> Iterator[Key]:
    """The objects that wait for a pool which can do what they need: what a pool can do may change."""
    for each in cache.all(kind):
        said = condition(each.status.conditions, Type.READY)
        if said is not None and said.reason in (Reason.UNSUPPORTED, Reason.RESTART_REQUIRED):
            yield each.key
