"""What a virtual machine does while a VirtualMachineSnapshot is brought back into its disks.

Without memory it has been stopped, and is not started. With memory it is to run: its power is cut, its disks come back,
and it is started with the size that it had then, to go on from where it was.
"""

from __future__ import annotations

from dataclasses import replace

from operators.compute.model import VM, Instance, Seen
from operators.compute.resolve import instance_spec, missing, need
from operators.compute.scheduler import choose
from operators.contract.compute import Power, RunPolicy
from operators.contract.instances import InstanceSpec, KeptMemory
from operators.contract.quantity import Duration
from operators.contract.reasons import Reason
from operators.kernel.outcome import Blocked

NOW = Duration(0)
"""What its guest wrote since then is given up, so it is not asked to end first."""


def cut(vm: VM, seen: Seen) -> bool:
    """Whether its guest is to end, since it comes back as it was."""
    back, instance = seen.reverting, seen.instance
    if back is None or instance is None or instance.meta.deleting or vm.spec.wanted is RunPolicy.STOPPED:
        return False
    return back.memory and not back.start and instance.spec.power is Power.RUNNING


def waits(vm: VM, seen: Seen) -> Blocked | None:
    """Why it is not started; None where that is not what keeps it."""
    back, instance = seen.reverting, seen.instance
    off = instance is None or instance.spec.power is not Power.RUNNING
    if back is None or not off or vm.spec.wanted is RunPolicy.STOPPED or due(seen):
        return None
    message = (
        f"VirtualMachineSnapshot {back.name} is being brought back, and it starts once that is done; should that not "
        "end, its condition Reverted says why"
    )
    return Blocked(Reason.REVERTING, message)


def due(seen: Seen) -> bool:
    """Whether the start is due that brings the memory back."""
    back, instance = seen.reverting, seen.instance
    return back is not None and instance is not None and back.memory and instance.spec.start_request < back.start


def resumed(vm: VM, seen: Seen, instance: Instance) -> InstanceSpec | Blocked:
    """The Instance with which the guest goes on from where it was, on the host where its memory lies."""
    if (lack := missing(vm, seen)) is not None:
        return lack
    back, here = seen.reverting, instance.spec.host_name
    assert seen.offering is not None and back is not None and back.guest is not None
    had = back.guest
    most = max(int(had.memory), int(had.max_memory or 0))
    room = replace(need(vm, seen.offering, seen), cpus=had.cpus, memory=most)
    choice = choose(room, [host for host in seen.hosts if host.name == here], seen.policy, prefer=here)
    if choice.host != here:
        return Blocked(Reason.NO_HOST_FITS, f"its memory is on host {here}, which cannot take it now: {choice.message}")
    return replace(
        instance_spec(vm, seen.offering, seen, here, back.start),
        cpus=had.cpus,
        memory=had.memory,
        max_cpus=had.max_cpus,
        max_memory=had.max_memory,
        resume_from=KeptMemory(back.disk_snapshot, back.start),
    )


def forgotten(seen: Seen, instance: Instance) -> bool:
    """Whether the Instance need not say any more where its memory is: it has it, or nobody brings that back."""
    kept = instance.spec.resume_from
    return kept is not None and (instance.status.start_observed >= kept.start or seen.reverting is None)
