"""Decides the next step of one Migration. docs/adr/0017 says why the order of the writes is what keeps the guest one.

Target made → it is ready → source told to send → the source's last word → commit (the target is like any other
Instance; Compute's other room removes the source), or give up: the target is deleted, which no commit can follow, and
the source is told to go on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from operators.compute.migrations.begin import begin
from operators.compute.migrations.model import Action, LetGo, Migration, Protect, Put, Remove, Seen, Unprotect
from operators.compute.model import VM, Instance
from operators.contract import names
from operators.contract.compute import Power, RunPolicy
from operators.contract.meta import ObjectRef, condition, holds
from operators.contract.migrations import DepartureState, Outgoing
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Done, Outcome, Rejected, Retry

FINALIZER = names.finalizer("compute")
Plan: TypeAlias = tuple[list[Action], Outcome]

STAYED = frozenset({DepartureState.FAILED, DepartureState.CANCELLED})
LOST = frozenset({DepartureState.GONE, DepartureState.ENDED})


def plan(migration: Migration, seen: Seen) -> Plan:
    """The next step of one Migration, and how it stands."""
    if migration.status.finished_at:
        return _after(migration, seen), Done()
    if FINALIZER not in migration.meta.finalizers:
        if migration.meta.deleting:
            return [], Done()
        return [Protect(migration)], Blocked(Reason.PROGRESSING, "it is being taken up")
    if (why := gives_up(migration, seen)) and not migration.status.called_off:
        return [], Blocked(Reason.CANCELLED, why)  # Said before anything is undone: what follows depends on it.
    if seen.target is None:
        return _without_target(migration, seen)
    if seen.target.spec.incoming is not None and seen.target.spec.incoming.committed:
        return [], Done(Reason.SUCCEEDED, f"the guest runs on host {seen.target.spec.host_name}")
    if seen.target.meta.deleting:
        return _undone(migration, seen, seen.target)
    return _under_way(migration, seen, seen.target)


def gives_up(migration: Migration, seen: Seen) -> str:
    """Why it is to be given up; empty when it is not. What was decided once stays so."""
    if migration.status.called_off:
        return migration.status.called_off
    if migration.spec.cancel or migration.meta.deleting or seen.flow_cancelled:
        return "cancelled by its user"
    vm, target = seen.vm, seen.target
    if target is None:
        return "its target Instance was deleted" if seen.leaving(migration.meta.uid) is not None else ""
    if vm is None or vm.meta.deleting:
        return "the VirtualMachine is being deleted"
    if vm.spec.wanted is RunPolicy.STOPPED:
        return "the VirtualMachine is to be stopped"
    now = seen.source.spec if seen.source is not None else target.spec
    if vm.spec.reboot_request > now.reboot_request or vm.spec.reset_request > now.reset_request:
        return "the VirtualMachine is to be rebooted"
    if vm.spec.reinstall_request > vm.status.reinstall_observed:
        return "the VirtualMachine is to have its root disk made anew"
    if vm.spec.paused:
        return "the VirtualMachine is to be paused"
    if target.meta.deleting:
        return "its target Instance was deleted"
    arrival, said = seen.arrival(migration.meta.uid), seen.departure(migration.meta.uid)
    here = arrival is not None and arrival.arrived
    if said is not None and said.state in STAYED:
        return said.message or "the guest stays on its host"
    # Not sent yet, so it is the source's to start again; the target may be waiting for what never comes.
    ended = (
        seen.source is not None and not seen.leaving(migration.meta.uid) and seen.source.status.power == Power.STOPPED
    )
    if (seen.asked or ended) and not here and not (target.spec.incoming and target.spec.incoming.committed):
        return "the guest ended on its host before it had moved"
    return ""


def _without_target(migration: Migration, seen: Seen) -> Plan:
    if why := migration.status.called_off:
        if (stay := _stay(migration, seen)) is not None:
            return [stay], Blocked(Reason.CANCELLED, why)
        return [], _verdict(migration, why)
    actions, outcome = begin(migration, seen)
    if actions or not isinstance(outcome, Blocked) or migration.spec.begin_within is None:
        return actions, outcome
    left = int(migration.spec.begin_within) - seen.age
    if left > 0:
        return [], Retry(outcome.reason, outcome.message, left)
    late = f"it did not begin within {migration.spec.begin_within}: {outcome.message}"
    return [], Rejected(Reason.DEADLINE_EXCEEDED, late)


def _under_way(migration: Migration, seen: Seen, target: Instance) -> Plan:
    """There is a target that may yet get the guest."""
    uid, vm = migration.meta.uid, seen.vm
    arrival, said = seen.arrival(uid), seen.departure(uid)
    here = arrival is not None and arrival.arrived
    lost = seen.source is None or (said is not None and said.state in LOST)
    # It runs at the target only once nothing is left of it at the source, which may be silent then.
    mute = seen.source_host is not None and not seen.source_host.reachable
    alone = here and (lost or (mute and target.status.power == Power.RUNNING))
    if vm is not None and (alone or (said is not None and said.state is DepartureState.COMPLETED)):
        return [_told(vm, target, committed=True)], Blocked(Reason.MIGRATING, "the guest has moved")
    if vm is not None and lost and not seen.asked:
        # What was last said of the target may be older than what happened there.
        asks: list[Action] = [] if _knows(target) else [_told(vm, target, source_lost=True)]
        if seen.target_host is not None and not seen.target_host.reachable:
            message = f"nobody knows whether the guest is on host {seen.target_host.name}, which is not reachable"
            return asks, Blocked(Reason.HOST_DOWN, message)
        return asks, Blocked(Reason.MIGRATING, "the guest is not at its source: the target's agent is asked")
    if why := migration.status.called_off:
        return _give_up(migration, seen, target, why)
    if seen.source is None or vm is None:
        return [Remove(target)], Blocked(Reason.CANCELLED, "its source is gone")
    if seen.leaving(uid) is None:
        return _send(migration, seen, target)
    for host in (seen.source_host, seen.target_host):
        if host is not None and not host.reachable:
            return [], Blocked(Reason.HOST_DOWN, f"host {host.name} is not reachable: {host.message}")
    progress = said.progress if said is not None else 0
    return [], Blocked(Reason.MIGRATING, f"on its way to host {target.spec.host_name}: {progress} %")


def _told(vm: VM, target: Instance, *, source_lost: bool = False, committed: bool = False) -> Put:
    assert target.spec.incoming is not None
    incoming = replace(target.spec.incoming, source_lost=source_lost, committed=committed)
    return Put(vm, replace(target.spec, incoming=incoming), target)


def _knows(target: Instance) -> bool:
    return target.spec.incoming is not None and target.spec.incoming.source_lost


def _send(migration: Migration, seen: Seen, target: Instance) -> Plan:
    """Tell the source to send the guest, once the target is ready for it."""
    assert seen.vm is not None and seen.source is not None
    source, arrival = seen.source, seen.arrival(migration.meta.uid)
    if arrival is None or not arrival.address or len(arrival.disks) < len(target.spec.disks):
        said = condition(target.status.conditions, Type.REALISED)
        message = said.message if said is not None else "its agent has not taken it up yet"
        if seen.target_host is not None and not seen.target_host.reachable:
            return [], Blocked(Reason.HOST_DOWN, f"host {target.spec.host_name} is not reachable")
        return [], Blocked(Reason.WAITING_FOR_HOST, f"host {target.spec.host_name}: {message}")
    if seen.snapshot:
        message = f"VirtualMachineSnapshot {seen.snapshot} is not done, and the guest stays until it is"
        return [], Blocked(Reason.WAITING_FOR_SNAPSHOT, message)
    if source.meta.deleting or source.spec.outgoing is not None:
        return [], Blocked(Reason.WAITING_FOR_MIGRATION, "the guest's Instance is being changed")
    outgoing = Outgoing(_ref(migration), target.spec.host_name, arrival.address, arrival.disks)
    action = Put(seen.vm, replace(source.spec, outgoing=outgoing), source)
    return [action], Blocked(Reason.MIGRATING, f"the guest is sent to host {target.spec.host_name}")


def _give_up(migration: Migration, seen: Seen, target: Instance, why: str) -> Plan:
    """Take it back, unless it is too late: only the source's agent can tell, and only its word is waited for."""
    out, said = seen.leaving(migration.meta.uid), seen.departure(migration.meta.uid)
    if out is None or seen.source is None:
        return [Remove(target)], Blocked(Reason.CANCELLED, why)
    if said is not None and said.state is not DepartureState.RUNNING:
        return [Remove(target)], Blocked(Reason.CANCELLED, why)
    if not out.cancel and seen.vm is not None:
        spec = replace(seen.source.spec, outgoing=replace(out, cancel=True))
        return [Put(seen.vm, spec, seen.source)], Blocked(Reason.CANCELLED, why)
    if seen.source_host is not None and not seen.source_host.reachable:
        message = f"{why}; host {seen.source_host.name} is not reachable, so nobody knows whether the guest has left it"
        return [], Blocked(Reason.HOST_DOWN, message)
    return [], Blocked(Reason.CANCELLED, f"{why}; the guest's host is giving up the move")


def _undone(migration: Migration, seen: Seen, target: Instance) -> Plan:
    """The target is deleted for good, so the source may go on; what is left there goes in its own time."""
    rest = _cleared(target)
    if (stay := _stay(migration, seen)) is not None:
        return [*rest, stay], Blocked(Reason.CANCELLED, migration.status.called_off)
    return rest, _verdict(migration, migration.status.called_off)


def _stay(migration: Migration, seen: Seen) -> Put | None:
    if seen.leaving(migration.meta.uid) is None or seen.vm is None or seen.source is None:
        return None
    return Put(seen.vm, replace(seen.source.spec, outgoing=None), seen.source)


def _after(migration: Migration, seen: Seen) -> list[Action]:
    """It has ended: a target that was given up is seen to its end, and only then does the Migration go.

    One that was not seen when it was given up, or made by somebody who had not heard of that, is cleared too."""
    target, moved = seen.target, holds(migration.status.conditions, Type.SUCCEEDED)
    stay = None if moved or (target is not None and not target.meta.deleting) else _stay(migration, seen)
    if target is not None and target.spec.incoming is not None and not target.spec.incoming.committed:
        return [*_cleared(target), *([stay] if stay else [])]
    if stay is not None:
        return [stay]
    if migration.meta.deleting and FINALIZER in migration.meta.finalizers:
        return [Unprotect(migration)]
    return []


def _cleared(target: Instance) -> list[Action]:
    if not target.meta.deleting:
        return [Remove(target)]
    if holds(target.status.conditions, Type.RELEASED) and FINALIZER in target.meta.finalizers:
        return [LetGo(target)]
    return []


def _verdict(migration: Migration, why: str) -> Outcome:
    asked = migration.spec.cancel or migration.meta.deleting or why.startswith("cancelled")
    return Rejected(Reason.CANCELLED if asked else Reason.FAILED, f"the guest stays where it is: {why}")


def _ref(migration: Migration) -> ObjectRef:
    return replace(migration.ref, namespace="", kind="")
