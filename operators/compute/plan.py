"""Decides the next steps that bring one VirtualMachine closer to its spec.

No Instance yet → resolve, choose a host, make the Instance. An Instance → its power follows the run policy, and a
guest that ended is started again. Deleting, or a deployment given up → no Instance.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeAlias

from operators.compute import firstboot, grace, limits, passwords, reinstall, restarts, reverting
from operators.compute.model import VM, Action, Ascertain, Instance, LetGo, Put, Remove, Restarts, Seen, Wanted
from operators.compute.resolve import disks, instance_spec, live_disks, missing, need, nics, port_taken, unusable
from operators.compute.scheduler import choose
from operators.compute.sizes import live
from operators.compute.waiting import addresses, hindrance, patient, plugging
from operators.contract import names
from operators.contract.compute import Power, RunPolicy
from operators.contract.instances import InstanceSpec
from operators.contract.meta import condition, holds
from operators.contract.orchestration import Operation
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Done, Outcome, Rejected, Retry

FINALIZER = names.finalizer("compute")

Plan: TypeAlias = tuple[list[Action], Outcome]


def plan(want: Wanted, seen: Seen) -> Plan:
    """Decide the next steps for one VirtualMachine, and how it stands."""
    cleared = [action for instance in seen.orphans for action in _clear(instance, seen, orphan=True)]
    vm = want.vm
    if vm is None:
        return cleared, Done()
    actions, outcome = _plan(vm, seen)
    return [*cleared, *actions], patient(outcome, seen)


def _plan(vm: VM, seen: Seen) -> Plan:
    if vm.meta.deleting:
        return _end(seen, Done(Reason.DELETING, "its guest is gone from its host"))
    if seen.given_up:
        return _end(seen, Rejected(Reason.CANCELLED, seen.given_up))
    if seen.orphans:
        host = seen.orphans[0].spec.host_name
        return [], Blocked(
            Reason.DELETING, f"an earlier virtual machine of this name is being cleared from host {host}"
        )
    actions, outcome = _live(vm, seen)
    if vm.spec.destroyed:
        last, outcome = grace.expire(vm, seen, outcome)
        return [*actions, *last], outcome
    return actions, outcome


def _live(vm: VM, seen: Seen) -> Plan:
    surplus = [action for instance in seen.instances[1:] for action in _clear(instance, seen)]
    if seen.moving:
        return surplus, _moving(vm, seen)
    if (waits := reverting.waits(vm, seen)) is not None:
        return surplus, waits
    if seen.instance is None:
        return _make(vm, seen)
    actions, outcome = _keep(vm, seen, seen.instance)
    return [*surplus, *actions], outcome


def _moving(vm: VM, seen: Seen) -> Outcome:
    """The guest moves to another host. Whatever is asked of it meanwhile makes its Migration give that up first."""
    if seen.instance is not None and seen.instance.status.power == Power.RUNNING:
        _, outcome = _running(vm, seen, seen.instance)
        if isinstance(outcome, Done) and vm.spec.wanted is not RunPolicy.STOPPED:
            return outcome
    return Blocked(Reason.MIGRATING, f"the guest moves to host {seen.moving}")


def _end(seen: Seen, outcome: Outcome) -> Plan:
    """There is to be no Instance."""
    if not seen.instances:
        return [], outcome
    actions = [action for instance in seen.instances for action in _clear(instance, seen)]
    host = seen.instances[0].spec.host_name
    if seen.host is not None and not seen.host.reachable:
        return actions, Blocked(Reason.HOST_DOWN, f"host {host} is not reachable; it clears up when it is back")
    return actions, Blocked(Reason.DELETING, f"host {host} is clearing up")


def _clear(instance: Instance, seen: Seen, *, orphan: bool = False) -> list[Action]:
    if not instance.meta.deleting:
        return [Remove(instance, orphan)]
    if instance.meta.name in seen.untaken and not orphan:
        return []  # the Volume that tells of it wakes us
    if holds(instance.status.conditions, Type.RELEASED) and FINALIZER in instance.meta.finalizers:
        return [LetGo(instance)]
    return []


def _make(vm: VM, seen: Seen) -> Plan:
    """There is no Instance yet."""
    if seen.uncertain is not None:
        return [Ascertain(vm.key, seen.uncertain)], Retry(Reason.PROGRESSING, "the API server did not answer", 0.0)
    if vm.spec.wanted is RunPolicy.STOPPED:
        return [], Done(Reason.STOPPED, "it gets a host when it is first started")
    if (lack := missing(vm, seen)) is not None:
        return [], lack
    if (waits := _first_boot(vm, seen)) is not None:
        return waits
    assert seen.offering is not None
    if much := limits.over(vm, seen.offering, seen.rooms):
        return [], Blocked(Reason.LIMIT_EXCEEDED, much)
    choice = choose(need(vm, seen.offering, seen), seen.hosts, seen.policy, avoid=seen.avoid)
    if not choice.host:
        return [], Blocked(Reason.NO_HOST_FITS, choice.message)
    spec = instance_spec(vm, seen.offering, seen, choice.host, start_request=0)
    flow = names.flow(vm.meta.name, vm.meta.uid, Operation.DEPLOY.value, vm.meta.generation)
    unplaced = tuple(disk for disk in disks(vm, seen) if not disk.bound)
    make = Put(vm, spec, Restarts(total=vm.status.restarts), flow, disks=unplaced)
    return [make], Blocked(Reason.PROVISIONING, f"placed on host {choice.host}")


def _first_boot(vm: VM, seen: Seen) -> Plan | None:
    """What is still to be read or made before a guest can be started; None when nothing is."""
    if (read := firstboot.unread(vm, seen)) is not None:
        return [read], Retry(Reason.PROGRESSING, "its user data is being read", 0.0)
    lack = firstboot.lack(vm, seen)
    return None if lack is None else ([], lack)


def _keep(vm: VM, seen: Seen, instance: Instance) -> Plan:
    """There is an Instance: its power follows the run policy."""
    if instance.meta.deleting:
        host = instance.spec.host_name
        return _clear(instance, seen), Blocked(Reason.DELETING, f"its Instance on host {host} is being replaced")
    running = instance.spec.power is Power.RUNNING
    if vm.spec.wanted is RunPolicy.STOPPED:
        deadline = vm.spec.stop_deadline
        stop: list[Action] = []
        if running:
            off = Power.STOPPED
            stop = [_put(vm, instance, _well(instance), power=off, stop_deadline=deadline, resume_from=None)]
        elif (kept := _at_rest(vm, seen, instance)) != instance.spec and not _unsaid(instance):
            stop = [_put(vm, replace(instance, spec=kept), restarts.kept(instance.meta.annotations))]
        return stop, _stopped(seen, instance)
    if reverting.cut(vm, seen):
        action = _put(vm, instance, _well(instance), power=Power.STOPPED, stop_deadline=reverting.NOW)
        return [action], Blocked(Reason.REVERTING, "its guest's power is cut, as it comes back as it was")
    if (anew := reinstall.due(vm, seen, instance)) is not None:
        return _reinstall(vm, seen, instance, anew)
    return _follow(vm, seen, instance) if running else _start(vm, seen, instance)


def _at_rest(vm: VM, seen: Seen, instance: Instance) -> InstanceSpec:
    """What an Instance lists while its guest is off: what is no longer asked for is free at once."""
    return replace(instance.spec, disks=reinstall.at_rest(vm, seen, instance), nics=nics(seen, instance.spec))


def _reinstall(vm: VM, seen: Seen, instance: Instance, anew: Blocked) -> Plan:
    """Its root disk is to be made anew: the guest is stopped for that once it can be, and goes on until then."""
    if instance.spec.power is not Power.RUNNING:
        return [], anew
    if anew.reason == Reason.STOPPING:
        wait = vm.spec.stop_deadline
        return [_put(vm, instance, _well(instance), power=Power.STOPPED, stop_deadline=wait)], anew
    actions, outcome = _follow(vm, reinstall.meanwhile(vm, seen, instance), instance)
    return actions, anew if isinstance(outcome, Done) else outcome


def _follow(vm: VM, seen: Seen, instance: Instance) -> Plan:
    """What is asked of a guest that is to run."""
    if vm.spec.reboot_request > instance.spec.reboot_request or vm.spec.reset_request > instance.spec.reset_request:
        action = _put(vm, instance, _well(instance), resume_from=None, **_live_wishes(vm))
        return [action], Blocked(Reason.STARTING, "the guest is being rebooted")
    if reverting.forgotten(seen, instance):
        action = _put(vm, instance, restarts.kept(instance.meta.annotations), resume_from=None)
        return [action], Blocked(Reason.PROGRESSING, "its host need not know any more where its memory was kept")
    if _live_wishes(vm) != {name: getattr(instance.spec, name) for name in _live_wishes(vm)}:
        action = _put(vm, instance, restarts.kept(instance.meta.annotations), **_live_wishes(vm))
        return [action], Blocked(Reason.PROGRESSING, "its host is being told of the change")
    has = instance.spec.password
    if has is not None and passwords.taken(vm, instance) >= has.request:
        action = _put(vm, instance, restarts.kept(instance.meta.annotations), password=None)
        return [action], Blocked(Reason.PROGRESSING, "its guest has taken the new password")
    if (handing := passwords.live(vm, seen, instance)) is not None:
        return [handing], Retry(Reason.PROGRESSING, "its guest is being given the new password", 0.0)
    if (resized := _resized(vm, seen, instance)) is not None:
        action = _put(vm, replace(instance, spec=resized), restarts.kept(instance.meta.annotations))
        return [action], Blocked(Reason.PROGRESSING, "its host is being told of the new size")
    return _running(vm, seen, instance)


def _resized(vm: VM, seen: Seen, instance: Instance) -> InstanceSpec | None:
    """The Instance with the size that its running guest can be given now; None when it has it, or there is no room."""
    asked = live(vm, seen.offering, instance.spec)
    if asked == instance.spec:
        return None
    if seen.offering is not None and limits.over(vm, seen.offering, seen.rooms):
        # What it has stays; only what its tenant may not have is not given.
        few, little = min(asked.cpus, instance.spec.cpus), min(asked.memory, instance.spec.memory)
        asked = replace(asked, cpus=few, memory=little)
    if asked.cpus > instance.spec.cpus and seen.offering is not None:
        here = instance.spec.host_name
        room = need(vm, seen.offering, seen)
        # The memory that its balloon gave back was never given to anybody else.
        room = replace(room, cpus=asked.cpus, memory=instance.spec.most_memory)
        if choose(room, [host for host in seen.hosts if host.name == here], seen.policy, prefer=here).host != here:
            asked = replace(asked, cpus=instance.spec.cpus)
    return None if asked == instance.spec else asked


def _live_wishes(vm: VM) -> dict[str, object]:
    """What a guest's host follows while the guest runs, by field of the Instance."""
    spec = vm.spec
    return {
        "paused": spec.paused,
        "stop_deadline": spec.stop_deadline,
        "reboot_request": spec.reboot_request,
        "reset_request": spec.reset_request,
    }


def _stopped(seen: Seen, instance: Instance) -> Outcome:
    status = instance.status
    heard = status.observed_generation >= instance.meta.generation and instance.spec.power is Power.STOPPED
    if heard and status.power in (Power.STOPPED, Power.CRASHED):
        return Done(Reason.STOPPED)
    if seen.host is not None and not seen.host.reachable:
        return _host_down(seen)
    return Blocked(Reason.STOPPING, f"the guest on host {instance.spec.host_name} is being stopped")


def _start(vm: VM, seen: Seen, instance: Instance) -> Plan:
    """A stopped guest is to run: with its present spec, and if its host still has room for it."""
    if reverting.due(seen):
        spec = reverting.resumed(vm, seen, instance)
        if isinstance(spec, Blocked):
            return [], spec
        if (waits := _first_boot(vm, seen)) is not None:
            return waits
        action = _put(vm, replace(instance, spec=spec), _well(instance))
        return [action], Blocked(Reason.STARTING, "the guest is brought back to where it was")
    if (lack := missing(vm, seen)) is not None:
        return [], lack
    if (waits := _first_boot(vm, seen)) is not None:
        return waits
    assert seen.offering is not None
    if much := limits.over(vm, seen.offering, seen.rooms):
        return [], Blocked(Reason.LIMIT_EXCEEDED, much)
    here = instance.spec.host_name
    choice = choose(need(vm, seen.offering, seen), seen.hosts, seen.policy, prefer=here)
    if choice.host == here:
        spec = instance_spec(vm, seen.offering, seen, here, instance.spec.start_request + 1)
        action = _put(vm, replace(instance, spec=spec), _well(instance))
        return [action], Blocked(Reason.STARTING, "the guest is being started")
    if seen.host is not None and not seen.host.reachable:
        return [], _host_down(seen)
    if not choice.host:
        return [], Blocked(Reason.NO_HOST_FITS, choice.message)
    # Another host is another Instance. This one holds nothing but its disks' places, which both hosts reach.
    return [Remove(instance)], Blocked(Reason.DELETING, f"host {here} has no room left: it moves to {choice.host}")


def _unsaid(instance: Instance) -> bool:
    """Whether a guest has moved there whose new host has said nothing of it yet.

    A Volume that its Instance no longer lists would be taken for free, while nobody says that the guest still has it.
    """
    incoming = instance.spec.incoming
    return incoming is not None and incoming.committed and not instance.status.power


def _running(vm: VM, seen: Seen, instance: Instance) -> Plan:
    """The guest was asked to run."""
    spec, status = instance.spec, instance.status
    if seen.host is not None and not seen.host.reachable:
        return [], _host_down(seen)
    now = replace(spec, disks=live_disks(seen, spec), nics=nics(seen, spec))
    if now != spec:
        if _unsaid(instance):
            unsaid = f"host {spec.host_name} has yet to say which Volumes and NICs its guest came with"
            return [], Blocked(Reason.ATTACHING, unsaid)
        action = _put(vm, replace(instance, spec=now), restarts.kept(instance.meta.annotations))
        what = "Volumes" if now.nics == spec.nics else "NICs"
        return [action], Blocked(Reason.ATTACHING, f"host {spec.host_name} is told of its {what}")
    heard = (
        status.start_observed >= spec.start_request
        and status.reboot_observed >= spec.reboot_request
        and status.reset_observed >= spec.reset_request
    )
    realised = condition(status.conditions, Type.REALISED)
    if heard and status.power == Power.RUNNING and realised is not None and realised.true:
        lack = next(filter(None, (unusable(volume, spec.host_name) for volume in seen.volumes)), None)
        return [], lack or port_taken(seen) or hindrance(seen) or plugging(seen) or addresses(seen) or Done(
            Reason.RUNNING
        )
    if heard and spec.paused and status.power == Power.PAUSED and realised is not None and realised.true:
        return [], Done(Reason.PAUSED, realised.message)
    if refused(instance) and missing(vm, seen) is None and spec.resume_from is None:
        return _elsewhere(vm, seen, instance)
    ended = heard and bool(status.started_at) and status.power in (Power.STOPPED, Power.CRASHED)
    if ended and realised is not None and realised.reason in (Reason.CRASHED, Reason.STOPPED):
        if vm.spec.run_policy is RunPolicy.RERUN_ON_FAILURE and status.stop_reason == "Shutdown":
            return [], Done(Reason.STOPPED, f"{realised.message}; raise spec.rebootRequest by one to start it again")
        return _again(vm, seen, instance, realised.message)
    return [], hindrance(seen) or _starting(instance)


def refused(instance: Instance) -> bool:
    """Whether its host says that it has no room for the guest: two schedulers overlapped, or a write came late."""
    realised = condition(instance.status.conditions, Type.REALISED)
    return (
        realised is not None
        and realised.reason == Reason.HOST_FULL
        and realised.observed_generation >= instance.meta.generation
        and instance.spec.power is Power.RUNNING
    )


def _elsewhere(vm: VM, seen: Seen, instance: Instance) -> Plan:
    """The guest goes to another host, if its disks can be had there; otherwise it waits for room where it is."""
    assert seen.offering is not None
    here = instance.spec.host_name
    others = [host for host in seen.hosts if host.name != here]
    choice = choose(need(vm, seen.offering, seen), others, seen.policy)
    if choice.host:
        message = f"host {here} has no room for it after all: it goes to {choice.host}"
        return [Remove(instance, refused=True)], Blocked(Reason.DELETING, message)
    realised = condition(instance.status.conditions, Type.REALISED)
    why = realised.message if realised else ""
    return [], Blocked(Reason.HOST_FULL, f"on host {here}: {why}; of the others {choice.message}")


def _again(vm: VM, seen: Seen, instance: Instance, why: str) -> Plan:
    """The guest ended by itself: start it again, at once or when its back-off has passed."""
    at, counters = restarts.due(instance)
    if seen.now >= at:
        action = _put(vm, instance, counters, start_request=instance.spec.start_request + 1)
        return [action], Blocked(Reason.STARTING, f"{why}; it is being started again")
    clock = datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")
    message = f"{why}; it is started again at {clock} (restart {counters.total})"
    return [], Retry(Reason.CRASHED, message, at - seen.now)


def _starting(instance: Instance) -> Outcome:
    realised = condition(instance.status.conditions, Type.REALISED)
    told = realised is not None and not realised.true and realised.observed_generation >= instance.meta.generation
    if told and realised is not None and realised.reason not in (Reason.STOPPED, Reason.CRASHED):
        return Blocked(realised.reason, f"on host {instance.spec.host_name}: {realised.message}")
    return Blocked(Reason.STARTING, f"host {instance.spec.host_name} is starting the guest")


def _host_down(seen: Seen) -> Outcome:
    assert seen.host is not None
    said = f": {seen.host.message}" if seen.host.message else ""
    return Blocked(
        Reason.HOST_DOWN,
        f"host {seen.host.name} is not reachable, so nobody knows whether its guests run, and they are not started "
        f"elsewhere{said}",
    )


def _put(vm: VM, instance: Instance, counters: Restarts, **change: object) -> Put:
    spec: InstanceSpec = replace(instance.spec, **change)  # type: ignore[arg-type]
    return Put(vm, spec, counters, instance.meta.labels.get(names.LABEL_FLOW, ""), instance.meta)


def _well(instance: Instance) -> Restarts:
    """The counters once somebody takes the guest in hand: the next end counts as the first."""
    return replace(restarts.kept(instance.meta.annotations), in_a_row=0)
