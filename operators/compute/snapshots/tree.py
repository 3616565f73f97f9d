"""How the snapshots of one virtual machine hang together: which one came from which, and where the disks are."""

from __future__ import annotations

from collections.abc import Iterable

from operators.compute.snapshots.model import SnapshotObj


def current(snapshots: Iterable[SnapshotObj]) -> SnapshotObj | None:
    """The one that the disks were last at; of one that goes, what it came from."""
    every = {each.meta.name: each for each in snapshots}
    taken = [each for each in every.values() if each.status.current_since]
    found = max(taken, key=_order, default=None)
    if found is not None and found.meta.deleting:
        heir = every.get(_above(found, every))
        return heir or max((each for each in taken if not each.meta.deleting), key=_order, default=None)
    return found


def _order(snapshot: SnapshotObj) -> tuple[str, str, str]:
    return snapshot.status.current_since, snapshot.meta.creation_timestamp, snapshot.meta.name


def _above(snapshot: SnapshotObj, every: dict[str, SnapshotObj]) -> str:
    """The nearest one above that stays; empty when there is none."""
    name, passed = snapshot.status.parent, {snapshot.meta.name}
    while name in every and every[name].meta.deleting and name not in passed:
        passed.add(name)
        name = every[name].status.parent
    return name if name in every and not every[name].meta.deleting else ""


def parent(snapshot: SnapshotObj, others: Iterable[SnapshotObj]) -> str:
    """What it came from, where some of those above it are going."""
    return _above(snapshot, {each.meta.name: each for each in others})


def since(snapshot: SnapshotObj, others: Iterable[SnapshotObj]) -> str:
    """When it became what the disks are at: as early as one that goes and whose place it takes."""
    every = (snapshot, *others)
    if current(every) is not snapshot:
        return snapshot.status.current_since
    return max(each.status.current_since for each in every)


def tied(snapshot: SnapshotObj, others: Iterable[SnapshotObj]) -> str:
    """Another one whose status still rests on this one, which goes; empty when there is none."""
    rest = [each for each in others if not each.meta.deleting]
    child = next((each for each in rest if each.status.parent == snapshot.meta.name), None)
    if child is not None:
        return child.meta.name
    heir = current((snapshot, *others))
    if heir is not None and not heir.meta.deleting and heir.status.current_since < snapshot.status.current_since:
        return heir.meta.name
    return ""
