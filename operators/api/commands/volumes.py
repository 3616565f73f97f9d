"""Volumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from operators.api import errors
from operators.api.call import Call, TaggedListArgs, contains, is_or_any, listing, owned
from operators.api.changing import change, remove, update
from operators.api.cloud import VM, DiskOffering, Volume, Zone, name_of
from operators.api.declare import Answer, Single, Started, boolean, command, long, string, uuid, uuids
from operators.api.growing import grown
from operators.api.jobs import ATTACHING, CREATION, DELETION, DETACHING, changed, job_id
from operators.api.limits import gib
from operators.api.responses.done import Done
from operators.api.responses.volume import DATA, VolumeResponse, type_of, user_of, volume
from operators.contract import names
from operators.contract.codec import Json
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.fabric import ZONE
from operators.contract.identity import Resource
from operators.contract.quantity import Quantity
from operators.contract.storage import DISK_OFFERING, VOLUME

GIB = 2**30
LARGEST = 64 * 1024
"""GB, as a Volume takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListVolumes(TaggedListArgs):
    """Arguments."""

    id: Volume | None = uuid("ID of the volume", VOLUME)
    ids: tuple[Volume, ...] = uuids("IDs of volumes; not together with id", VOLUME)
    name: str = string("Name of the volume")
    type: str = string("ROOT or DATADISK")
    state: str = string("Allocated, Creating, Ready or Expunging")
    virtualmachineid: VM | None = uuid("Those of this virtual machine", VIRTUAL_MACHINE)
    diskofferingid: DiskOffering | None = uuid("Those of this disk offering", DISK_OFFERING)
    zoneid: Zone | None = uuid("Those in this zone", ZONE)


@command(
    "listVolumes",
    "Lists volumes.",
    item=VolumeResponse,
    key="volume",
    refused="""clusterid hostid isencrypted listsystemvms podid retrieveonlyresourcecount serviceofferingid
        storageid""",
    ignored="displayvolume",
)
async def list_volumes(call: Call, args: ListVolumes) -> Answer:
    """Those of the caller, or of whom it asks about. What is being deleted is shown only when asked for."""
    if args.id is not None and args.ids:
        raise errors.invalid("Specify either id or ids but not both parameters")
    ids = {each.meta.uid for each in args.ids}

    def wanted(obj: Volume) -> bool:
        return (
            names.LABEL_CD not in obj.meta.labels
            and (not ids or obj.meta.uid in ids)
            and args.name in ("", name_of(obj))
            and contains(args.keyword, name_of(obj))
            and args.type.upper() in ("", type_of(obj))
            and is_or_any(args.diskofferingid, obj.spec.disk_offering)
            and _of(call, obj, args.virtualmachineid)
            and _shown(call, obj, args)
        )

    found = owned(call, VOLUME, args, args.id, wanted)
    return listing(args, found, lambda obj: volume(call, obj))


def _of(call: Call, obj: Volume, vm: VM | None) -> bool:
    user = user_of(call, obj) if vm else None
    return vm is None or (user is not None and user.meta.uid == vm.meta.uid)


def _shown(call: Call, obj: Volume, args: ListVolumes) -> bool:
    if not args.state and args.zoneid is None:
        return not obj.meta.deleting
    shown = volume(call, obj)
    in_state = shown.state.lower() == args.state.lower() if args.state else not obj.meta.deleting
    return in_state and is_or_any(args.zoneid, shown.zonename)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteVolume:
    """Arguments."""

    id: Volume = uuid("ID of the volume", VOLUME, required=True)


@command("deleteVolume", "Deletes a data volume that no virtual machine uses.", item=Done)
async def delete_volume(call: Call, args: DeleteVolume) -> Answer:
    """Refuse what is in use; a deletion cannot be taken back."""
    await _delete(call, args.id)
    return Single(Done())


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyVolume(DeleteVolume):
    """Arguments."""

    expunge: bool = boolean("Must be true: a volume that is destroyed cannot be recovered")


@command(
    "destroyVolume",
    "Deletes a data volume that no virtual machine uses, for good.",
    item=VolumeResponse,
    key="volume",
    asynchronous=True,
)
async def destroy_volume(call: Call, args: DestroyVolume) -> Answer:
    """As `deleteVolume`; one that waits to be recovered there is not."""
    if not args.expunge:
        raise errors.ApiError(432, "destroyVolume without expunge=true is not supported yet: nothing could recover it")
    await _delete(call, args.id)
    return Started(job_id(args.id.meta.uid, DELETION))


async def _delete(call: Call, volume: Volume) -> None:
    if user_of(call, volume) is not None or volume.status.attached_to:
        raise errors.invalid("Please specify a volume that is not attached to any VM.")
    await remove(call, volume)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateVolume:
    """Arguments."""

    id: Volume | None = uuid("ID of the volume", VOLUME)
    name: str = string("What the volume is called from now on")


@command(
    "updateVolume",
    "Gives a volume another name.",
    item=VolumeResponse,
    key="volume",
    asynchronous=True,
    refused="chaininfo customid deleteprotection path state storageid",
    ignored="displayvolume",
)
async def update_volume(call: Call, args: UpdateVolume) -> Answer:
    """The name for people."""
    if args.id is None:
        raise errors.missing("updateVolume", "id")
    return Started(job_id((await update(call, args.id, {}, name=args.name)).meta.uid, CREATION))


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachVolume:
    """Arguments."""

    id: Volume = uuid("ID of the volume", VOLUME, required=True)
    virtualmachineid: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)
    deviceid: int | None = long("Place among its disks, which is always the next free one")


@command(
    "attachVolume",
    "Attaches a data volume to a virtual machine.",
    item=VolumeResponse,
    key="volume",
    asynchronous=True,
)
async def attach_volume(call: Call, args: AttachVolume) -> Answer:
    """The caller's own `spec.volumes` of the virtual machine."""
    obj, target = args.id, args.virtualmachineid
    if type_of(obj) != DATA:
        raise errors.invalid("Please specify a volume that is a data disk")
    if obj.meta.namespace != target.meta.namespace:
        raise errors.denied(f"volume {name_of(obj)} and virtual machine {name_of(target)} are not of one account")
    if args.deviceid not in (None, len(target.spec.volumes) + 1):
        raise errors.ApiError(
            432, f"deviceid must be {len(target.spec.volumes) + 1}: disks are in the order of attaching"
        )
    user = user_of(call, obj)
    if user is not None:
        raise errors.invalid(f"Volume {name_of(obj)} is already attached to virtual machine {name_of(user)}")

    def make(vm: VM) -> Json:
        names = vm.spec.volumes
        return {} if obj.meta.name in names else {"spec": {"volumes": [*names, obj.meta.name]}}

    await change(call, target, make)
    return Started(job_id(obj.meta.uid, ATTACHING))


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachVolume:
    """Arguments."""

    id: Volume | None = uuid("ID of the volume", VOLUME)
    virtualmachineid: VM | None = uuid("ID of the virtual machine, with deviceid in place of id", VIRTUAL_MACHINE)
    deviceid: int | None = long("Place among its disks, counted from 1")


@command(
    "detachVolume",
    "Detaches a data volume from its virtual machine.",
    item=VolumeResponse,
    key="volume",
    asynchronous=True,
)
async def detach_volume(call: Call, args: DetachVolume) -> Answer:
    """The caller's own `spec.volumes` of the virtual machine."""
    obj = args.id or _at(call, args)
    user = user_of(call, obj)
    if user is None:
        raise errors.invalid(f"The specified volume {name_of(obj)} is not attached to a VM")
    if type_of(obj) != DATA:
        raise errors.invalid("Please specify a volume that is a data disk")

    def make(vm: VM) -> Json:
        return {"spec": {"volumes": [each for each in vm.spec.volumes if each != obj.meta.name]}}

    await change(call, user, make)
    return Started(job_id(obj.meta.uid, DETACHING))


def _at(call: Call, args: DetachVolume) -> Volume:
    vm, device = args.virtualmachineid, args.deviceid
    if vm is None or device is None:
        raise errors.invalid("Please provide either a volume id, or a tuple(device id, instance id)")
    name = vm.spec.volumes[device - 1] if 1 <= device <= len(vm.spec.volumes) else ""
    found = call.cloud.named(VOLUME, name, vm.meta.namespace)
    if found is None:
        raise errors.invalid(f"There is no volume at device {device} of virtual machine {name_of(vm)}")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeVolume:
    """Arguments."""

    id: Volume = uuid("ID of the volume", VOLUME, required=True)
    size: int | None = long("Size in GB from now on")


@command(
    "resizeVolume",
    "Makes a volume larger.",
    item=VolumeResponse,
    key="volume",
    asynchronous=True,
    refused="diskofferingid maxiops miniops shrinkok",
    ignored="automigrate",
)
async def resize_volume(call: Call, args: ResizeVolume) -> Answer:
    """The caller's own `spec.size`; a disk never shrinks."""
    if args.size is None or not 1 <= args.size <= LARGEST:
        raise errors.invalid(f"size is needed: between 1 and {LARGEST} GB")
    now = args.id.status.size or args.id.spec.size or Quantity(0)
    if args.size * GIB < now:
        raise errors.invalid(f"Volume {name_of(args.id)} has {int(now)} bytes: a volume can grow and never shrink")
    size = Quantity(args.size * GIB)

    def make(obj: Volume) -> Json:
        return {} if obj.spec.size == size else {"spec": {"size": str(size)}}

    def more(obj: Volume) -> Mapping[str, int]:
        return {Resource.PRIMARY_STORAGE: gib(size) - gib(int(obj.status.size or obj.spec.size or 0))}

    return Started(changed(await grown(call, args.id, make, more)))
