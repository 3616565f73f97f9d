"""Virtual machines: the list, power and the end. `deploy` has how they begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from operators.api import errors
from operators.api.call import Call, TaggedListArgs, has_in_name, is_or_any, listing, owned
from operators.api.changing import change
from operators.api.cloud import (
    VM,
    AffinityGroup,
    ComputeOffering,
    Host,
    HostGroup,
    Image,
    InstanceGroup,
    Network,
    Rack,
    Zone,
    name_of,
)
from operators.api.declare import Answer, Single, Started, boolean, command, string, uuid, uuids
from operators.api.jobs import changed, job_of
from operators.api.responses.done import Done
from operators.api.responses.virtualmachine import VirtualMachineResponse, state_of, virtual_machine, written, zone_of
from operators.contract import names
from operators.contract.codec import Json
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE, RunPolicy
from operators.contract.fabric import HOST, HOST_GROUP, RACK, ZONE
from operators.contract.identity import Role
from operators.contract.instancegroups import INSTANCE_GROUP
from operators.contract.meta import Key
from operators.contract.networking import NETWORK
from operators.contract.orchestration import Operation
from operators.contract.placement import AFFINITY_GROUP
from operators.contract.storage import IMAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class ListVirtualMachines(TaggedListArgs):
    """Arguments."""

    id: VM | None = uuid("ID of the virtual machine", VIRTUAL_MACHINE)
    ids: tuple[VM, ...] = uuids("IDs of virtual machines; not together with id", VIRTUAL_MACHINE)
    name: str = string("What the name contains")
    state: str = string(
        "Running, Stopped, Starting, Stopping, Migrating, Expunging, Error, Unknown; Present means all but Expunging"
    )
    zoneid: Zone | None = uuid("Those in this zone", ZONE)
    networkid: Network | None = uuid("Those on this network", NETWORK)
    templateid: Image | None = uuid("Those made from this template", IMAGE)
    serviceofferingid: ComputeOffering | None = uuid("Those of this service offering", COMPUTE_OFFERING)
    hostid: Host | None = uuid("Those on this host; for root admins", HOST)
    clusterid: HostGroup | None = uuid("Those in this cluster; for root admins", HOST_GROUP)
    podid: Rack | None = uuid("Those in this pod; for root admins", RACK)
    haenable: bool | None = boolean("Whether they are restarted elsewhere when their host is lost", default=None)
    groupid: InstanceGroup | None = uuid("Those in this instance group", INSTANCE_GROUP)
    affinitygroupid: AffinityGroup | None = uuid("Those in this affinity group", AFFINITY_GROUP)
    keypair: str = string("Those with this key pair")
    hypervisor: str = string("KVM; there is no other")


Condition: TypeAlias = Callable[[VM], bool]

REFUSED = """accumulate arch autoscalevmgroupid backupofferingid extensionid forvirtualnetwork gpuenabled isoid isvnf
    leased retrieveonlyresourcecount securitygroupid storageid userdataid userid vpcid"""
IGNORED = "details displayvm showicon userdata"


@command(
    "listVirtualMachines",
    "Lists virtual machines.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    refused=REFUSED,
    ignored=IGNORED,
)
async def list_virtual_machines(call: Call, args: ListVirtualMachines) -> Answer:
    """Those of the caller, or of whom it asks about; what is being destroyed is for admins to see."""
    return listing(args, machines(call, args), lambda vm: written(call, vm))


def machines(call: Call, args: ListVirtualMachines) -> list[VM]:
    """Those that a list asks for. Raises ApiError."""
    if args.id is not None and args.ids:
        raise errors.invalid("Specify either id or ids but not both parameters")
    if (args.hostid or args.clusterid or args.podid) and not call.caller.root:
        raise errors.denied("Only root admins may list by host, cluster or pod")
    return owned(call, VIRTUAL_MACHINE, args, args.id, *_conditions(call, args))


def _conditions(call: Call, args: ListVirtualMachines) -> Iterator[Condition]:
    """Only what was asked for, since it is asked of every virtual machine; what costs least first."""
    if args.hypervisor.lower() not in ("", "kvm"):
        yield lambda vm: False
    if args.ids:
        ids = {each.meta.uid for each in args.ids}
        yield lambda vm: vm.meta.uid in ids
    if args.serviceofferingid:
        yield lambda vm: is_or_any(args.serviceofferingid, vm.spec.offering)
    if args.haenable is not None:
        yield lambda vm: vm.spec.ha_enabled == args.haenable
    if args.keypair:
        yield lambda vm: args.keypair in vm.spec.ssh_key_pairs
    for word in (args.name, args.keyword):
        if word:
            yield has_in_name(word)
    if args.groupid or args.affinitygroupid:
        yield lambda vm: _in_groups(vm, args)
    if args.zoneid or args.hostid or args.clusterid or args.podid:
        yield lambda vm: _in_place(call, vm, args)
    if args.networkid is not None:
        on = {vm.meta.uid for vm in call.cloud.machines_on(args.networkid)}
        yield lambda vm: vm.meta.uid in on
    if args.templateid:
        yield lambda vm: _of_template(call, vm, args.templateid)
    if args.state:
        yield lambda vm: _in_state(call, vm, args.state.lower())
    if call.caller.role is Role.USER:
        yield lambda vm: not vm.meta.deletion_timestamp


def _in_groups(vm: VM, args: ListVirtualMachines) -> bool:
    group, apart = args.groupid, args.affinitygroupid
    return (group is None or group.key == Key(vm.meta.namespace, vm.meta.labels.get(names.LABEL_GROUP, ""))) and (
        apart is None or (apart.meta.namespace == vm.meta.namespace and apart.meta.name in vm.spec.affinity_groups)
    )


def _of_template(call: Call, vm: VM, image: Image | None) -> bool:
    found = call.cloud.image(vm.spec.image, vm.meta.namespace) if vm.spec.image else None
    return found is not None and image is not None and found.meta.uid == image.meta.uid


def _in_place(call: Call, vm: VM, args: ListVirtualMachines) -> bool:
    zone = zone_of(call, vm) if args.zoneid else None
    host = call.cloud.named(HOST, vm.status.host_name) if vm.status.host_name else None
    return (
        is_or_any(args.zoneid, zone.meta.name if zone else None)
        and is_or_any(args.hostid, vm.status.host_name)
        and is_or_any(args.clusterid, host.spec.group if host else None)
        and is_or_any(args.podid, host.spec.rack if host else None)
    )


def _in_state(call: Call, vm: VM, wanted: str) -> bool:
    state = state_of(call, vm).lower()
    return state != "expunging" if wanted == "present" else state == wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class One:
    """Arguments: a virtual machine."""

    id: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)


@command(
    "startVirtualMachine",
    "Starts a virtual machine.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    asynchronous=True,
    refused="bootintosetup clusterid hostid podid",
    ignored="considerlasthost deploymentplanner",
)
async def start(call: Call, args: One) -> Answer:
    """The caller's own `spec.runPolicy`, as kubectl would write it."""
    return await _power(call, args.id, Operation.START)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(One):
    """Arguments."""


@command(
    "stopVirtualMachine",
    "Stops a virtual machine: asks the guest, and cuts its power when it does not heed that.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    asynchronous=True,
    ignored="forced",
)
async def stop(call: Call, args: Stop) -> Answer:
    """The caller's own `spec.runPolicy`. Power is cut after a while anyway: `forced` changes only the wait."""
    return await _power(call, args.id, Operation.STOP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reboot(One):
    """Arguments."""

    forced: bool = boolean("Whether its power is cut at once, in place of asking the guest to end")


@command(
    "rebootVirtualMachine",
    "Reboots a virtual machine.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    asynchronous=True,
    refused="bootintosetup",
)
async def reboot(call: Call, args: Reboot) -> Answer:
    """The caller's own `spec.rebootRequest` or, when forced, `spec.resetRequest`, raised by one."""
    if args.id.spec.wanted is RunPolicy.STOPPED:
        raise errors.invalid(f"Unable to reboot virtual machine {name_of(args.id)}: it is stopped")
    if args.forced:
        return await _reset(call, args.id)
    return await _power(call, args.id, Operation.REBOOT)


async def _power(call: Call, vm: VM, operation: Operation) -> Answer:
    """Write the spec as it was seen with the one change, then make the Flow of that very generation."""

    def make(now: VM) -> Json:
        must_be_settled(call, now)
        if now.spec.destroyed:
            raise errors.invalid(f"Virtual machine {name_of(now)} is destroyed: recover it first")
        if operation is Operation.REBOOT:
            return {"spec": {"rebootRequest": now.spec.reboot_request + 1}}
        policy = RunPolicy.RUNNING if operation is Operation.START else RunPolicy.STOPPED
        return {} if policy is now.spec.run_policy else {"spec": {"runPolicy": policy.value}}

    return Started(await job_of(call, await change(call, vm, make), operation))


async def _reset(call: Call, vm: VM) -> Answer:
    """No Flow is made of this: the virtual machine itself tells when it is done."""

    def make(now: VM) -> Json:
        must_be_settled(call, now)
        return {"spec": {"resetRequest": now.spec.reset_request + 1}}

    return Started(changed(await change(call, vm, make)))


def must_be_settled(call: Call, vm: VM) -> None:
    """Raise ApiError for a virtual machine that is not deployed yet, or never will be, or goes."""
    if vm.meta.deleting:
        raise errors.invalid(f"Virtual machine {name_of(vm)} is being destroyed")
    if (flow := call.cloud.deploying(vm)) is not None:
        raise errors.invalid(f"Virtual machine {name_of(vm)} is still being deployed: wait for job {flow.meta.uid}")
    if call.cloud.given_up(vm):
        raise errors.invalid(
            f"Virtual machine {name_of(vm)} is in state Error, its deployment having failed: destroy it"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroy(One):
    """Arguments."""

    expunge: bool = boolean("Whether it goes at once and for good; otherwise it can be recovered for a while")


@command(
    "destroyVirtualMachine",
    "Destroys a virtual machine: off at once, gone with its root disk after a grace period; data volumes stay.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    asynchronous=True,
    refused="volumeids",
)
async def destroy(call: Call, args: Destroy) -> Answer:
    """The caller's own `spec.destroyed`, or with `expunge` the deletion of the object."""
    vm = args.id
    if vm.spec.delete_protection:
        raise errors.invalid(f"Virtual machine {name_of(vm)} is protected against deletion")
    if args.expunge:
        return await _expunge(call, vm)
    return Started(await job_of(call, await _destroyed(call, vm, destroyed=True), Operation.STOP))


@command(
    "expungeVirtualMachine",
    "Deletes a virtual machine and its root disk at once and for good; its data volumes stay.",
    item=Done,
    asynchronous=True,
)
async def expunge(call: Call, args: One) -> Answer:
    """Delete the object of a destroyed virtual machine."""
    if not args.id.spec.destroyed:
        raise errors.invalid(f"Virtual machine {name_of(args.id)} is not destroyed: destroy it first")
    return await _expunge(call, args.id)


@command(
    "recoverVirtualMachine",
    "Recovers a destroyed virtual machine that was not expunged yet; it is then stopped.",
    item=VirtualMachineResponse,
    key="virtualmachine",
)
async def recover(call: Call, args: One) -> Answer:
    """Take `spec.destroyed` back; stopped, as CloudStack has it."""
    if not args.id.spec.destroyed:
        raise errors.invalid(f"Virtual machine {name_of(args.id)} is not destroyed")
    return Single(virtual_machine(call, await _destroyed(call, args.id, destroyed=False)))


async def _destroyed(call: Call, vm: VM, *, destroyed: bool) -> VM:
    """Write `spec.destroyed`, and nothing else but what goes with it."""

    def make(now: VM) -> Json:
        if now.meta.deleting:
            raise errors.invalid(f"Virtual machine {name_of(now)} is being destroyed")
        if now.spec.destroyed is destroyed:
            return {}
        return {
            "spec": {"destroyed": True} if destroyed else {"destroyed": False, "runPolicy": RunPolicy.STOPPED.value}
        }

    return await change(call, vm, make)


async def _expunge(call: Call, vm: VM) -> Answer:
    """Delete the object; its Destroy Flow is of the generation that the deletion made."""
    await call.store.delete(VIRTUAL_MACHINE, vm.key, uid=vm.meta.uid)
    body = await call.store.get(VIRTUAL_MACHINE, vm.key)
    newest = VIRTUAL_MACHINE.parse(body) if body is not None else None
    if newest is not None and newest.meta.uid == vm.meta.uid:
        vm = newest
    else:
        # Nobody held it, so it went at once, with the generation that its deletion would have had.
        call.cloud.cache.drop(VIRTUAL_MACHINE, vm.key, vm.meta.uid)
        vm = replace(vm, meta=replace(vm.meta, generation=vm.meta.generation + 1))
    return Started(await job_of(call, vm, Operation.DESTROY))
