"""A Volume as CloudStack's `volume`."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api.call import Call
from operators.api.cloud import VM, Pool, Volume, Zone, name_of
from operators.api.responses.owned import OwnedResponse, whose
from operators.api.responses.virtualmachine import HYPERVISOR, state_of, zone_of
from operators.api.tags import TagResponse, tag_responses
from operators.api.wire import Date, Long, date
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.fabric import STORAGE_POOL
from operators.contract.meta import condition, holds
from operators.contract.reasons import Reason, Type
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import DISK_OFFERING

ROOT, DATA = "ROOT", "DATADISK"
ALLOCATED = "Allocated"
"""The state of a volume that has no disk, and gets none before a virtual machine uses it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeResponse(OwnedResponse):
    """A disk."""

    id: str
    name: str
    created: Date | None
    attached: Date | None
    state: str
    type: str
    size: Long
    """0 while nobody knows: of a root disk whose image was never fetched."""
    zoneid: str | None
    zonename: str | None
    diskofferingid: str | None
    diskofferingname: str
    diskofferingdisplaytext: str | None
    virtualmachineid: str | None
    vmname: str | None
    vmdisplayname: str | None
    vmstate: str | None
    deviceid: Long | None
    storage: str | None
    storageid: str | None
    snapshotid: str | None
    templateid: str | None
    templatename: str | None
    hypervisor: str = HYPERVISOR
    displayvolume: bool = True
    destroyed: bool = False
    isextractable: bool = False
    tags: tuple[TagResponse, ...] = ()


def volume(call: Call, obj: Volume) -> VolumeResponse:
    """The response of one volume; its pool is only for the root admin to see."""
    cloud, meta, spec = call.cloud, obj.meta, obj.spec
    vm = user_of(call, obj)
    offering = cloud.named(DISK_OFFERING, spec.disk_offering)
    pool = cloud.named(STORAGE_POOL, obj.status.pool or spec.pool) if obj.status.pool or spec.pool else None
    zone = _zone(call, pool, vm)
    image = cloud.image(spec.source.image, meta.namespace) if spec.source.image else None
    taken = spec.source.snapshot
    origin = cloud.named(VOLUME_SNAPSHOT, taken, meta.namespace) if taken else None
    shown = pool if call.caller.root else None
    size = obj.status.size or spec.size or (image.status.virtual_size if image else None) or 0
    return VolumeResponse(
        id=meta.uid,
        name=name_of(obj),
        **whose(call, meta.namespace),
        created=date(meta.creation_timestamp),
        attached=_attached(obj) if vm else None,
        state=volume_state(obj),
        type=type_of(obj),
        size=Long(int(size)),
        zoneid=zone.meta.uid if zone else None,
        zonename=zone.meta.name if zone else None,
        diskofferingid=offering.meta.uid if offering else None,
        diskofferingname=(offering.spec.display_name or offering.meta.name) if offering else spec.disk_offering,
        diskofferingdisplaytext=offering.spec.display_name or offering.meta.name if offering else None,
        virtualmachineid=vm.meta.uid if vm else None,
        vmname=name_of(vm) if vm else None,
        vmdisplayname=name_of(vm) if vm else None,
        vmstate=state_of(call, vm) if vm else None,
        deviceid=_device(obj, vm),
        storage=shown.meta.name if shown else None,
        storageid=shown.meta.uid if shown else None,
        snapshotid=origin.meta.uid if origin else None,
        templateid=image.meta.uid if image else None,
        templatename=image.meta.name if image else None,
        tags=tag_responses(meta),
    )


def _zone(call: Call, pool: Pool | None, vm: VM | None) -> Zone | None:
    """Of its pool; while it is on none, of the virtual machine that is to have it."""
    if pool is not None:
        return call.cloud.zone(pool.spec.zone)
    return zone_of(call, vm) if vm is not None else call.cloud.zone()


def _attached(obj: Volume) -> Date | None:
    """Since when somebody has it: clients take a volume without this date for nobody's."""
    said = condition(obj.status.conditions, Type.ATTACHED)
    return date(said.last_transition_time if said is not None else obj.meta.creation_timestamp)


def type_of(obj: Volume) -> str:
    """A root disk is what a VirtualMachine owns."""
    return ROOT if any(owner.kind == VIRTUAL_MACHINE.kind for owner in obj.meta.owner_references) else DATA


def user_of(call: Call, obj: Volume) -> VM | None:
    """The virtual machine that has it, or is to have it."""
    owners = {owner.uid for owner in obj.meta.owner_references if owner.kind == VIRTUAL_MACHINE.kind}
    for uid in owners:
        return call.cloud.by_uid(VIRTUAL_MACHINE, uid)
    if obj.status.attached_to:
        return call.cloud.named(VIRTUAL_MACHINE, obj.status.attached_to, obj.meta.namespace)
    return next(iter(call.cloud.machines_with(obj)), None)


def _device(obj: Volume, vm: VM | None) -> Long | None:
    """0 for the root disk; data disks follow in the order of the spec."""
    if vm is None:
        return None
    return Long(vm.spec.volumes.index(obj.meta.name) + 1 if obj.meta.name in vm.spec.volumes else 0)


def volume_state(obj: Volume) -> str:
    """CloudStack's word for where it is."""
    if obj.meta.deleting:
        return "Expunging"
    bound = condition(obj.status.conditions, Type.BOUND)
    if holds(obj.status.conditions, Type.READY):
        return "Ready"
    waits = bound is None or bound.reason == Reason.WAITING_FOR_FIRST_CONSUMER
    return ALLOCATED if waits else "Creating"
