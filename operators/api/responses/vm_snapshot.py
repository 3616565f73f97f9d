"""A VirtualMachineSnapshot as CloudStack's `vmsnapshot`."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api.call import Call
from operators.api.cloud import VMSnapshot, name_of
from operators.api.responses.owned import OwnedResponse, whose
from operators.api.wire import Date, date
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.fabric import HOST, ZONE
from operators.contract.meta import holds
from operators.contract.reasons import Type
from operators.contract.vmsnapshots import VIRTUAL_MACHINE_SNAPSHOT


@dataclass(frozen=True, slots=True, kw_only=True)
class VMSnapshotResponse(OwnedResponse):
    """A snapshot of a virtual machine."""

    id: str
    name: str
    displayname: str
    state: str
    type: str
    created: Date | None
    current: bool
    parent: str | None
    parentName: str | None  # noqa: N815 - CloudStack's spelling
    virtualmachineid: str | None
    virtualmachinename: str
    zoneid: str | None
    zonename: str | None
    hypervisor: str = "KVM"


def vm_snapshot(call: Call, obj: VMSnapshot) -> VMSnapshotResponse:
    """The response of one snapshot."""
    namespace, status = obj.meta.namespace, obj.status
    found = call.cloud.named(VIRTUAL_MACHINE, obj.spec.virtual_machine, namespace)
    vm = found if found is not None and status.virtual_machine_uid in ("", found.meta.uid) else None
    host = call.cloud.named(HOST, vm.status.host_name) if vm is not None and vm.status.host_name else None
    zone = call.cloud.named(ZONE, host.spec.zone) if host else None
    parent = call.cloud.named(VIRTUAL_MACHINE_SNAPSHOT, status.parent, namespace) if status.parent else None
    return VMSnapshotResponse(
        id=obj.meta.uid,
        name=obj.meta.name,
        displayname=name_of(obj),
        state=state_of(obj),
        type="DiskAndMemory" if obj.spec.memory else "Disk",
        created=date(status.taken_at or obj.meta.creation_timestamp),
        current=status.current,
        parent=parent.meta.uid if parent else None,
        parentName=name_of(parent) if parent else None,
        virtualmachineid=vm.meta.uid if vm else status.virtual_machine_uid or None,
        virtualmachinename=name_of(vm) if vm else obj.spec.virtual_machine,
        zoneid=zone.meta.uid if zone else None,
        zonename=zone.meta.name if zone else None,
        **whose(call, namespace),
    )


def state_of(obj: VMSnapshot) -> str:
    """CloudStack's word for how it is."""
    status = obj.status
    if obj.meta.deleting:
        return "Expunging"
    if status.reverting > status.revert_observed:
        return "Reverting"
    if status.taken_at:
        return "Ready"
    return "Error" if holds(status.conditions, Type.STALLED) else "Creating" if status.parts else "Allocated"
