"""What can be changed of a virtual machine while it lives."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, OwnerArgs
from operators.api.changing import given, update
from operators.api.cloud import VM, Document, name_of
from operators.api.declare import Answer, Single, boolean, command, string, uuid
from operators.api.responses.virtualmachine import VirtualMachineResponse, virtual_machine
from operators.api.userdata import decoded
from operators.contract.codec import Json
from operators.contract.compute import USER_DATA, VIRTUAL_MACHINE, RunPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateVirtualMachine:
    """Arguments."""

    id: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)
    name: str = string("Host name of the guest from its next start on")
    displayname: str = string("What people read in place of the name from now on")
    haenable: bool | None = boolean("Whether it is restarted elsewhere when its host is lost", default=None)
    deleteprotection: bool | None = boolean("Whether nobody may destroy it", default=None)
    userdata: str = string("Base64 of what first boot gets, while it was never started", length=1048576)
    userdataid: Document | None = uuid("ID of registered user data, in place of userdata", USER_DATA)


@command(
    "updateVirtualMachine",
    "Changes what a virtual machine is called and how it is looked after.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    refused="""cleanupdetails customid details dhcpoptionsnetworklist extraconfig group instancename leaseduration
        leaseexpiryaction securitygroupids securitygroupnames userdatadetails""",
    ignored="displayvm isdynamicallyscalable ostypeid",
)
async def update_virtual_machine(call: Call, args: UpdateVirtualMachine) -> Answer:
    """The caller's own spec, as kubectl would write it."""
    if args.name:
        naming.virtual_machine(args.name)
        if args.id.spec.wanted is RunPolicy.RUNNING:
            raise errors.invalid(f"Virtual machine {name_of(args.id)} must be stopped before its host name can change")
    spec = given(haEnabled=args.haenable, deleteProtection=args.deleteprotection, hostname=args.name.lower())
    spec |= _user_data(args.id, args.userdata, args.userdataid)
    changed = await update(call, args.id, spec, name=args.name, display=args.displayname)
    return Single(virtual_machine(call, changed))


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetUserData(OwnerArgs):
    """Arguments."""

    id: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)
    userdata: str = string("Base64 of what first boot gets; at most 8 KiB of it", length=1048576)
    userdataid: Document | None = uuid("ID of registered user data, in place of userdata", USER_DATA)


@command(
    "resetUserDataForVirtualMachine",
    "Gives a stopped virtual machine other user data.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    refused="userdatadetails",
)
async def reset_user_data(call: Call, args: ResetUserData) -> Answer:
    """The caller's own `spec.userData`."""
    if args.id.spec.wanted is RunPolicy.RUNNING:
        raise errors.invalid(f"Virtual machine {name_of(args.id)} must be stopped before its user data can change")
    spec = _user_data(args.id, args.userdata, args.userdataid)
    return Single(virtual_machine(call, await update(call, args.id, spec)))


def _user_data(vm: VM, text: str, document: Document | None) -> Json:
    if text and document is not None:
        raise errors.invalid("Both userdata and userdataid inputs are not allowed. Please provide only one")
    if document is not None and document.meta.namespace != vm.meta.namespace:
        raise errors.denied(f"user data {name_of(document)} belongs to another account than the virtual machine")
    inline = document.spec.data if document is not None else decoded(text)
    return {"userData": {"inline": inline}} if inline else {}
