"""Templates, ISOs and volumes of files that a client posts as a form, as CloudStack's user interface does."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming, uploads
from operators.api.call import Call, OwnerArgs, place_to_make
from operators.api.cloud import DiskOffering, Zone
from operators.api.commands.guests import os_type
from operators.api.commands.templates import FORMATS, checksum_of
from operators.api.declare import Answer, Single, boolean, command, identifier, string, uuid
from operators.api.limits import gib
from operators.api.responses.virtualmachine import HYPERVISOR
from operators.contract.codec import to_wire
from operators.contract.fabric import ZONE
from operators.contract.identity import Resource
from operators.contract.storage import DISK_OFFERING, IMAGE, VOLUME, ImageSpec, VolumeSource, VolumeSpec

KEY = "getuploadparams"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadParams:
    """How to post the file: as multipart/form-data to `postURL`, with the others in headers X-…, within their time."""

    id: str
    postURL: str  # noqa: N815 - CloudStack's spelling
    metadata: str
    expires: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadArgs(OwnerArgs):
    """Arguments that all have."""

    name: str = string("What it shall be called", required=True)
    zoneid: Zone | None = uuid("The zone; it is in every zone, as -1 says", ZONE, required=True, every=True)
    checksum: str = string("{SHA-256} and its digits, {SHA-512}, {SHA-1} or {MD5}; without it whatever comes is taken")


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadTemplate(UploadArgs):
    """Arguments."""

    displaytext: str = string("What people read in place of the name", length=4096)
    format: str = string("QCOW2, RAW, VMDK or VDI", required=True)
    hypervisor: str = string("KVM; there is no other", required=True)
    ostypeid: str = identifier("ID of its operating system")
    ispublic: bool = boolean("Whether other accounts may use it")


@command(
    "getUploadParamsForTemplate",
    "Tells how to post the file of a new template. It can be used once the file has come.",
    item=UploadParams,
    key=KEY,
    envelope="postuploadtemplateresponse",
    refused="arch deployasis details forcks templatetag",
    ignored="""bits isdynamicallyscalable isextractable isfeatured isrouting passwordenabled requireshvm
        sshkeyenabled templatetype""",
)
async def upload_template(call: Call, args: UploadTemplate) -> Answer:
    """The ImageUpload, and the Image that names what will come."""
    if args.hypervisor.lower() != HYPERVISOR.lower():
        raise errors.invalid(f"no host runs {args.hypervisor}: hypervisor must be {HYPERVISOR}")
    spec = ImageSpec(
        format=_format(args.format),
        os_type=os_type(call, "getUploadParamsForTemplate", args.ostypeid),
        display_name=args.displaytext or args.name,
        public=args.ispublic,
    )
    return await _image(call, args, spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadIso(UploadArgs):
    """Arguments."""

    displaytext: str = string("What people read in place of the name", length=4096)
    format: str = string("ISO", required=True)
    ostypeid: str = identifier("ID of its operating system")
    bootable: bool = boolean("Whether a virtual machine can start from it", default=True)
    ispublic: bool = boolean("Whether other accounts may use it")


@command(
    "getUploadParamsForIso",
    "Tells how to post the file of a new ISO. It can be used once the file has come.",
    item=UploadParams,
    key=KEY,
    envelope="postuploadisoresponse",
    refused="arch",
    ignored="isextractable isfeatured",
)
async def upload_iso(call: Call, args: UploadIso) -> Answer:
    """As for a template."""
    if args.format.lower() != "iso":
        raise errors.invalid(f"format {args.format} is not supported: it must be ISO")
    spec = ImageSpec(
        format="iso",
        os_type=os_type(call, "getUploadParamsForIso", args.ostypeid),
        display_name=args.displaytext or args.name,
        public=args.ispublic,
        bootable=args.bootable,
    )
    return await _image(call, args, spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadVolume(UploadArgs):
    """Arguments."""

    format: str = string("QCOW2, RAW, VMDK or VDI", required=True)
    diskofferingid: DiskOffering | None = uuid("ID of the disk offering", DISK_OFFERING)


@command(
    "getUploadParamsForVolume",
    "Tells how to post the file of a new data volume. It is made where a virtual machine first uses it.",
    item=UploadParams,
    key=KEY,
    envelope="postuploadvolumeresponse",
    refused="imagestoreuuid",
)
async def upload_volume(call: Call, args: UploadVolume) -> Answer:
    """The ImageUpload, and the Volume that begins as what will come."""
    where, checksum, format_ = place_to_make(call, args), checksum_of(args.checksum), _format(args.format)
    begun = await uploads.begin(call, where, args.name, checksum)
    source = VolumeSource(url=begun.url, checksum=checksum, format=format_)
    offering, amounts = args.diskofferingid, {str(Resource.VOLUMES): 1}
    spec = VolumeSpec(source=source)
    if offering is not None:
        spec = VolumeSpec(source=source, size=offering.spec.size, disk_offering=offering.meta.name)
    if spec.size is not None:
        amounts[Resource.PRIMARY_STORAGE] = gib(int(spec.size))
    body = await naming.create(call, VOLUME, where, args.name, to_wire(spec), amounts=amounts)
    return _params(call, begun, body["metadata"]["uid"])


async def _image(call: Call, args: UploadArgs, spec: ImageSpec) -> Answer:
    where, checksum = place_to_make(call, args), checksum_of(args.checksum)
    begun = await uploads.begin(call, where, args.name, checksum)
    said = to_wire(spec) | {"url": begun.url} | ({"checksum": checksum} if checksum else {})
    body = await naming.create(call, IMAGE, where, args.name, said, amounts={Resource.IMAGES: 1})
    return _params(call, begun, body["metadata"]["uid"])


def _params(call: Call, begun: uploads.Begun, uid: str) -> Answer:
    where = f"{call.published.uploads.rstrip('/')}/uploads/{begun.key.namespace}/{begun.key.name}"
    expires = call.clock.now() + uploads.TO_COME
    return Single(
        UploadParams(
            id=uid,
            postURL=where,
            metadata=begun.key.name,
            expires=f"{expires:%Y-%m-%dT%H:%M:%S}.000Z",
            signature=begun.token,
        )
    )


def _format(text: str) -> str:
    if text.lower() not in FORMATS:
        raise errors.invalid(f"format {text} is not supported: it must be QCOW2, RAW, VMDK or VDI")
    return FORMATS[text.lower()]
