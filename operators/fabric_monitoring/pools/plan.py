"""Judge a StoragePool by the reports of the hosts that reach it."""

from __future__ import annotations

from collections.abc import Sequence

from operators.contract.fabric import Mark, PoolReport, StoragePoolStatus
from operators.contract.formats import FormatReport
from operators.contract.quantity import readable
from operators.contract.reasons import Reason
from operators.fabric_monitoring.pools.model import Seen, View, Wanted
from operators.kernel.outcome import Blocked, Done, Outcome

NOTABLE = 100
"""A change of free space is written when it is more than this part of the capacity: one in a hundred."""


def plan(want: Wanted, seen: Seen) -> tuple[list[object], Outcome]:
    """Whether some host can use the pool, which becomes `Ready`."""
    if _usable(seen):
        return [], Done()
    reported = [view for view in seen.views if view.report is not None]
    if not reported:
        where = f"on {want.pool.spec.host_name}" if want.pool.spec.host_name else "on any host"
        return [], Blocked(Reason.WAITING_FOR_HOST, f"no storage agent {where} has reported it yet")
    up = [view for view in reported if view.reachable]
    if not up:
        hosts = ", ".join(view.host for view in reported[:5])
        return [], Blocked(Reason.HOST_DOWN, f"it is reached by {hosts} only, which cannot be reached")
    marker = want.pool.status.marker or _marker(seen)
    if marker and not _marked(want, seen):
        message = f"its folder is to be marked by host {marker}; if that is gone for good, make the StoragePool anew"
        return [], Blocked(Reason.PROVISIONING, message)
    view = up[0]
    why = (view.report.message if view.report else "") or "its folder cannot be used"
    return [], Blocked(Reason.POOL_OFFLINE, f"{view.host} says: {why}")


def figures(want: Wanted, seen: Seen) -> StoragePoolStatus:
    """Capacity and free space: the least that any host sees, rounded, and as last written when it hardly changed."""
    usable, last = _usable(seen), want.pool.status
    marked = _marked(want, seen)
    # It stays that host, whatever becomes of it: were another named, two folders might be marked.
    marker = "" if marked else last.marker or _marker(seen)
    if not usable:
        return StoragePoolStatus(
            capacity=last.capacity, free=last.free, marker=marker, marked=marked, formats=last.formats
        )
    capacity = readable(min(report.capacity for report in usable))
    free = readable(min(report.free for report in usable))
    if last.free is not None and last.capacity == capacity and abs(free - last.free) * NOTABLE <= capacity:
        free = last.free
    return StoragePoolStatus(capacity=capacity, free=free, marker=marker, marked=marked, formats=_formats(usable))


def _formats(usable: Sequence[PoolReport]) -> tuple[FormatReport, ...]:
    """What all of the hosts can do: a disk may be used by any of them."""
    told = [{each.format: each.abilities for each in report.formats} for report in usable]
    common = sorted(set(told[0]).intersection(*told[1:]))
    return tuple(FormatReport(each, frozenset.intersection(*(known[each] for known in told))) for each in common)


def _marked(want: Wanted, seen: Seen) -> bool:
    """Whether some host has ever found the mark."""
    return want.pool.status.marked or any(view.report and view.report.mark == Mark.PRESENT for view in seen.views)


def _marker(seen: Seen) -> str:
    """The host that is to mark a shared folder which nobody has marked: one alone, or two folders would be."""
    return next((view.host for view in seen.views if view.reachable and _unmarked(view)), "")


def _unmarked(view: View) -> bool:
    return view.report is not None and view.report.mark == Mark.ABSENT


def _usable(seen: Seen) -> list[PoolReport]:
    return [view.report for view in seen.views if view.reachable and view.report is not None and view.report.online]
