"""The end of what we make for agents: our finalizer comes off once the agent says that nothing is left on its host.

A controller of its own, and not a step of the Volume's or Image's, so that it happens even when the owner is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from operators.contract import names
from operators.contract.meta import Key, Kind, Obj, holds
from operators.contract.reasons import Reason, Type
from operators.contract.snapshots import DiskSnapshotSpec, DiskSnapshotStatus
from operators.contract.storage import DiskSpec, DiskStatus, ImageCopySpec, ImageCopyStatus
from operators.kernel import Blocked, Done, Outcome, Report
from operators.kernel.manager import Context

FINALIZER = names.finalizer("storage")
Piece: TypeAlias = Obj[DiskSpec | ImageCopySpec | DiskSnapshotSpec, DiskStatus | ImageCopyStatus | DiskSnapshotStatus]


@dataclass(frozen=True, slots=True)
class LetGo:
    """Take our finalizer off."""

    piece: Piece

    def __str__(self) -> str:
        return str(self.piece.key)


def plan(piece: Piece) -> tuple[Sequence[LetGo], Outcome]:
    """Let a deleting object go once its agent has released it; until then the agent's status will wake us."""
    if not piece.meta.deleting or FINALIZER not in piece.meta.finalizers:
        return (), Done()
    if not holds(piece.status.conditions, Type.RELEASED):
        return (), Blocked(Reason.DELETING, f"the storage agent of host {piece.spec.host_name} has yet to release it")
    return (LetGo(piece),), Done(Reason.RELEASED)


class Releases:
    """Lets the objects of one host-side kind go."""

    workers = 4

    def __init__(self, context: Context, kind: Kind[Any, Any]) -> None:
        self.name = f"releases-{kind.plural}"
        self.kind = kind
        self._store = context.store
        self._cache = context.cache

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """Only what is being deleted."""
        return {self.kind: lambda piece: (piece.key,) if piece.meta.deleting else ()}

    async def observe(self, key: Key) -> tuple[Piece, None] | None:
        """From the cache."""
        piece = self._cache.get(self.kind, key)
        return None if piece is None else (piece, None)

    def plan(self, wanted: Piece, seen: None) -> tuple[Sequence[LetGo], Outcome]:
        """See `plan`."""
        return plan(wanted)

    async def act(self, action: LetGo) -> None:
        """Take the finalizer off."""
        meta = action.piece.meta
        await self._store.finalize(self.kind, meta, meta.finalizers_without(FINALIZER))

    def report(self, wanted: Piece, seen: None, outcome: Outcome) -> Sequence[Report]:
        """Its status is the agent's."""
        return ()
