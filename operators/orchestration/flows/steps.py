"""Where each step of a Flow is, read off the objects that it waits for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from operators.contract import names
from operators.contract.compute import Power, RunPolicy
from operators.contract.meta import Condition, Obj, condition
from operators.contract.orchestration import Operation, StepState
from operators.contract.reasons import ON_THE_WAY, Reason, Type
from operators.orchestration.flows.model import Instance, Seen, StepNow
from operators.orchestration.record import VM, Flow, intent_of

NETWORK, STORAGE, COMPUTE = "network", "storage", "compute"
COMPONENT_OF = {NETWORK: "networking", STORAGE: "storage", COMPUTE: "compute"}


def steps_of(flow: Flow, seen: Seen) -> tuple[StepNow, ...]:
    """The steps of a Flow in the order in which people read them; those of one making run side by side."""
    if flow.spec.operation is Operation.DESTROY:
        return _destroying(seen)
    vm = seen.vm
    if vm is None:
        return ()
    power = compute(flow, vm, seen.instances)
    if flow.spec.operation in (Operation.STOP, Operation.REBOOT):
        return (power,)
    return (_settled(network(vm, seen), power), _settled(storage(vm, seen), power), power)


def network(vm: VM, seen: Seen) -> StepNow:
    """All Ports are bound and programmed."""
    waits = [_waiting(NETWORK, name, seen.ports.get(name), "Port", seen) for name in port_names(vm)]
    return _first(NETWORK, waits, "the virtual machine has no network interface")


def storage(vm: VM, seen: Seen) -> StepNow:
    """All Volumes are there with their data."""
    waits = []
    if vm.spec.image:
        name = vm.spec.root_of(vm.meta.name)
        waits.append(_waiting(STORAGE, name, seen.roots.get(name), "Volume", seen))
    for name, volume in seen.volumes.items():
        if volume is None:
            missing = f"there is no Volume {name} in this namespace: make one, or take it out of the spec"
            waits.append(_step(STORAGE, StepState.BLOCKED, f"Volume/{name}", Reason.VOLUME_NOT_FOUND, missing))
        else:
            waits.append(_waiting(STORAGE, name, volume, "Volume", seen))
    return _first(STORAGE, waits, "the virtual machine has no disk")


def compute(flow: Flow, vm: VM, instances: Sequence[Instance]) -> StepNow:
    """The guest is as the operation wants it, and Compute says so of the generation that the Flow is about."""
    where = f"VirtualMachine/{vm.meta.name}"
    operation = flow.spec.operation
    ready = condition(vm.status.conditions, Type.READY)
    if operation in (Operation.DEPLOY, Operation.REINSTALL):
        # It follows the spec, even one that changed on the way.
        policy, generation = vm.spec.wanted, vm.meta.generation
    else:
        policy = RunPolicy.STOPPED if operation is Operation.STOP else RunPolicy.RUNNING
        generation = flow.spec.target_generation
    asked = intent_of(flow)
    if operation is Operation.REINSTALL and asked and vm.status.reinstall_observed < asked.reinstall_request:
        if ready is not None and not ready.true and ready.observed_generation >= generation:
            return _told(COMPUTE, where, ready, vm)
        return _step(COMPUTE, StepState.RUNNING, where, Reason.PROGRESSING, "it is to get its new root disk")
    if policy is RunPolicy.STOPPED:
        if vm.status.observed_generation >= generation and all(map(_stopped, instances)):
            state = StepState.SKIPPED if operation is Operation.DEPLOY else StepState.DONE
            return _step(COMPUTE, state, where, Reason.STOPPED, "its run policy is Stopped")
        return _step(COMPUTE, StepState.RUNNING, where, Reason.STOPPING, "the guest is being stopped")
    running = any(instance.status.power in (Power.RUNNING, Power.PAUSED) for instance in instances)
    if ready is not None and ready.true and ready.observed_generation >= generation and running:
        if operation is Operation.REBOOT and asked and vm.status.reboot_observed < asked.reboot_request:
            return _step(COMPUTE, StepState.RUNNING, where, Reason.STARTING, "the guest is being rebooted")
        return _step(COMPUTE, StepState.DONE, where, since=ready.last_transition_time)
    if ready is not None and not ready.true:
        return _told(COMPUTE, where, ready, vm)
    return _step(COMPUTE, StepState.RUNNING, where, Reason.STARTING, "the guest is being started")


def _stopped(instance: Instance) -> bool:
    spoken = instance.status.observed_generation >= instance.meta.generation
    return (
        instance.spec.power is Power.STOPPED and spoken and instance.status.power not in (Power.RUNNING, Power.PAUSED)
    )


def port_names(vm: VM) -> tuple[str, ...]:
    """The Ports of a VirtualMachine, in the order of its NICs."""
    return tuple(names.port(vm.meta.name, nic.name) for nic in vm.spec.interfaces)


def _destroying(seen: Seen) -> tuple[StepNow, ...]:
    guest = _leaving(COMPUTE, "Instance", seen.instances, "the guest is being taken off its host")
    rest: tuple[StepNow, ...] = (
        _leaving(NETWORK, "Port", seen.ports.values(), "the port is being freed"),
        _leaving(STORAGE, "Volume", seen.roots.values(), "the root disk is being freed"),
    )
    if guest.state is not StepState.DONE:
        rest = tuple(_step(step.name, StepState.PENDING, step.object) for step in rest)
    return (guest, *rest)


def _leaving(name: str, kind: str, objects: Iterable[Obj[Any, Any]], message: str) -> StepNow:
    left = sorted(objects, key=lambda obj: obj.meta.name)
    if not left:
        return _step(name, StepState.DONE)
    where = f"{kind}/{left[0].meta.name}"
    for type_ in (Type.RELEASED, Type.READY):
        told = condition(left[0].status.conditions, type_)
        if left[0].meta.deleting and told is not None and not told.true and told.message:
            return _told(name, where, told, left[0])
    return _step(name, StepState.RUNNING, where, Reason.DELETING, message)


def _waiting(name: str, object_: str, obj: Obj[Any, Any] | None, kind: str, seen: Seen) -> StepNow:
    """The step's view of one object that is to become ready."""
    where = f"{kind}/{object_}"
    if where in seen.taken:
        return _step(
            name,
            StepState.BLOCKED,
            where,
            Reason.NAME_TAKEN,
            f"{where} belongs to somebody else: delete it, or name the virtual machine otherwise",
        )
    if obj is None:
        return _step(name, StepState.PENDING, where, Reason.PROGRESSING, f"{where} is to be made")
    ready = condition(obj.status.conditions, Type.READY)
    if obj.meta.deleting:
        return _step(name, StepState.RUNNING, where, Reason.DELETING, f"{where} is being deleted")
    if ready is None:
        return _step(name, StepState.RUNNING, where, message=f"{where} is being looked at")
    if ready.true:
        return _step(name, StepState.DONE, where, since=ready.last_transition_time)
    return _told(name, where, ready, obj)


def _told(name: str, where: str, told: Condition, obj: Obj[Any, Any]) -> StepNow:
    state = StepState.RUNNING if told.reason in ON_THE_WAY else StepState.BLOCKED
    stalled = condition(obj.status.conditions, Type.STALLED)
    return _step(name, state, where, told.reason, told.message, final=stalled is not None and stalled.true)


def _first(name: str, waits: Sequence[StepNow], nothing: str) -> StepNow:
    """One step for several objects: the one that holds it up most; when all are done, the one that was last."""
    if not waits:
        return _step(name, StepState.SKIPPED, message=nothing)
    for state in (StepState.BLOCKED, StepState.PENDING, StepState.RUNNING):
        for step in waits:
            if step.state is state:
                return step
    return max(waits, key=lambda step: step.since)


def _settled(step: StepNow, power: StepNow) -> StepNow:
    """What Compute's step implies for another, whose own word may come a moment later.

    A virtual machine that is Ready has its disks and ports, if they are its own. One that is to stay stopped needs no
    more than that its objects were made and nothing is wrong with them; a Port that waits for a host says nothing."""
    if power.state is StepState.DONE:
        implied = step.state in (StepState.RUNNING, StepState.BLOCKED) and step.reason != Reason.NAME_TAKEN
    else:
        implied = power.state is StepState.SKIPPED and step.state is StepState.RUNNING
    return _step(step.name, StepState.DONE, step.object, since=power.since) if implied else step


def _step(
    name: str,
    state: StepState,
    where: str = "",
    reason: str = "",
    message: str = "",
    *,
    since: str = "",
    final: bool = False,
) -> StepNow:
    return StepNow(name, COMPONENT_OF[name], state, where, reason, message, since, final)
