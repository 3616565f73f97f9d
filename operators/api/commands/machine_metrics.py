"""Virtual machines with how busy they are."""

from __future__ import annotations

from dataclasses import dataclass, fields

from operators.api.call import Call, listing
from operators.api.cloud import VM
from operators.api.commands.machines import IGNORED, REFUSED, ListVirtualMachines, machines
from operators.api.declare import Answer, command
from operators.api.responses.virtualmachine import VirtualMachineResponse, virtual_machine
from operators.api.wire import Long


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsResponse(VirtualMachineResponse):
    """A virtual machine, and how busy it is. What nobody measured is absent."""

    cpuused: str | None
    memorytotal: str | None
    memorykbs: Long | None
    memoryintfreekbs: Long | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListVirtualMachinesMetrics(ListVirtualMachines):
    """Arguments."""


@command(
    "listVirtualMachinesMetrics",
    "Lists virtual machines with how busy they were in the last minutes.",
    item=MetricsResponse,
    key="virtualmachine",
    refused=REFUSED,
    ignored=IGNORED,
)
async def list_virtual_machines_metrics(call: Call, args: ListVirtualMachinesMetrics) -> Answer:
    """From the status of VirtualMachines."""
    return listing(args, machines(call, args), lambda vm: metrics(call, vm))


KIB = 2**10


def metrics(call: Call, vm: VM) -> MetricsResponse:
    """The response of one."""
    shown = virtual_machine(call, vm)
    usage = vm.status.guest.usage if vm.status.guest is not None else None
    memory = (shown.memory or 0) * KIB
    return MetricsResponse(
        **{each.name: getattr(shown, each.name) for each in fields(shown)},
        cpuused=f"{usage.cpu_percent}%" if usage is not None else None,
        memorytotal=f"{shown.memory} MB" if shown.memory else None,
        memorykbs=Long(memory) if memory else None,
        memoryintfreekbs=Long(max(0, memory - int(usage.memory_used) // KIB)) if usage is not None and memory else None,
    )
