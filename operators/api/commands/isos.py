"""CDs and DVDs: Images of the format iso, and what is in the CD drives of virtual machines."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, OwnerArgs, TaggedListArgs, asked, listing, place_to_make, tagged
from operators.api.changing import change, given, remove, update
from operators.api.cloud import VM, Image, Volume, Zone, name_of
from operators.api.commands.guests import os_type
from operators.api.commands.templates import checksum_of, filter_of, image_for, must_stay, own_template, visible
from operators.api.declare import Answer, Listing, Single, Started, boolean, command, identifier, string, uuid
from operators.api.jobs import DELETION, changed, job_id
from operators.api.responses.done import Done
from operators.api.responses.offerings import TemplateResponse, template
from operators.api.responses.virtualmachine import VirtualMachineResponse
from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.fabric import ZONE
from operators.contract.identity import Resource
from operators.contract.meta import Key
from operators.contract.storage import IMAGE, VOLUME, ImageSpec, VolumeSource, VolumeSpec
from operators.kernel.store import AlreadyExists

ISO = "iso"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListIsos(TaggedListArgs):
    """Arguments."""

    isofilter: str = string("As templatefilter of listTemplates; when left out, executable or (for admins) all")
    id: Image | None = uuid("ID of the ISO", IMAGE)
    name: str = string("Name of the ISO")
    zoneid: Zone | None = uuid("The zone to show them in; they are in every zone", ZONE)
    bootable: bool | None = boolean("Whether one can boot from them", default=None)
    ispublic: bool | None = boolean("Whether other accounts may use them", default=None)
    isready: bool = boolean("Only those that can be used now")


@command(
    "listIsos",
    "Lists CDs and DVDs.",
    item=TemplateResponse,
    key="iso",
    refused="arch imagestoreid oscategoryid storageid",
    ignored="hypervisor showicon showremoved showunique",
)
async def list_isos(call: Call, args: ListIsos) -> Answer:
    """As listTemplates, of the Images that are ISOs."""
    zones = call.cloud.all(ZONE)
    zone = args.zoneid or (zones[0] if len(zones) == 1 else None)
    filter_ = filter_of(call, args.isofilter or ("all" if call.caller.root else "executable"))

    def wanted(obj: Image) -> bool:
        return (
            obj.spec.format == ISO
            and visible(call, obj, filter_)
            and tagged(obj.meta, args.tags)
            and asked(args, obj, name_of(obj))
            and args.bootable in (None, obj.spec.bootable)
            and args.ispublic in (None, template(call, obj, zone).ispublic)
            and (not args.isready or template(call, obj, zone).isready)
        )

    return listing(args, call.cloud.all(IMAGE, None, wanted), lambda obj: template(call, obj, zone))


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterIso(OwnerArgs):
    """Arguments."""

    name: str = string("Name of the ISO", required=True)
    displaytext: str = string("What people read in place of the name", length=4096)
    url: str = string("Where to fetch it: http:// or https://", required=True, length=2048)
    zoneid: Zone | None = uuid(
        "The zone to show it in; it is in every zone, as -1 says", ZONE, required=True, every=True
    )
    checksum: str = string(
        "{SHA-256} and its digits, {SHA-512}, {SHA-1} or {MD5}; without it whatever comes first is taken"
    )
    ostypeid: str = identifier("ID of its operating system")
    ispublic: bool = boolean("Whether other accounts may use it")
    bootable: bool = boolean("Whether one can boot from it", default=True)


@command(
    "registerIso",
    "Registers a CD or DVD. It is fetched where a virtual machine first needs it.",
    item=TemplateResponse,
    key="iso",
    refused="arch directdownload imagestoreuuid",
    ignored="isdynamicallyscalable isextractable isfeatured passwordenabled",
)
async def register_iso(call: Call, args: RegisterIso) -> Answer:
    """The Image that kubectl would make."""
    spec = ImageSpec(
        url=args.url,
        checksum=checksum_of(args.checksum),
        format=ISO,
        os_type=os_type(call, "registerIso", args.ostypeid),
        display_name=args.displaytext or args.name,
        public=args.ispublic,
        bootable=args.bootable,
    )
    where = place_to_make(call, args)
    body = await naming.create(call, IMAGE, where, args.name, to_wire(spec), amounts={Resource.IMAGES: 1})
    return Listing(1, [template(call, IMAGE.parse(body), args.zoneid)])


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateIso:
    """Arguments."""

    id: Image = uuid("ID of the ISO", IMAGE, required=True)
    name: str = string("Its name")
    displaytext: str = string("What people read in place of the name", length=4096)
    bootable: bool | None = boolean("Whether one can boot from it: as it is", default=None)
    ostypeid: str = identifier("ID of the operating system that it has")


@command(
    "updateIso",
    "Gives a CD or DVD other names. What is on it stays as it is.",
    item=TemplateResponse,
    key="iso",
    refused="arch cleanupdetails details forceupdateostype format isrouting",
    ignored="sortkey isdynamicallyscalable passwordenabled requireshvm sshkeyenabled",
)
async def update_iso(call: Call, args: UpdateIso) -> Answer:
    """The names."""
    image = own_template(call, _iso(args.id))
    must_stay(call, image, args.ostypeid, args.bootable)
    named = await update(call, image, given(displayName=args.displaytext), name=args.name)
    return Single(template(call, named, None))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteIso:
    """Arguments."""

    id: Image = uuid("ID of the ISO", IMAGE, required=True)
    zoneid: Zone | None = uuid("The zone to take it out of; it is in all or none", ZONE)


@command("deleteIso", "Deletes a CD or DVD.", item=Done, asynchronous=True)
async def delete_iso(call: Call, args: DeleteIso) -> Answer:
    """Storage lets it go once it is in no drive."""
    await remove(call, own_template(call, _iso(args.id)))
    return Started(job_id(args.id.meta.uid, DELETION))


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachIso:
    """Arguments."""

    id: Image = uuid("ID of the ISO", IMAGE, required=True)
    virtualmachineid: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)
    forced: bool = boolean("Whether it takes the place of another one")


@command(
    "attachIso",
    "Puts a CD into the drive of a virtual machine, which may run.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    asynchronous=True,
)
async def attach_iso(call: Call, args: AttachIso) -> Answer:
    """A Volume that is made from the Image and goes with the virtual machine, and the caller's own `spec.cdrom`."""
    image, vm = _iso(args.id), args.virtualmachineid
    own = names.cd(vm.meta.name, image.meta.uid)
    if vm.spec.cdrom and vm.spec.cdrom != own and not args.forced:
        raise errors.invalid(f"There is a CD in the drive of {name_of(vm)} already: detach it, or set forced=true")
    spec = VolumeSpec(source=VolumeSource(image=image_for(call, image, vm.meta.namespace)))
    owner = to_wire(dataclasses.replace(vm.owner, controller=False, block_owner_deletion=False))
    key = Key(vm.meta.namespace, own)
    labels = {names.LABEL_CD: "true"}
    with contextlib.suppress(AlreadyExists):  # it was in the drive before, or a call was repeated
        await call.store.create(VOLUME, VOLUME.body(key, spec=to_wire(spec), labels=labels, ownerReferences=[owner]))
    before = vm.spec.cdrom
    now = await change(call, vm, lambda vm: {} if vm.spec.cdrom == own else {"spec": {"cdrom": own}})
    if before != own:
        await _forget(call, vm, before)
    return Started(changed(now))


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachIso:
    """Arguments."""

    virtualmachineid: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)


@command(
    "detachIso",
    "Takes the CD out of the drive of a virtual machine, which may run.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    asynchronous=True,
    ignored="forced",
)
async def detach_iso(call: Call, args: DetachIso) -> Answer:
    """The caller's own `spec.cdrom`; a Volume that was made for it goes."""
    vm = args.virtualmachineid
    if not vm.spec.cdrom:
        raise errors.invalid(f"There is no CD in the drive of virtual machine {name_of(vm)}")
    before = vm.spec.cdrom

    def make(now: VM) -> Json:
        return {"spec": {"cdrom": None}} if now.spec.cdrom == before else {}

    now = await change(call, vm, make)
    await _forget(call, vm, before)
    return Started(changed(now))


async def _forget(call: Call, vm: VM, name: str) -> None:
    """Delete the Volume that was made for a CD; one that somebody made himself stays."""
    found: Volume | None = call.cloud.named(VOLUME, name, vm.meta.namespace) if name else None
    if found is not None and names.LABEL_CD in found.meta.labels:
        await remove(call, found)


def _iso(image: Image) -> Image:
    if image.spec.format != ISO:
        raise errors.invalid(f"{name_of(image)} is a template, no ISO")
    return image
