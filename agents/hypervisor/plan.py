"""Decides the next steps that bring one Instance's domain closer to what is asked for."""

from __future__ import annotations

from dataclasses import replace

from agents.hypervisor import hotplug, migration, nicplug
from agents.hypervisor.driver import DiskDevice, Domain, DomainSpec, NicDevice, Record
from agents.hypervisor.model import (
    Action,
    AskToEnd,
    Clear,
    CutPower,
    Hold,
    Instance,
    Keep,
    Part,
    Release,
    Resize,
    Resume,
    Resurrect,
    Seen,
    SetPassword,
    Start,
    Suspend,
    Unpause,
    Wanted,
    WriteSeed,
)
from operators.contract.compute import BootDevice, Power
from operators.contract.reasons import Reason
from operators.kernel.outcome import Blocked, Done, Outcome, Retry

PATIENCE = 2.0
"""Seconds for which something may be on its way before the status says so: a deploy then costs one write."""
PATIENCE_WITH_LIBVIRT = 5.0
"""The same for a hypervisor that does not answer: libvirtd restarts in less, and no guest notices."""
ASK_AGAIN = 5.0
"""Seconds between reminders; a guest that is still booting does not hear the first."""
RESUME_AGAIN = 30.0
PASSWORD_AGAIN = 300.0
"""Seconds until a guest's agent that did not set a password is asked again."""
HELD = 0.5
"""Seconds between looks at a guest that stands still while its memory is written down."""

Plan = tuple[list[Action], Outcome]


def plan(want: Wanted, seen: Seen) -> Plan:
    """Decide the next steps for one Instance. An outcome with `after=0` asks to look again at what was just done."""
    if seen.trouble:
        return [], _patient(seen, Reason.HYPERVISOR_ERROR, seen.trouble)
    if want.instance.meta.deleting:
        return _end(want, seen)
    if migration.expects(want.instance):
        return migration.receive(want, seen)
    if want.instance.spec.outgoing is not None:
        return migration.send(want, seen)
    domain = seen.domain
    if domain is not None and domain.active and domain.record is not None and domain.record.held:
        return _held(want, domain, domain.record, seen)
    if domain is not None and domain.active:
        if want.instance.spec.power is Power.RUNNING and _reset_due(want, domain.record):
            return [CutPower(want.uuid)], Retry(Reason.STARTING, "the guest is being reset", 0.0)
        if want.instance.spec.power is Power.STOPPED or _reboot_due(want, domain.record):
            return _stop(want, seen)
        return _keep(want, domain, seen)
    if want.instance.spec.power is Power.STOPPED:
        return [], Done(Reason.STOPPED)
    if _start_due(want, seen):
        return _start(want, seen)
    how = (domain.stop_reason if domain else "") or want.instance.status.stop_reason or "Crashed"
    return [], Blocked(Reason.CRASHED if how == "Crashed" else Reason.STOPPED, _ended(how))


def _held(want: Wanted, domain: Domain, record: Record, seen: Seen) -> Plan:
    """A guest that stands still since its memory is written down, or was just brought back."""
    standing = domain.power is Power.PAUSED
    if seen.holding and standing and record.started_at:
        return [], Retry(Reason.CAPTURING, "the guest stands still while its memory is written down", HELD)
    paused = want.instance.spec.paused and want.instance.spec.power is Power.RUNNING
    kept = replace(record, paused=standing and paused)
    return [Release(want.uuid, kept, standing and not paused)], Retry(Reason.STARTING, "the guest goes on", 0.0)


def _end(want: Wanted, seen: Seen) -> Plan:
    """The Instance is deleted: nothing of it may stay on the host."""
    if seen.domain is None and not seen.seed and not seen.console_exists:
        return [], Done(Reason.RELEASED)
    actions: list[Action] = [CutPower(want.uuid)] if seen.domain and seen.domain.active else []
    if seen.unsettled and not actions:
        message = f"Storage has yet to take note that its guest went over to another disk: {', '.join(seen.unsettled)}"
        return [], Blocked(Reason.DELETING, message)
    if seen.unsettled:
        return actions, Retry(Reason.DELETING, "the guest's power is cut", 0.0)
    return [*actions, Clear(want.uuid)], Retry(Reason.DELETING, "the domain is being removed", 0.0)


def _stop(want: Wanted, seen: Seen) -> Plan:
    """Ask first, remind, and cut the power at the deadline. The guest's end is an event that brings us back."""
    if seen.domain and seen.domain.power is Power.PAUSED:
        if seen.domain.record and seen.domain.record.paused:
            again = Retry(Reason.STOPPING, "the guest goes on, so that it can be asked to end", 0.0)
            return [Unpause(want.uuid, seen.domain.record)], again
        return [CutPower(want.uuid)], Retry(Reason.STOPPING, "a paused guest cannot be asked to end", 0.0)
    asked = seen.asked
    if asked is None:
        return [AskToEnd(want.uuid, insist=False)], _stopping(min(ASK_AGAIN, seen.deadline), seen)
    if asked >= seen.deadline:
        return [CutPower(want.uuid)], Retry(Reason.STOPPING, "the guest did not end in time: its power is cut", 0.0)
    if asked >= ASK_AGAIN:
        return [AskToEnd(want.uuid, insist=True)], _stopping(min(ASK_AGAIN, seen.deadline - asked), seen)
    return [], _stopping(min(ASK_AGAIN, seen.deadline) - asked, seen)


def _stopping(after: float, seen: Seen) -> Outcome:
    if seen.waited < PATIENCE:
        after = min(after, PATIENCE - seen.waited)
    return Retry(Reason.STOPPING, f"the guest was asked to end and has {seen.deadline:.0f} s for it", after)


def _keep(want: Wanted, domain: Domain, seen: Seen) -> Plan:
    """A guest is there and is to be there."""
    spec, record = want.instance.spec, domain.record
    if domain.power is Power.PAUSED and _moved(want, domain):
        return [Resume(want.uuid)], Retry(Reason.STARTING, "the guest goes on after its move", 0.0)
    mine = record is not None and record.instance == want.instance.meta.uid and record.boot == seen.boot
    if record is None or not mine or not record.started_at or record.start < spec.start_request:
        # It was started by a run that was cut off, or elsewhere, or asked for while it ran: nothing is left to do.
        reboot = spec.reboot_request if record is None else record.reboot
        since = (record.started_at if record else "") or seen.now
        reset = spec.reset_request if record is None else record.reset
        cpus, memory = (spec.cpus, int(spec.memory)) if record is None else (record.cpus, record.memory)
        moved = record.moved if record else ()
        kept = Record(
            want.instance.meta.uid, spec.start_request, reboot, seen.boot, since, reset, cpus, memory, moved=moved
        )
        return [Keep(want.uuid, kept)], Retry(Reason.STARTING, "the guest is there", 0.0)
    if spec.paused and domain.power is Power.RUNNING:
        return [Suspend(want.uuid, record)], Retry(Reason.PAUSED, "the guest is being paused", 0.0)
    if domain.power is Power.PAUSED:
        if spec.paused:
            return [], Done(Reason.PAUSED, "the guest stands still until spec.paused is taken back")
        if record.paused and seen.holding:
            return [], Retry(Reason.CAPTURING, "the guest stands still while its memory is written down", HELD)
        if record.paused:
            return [Unpause(want.uuid, record)], Retry(Reason.STARTING, "the guest goes on", 0.0)
        if domain.pause_reason == "IOError":
            message = "the guest is paused since it could not write to a disk: free space in its pool"
            return [Resume(want.uuid)], Retry(Reason.STORAGE_ERROR, message, RESUME_AGAIN)
        return [], Blocked(Reason.HYPERVISOR_ERROR, "the guest was paused by somebody: `virsh resume` lets it go on")
    if record.paused:  # it was let go on, and the agent was killed before it wrote so
        return [Keep(want.uuid, replace(record, paused=False))], Retry(Reason.STARTING, "the guest goes on", 0.0)
    if (record.cpus, record.memory) != (spec.cpus, int(spec.memory)):
        sized = replace(record, cpus=spec.cpus, memory=int(spec.memory))
        return [Resize(want.uuid, sized)], Retry(Reason.STARTING, "the guest is being given another size", 0.0)
    if seen.holding and domain.power is Power.RUNNING:
        return [Hold(want.uuid, record)], Retry(Reason.CAPTURING, "the guest is to stand still for a moment", 0.0)
    untuned = "its host's libvirt has no cpu cgroup, so the offering's CPU weight and limit have no effect there"
    disks, nics = hotplug.plan(want, domain, seen), nicplug.plan(want, domain, seen)
    actions, outcome = _password(want, seen, [*disks[0], *nics[0]], _both(disks[1], nics[1]))
    if isinstance(outcome, Done) and not seen.tunes:
        return actions, Done(Reason.RUNNING, untuned, outcome.after)
    return actions, outcome


def _both(one: Outcome, other: Outcome) -> Outcome:
    """The outcome of two things that go on side by side: that of the first that is not done, at the sooner time."""
    first, second = (other, one) if isinstance(one, Done) else (one, other)
    if isinstance(first, Done) or not isinstance(second, Retry):
        return first
    times = [each.after for each in (first, second) if isinstance(each, Retry) and each.after is not None]
    return Retry(first.reason, first.message, min(times, default=None))


def _password(want: Wanted, seen: Seen, actions: list[Action], outcome: Outcome) -> Plan:
    """A password that the guest has not taken is set by its own agent, if that is known to answer."""
    password, told = want.instance.spec.password, want.instance.status
    known = max(seen.password_set, told.password_set, told.password_observed or 0)
    if password is None or known >= password.request or told.guest is None or not isinstance(outcome, Done):
        return actions, outcome
    if seen.password_asked is not None and (left := PASSWORD_AGAIN - seen.password_asked) > 0:
        return actions, replace(outcome, after=left)
    return [*actions, SetPassword(want.uuid, password)], Retry(Reason.STARTING, "the guest gets a new password", 0.0)


def _reset_due(want: Wanted, record: Record | None) -> bool:
    return record is not None and record.reset < want.instance.spec.reset_request


def _moved(want: Wanted, domain: Domain) -> bool:
    """Whether a paused guest is one that has just come from another host, or that stayed when it was to leave."""
    strange = domain.record is not None and domain.record.instance != want.instance.meta.uid
    return strange or domain.pause_reason == "Migration"


def _reboot_due(want: Wanted, record: Record | None) -> bool:
    return record is not None and record.reboot < want.instance.spec.reboot_request


def _start_due(want: Wanted, seen: Seen) -> bool:
    """Whether a start was asked for since the last one; a guest that ended by itself is not started again here."""
    record = seen.domain.record if seen.domain else None
    return (
        record is None
        or not record.started_at
        or record.boot != seen.boot
        or record.start < want.instance.spec.start_request
        or record.reboot < want.instance.spec.reboot_request
        or record.reset < want.instance.spec.reset_request
    )


def _start(want: Wanted, seen: Seen) -> Plan:
    spec = want.instance.spec
    actions: list[Action] = []
    if spec.cloud_init is not None and seen.seed != seen.seed_wanted:
        # Written before the disks and ports are ready, so that it costs no time then.
        actions.append(WriteSeed(want.uuid, spec.cloud_init))
    if seen.full:
        message = f"the host has no room for it: {seen.full}; it starts once other guests have ended"
        return actions, Blocked(Reason.HOST_FULL, message)
    if late := [part for part in seen.disks if part.device is None]:
        return actions, _patient(seen, Reason.WAITING_FOR_VOLUMES, _waiting("Disk", late[0].name, late[0].why))
    if late := [part for part in seen.nics if part.device is None]:
        return actions, _patient(seen, Reason.WAITING_FOR_NETWORK, _waiting("PortBinding", late[0].name, late[0].why))
    if seen.hold > 0:
        return actions, Retry(Reason.HYPERVISOR_ERROR, seen.failure, seen.hold)
    if seen.memory is not None:
        return _resurrect(want, seen, seen.memory)
    return [*actions, Start(definition(want, seen))], Retry(Reason.STARTING, "the guest is being started", 0.0)


def _resurrect(want: Wanted, seen: Seen, memory: Part) -> Plan:
    """Once: a guest that has run since would find disks that know nothing of what it remembers."""
    if not isinstance(memory.device, DiskDevice):
        return [], _patient(seen, Reason.WAITING_FOR_VOLUMES, _waiting("DiskSnapshot", memory.name, memory.why))
    back = Retry(Reason.STARTING, "the guest is brought back to where it stood", 0.0)
    return [Resurrect(definition(want, seen), memory.device.path)], back


def remembers(instance: Instance, record: Record | None) -> bool:
    """Whether the start that is due is the one which brings memory back, and it has not come about yet."""
    kept = instance.spec.resume_from
    if kept is None or instance.spec.start_request != kept.start or instance.status.start_observed >= kept.start:
        return False
    return record is None or record.start < kept.start or (record.start == kept.start and not record.started_at)


def definition(want: Wanted, seen: Seen) -> DomainSpec:
    """The domain, once all of its parts are ready."""
    spec = want.instance.spec
    return DomainSpec(
        uuid=want.uuid,
        name=spec.domain,
        cpus=spec.cpus,
        memory=int(spec.memory),
        cpu_weight=spec.cpu_weight,
        record=Record(
            want.instance.meta.uid,
            spec.start_request,
            spec.reboot_request,
            seen.boot,
            reset=spec.reset_request,
            cpus=spec.cpus,
            memory=int(spec.memory),
            moved=hotplug.moved(seen),
        ),
        max_cpus=spec.most_cpus,
        cpu_limit=spec.cpu_limit,
        disks=hotplug.at_start(seen),
        boots_cdrom=spec.boot_from is BootDevice.CDROM,
        nics=tuple(part.device for part in seen.nics if isinstance(part.device, NicDevice)),
        seed=seen.seed_path if spec.cloud_init else "",
        console=seen.console_path,
    )


def _waiting(kind: str, name: str, why: str) -> str:
    return f"waiting for {kind} {name}" + (f": {why}" if why else "")


def _ended(how: str) -> str:
    ends = {
        "Shutdown": "the guest shut itself down",
        "Destroyed": "the guest's power was cut on the host",
        "Crashed": "the guest crashed, or its QEMU was killed: see its console log",
    }
    return ends.get(how, "the guest ended")


def _patient(seen: Seen, reason: str, message: str) -> Outcome:
    """Blocked, once that has lasted long enough for the status to say so."""
    left = _patience(reason) - seen.waited
    return Retry(reason, message, left) if left > 0 else Blocked(reason, message)


def _patience(reason: str) -> float:
    return PATIENCE_WITH_LIBVIRT if reason == Reason.HYPERVISOR_ERROR else PATIENCE


def silent(outcome: Outcome, seen: Seen) -> bool:
    """Whether the status need not say this (yet): something is on its way and has not been for long."""
    return isinstance(outcome, Retry) and (
        outcome.after == 0 or (outcome.reason in _BRIEF and seen.waited < _patience(outcome.reason))
    )


_BRIEF = frozenset(
    {
        Reason.STOPPING,
        Reason.STARTING,
        Reason.CAPTURING,
        Reason.ATTACHING,
        Reason.DETACHING,
        Reason.MOVING,
        Reason.HYPERVISOR_ERROR,
        Reason.WAITING_FOR_VOLUMES,
        Reason.WAITING_FOR_NETWORK,
    }
)
