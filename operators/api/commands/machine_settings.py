"""What can be changed of a virtual machine while it lives."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, OwnerArgs
from operators.api.changing import change, given, update
from operators.api.cloud import VM, Document, name_of
from operators.api.commands.instance_groups import group_called
from operators.api.commands.key_pairs import named
from operators.api.declare import Answer, Single, Started, boolean, command, string, uuid, words
from operators.api.jobs import CREATION, job_id
from operators.api.responses.virtualmachine import VirtualMachineResponse, virtual_machine
from operators.api.userdata import decoded
from operators.contract import names
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
    group: str = string("Name of its instance group from now on, which is made if there is none")
    userdata: str = string("Base64 of what first boot gets, while it was never started", length=1048576)
    userdataid: Document | None = uuid("ID of registered user data, in place of userdata", USER_DATA)


@command(
    "updateVirtualMachine",
    "Changes what a virtual machine is called and how it is looked after.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    refused="""cleanupdetails customid details dhcpoptionsnetworklist extraconfig instancename leaseduration
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
    if args.group:
        label = {names.LABEL_GROUP: await group_called(call, changed.meta.namespace, args.group)}
        changed = await change(call, changed, lambda now: {"metadata": {"labels": label}})
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetSSHKey(OwnerArgs):
    """Arguments."""

    id: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)
    keypair: str = string("Name of the key pair to log in with from now on")
    keypairs: tuple[str, ...] = words("Names of key pairs to log in with from now on, in place of keypair")


@command(
    "resetSSHKeyForVirtualMachine",
    "Gives a stopped virtual machine other key pairs. Its guest finds them at its next start; whether it takes keys "
    "more than once is for the guest to say.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    asynchronous=True,
)
async def reset_ssh_key(call: Call, args: ResetSSHKey) -> Answer:
    """The caller's own `spec.sshKeyPairs`."""
    vm, wanted = args.id, args.keypairs or ((args.keypair,) if args.keypair else ())
    if not wanted:
        raise errors.missing("resetSSHKeyForVirtualMachine", "keypairs")
    if vm.spec.wanted is RunPolicy.RUNNING:
        raise errors.invalid(f"Virtual machine {name_of(vm)} must be stopped before its keys can change")
    pairs = [pair.meta.name for pair in named(call, vm.meta.namespace, wanted)]
    return Started(job_id((await update(call, vm, {"sshKeyPairs": pairs})).meta.uid, CREATION))


def _user_data(vm: VM, text: str, document: Document | None) -> Json:
    if text and document is not None:
        raise errors.invalid("Both userdata and userdataid inputs are not allowed. Please provide only one")
    if document is not None and document.meta.namespace != vm.meta.namespace:
        raise errors.denied(f"user data {name_of(document)} belongs to another account than the virtual machine")
    inline = document.spec.data if document is not None else decoded(text)
    return {"userData": {"inline": inline}} if inline else {}
