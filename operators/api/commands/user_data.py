"""User data that is registered once, for many virtual machines."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming, userdata
from operators.api.call import Call, OwnedListArgs, OwnerArgs, asked, listing, owned, place_to_make
from operators.api.changing import remove
from operators.api.cloud import VM, Document, name_of
from operators.api.declare import Answer, Single, command, string, uuid
from operators.api.responses.done import Done
from operators.api.responses.owned import OwnedResponse, whose
from operators.contract.codec import to_wire
from operators.contract.compute import USER_DATA, VIRTUAL_MACHINE, UserDataSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDataResponse(OwnedResponse):
    """A text for first boot."""

    id: str
    name: str
    userdata: str
    params: str | None


def user_data(call: Call, obj: Document) -> UserDataResponse:
    """The response of one."""
    return UserDataResponse(
        id=obj.meta.uid,
        name=name_of(obj),
        userdata=userdata.encoded(obj.spec.data),
        params=",".join(obj.spec.variables) or None,
        **whose(call, obj.meta.namespace),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterUserData(OwnerArgs):
    """Arguments."""

    name: str = string("Name of the user data, unique in its account", required=True)
    userdata: str = string(
        "Base64 of what first boot gets to run or read; at most 8 KiB", required=True, length=1048576
    )


@command(
    "registerUserData",
    "Registers user data, and answers with it.",
    item=Done,
    key="userdata",
    refused="params",
)
async def register_user_data(call: Call, args: RegisterUserData) -> Answer:
    """The UserData that kubectl would make."""
    namespace = place_to_make(call, args)
    if call.cloud.all(USER_DATA, (namespace,), lambda obj: name_of(obj) == args.name):
        raise errors.invalid(f"A userdata with name {args.name} already exists for the account")
    spec = to_wire(UserDataSpec(data=userdata.decoded(args.userdata)))
    made = USER_DATA.parse(await naming.create(call, USER_DATA, namespace, args.name, spec))
    return Single(user_data(call, made))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListUserData(OwnedListArgs):
    """Arguments."""

    id: Document | None = uuid("ID of the user data", USER_DATA)
    name: str = string("Name of the user data")


@command("listUserData", "Lists registered user data.", item=UserDataResponse, key="userdata")
async def list_user_data(call: Call, args: ListUserData) -> Answer:
    """Those of the caller, or of whom it asks about."""
    found = owned(call, USER_DATA, args, args.id, lambda obj: asked(args, obj, name_of(obj)))
    return listing(args, found, lambda obj: user_data(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteUserData(OwnerArgs):
    """Arguments."""

    id: Document = uuid("ID of the user data", USER_DATA, required=True)


@command("deleteUserData", "Deletes registered user data; virtual machines keep what they were made with.", item=Done)
async def delete_user_data(call: Call, args: DeleteUserData) -> Answer:
    """It is copied into each virtual machine, so nobody needs it any more."""
    await remove(call, args.id)
    return Single(Done())


@dataclass(frozen=True, slots=True, kw_only=True)
class GetVirtualMachineUserData:
    """Arguments."""

    virtualmachineid: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineUserDataResponse:
    """What a virtual machine's first boot got."""

    virtualmachineid: str
    userdata: str


@command(
    "getVirtualMachineUserData",
    "Tells the user data of a virtual machine.",
    item=MachineUserDataResponse,
    key="virtualmachineuserdata",
)
async def get_virtual_machine_user_data(call: Call, args: GetVirtualMachineUserData) -> Answer:
    """As it was given."""
    vm = args.virtualmachineid
    text = userdata.encoded(vm.spec.user_data.inline)
    return Single(MachineUserDataResponse(virtualmachineid=vm.meta.uid, userdata=text))
