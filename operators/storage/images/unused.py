"""Decides which copies of an Image go because nothing is made from them, and which come back.

A copy keeps its object: that says `evict`, and its agent removes the file unless a Disk needs it. So a Disk that is
made at the same moment is not lost: the copy comes back for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from operators.contract.meta import holds
from operators.contract.reasons import Type
from operators.kernel.clock import parse_stamp
from operators.storage.images.lookup import CopyObj
from operators.storage.images.model import Evict, Fetch

CROWDED = timedelta(minutes=10)
"""How long an unused copy stays on a pool that is above its threshold."""


@dataclass(frozen=True, slots=True)
class Use:
    """What is known of the use of one copy."""

    copy: CopyObj
    wanted: bool
    """Whether a Disk is made from it, or it is to be on its pool in any case."""
    since: str = ""
    """Since when it is not used; empty where that is not known."""
    crowded: bool = False
    """Whether its pool is above its threshold."""


def sort_out(uses: Iterable[Use], now: datetime, retention: timedelta) -> tuple[list[Evict | Fetch], float | None]:
    """What is to go and to come back, and the seconds until the next one may go."""
    actions: list[Evict | Fetch] = []
    waits: list[float] = []
    for use in uses:
        copy = use.copy
        if copy.meta.deleting or use.wanted == (not copy.spec.evict):
            continue
        if use.wanted:
            actions.append(Fetch(copy))
        elif not copy.spec.evict and use.since and holds(copy.status.conditions, Type.PROVISIONED):
            patience = min(CROWDED, retention) if use.crowded else retention
            left = (parse_stamp(use.since) + patience - now).total_seconds()
            if left > 0:
                waits.append(left)
            else:
                actions.append(Evict(copy))
    return actions, min(waits, default=None)
