"""Virtual machines whose root disk is made anew."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors
from operators.api.call import Call
from operators.api.changing import change
from operators.api.cloud import VM, Image, name_of
from operators.api.commands.machines import must_be_settled
from operators.api.commands.templates import image_for
from operators.api.declare import Answer, Started, command, uuid
from operators.api.jobs import job_of
from operators.api.responses.virtualmachine import VirtualMachineResponse
from operators.contract.codec import Json
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.orchestration import Operation
from operators.contract.storage import IMAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """Arguments."""

    virtualmachineid: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)
    templateid: Image | None = uuid("Another template to make its root disk from", IMAGE)


@command(
    "restoreVirtualMachine",
    "Makes the root disk of a virtual machine anew from its template, or from another one. What was on it is lost.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    asynchronous=True,
    refused="details diskofferingid rootdisksize",
    ignored="expunge",
)
async def restore(call: Call, args: Restore) -> Answer:
    """The caller's own `spec.reinstallRequest`, raised by one, and `spec.image`."""

    def make(now: VM) -> Json:
        must_be_settled(call, now)
        if now.spec.destroyed:
            raise errors.invalid(f"Virtual machine {name_of(now)} is destroyed: recover it first")
        if not now.spec.image:
            raise errors.invalid(f"Virtual machine {name_of(now)} boots from a volume of its own, not from a template")
        image = image_for(call, args.templateid, now.meta.namespace) if args.templateid else now.spec.image
        return {"spec": {"image": image, "reinstallRequest": now.spec.reinstall_request + 1}}

    return Started(await job_of(call, await change(call, args.virtualmachineid, make), Operation.REINSTALL))
