"""Where templates are: in every zone, and at the url that they came from."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors
from operators.api.call import Call
from operators.api.cloud import Zone, name_of
from operators.api.commands.templates import One, own_template
from operators.api.declare import Answer, Started, command, string, uuid, uuids
from operators.api.jobs import CREATION, EXTRACTION, job_id
from operators.api.responses.offerings import EXTRACT_MODE as MODE
from operators.api.responses.offerings import ExtractResponse, TemplateResponse
from operators.contract.fabric import ZONE


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyTemplate(One):
    """Arguments."""

    sourcezoneid: Zone | None = uuid("The zone that has it", ZONE)
    destzoneid: Zone | None = uuid("The zone that shall have it", ZONE)
    destzoneids: tuple[Zone, ...] = uuids("The zones that shall have it", ZONE)


@command(
    "copyTemplate",
    "Sees that another zone has a template: every zone has every template, so nothing needs to be done.",
    item=TemplateResponse,
    key="template",
    asynchronous=True,
)
async def copy_template(call: Call, args: CopyTemplate) -> Answer:
    """It is brought to a pool when a disk is first made from it there."""
    if args.destzoneid is None and not args.destzoneids:
        raise errors.missing("copyTemplate", "destzoneids")
    return Started(job_id(args.id.meta.uid, CREATION))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractTemplate(One):
    """Arguments."""

    mode: str = string("HTTP_DOWNLOAD; there is no other", required=True)
    zoneid: Zone | None = uuid("The zone to fetch it from; it is the same in all", ZONE)


@command(
    "extractTemplate",
    "Tells where a template can be fetched: where the cloud itself fetches it.",
    item=ExtractResponse,
    key="template",
    asynchronous=True,
    refused="url",
)
async def extract_template(call: Call, args: ExtractTemplate) -> Answer:
    """The Image's own url."""
    if args.mode.upper() != MODE:
        raise errors.invalid(f"Invalid mode {args.mode}: it must be {MODE}")
    image = own_template(call, args.id)
    if image.spec.source is not None:
        raise errors.invalid(f"template {name_of(image)} was made of a disk, and there is no url that it is behind")
    return Started(job_id(image.meta.uid, EXTRACTION))
