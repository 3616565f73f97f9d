"""Templates of root disks, which are Images."""

from __future__ import annotations

import re
from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, OwnerArgs, TaggedListArgs, asked, listing, place_to_make, tagged
from operators.api.changing import given, remove, update
from operators.api.cloud import Image, Zone, name_of
from operators.api.commands.guests import os_type
from operators.api.declare import (
    Answer,
    Listing,
    Single,
    Started,
    boolean,
    command,
    identifier,
    string,
    uuid,
    uuids,
)
from operators.api.jobs import DELETION, job_id
from operators.api.responses.done import Done
from operators.api.responses.offerings import TemplateResponse, template
from operators.api.responses.virtualmachine import HYPERVISOR
from operators.contract.codec import to_wire
from operators.contract.fabric import ZONE
from operators.contract.identity import Resource
from operators.contract.storage import IMAGE, ImageSpec

FILTERS = frozenset(["featured", "self", "selfexecutable", "sharedexecutable", "executable", "community", "all"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTemplates(TaggedListArgs):
    """Arguments."""

    templatefilter: str = string(
        "featured, self, selfexecutable, sharedexecutable, executable, community or (for admins) all", required=True
    )
    id: Image | None = uuid("ID of the template", IMAGE)
    ids: tuple[Image, ...] = uuids("IDs of templates", IMAGE)
    name: str = string("Name of the template")
    zoneid: Zone | None = uuid("The zone to show them in; they are in every zone", ZONE)
    hypervisor: str = string("Templates of this hypervisor; all are of KVM")
    isready: bool = boolean("Only those that can be used now")


@command(
    "listTemplates",
    "Lists templates of root disks.",
    item=TemplateResponse,
    key="template",
    refused="""arch extensionid forcks imagestoreid isvnf oscategoryid parenttemplateid storageid templatetype""",
    ignored="details showicon showremoved showunique",
)
async def list_templates(call: Call, args: ListTemplates) -> Answer:
    """Those of the catalogue are featured and everybody's; others are their account's, unless public."""
    filter_ = filter_of(call, args.templatefilter)
    zones = call.cloud.all(ZONE)
    zone = args.zoneid or (zones[0] if len(zones) == 1 else None)
    ids = {each.meta.uid for each in args.ids}

    def wanted(obj: Image) -> bool:
        return (
            obj.spec.format != "iso"
            and visible(call, obj, filter_)
            and tagged(obj.meta, args.tags)
            and (not ids or obj.meta.uid in ids)
            and asked(args, obj, name_of(obj))
            and args.hypervisor.lower() in ("", HYPERVISOR.lower())
            and (not args.isready or template(call, obj, zone).isready)
        )

    return listing(args, call.cloud.all(IMAGE, None, wanted), lambda obj: template(call, obj, zone))


def filter_of(call: Call, text: str) -> str:
    """Which images are asked for."""
    if (filter_ := text.lower()) not in FILTERS:
        raise errors.invalid(f"Please specify a valid template filter: one of {', '.join(sorted(FILTERS))}")
    if filter_ == "all" and not call.caller.root:
        raise errors.denied("Only ROOT admins are allowed to specify template filter all")
    return filter_


def visible(call: Call, obj: Image, filter_: str) -> bool:
    """Whether the caller sees an image, and asked for such."""
    return call.directory.sees(call.caller, obj) and _filtered(call, obj, filter_)


def image_for(call: Call, image: Image, namespace: str) -> str:
    """As a spec in that namespace must call it, so that no image of the tenant's own comes before it."""
    name = image.meta.name
    found = call.cloud.image(name, namespace)
    return name if found is not None and found.meta.uid == image.meta.uid else f"{image.meta.namespace}/{name}"


def _filtered(call: Call, obj: Image, filter_: str) -> bool:
    featured = obj.meta.namespace == call.cloud.catalogue
    mine = obj.meta.namespace == call.caller.account.meta.name
    match filter_:
        case "featured":
            return featured
        case "self" | "selfexecutable":
            return mine
        case "sharedexecutable":
            return False
        case "community":
            return obj.spec.public and not featured
        case "executable":
            return featured or mine or obj.spec.public
    return True


FORMATS = {name: name for name in ("qcow2", "raw", "vmdk", "vdi")}
DIGITS = {"sha256": 64, "sha512": 128, "sha1": 40, "md5": 32}
"""The algorithms of checksums, and how many hexadecimal digits each has."""
_BY_LENGTH = {length: algorithm for algorithm, length in DIGITS.items()}
_CHECKSUM = re.compile(r"(?:\{([a-z0-9-]+)\}|([a-z0-9-]+):)?([0-9a-f]+)")
_NO_CHECKSUM = "checksum must be {SHA-256}, {SHA-512}, {SHA-1} or {MD5} and the hexadecimal digits that this has"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterTemplate(OwnerArgs):
    """Arguments."""

    name: str = string("Name of the template", required=True)
    displaytext: str = string("What people read in place of the name", length=4096)
    format: str = string("QCOW2, RAW, VMDK or VDI", required=True)
    hypervisor: str = string("KVM; there is no other", required=True)
    url: str = string("Where to fetch it: http:// or https://", required=True, length=2048)
    checksum: str = string(
        "{SHA-256} and its digits, {SHA-512}, {SHA-1} or {MD5}; without it whatever comes first is taken"
    )
    ispublic: bool = boolean("Whether other accounts may use it")
    ostypeid: str = identifier("ID of its operating system")
    zoneid: Zone | None = uuid("The zone to show it in; it is in every zone, as -1 says", ZONE, every=True)


@command(
    "registerTemplate",
    "Registers a template. It is fetched where a virtual machine first needs it.",
    item=TemplateResponse,
    key="template",
    refused="arch deployasis details extensionid externaldetails forcks templatetag",
    ignored="""bits isdynamicallyscalable isextractable isfeatured isrouting passwordenabled requireshvm
        sshkeyenabled templatetype zoneids directdownload""",
)
async def register_template(call: Call, args: RegisterTemplate) -> Answer:
    """The Image that kubectl would make. CloudStack answers with a list of one."""
    if args.hypervisor.lower() != HYPERVISOR.lower():
        raise errors.invalid(f"no host runs {args.hypervisor}: hypervisor must be {HYPERVISOR}")
    if args.format.lower() not in FORMATS:
        raise errors.invalid(f"format {args.format} is not supported: it must be QCOW2, RAW, VMDK or VDI")
    spec = ImageSpec(
        url=args.url,
        checksum=checksum_of(args.checksum),
        format=FORMATS[args.format.lower()],
        os_type=os_type(call, "registerTemplate", args.ostypeid),
        display_name=args.displaytext or args.name,
        public=args.ispublic,
    )
    where = place_to_make(call, args)
    body = await naming.create(call, IMAGE, where, args.name, to_wire(spec), amounts={Resource.IMAGES: 1})
    return Listing(1, [template(call, IMAGE.parse(body), args.zoneid)])


def checksum_of(text: str) -> str:
    """A checksum as Images say it: clients put the algorithm in braces, or let the number of digits tell it."""
    if not text:
        return ""
    match = _CHECKSUM.fullmatch(text.strip().lower())
    algorithm, digits = ((match[1] or match[2] or "").replace("-", ""), match[3]) if match else ("", "")
    algorithm = algorithm or _BY_LENGTH.get(len(digits), "")
    if DIGITS.get(algorithm) != len(digits):
        raise errors.invalid(_NO_CHECKSUM)
    return f"{algorithm}:{digits}"


@dataclass(frozen=True, slots=True, kw_only=True)
class One:
    """Arguments: a template."""

    id: Image = uuid("ID of the template", IMAGE, required=True)


def own_template(call: Call, image: Image) -> Image:
    """An image that the caller may change: one of the catalogue, or of another's, it only sees."""
    if call.caller.root or call.directory.owns(call.caller, image.meta.namespace):
        return image
    raise errors.denied(f"template {name_of(image)} belongs to another account")


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateTemplate(One):
    """Arguments."""

    name: str = string("What the template is called from now on")
    displaytext: str = string("What people read in place of the name from now on", length=4096)
    format: str = string("The format that it has: clients that repeat it are welcome, and no other is taken")
    isrouting: bool = boolean("False: there are no templates of routers")
    bootable: bool | None = boolean("Whether one can boot from it: as it is", default=None)
    ostypeid: str = identifier("ID of the operating system that it has")


@command(
    "updateTemplate",
    "Gives a template other names. What it is made of stays as it is.",
    item=TemplateResponse,
    key="template",
    refused="arch cleanupdetails details forceupdateostype forcks templatetag templatetype",
    ignored="sortkey isdynamicallyscalable passwordenabled requireshvm sshkeyenabled",
)
async def update_template(call: Call, args: UpdateTemplate) -> Answer:
    """The names."""
    image = own_template(call, args.id)
    if args.format and FORMATS.get(args.format.lower()) != image.spec.format:
        raise errors.invalid(f"template {name_of(image)} is {image.spec.format.upper()}, and stays what it is")
    if args.isrouting:
        raise errors.invalid("there are no templates of routers: they are network namespaces of hosts")
    must_stay(call, image, args.ostypeid, args.bootable)
    named = await update(call, image, given(displayName=args.displaytext), name=args.name)
    return Single(template(call, named, None))


def must_stay(call: Call, image: Image, ostypeid: str, bootable: bool | None) -> None:
    """Refuse another operating system or use than an Image was registered with; who repeats them is welcome."""
    what = f"{'ISO' if image.spec.format == 'iso' else 'template'} {name_of(image)}"
    if ostypeid not in ("", template(call, image, None).ostypeid):
        raise errors.invalid(f"the operating system of {what} is said when it is registered")
    if bootable not in (None, image.spec.bootable):
        raise errors.invalid(f"whether {what} is bootable is said when it is registered")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteTemplate(One):
    """Arguments."""

    zoneid: Zone | None = uuid("The zone to take it out of; it is in all or none", ZONE)


@command(
    "deleteTemplate",
    "Deletes a template; virtual machines that were made from it keep their disks.",
    item=Done,
    asynchronous=True,
    refused="issystem",
    ignored="forced",
)
async def delete_template(call: Call, args: DeleteTemplate) -> Answer:
    """Storage lets it go once no disk needs it."""
    await remove(call, own_template(call, args.id))
    return Started(job_id(args.id.meta.uid, DELETION))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateTemplatePermissions(One):
    """Arguments."""

    ispublic: bool | None = boolean("Whether other accounts may use it", default=None)


@command(
    "updateTemplatePermissions",
    "Says who may use a template: everybody, or its account alone.",
    item=Done,
    refused="accounts op projectids",
    ignored="isextractable isfeatured",
)
async def update_template_permissions(call: Call, args: UpdateTemplatePermissions) -> Answer:
    """The owner's own `spec.public`."""
    await update(call, own_template(call, args.id), given(public=args.ispublic))
    return Single(Done())


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionResponse:
    """Who may use a template."""

    id: str
    ispublic: bool
    domainid: str | None


@command(
    "listTemplatePermissions",
    "Tells who may use a template.",
    item=PermissionResponse,
    key="templatepermission",
)
async def list_template_permissions(call: Call, args: One) -> Answer:
    """Everybody, or its account alone."""
    shown = template(call, own_template(call, args.id), None)
    return Single(PermissionResponse(id=shown.id, ispublic=shown.ispublic, domainid=shown.domainid))
