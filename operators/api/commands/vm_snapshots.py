"""Snapshots of whole virtual machines."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, OwnedListArgs, contains, listing, owned
from operators.api.changing import change, remove
from operators.api.cloud import VM, VMSnapshot, name_of
from operators.api.declare import Answer, Started, boolean, command, string, uuid, uuids
from operators.api.jobs import DELETION, REVERTING, changed, job_id
from operators.api.responses.done import Done
from operators.api.responses.virtualmachine import VirtualMachineResponse
from operators.api.responses.virtualmachine import state_of as machine_state
from operators.api.responses.vm_snapshot import VMSnapshotResponse, state_of, vm_snapshot
from operators.contract.codec import Json, to_wire
from operators.contract.compute import VIRTUAL_MACHINE, RunPolicy
from operators.contract.identity import Resource
from operators.contract.snapshots import Quiesce
from operators.contract.vmsnapshots import VIRTUAL_MACHINE_SNAPSHOT, VirtualMachineSnapshotSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVMSnapshot:
    """Arguments."""

    virtualmachineid: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)
    name: str = string("Name of the snapshot")
    quiescevm: bool = boolean("Whether its guest must hold still; tried by default, and demanded with true")
    snapshotmemory: bool = boolean("Whether its memory is kept, too; it must run then")


@command(
    "createVMSnapshot",
    "Takes a snapshot of all disks of a virtual machine, whether it runs or not, as they are at one moment.",
    item=VMSnapshotResponse,
    key="vmsnapshot",
    asynchronous=True,
    ignored="description",
)
async def create_vm_snapshot(call: Call, args: CreateVMSnapshot) -> Answer:
    """The VirtualMachineSnapshot that kubectl would make."""
    vm = args.virtualmachineid
    if args.snapshotmemory and args.quiescevm:
        raise errors.invalid(
            "A guest whose memory is kept cannot hold still as well: leave snapshotmemory or quiescevm out"
        )
    if args.snapshotmemory and (state := machine_state(call, vm)) != "Running":
        raise errors.invalid(f"Virtual machine {name_of(vm)} is {state}, so it has no memory to keep: start it first")
    if vm.meta.deleting or vm.spec.destroyed:
        raise errors.invalid(f"Virtual machine {name_of(vm)} is destroyed, so there is nothing to keep")
    quiesce = Quiesce.REQUIRED if args.quiescevm else Quiesce.IF_POSSIBLE
    spec = to_wire(VirtualMachineSnapshotSpec(vm.meta.name, quiesce, memory=args.snapshotmemory))
    name = args.name or f"{name_of(vm)}-snapshot"
    amounts: dict[str, int] = {Resource.SNAPSHOTS: 1 + len(vm.spec.volumes)}
    made = await naming.create(call, VIRTUAL_MACHINE_SNAPSHOT, vm.meta.namespace, name, spec, amounts=amounts)
    obj = VIRTUAL_MACHINE_SNAPSHOT.parse(made)
    return Started(changed(obj), obj.meta.uid)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListVMSnapshots(OwnedListArgs):
    """Arguments."""

    vmsnapshotid: VMSnapshot | None = uuid("ID of the snapshot", VIRTUAL_MACHINE_SNAPSHOT)
    vmsnapshotids: tuple[VMSnapshot, ...] = uuids(
        "IDs of snapshots; not together with vmsnapshotid", VIRTUAL_MACHINE_SNAPSHOT
    )
    virtualmachineid: VM | None = uuid("Those of this virtual machine", VIRTUAL_MACHINE)
    name: str = string("Name of the snapshot")
    state: str = string("Allocated, Creating, Ready, Reverting, Expunging or Error")


@command(
    "listVMSnapshot",
    "Lists snapshots of virtual machines: which one each came from, and which one its disks were last at.",
    item=VMSnapshotResponse,
    key="vmSnapshot",
    refused="tags",
)
async def list_vm_snapshot(call: Call, args: ListVMSnapshots) -> Answer:
    """Those of the caller, or of whom it asks about."""
    ids = {each.meta.uid for each in args.vmsnapshotids}
    vm = args.virtualmachineid

    def wanted(obj: VMSnapshot) -> bool:
        of = vm is None or (
            obj.meta.namespace == vm.meta.namespace
            and obj.spec.virtual_machine == vm.meta.name
            and obj.status.virtual_machine_uid in ("", vm.meta.uid)
        )
        return (
            of
            and (not ids or obj.meta.uid in ids)
            and args.state.lower() in ("", state_of(obj).lower())
            and args.name in ("", name_of(obj))
            and contains(args.keyword, name_of(obj))
        )

    found = owned(call, VIRTUAL_MACHINE_SNAPSHOT, args, args.vmsnapshotid, wanted)
    return listing(args, found, lambda obj: vm_snapshot(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteVMSnapshot:
    """Arguments."""

    vmsnapshotid: VMSnapshot = uuid("ID of the snapshot", VIRTUAL_MACHINE_SNAPSHOT, required=True)


@command("deleteVMSnapshot", "Deletes a snapshot of a virtual machine.", item=Done, asynchronous=True)
async def delete_vm_snapshot(call: Call, args: DeleteVMSnapshot) -> Answer:
    """Those that came from it come from what it came from, from then on."""
    await remove(call, args.vmsnapshotid)
    return Started(job_id(args.vmsnapshotid.meta.uid, DELETION))


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertToVMSnapshot:
    """Arguments."""

    vmsnapshotid: VMSnapshot = uuid("ID of the snapshot", VIRTUAL_MACHINE_SNAPSHOT, required=True)


@command(
    "revertToVMSnapshot",
    "Replaces the content of all disks of a virtual machine by a snapshot's. It must be stopped; with a snapshot's "
    "memory it is started if need be, and goes on from where it was.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    asynchronous=True,
)
async def revert_to_vm_snapshot(call: Call, args: RevertToVMSnapshot) -> Answer:
    """The caller's own `spec.revertRequest`, raised by one."""
    obj = args.vmsnapshotid
    vm = call.cloud.named(VIRTUAL_MACHINE, obj.spec.virtual_machine, obj.meta.namespace)
    if not obj.status.taken_at:
        raise errors.invalid(f"VM snapshot {name_of(obj)} is not taken yet")
    if vm is None or vm.meta.uid != obj.status.virtual_machine_uid:
        raise errors.invalid(f"The virtual machine of VM snapshot {name_of(obj)} does not exist any more")
    state = machine_state(call, vm)
    if not obj.spec.memory and state != "Stopped":
        raise errors.invalid(f"Virtual machine {name_of(vm)} is {state}: stop it first")
    if obj.spec.memory and state not in ("Running", "Stopped"):
        raise errors.invalid(f"Virtual machine {name_of(vm)} is {state}: it must be running or stopped")
    if obj.spec.memory and state == "Stopped":
        # As CloudStack does it; what runs then is replaced at once by what ran at the snapshot.
        await change(call, vm, lambda now: {"spec": {"runPolicy": RunPolicy.RUNNING.value}})

    def make(now: VMSnapshot) -> Json:
        return {"spec": {"revertRequest": now.spec.revert_request + 1}}

    await change(call, obj, make)
    return Started(job_id(obj.meta.uid, REVERTING))
