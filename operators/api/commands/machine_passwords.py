"""New passwords of virtual machines."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors
from operators.api.call import Call
from operators.api.changing import change
from operators.api.cloud import VM, name_of
from operators.api.declare import Answer, Started, command, string, uuid
from operators.api.jobs import RESET, job_id
from operators.api.responses.virtualmachine import VirtualMachineResponse
from operators.contract import names
from operators.contract.codec import Json
from operators.contract.compute import VIRTUAL_MACHINE, RunPolicy
from operators.contract.core import SECRET
from operators.contract.passwords import generate, secret_of
from operators.kernel.store import AlreadyExists, Forbidden

LONGEST = 128
TRIES = 5
"""Numbers of requests that are tried: one whose Secret is there was begun by somebody else, or never ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetPassword:
    """Arguments."""

    id: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)
    password: str = string("The password from its next start on; one is made when left out")


@command(
    "resetPasswordForVirtualMachine",
    "Gives a stopped virtual machine a new password, told by the job. Its guest asks for it at its next start.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    asynchronous=True,
)
async def reset_password(call: Call, args: ResetPassword) -> Answer:
    """The Secret first, then the caller's own `spec.passwordRequest`: Compute takes the password that is there."""
    vm, password = args.id, args.password or generate()
    if len(password) > LONGEST or not password.isprintable():
        raise errors.invalid(f"a password is one line of at most {LONGEST} characters")
    if vm.spec.wanted is RunPolicy.RUNNING:
        raise errors.invalid(f"Virtual machine {name_of(vm)} must be stopped before its password can change")
    request = await _kept(call, vm, password)

    def make(now: VM) -> Json:
        if now.spec.password_request >= request:
            raise errors.unavailable(f"The password of virtual machine {name_of(now)} is being changed: try again")
        return {"spec": {"passwordRequest": request}}

    return Started(job_id((await change(call, vm, make)).meta.uid, RESET))


async def _kept(call: Call, vm: VM, password: str) -> int:
    """The number of the request whose Secret has the password."""
    first = vm.spec.password_request + 1
    for request in range(first, first + TRIES):
        try:
            await call.store.create(SECRET, secret_of(vm, request, password))
        except AlreadyExists:
            continue
        except Forbidden as error:
            space, role = vm.meta.namespace, names.API_SECRETS_ROLE
            raise errors.denied(
                f"The API may keep no Secrets in namespace {space}; whoever runs the cloud allows it: "
                f"kubectl -n {space} create rolebinding {role} --clusterrole={role} "
                "--serviceaccount=NAMESPACE_OF_CLOUDSTACK:cloudstack-api"
            ) from error
        return request
    raise errors.unavailable(f"The password of virtual machine {name_of(vm)} is being changed: try again")
