"""Disk offerings."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, OwnedListArgs, asked, listing
from operators.api.changing import given, remove, update
from operators.api.cloud import DiskOffering, Volume, Zone
from operators.api.declare import ROOT_ADMIN, Answer, Single, boolean, command, long, string, uuid
from operators.api.responses.done import Done
from operators.api.responses.offerings import GIB, DiskOfferingResponse, disk_offering, offering_label, words_of
from operators.contract.codec import to_wire
from operators.contract.fabric import ZONE
from operators.contract.quantity import Quantity
from operators.contract.storage import DISK_OFFERING, VOLUME, DiskOfferingSpec, Provisioning

PROVISIONING = {"thin": Provisioning.THIN, "sparse": Provisioning.THIN, "fat": Provisioning.FAT}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListDiskOfferings(OwnedListArgs):
    """Arguments."""

    id: DiskOffering | None = uuid("ID of the disk offering", DISK_OFFERING)
    name: str = string("Name of the disk offering")
    zoneid: Zone | None = uuid("Offerings of this zone; all are in every zone", ZONE)
    volumeid: Volume | None = uuid("Offerings that this volume could change to", VOLUME)


@command(
    "listDiskOfferings",
    "Lists the classes of disks.",
    item=DiskOfferingResponse,
    key="diskoffering",
    refused="encrypt storageid virtualmachineid",
    ignored="state storagetype",
)
async def list_disk_offerings(call: Call, args: ListDiskOfferings) -> Answer:
    """Offerings are for everybody, so account and domain leave all of them."""

    def wanted(obj: DiskOffering) -> bool:
        return asked(args, obj, obj.meta.name, obj.spec.display_name) and (
            args.volumeid is None or args.volumeid.spec.disk_offering != obj.meta.name
        )

    return listing(args, call.cloud.all(DISK_OFFERING, None, wanted), disk_offering)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateDiskOffering:
    """Arguments."""

    name: str = string("Name of the offering", required=True)
    displaytext: str = string("What people read in place of the name", length=4096)
    disksize: int | None = long("Size of its disks in GB")
    customized: bool = boolean("Whether the caller chooses the size, in place of disksize")
    tags: str = string("Tags that a pool must have, with commas between", length=4096)
    provisioningtype: str = string("thin or sparse: what is written takes room; fat: all of the size does at once")


@command(
    "createDiskOffering",
    "Creates a class of disks.",
    item=DiskOfferingResponse,
    key="diskoffering",
    roles=ROOT_ADMIN,
    refused="""bytesreadrate bytesreadratemax bytesreadratemaxlength byteswriterate byteswriteratemax
        byteswriteratemaxlength cachemode customizediops details domainid encrypt hypervisorsnapshotreserve
        iopsreadrate iopsreadratemax iopsreadratemaxlength iopswriterate iopswriteratemax
        iopswriteratemaxlength maxiops miniops storagepolicy zoneid""",
    ignored="displayoffering storagetype disksizestrictness",
)
async def create_disk_offering(call: Call, args: CreateDiskOffering) -> Answer:
    """The DiskOffering that kubectl would make."""
    if args.customized == (args.disksize is not None):
        raise errors.invalid("Either disksize or customized must be given, and not both")
    if args.disksize is not None and args.disksize < 1:
        raise errors.invalid("disksize must be positive")
    size = Quantity(args.disksize * GIB) if args.disksize is not None else None
    provisioning = PROVISIONING.get(args.provisioningtype.lower() or "thin")
    if provisioning is None:
        raise errors.invalid("provisioningtype must be thin, sparse or fat")
    spec = DiskOfferingSpec(display_name=args.name, size=size, tags=words_of(args.tags), provisioning=provisioning)
    body = await naming.create(call, DISK_OFFERING, "", args.name, to_wire(spec), args.displaytext)
    return Single(disk_offering(DISK_OFFERING.parse(body)))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateDiskOffering:
    """Arguments."""

    id: DiskOffering = uuid("ID of the disk offering", DISK_OFFERING, required=True)
    name: str = string("What the offering is called from now on")
    displaytext: str = string("What people read in place of the name from now on", length=4096)
    tags: str = string("Tags that a pool must have from now on, with commas between", length=4096)


@command(
    "updateDiskOffering",
    "Changes an offering. The size of its disks stays as it is.",
    item=DiskOfferingResponse,
    key="diskoffering",
    roles=ROOT_ADMIN,
    refused="""bytesreadrate bytesreadratemax bytesreadratemaxlength byteswriterate byteswriteratemax
        byteswriteratemaxlength cachemode domainid iopsreadrate iopsreadratemax iopsreadratemaxlength
        iopswriterate iopswriteratemax iopswriteratemaxlength state zoneid""",
    ignored="displayoffering sortkey",
)
async def update_disk_offering(call: Call, args: UpdateDiskOffering) -> Answer:
    """Names and tags."""
    spec = given(displayName=args.name, tags=sorted(words_of(args.tags)) or None)
    return Single(disk_offering(await update(call, args.id, spec, display=args.displaytext)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteDiskOffering:
    """Arguments."""

    id: DiskOffering = uuid("ID of the disk offering", DISK_OFFERING, required=True)


@command("deleteDiskOffering", "Deletes an offering that no volume has.", item=Done, roles=ROOT_ADMIN)
async def delete_disk_offering(call: Call, args: DeleteDiskOffering) -> Answer:
    """A volume needs its offering for as long as it lives, so one in use stays."""
    name = args.id.meta.name
    if users := call.cloud.all(VOLUME, None, lambda volume: volume.spec.disk_offering == name):
        raise errors.in_use(f"Can't delete offering {offering_label(args.id)}: {len(users)} volumes have it")
    await remove(call, args.id)
    return Single(Done())
