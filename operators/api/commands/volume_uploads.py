"""Data volumes that begin as what an address leads to."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, OwnerArgs, place_to_make
from operators.api.cloud import DiskOffering, Zone
from operators.api.commands.templates import FORMATS, checksum_of
from operators.api.declare import Answer, Started, command, string, uuid
from operators.api.jobs import CHANGE, job_id
from operators.api.limits import gib
from operators.api.responses.volume import VolumeResponse
from operators.contract.codec import to_wire
from operators.contract.fabric import ZONE
from operators.contract.identity import Resource
from operators.contract.storage import DISK_OFFERING, VOLUME, VolumeSource, VolumeSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadVolume(OwnerArgs):
    """Arguments."""

    name: str = string("Name of the volume", required=True)
    url: str = string("Where to fetch it: http:// or https://", required=True, length=2048)
    format: str = string("QCOW2, RAW, VMDK or VDI", required=True)
    checksum: str = string(
        "{SHA-256} and its digits, {SHA-512}, {SHA-1} or {MD5}; without it whatever comes first is taken"
    )
    zoneid: Zone = uuid("ID of the zone", ZONE, required=True)
    diskofferingid: DiskOffering | None = uuid("ID of the disk offering", DISK_OFFERING)


@command(
    "uploadVolume",
    "Makes a data volume of what an address leads to. It is fetched where a virtual machine first uses it.",
    item=VolumeResponse,
    key="volume",
    asynchronous=True,
    refused="imagestoreuuid",
)
async def upload_volume(call: Call, args: UploadVolume) -> Answer:
    """The Volume that kubectl would make; its size is that of what is fetched, or the offering's where that has one."""
    if not args.url.lower().startswith(("http://", "https://")):
        raise errors.invalid("url must begin with http:// or https://")
    if args.format.lower() not in FORMATS:
        raise errors.invalid(f"format {args.format} is not supported: it must be QCOW2, RAW, VMDK or VDI")
    source = VolumeSource(url=args.url, checksum=checksum_of(args.checksum), format=FORMATS[args.format.lower()])
    offering = args.diskofferingid
    if offering is not None:
        spec = VolumeSpec(source=source, size=offering.spec.size, disk_offering=offering.meta.name)
    else:
        spec = VolumeSpec(source=source)
    amounts: dict[str, int] = {Resource.VOLUMES: 1}
    if spec.size is not None:
        amounts[Resource.PRIMARY_STORAGE] = gib(int(spec.size))
    body = await naming.create(call, VOLUME, place_to_make(call, args), args.name, to_wire(spec), amounts=amounts)
    return Started(job_id(body["metadata"]["uid"], CHANGE), body["metadata"]["uid"])
