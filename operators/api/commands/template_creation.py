"""Templates that are made of a volume or a snapshot."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call
from operators.api.cloud import Snapshot, Volume, Zone, name_of
from operators.api.declare import Answer, Started, boolean, command, string, uuid
from operators.api.jobs import changed
from operators.api.responses.offerings import TemplateResponse
from operators.api.responses.volume import user_of
from operators.contract.codec import to_wire
from operators.contract.compute import RunPolicy
from operators.contract.fabric import ZONE
from operators.contract.identity import Resource
from operators.contract.meta import holds
from operators.contract.reasons import Type
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import IMAGE, VOLUME, ImageSource, ImageSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTemplate:
    """Arguments."""

    name: str = string("Name of the template", required=True)
    displaytext: str = string("What people read in place of the name", length=4096)
    volumeid: Volume | None = uuid("ID of the volume that it is made of; its virtual machine must be stopped", VOLUME)
    snapshotid: Snapshot | None = uuid("ID of the snapshot that it is made of", VOLUME_SNAPSHOT)
    ispublic: bool = boolean("Whether other accounts may use it")
    zoneid: Zone | None = uuid("The zone to show it in; it is in every zone", ZONE)


@command(
    "createTemplate",
    "Makes a template of a volume or of a snapshot. It is there for hosts that reach the pool on which that is.",
    item=TemplateResponse,
    key="template",
    asynchronous=True,
    refused="arch details templatetag url virtualmachineid",
    ignored="""account bits domainid isdynamicallyscalable isfeatured ostypeid passwordenabled projectid requireshvm
        sshkeyenabled""",
)
async def create_template(call: Call, args: CreateTemplate) -> Answer:
    """The Image that kubectl would make, beside what it is made of."""
    namespace, source = _source(call, args)
    spec = ImageSpec(source=source, display_name=args.displaytext or args.name, public=args.ispublic)
    body = await naming.create(call, IMAGE, namespace, args.name, to_wire(spec), amounts={Resource.IMAGES: 1})
    made = IMAGE.parse(body)
    return Started(changed(made), made.meta.uid)


def _source(call: Call, args: CreateTemplate) -> tuple[str, ImageSource]:
    """What it is made of, and in which namespace. Raises ApiError for what cannot be copied now."""
    volume, snapshot = args.volumeid, args.snapshotid
    if volume is not None and snapshot is not None:
        raise errors.invalid("say either volumeid or snapshotid: a template is made of one of them")
    if snapshot is not None:
        if snapshot.meta.deleting or not holds(snapshot.status.conditions, Type.READY):
            raise errors.invalid(f"Snapshot {name_of(snapshot)} is not ready, so no template can be made of it (yet)")
        return snapshot.meta.namespace, ImageSource(snapshot=snapshot.meta.name)
    if volume is None:
        raise errors.missing("createTemplate", "volumeid")
    if volume.meta.deleting or not volume.status.disk:
        raise errors.invalid(f"Volume {name_of(volume)} has no disk yet, so no template can be made of it")
    user = user_of(call, volume)
    if user is not None and user.spec.wanted is not RunPolicy.STOPPED:
        message = f"stop virtual machine {name_of(user)}, or make the template of a snapshot"
        raise errors.invalid(f"Volume {name_of(volume)} is in use: {message}")
    return volume.meta.namespace, ImageSource(volume=volume.meta.name)
