"""Decide whether a StoragePool is accepted, and when it may go."""

from __future__ import annotations

from operators.contract.reasons import Reason
from operators.fabric_admin.pools.model import Action, Hold, LetGo, MakeShared, Seen, Wanted
from operators.fabric_admin.shared import FINALIZER, listed
from operators.kernel.outcome import Blocked, Done, Outcome


def plan(want: Wanted, seen: Seen) -> tuple[list[Action], Outcome]:
    """Hold every pool, so that none vanishes from under its Disks."""
    pool = want.pool
    if pool is None:
        return [MakeShared(want.shared_path)] if want.shared_path else [], Done()
    held = FINALIZER in pool.meta.finalizers
    if pool.meta.deleting:
        if held and seen.disks:
            on_it = f"it still has {listed(seen.disks)}: move or delete them, then it goes by itself"
            return [], Blocked(Reason.STILL_IN_USE, on_it)
        return [LetGo(pool.meta)] if held else [], Done()
    actions: list[Action] = [] if held else [Hold(pool.meta)]
    if not seen.zone:
        return actions, Blocked(
            Reason.ZONE_NOT_FOUND, f"there is no Zone {pool.spec.zone}: make it, or change spec.zone"
        )
    return actions, Done()
