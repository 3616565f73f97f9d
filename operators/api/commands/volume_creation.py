"""New data volumes: blank ones, and those that begin as a snapshot."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, OwnerArgs, place_to_make
from operators.api.cloud import DiskOffering, Snapshot, Zone, name_of
from operators.api.commands.volumes import GIB, LARGEST
from operators.api.declare import Answer, Started, command, long, string, uuid
from operators.api.jobs import CHANGE, CREATION, job_id
from operators.api.limits import gib
from operators.api.responses.volume import VolumeResponse
from operators.contract.codec import to_wire
from operators.contract.fabric import ZONE
from operators.contract.identity import Resource
from operators.contract.meta import holds
from operators.contract.quantity import Quantity
from operators.contract.reasons import Type
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import DISK_OFFERING, VOLUME, VolumeSource, VolumeSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVolume(OwnerArgs):
    """Arguments."""

    name: str = string("Name of the volume")
    diskofferingid: DiskOffering | None = uuid("ID of the disk offering; needed without snapshotid", DISK_OFFERING)
    size: int | None = long("Size in GB, where the offering leaves it to the caller; the snapshot's when left out")
    zoneid: Zone | None = uuid("ID of the zone; needed without snapshotid", ZONE)
    snapshotid: Snapshot | None = uuid("ID of the snapshot that it begins as", VOLUME_SNAPSHOT)


@command(
    "createVolume",
    "Creates a data volume. A blank one is placed when a virtual machine first uses it.",
    item=VolumeResponse,
    key="volume",
    asynchronous=True,
    refused="customid maxiops miniops virtualmachineid",
    ignored="displayvolume",
)
async def create_volume(call: Call, args: CreateVolume) -> Answer:
    """A blank one is done as soon as the object exists: until somebody uses it, there is nothing to be done for it."""
    where = place_to_make(call, args)
    spec = _blank(args) if args.snapshotid is None else _of_snapshot(call, args, args.snapshotid, where)
    amounts: dict[str, int] = {Resource.VOLUMES: 1, Resource.PRIMARY_STORAGE: gib(int(spec.size or 0))}
    body = await naming.create(call, VOLUME, where, args.name or "volume", to_wire(spec), amounts=amounts)
    uid = body["metadata"]["uid"]
    return Started(job_id(uid, CREATION if args.snapshotid is None else CHANGE), uid)


def _blank(args: CreateVolume) -> VolumeSpec:
    if args.diskofferingid is None:
        raise errors.missing("createVolume", "diskofferingid")
    if args.zoneid is None:
        raise errors.missing("createVolume", "zoneid")
    return blank(args.diskofferingid, args.size)


def blank(offering: DiskOffering, asked: int | None) -> VolumeSpec:
    """A blank volume of an offering, of so many GB where that leaves it to the caller. Raises ApiError."""
    size = _size(asked, offering)
    if size is None:
        raise errors.invalid(f"size is needed, since disk offering {offering.meta.name} has none of its own")
    return VolumeSpec(size=size, disk_offering=offering.meta.name)


def _of_snapshot(call: Call, args: CreateVolume, snapshot: Snapshot, where: str) -> VolumeSpec:
    """As large as the snapshot at least; of the offering of its volume, where that is still there."""
    if snapshot.meta.namespace != where:
        raise errors.denied(f"snapshot {name_of(snapshot)} belongs to another account than the volume would")
    least = snapshot.status.size
    if least is None or snapshot.meta.deleting or not holds(snapshot.status.conditions, Type.READY):
        raise errors.invalid(f"Snapshot {name_of(snapshot)} is not ready, so no volume can be made from it (yet)")
    size = _size(args.size, args.diskofferingid) or least
    if size < least:
        raise errors.invalid(f"Snapshot {name_of(snapshot)} has {int(least)} bytes: the volume must have that or more")
    source = call.cloud.named(VOLUME, snapshot.spec.volume, where)
    former = source.spec.disk_offering if source is not None else VolumeSpec().disk_offering
    offering = args.diskofferingid.meta.name if args.diskofferingid else former
    return VolumeSpec(size=size, disk_offering=offering, source=VolumeSource(snapshot=snapshot.meta.name))


def _size(asked: int | None, offering: DiskOffering | None) -> Quantity | None:
    """The offering's, else the caller's."""
    if asked is not None and not 1 <= asked <= LARGEST:
        raise errors.invalid(f"Invalid size for custom disk offering: it must be between 1 and {LARGEST} GB")
    if offering is not None and offering.spec.size is not None:
        return offering.spec.size
    return None if asked is None else Quantity(asked * GIB)
