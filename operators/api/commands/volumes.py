"""Volumes."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, OwnedListArgs, contains, is_or_any, listing, owned, owner_of
from operators.api.cloud import VM, DiskOffering, Volume, Zone, name_of
from operators.api.declare import Answer, Command, Single, Started, command, long, string, uuid, uuids
from operators.api.directory import Domain
from operators.api.jobs import CREATION, job_id
from operators.api.responses.done import Done
from operators.api.responses.volume import VolumeResponse, type_of, user_of, volume
from operators.contract.codec import to_wire
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.fabric import ZONE
from operators.contract.identity import DOMAIN
from operators.contract.quantity import Quantity
from operators.contract.storage import DISK_OFFERING, VOLUME, VolumeSpec

GIB = 2**30
LARGEST = 64 * 1024
"""GB, as a Volume takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListVolumes(OwnedListArgs):
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
    refused="""clusterid hostid isencrypted listsystemvms podid projectid retrieveonlyresourcecount serviceofferingid
        storageid tags""",
    ignored="displayvolume",
)
async def list_volumes(call: Call, args: ListVolumes) -> Answer:
    """Those of the caller, or of whom it asks about. What is being deleted is shown only when asked for."""
    if args.id is not None and args.ids:
        raise errors.invalid("Specify either id or ids but not both parameters")
    ids = {each.meta.uid for each in args.ids}

    def wanted(obj: Volume) -> bool:
        return (
            (not ids or obj.meta.uid in ids)
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
class CreateVolume:
    """Arguments."""

    name: str = string("Name of the volume")
    diskofferingid: DiskOffering | None = uuid("ID of the disk offering", DISK_OFFERING)
    size: int | None = long("Size in GB, where the offering leaves it to the caller")
    zoneid: Zone | None = uuid("ID of the zone", ZONE)
    account: str = string("The account that shall have it; with domainid, else of the caller's own domain")
    domainid: Domain | None = uuid("The domain of the account", DOMAIN)


@command(
    "createVolume",
    "Creates a data volume. It is placed when a virtual machine first uses it.",
    item=VolumeResponse,
    key="volume",
    asynchronous=True,
    refused="customid maxiops miniops projectid snapshotid virtualmachineid",
    ignored="displayvolume",
)
async def create_volume(call: Call, args: CreateVolume) -> Answer:
    """Done as soon as the object exists: until somebody uses it, there is nothing to be done for it."""
    offering = args.diskofferingid
    if offering is None:
        raise errors.missing("createVolume", "diskofferingid")
    if args.zoneid is None:
        raise errors.missing("createVolume", "zoneid")
    fixed = offering.spec.size
    if fixed is None and args.size is None:
        raise errors.invalid(f"size is needed, since disk offering {offering.meta.name} has none of its own")
    if args.size is not None and not 1 <= args.size <= LARGEST:
        raise errors.invalid(f"Invalid size for custom disk offering: it must be between 1 and {LARGEST} GB")
    size = fixed if fixed is not None else Quantity((args.size or 0) * GIB)
    owner = owner_of(call, args.account, args.domainid)
    spec = to_wire(VolumeSpec(size=size, disk_offering=offering.meta.name))
    body = await naming.create(call, VOLUME, owner.meta.name, args.name or "volume", spec)
    uid = body["metadata"]["uid"]
    return Started(job_id(uid, CREATION), uid)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteVolume:
    """Arguments."""

    id: Volume = uuid("ID of the volume", VOLUME, required=True)


@command("deleteVolume", "Deletes a data volume that no virtual machine uses.", item=Done)
async def delete_volume(call: Call, args: DeleteVolume) -> Answer:
    """Refuse what is in use; a deletion cannot be taken back."""
    user = user_of(call, args.id)
    if user is not None or args.id.status.attached_to:
        raise errors.invalid("Please specify a volume that is not attached to any VM.")
    await call.store.delete(VOLUME, args.id.key, uid=args.id.meta.uid)
    if await call.store.get(VOLUME, args.id.key) is None:
        call.cloud.cache.drop(VOLUME, args.id.key, args.id.meta.uid)
    return Single(Done())


COMMANDS: tuple[Command, ...] = (list_volumes, create_volume, delete_volume)
