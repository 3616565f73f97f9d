"""Sums up a VirtualMachine's status: Compute is its only writer (see ADR 0002)."""

from __future__ import annotations

from operators.compute import grace, passwords, reinstall, restarts, waiting
from operators.compute.model import VM, Seen
from operators.compute.resolve import differences, instance_spec, unusable
from operators.compute.sizes import refusal
from operators.contract.compute import NicStatus, Power, VirtualMachineStatus
from operators.contract.instances import InstanceStatus
from operators.contract.meta import Condition, condition
from operators.contract.reasons import ON_THE_WAY, Reason, Type
from operators.kernel.outcome import Blocked, Done, Outcome, Rejected


def status(vm: VM, seen: Seen, outcome: Outcome) -> VirtualMachineStatus:
    """All fields but the conditions."""
    instance, before = seen.instance, vm.status
    if instance is None:
        return VirtualMachineStatus(
            phase=phase(vm, seen, outcome),
            addresses=_addresses(seen),
            nics=_nics(seen),
            reboot_observed=before.reboot_observed,
            reset_observed=before.reset_observed,
            reinstall_observed=reinstall.observed(vm, seen),
            password_observed=before.password_observed,
            password_secret=before.password_secret,
            destroyed_at=grace.since(vm, seen),
            restarts=before.restarts,
        )
    told = instance.status
    return VirtualMachineStatus(
        phase=phase(vm, seen, outcome),
        host_name=instance.spec.host_name,
        instance=instance.meta.name,
        addresses=_addresses(seen),
        nics=_nics(seen),
        reboot_observed=max(before.reboot_observed, told.reboot_observed),
        reset_observed=max(before.reset_observed, told.reset_observed),
        reinstall_observed=reinstall.observed(vm, seen),
        password_observed=passwords.taken(vm, instance),
        password_secret=passwords.told(vm, instance),
        guest=told.guest if told.power in (Power.RUNNING, Power.PAUSED) else None,
        started_at=told.started_at if told.power in (Power.RUNNING, Power.PAUSED) else "",
        destroyed_at=grace.since(vm, seen),
        restarts=max(before.restarts, restarts.kept(instance.meta.annotations).total),
    )


def conditions(vm: VM, seen: Seen, outcome: Outcome) -> tuple[Condition, ...]:
    """One condition per concern; the kernel adds `Ready` and its family."""
    out = [_scheduled(seen, outcome), _volumes(seen), _network(seen), _instance(seen, outcome)]
    if (changed := restart_required(vm, seen)) is not None:
        out.append(changed)
    if seen.moving:
        out.append(Condition(Type.MIGRATING, "True", Reason.MIGRATING, f"to host {seen.moving}"))
    return tuple(out)


def _scheduled(seen: Seen, outcome: Outcome) -> Condition:
    if seen.instance is not None and not seen.instance.meta.deleting:
        return Condition(Type.SCHEDULED, "True", Reason.AS_SPECIFIED, f"on host {seen.instance.spec.host_name}")
    return Condition(Type.SCHEDULED, "False", outcome.reason, outcome.message)


def _volumes(seen: Seen) -> Condition:
    lacks = (unusable(volume) for volume in seen.volumes) if seen.instance is None else ()
    return _of(Type.VOLUMES_READY, next(filter(None, lacks), None) or waiting.volumes(seen))


def _network(seen: Seen) -> Condition:
    return _of(Type.NETWORK_READY, waiting.ports(seen))


def _of(type_: Type, trouble: Blocked | None) -> Condition:
    if trouble is None:
        return Condition(type_, "True", Reason.AS_SPECIFIED)
    return Condition(type_, "False", trouble.reason, trouble.message)


def _instance(seen: Seen, outcome: Outcome) -> Condition:
    if seen.instance is None:
        return Condition(Type.INSTANCE_READY, "False", outcome.reason, "it has no Instance")
    realised = condition(seen.instance.status.conditions, Type.REALISED)
    if seen.host is not None and not seen.host.reachable:
        return Condition(Type.INSTANCE_READY, "Unknown", Reason.HOST_DOWN, f"host {seen.host.name} is not reachable")
    if realised is None:
        return Condition(Type.INSTANCE_READY, "False", Reason.STARTING, "its host has not taken it up yet")
    return Condition(Type.INSTANCE_READY, realised.status, realised.reason, realised.message)


def restart_required(vm: VM, seen: Seen) -> Condition | None:
    """What was changed in the spec that a running guest does not have, if anything: it is never silently ignored."""
    instance = seen.instance
    if instance is None or seen.offering is None or instance.spec.power is not Power.RUNNING or vm.meta.deleting:
        return None
    asked = instance_spec(vm, seen.offering, seen, instance.spec.host_name, instance.spec.start_request)
    if (why := refusal(vm, seen.offering)) != "":
        return Condition(Type.RESTART_REQUIRED, "True", Reason.INVALID, f"the guest keeps its size: {why}")
    changed = differences(instance.spec, asked)
    if passwords.waits_for_start(vm, instance):
        changed = ", ".join(
            filter(None, (changed, "a new password (which its guest agent, if it has one, did not set)"))
        )
    if not changed:
        return None
    message = f"set spec.runPolicy to Stopped and then to Running to have: {changed}"
    return Condition(Type.RESTART_REQUIRED, "True", Reason.RESTART_REQUIRED, message)


_AS_ASKED = (Reason.STOPPED, Reason.PAUSED, Reason.DESTROYED)
_PHASES = {
    Reason.STOPPING: "Stopping",
    Reason.STARTING: "Starting",
    Reason.ATTACHING: "Running",
    Reason.DETACHING: "Running",
    Reason.DETACH_REFUSED: "Running",
    Reason.CRASHED: "Crashed",
    Reason.DELETING: "Provisioning",
    Reason.NO_HOST_FITS: "Pending",
    Reason.LIMIT_EXCEEDED: "Pending",
}


def phase(vm: VM, seen: Seen, outcome: Outcome) -> str:
    """One word for `kubectl get`; nothing reads it."""
    if vm.meta.deleting:
        return "Deleting"
    if seen.moving:
        return "Migrating"
    if isinstance(outcome, Done):
        return str(outcome.reason) if outcome.reason in _AS_ASKED else "Running"
    if known := _PHASES.get(Reason(outcome.reason)) if outcome.reason in tuple(Reason) else None:
        return known
    if isinstance(outcome, Rejected):
        return "Error"
    if outcome.reason in ON_THE_WAY:
        return "Provisioning" if seen.instance is not None else "Scheduling"
    if seen.instance is None:
        return "Pending"
    return "Error" if isinstance(outcome, Blocked) else "Provisioning"


def _addresses(seen: Seen) -> tuple[str, ...]:
    ordered = sorted(seen.ports, key=lambda port: not port.default)
    return tuple(port.ip for port in ordered if port.ip)


def _nics(seen: Seen) -> tuple[NicStatus, ...]:
    """Those that are asked for, then those that the guest has yet to let go of."""
    told = seen.instance.status if seen.instance is not None else InstanceStatus()
    has = {nic.port: nic for nic in told.nics}
    asked = tuple(
        NicStatus(
            port.nic,
            port.network,
            port.name,
            port.mac,
            (port.ip,) if port.ip else (),
            port.default,
            has[port.name].device if port.name in has else "",
        )
        for port in seen.ports
    )
    names_ = {port.name for port in seen.ports}
    going = (nic for nic in told.nics if nic.port not in names_)
    return (*asked, *(NicStatus(port=nic.port, mac=nic.mac, device=nic.device) for nic in going))
