"""Another size for a virtual machine: at once where its offering lets a running guest have it, else while it is off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from operators.api import errors
from operators.api.call import Call
from operators.api.cloud import VM, ComputeOffering, name_of
from operators.api.declare import Answer, Single, Started, command, maps, uuid
from operators.api.growing import grown
from operators.api.jobs import SCALING, job_id
from operators.api.responses.done import Done
from operators.api.responses.virtualmachine import VirtualMachineResponse, virtual_machine
from operators.api.sizes import ABOUT, Choice, chosen, size_of
from operators.contract.codec import Json
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE, RunPolicy
from operators.contract.identity import Resource
from operators.contract.meta import condition
from operators.contract.reasons import Type


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Arguments."""

    id: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)
    serviceofferingid: ComputeOffering = uuid("ID of its service offering from now on", COMPUTE_OFFERING, required=True)
    details: tuple[Mapping[str, str], ...] = maps(ABOUT)


@command(
    "scaleVirtualMachine",
    "Gives a virtual machine another size: a running one, of a custom offering, more CPUs or other memory.",
    item=Done,
    asynchronous=True,
    refused="maxiops miniops",
    ignored="automigrate shrinkok",
)
async def scale(call: Call, args: Scale) -> Answer:
    """The job is done once the guest has the size; it fails where that takes a restart after all."""
    size = chosen("scaleVirtualMachine", args.serviceofferingid, args.details)

    def check(now: VM) -> None:
        if now.spec.wanted is RunPolicy.RUNNING:
            _can_be_had_at_once(call, now, args.serviceofferingid, size)

    return Started(job_id((await _resized(call, args, size, check)).meta.uid, SCALING))


@command(
    "changeServiceForVirtualMachine",
    "Gives a stopped virtual machine another size.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    refused="maxiops miniops",
    ignored="automigrate shrinkok",
)
async def change_service(call: Call, args: Scale) -> Answer:
    """The caller's own `spec.offering`, `cpus` and `memory`."""
    size = chosen("changeServiceForVirtualMachine", args.serviceofferingid, args.details)

    def check(now: VM) -> None:
        if now.spec.wanted is RunPolicy.RUNNING:
            raise errors.invalid(
                f"Unable to upgrade virtual machine {name_of(now)} in state Running; make sure the virtual machine is "
                "stopped"
            )

    return Single(virtual_machine(call, await _resized(call, args, size, check)))


def _can_be_had_at_once(call: Call, vm: VM, offering: ComputeOffering, size: Choice) -> None:
    if offering.spec.custom is None or vm.spec.offering != offering.meta.name:
        raise errors.invalid(
            f"Virtual machine {name_of(vm)} is running, and only one of a custom offering can be given another size "
            "then, of that very offering: stop it first"
        )
    if size_of(offering, size).cpus < size_of(offering, vm.spec).cpus:
        raise errors.invalid(f"Virtual machine {name_of(vm)} is running: stop it before it gets fewer CPUs")
    waits = condition(vm.status.conditions, Type.RESTART_REQUIRED)
    if waits is not None and waits.true:
        raise errors.invalid(f"Virtual machine {name_of(vm)} has changes that wait for its restart: {waits.message}")


async def _resized(call: Call, args: Scale, size: Choice, check: Callable[[VM], None]) -> VM:
    offering = args.serviceofferingid

    def make(now: VM) -> Json:
        if now.meta.deleting or now.spec.destroyed:
            raise errors.invalid(f"Virtual machine {name_of(now)} is destroyed")
        check(now)
        same = now.spec.offering == offering.meta.name
        if same and (now.spec.cpus, now.spec.memory) == (size.cpus, size.memory):
            return {}
        return {"spec": {"offering": offering.meta.name, **size.spec}}

    def more(now: VM) -> Mapping[str, int]:
        before = size_of(call.cloud.named(COMPUTE_OFFERING, now.spec.offering), now.spec)
        after = size_of(offering, size)
        return {Resource.CPUS: after.cpus - before.cpus, Resource.MEMORY: after.memory - before.memory}

    return await grown(call, args.id, make, more)
