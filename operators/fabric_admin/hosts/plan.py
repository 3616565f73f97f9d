"""Decide what is to be made for a node, whether its Host is accepted, and when it may go."""

from __future__ import annotations

from collections.abc import Iterator

from operators.contract import names
from operators.contract.reasons import Reason
from operators.fabric_admin.hosts.model import (
    Action,
    Hold,
    Host,
    LetGo,
    MakeHost,
    MakePool,
    MakeReport,
    Remove,
    Seen,
    Tell,
    Wanted,
)
from operators.fabric_admin.shared import FINALIZER, listed
from operators.kernel.outcome import Blocked, Done, Outcome


def plan(want: Wanted, seen: Seen) -> tuple[list[Action], Outcome]:
    """Make what is missing and never write it again; a Host goes when nothing is on it."""
    host = want.host
    if host is None:
        here = want.node is not None and want.node.has_agents and not want.name.startswith(names.SIMULATED)
        return [MakeHost(want.name, want.node)] if want.node and here else [], Done()
    if host.meta.deleting:
        return _removing(host, seen)
    return list(_missing(want, host, seen)), accepted(want, host, seen)


def accepted(want: Wanted, host: Host, seen: Seen) -> Outcome:
    """Whether the Host's spec can be followed."""
    spec = host.spec
    if want.node is None and not spec.simulated:
        return Blocked(
            Reason.NODE_GONE,
            f"there is no node {spec.node} in the cluster: bring it back, or delete this Host if it is gone for good",
        )
    if not seen.zone:
        return Blocked(Reason.ZONE_NOT_FOUND, f"there is no Zone {spec.zone}: make it, or change spec.zone")
    if not seen.rack:
        return Blocked(Reason.RACK_NOT_FOUND, f"there is no Rack {spec.rack}: make it, or change spec.rack")
    if not seen.group:
        return Blocked(
            Reason.HOST_GROUP_NOT_FOUND, f"there is no HostGroup {spec.group}: make it, or change spec.group"
        )
    return Done()


def _missing(want: Wanted, host: Host, seen: Seen) -> Iterator[Action]:
    if FINALIZER not in host.meta.finalizers:
        yield Hold(host.meta)
    if not host.spec.simulated and (want.node is None or not want.node.has_agents):
        return
    if seen.report is None:
        yield MakeReport(host.owner, host.spec.overcommit)
    elif seen.report.spec.overcommit != host.spec.overcommit and not seen.report.meta.deleting:
        yield Tell(seen.report, host.spec.overcommit)
    if not seen.local_pool:
        yield MakePool(host.owner, host.spec.zone, want.pool_path)


def _removing(host: Host, seen: Seen) -> tuple[list[Action], Outcome]:
    if FINALIZER not in host.meta.finalizers:
        return [], Done()
    if seen.occupants:
        on_it = listed(seen.occupants)
        return [], Blocked(Reason.STILL_IN_USE, f"it still has {on_it}: move or delete them, then it goes by itself")
    left = (*((seen.report,) if seen.report else ()), *seen.pools)
    if left:
        standing = [Remove(obj.kind, obj.ref) for obj in left if not obj.meta.deleting]
        return [*standing], Blocked(Reason.DELETING, f"{listed([obj.meta.name for obj in left])} is being removed")
    return [LetGo(host.meta)], Done()
