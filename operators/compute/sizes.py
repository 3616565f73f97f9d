"""How large a virtual machine is to be: its offering's size, or its own where the offering is a custom one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from operators.compute.model import VM
from operators.contract.compute import ComputeOfferingSpec, Power
from operators.contract.instances import InstanceSpec
from operators.contract.quantity import Quantity


@dataclass(frozen=True, slots=True)
class Size:
    """What a guest gets."""

    cpus: int
    memory: Quantity
    max_cpus: int
    """Up to how many processors it can have without a restart."""


def refusal(vm: VM, offering: ComputeOfferingSpec) -> str:
    """Why the offering cannot give the size that the virtual machine asks for; empty when it can."""
    spec, custom = vm.spec, offering.custom
    if custom is None:
        if spec.cpus or spec.memory is not None:
            return (
                f"ComputeOffering {spec.offering} is of one size: take cpus and memory out, or name a custom offering"
            )
        return ""
    size = _asked(vm, offering)
    if not custom.min_cpus <= size.cpus <= custom.max_cpus:
        few, many = custom.min_cpus, custom.max_cpus
        return f"ComputeOffering {spec.offering} gives {few} to {many} CPUs, and {size.cpus} are asked for"
    if not custom.min_memory <= size.memory <= custom.max_memory:
        least, most = custom.min_memory, custom.max_memory
        return f"ComputeOffering {spec.offering} gives {least} to {most} of memory, and {size.memory} is asked for"
    return ""


def size_of(vm: VM, offering: ComputeOfferingSpec) -> Size:
    """The size it is to have; the offering's own where what it asks for is refused."""
    if refusal(vm, offering):
        return Size(offering.cpus, offering.memory, offering.cpus)
    return _asked(vm, offering)


def _asked(vm: VM, offering: ComputeOfferingSpec) -> Size:
    cpus, memory = vm.spec.cpus or offering.cpus, vm.spec.memory or offering.memory
    return Size(cpus, memory, max(cpus, offering.custom.max_cpus) if offering.custom else cpus)


def live(vm: VM, offering: ComputeOfferingSpec | None, now: InstanceSpec) -> InstanceSpec:
    """The Instance with all that a running guest can be given of what its virtual machine asks for.

    Processors come, up to the number that its domain was started with room for; memory goes to and from the balloon, up
    to what it was started with; the rate of its NICs changes at once. The rest takes a restart: few guests let go of a
    processor when they are asked to.
    """
    if offering is None or now.power is not Power.RUNNING or refusal(vm, offering):
        return now
    size = size_of(vm, offering)
    if now.cpus < size.cpus <= now.most_cpus:
        now = replace(now, cpus=size.cpus)
    if size.memory <= now.most_memory:
        now = replace(now, memory=size.memory)
    if any(nic.rate != offering.network_rate for nic in now.nics):
        now = replace(now, nics=tuple(replace(nic, rate=offering.network_rate) for nic in now.nics))
    return now
