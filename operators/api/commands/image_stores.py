"""Stores apart from the pools, which are ImageStores: backups are kept there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from operators.api import errors, naming
from operators.api.call import Call, ListArgs, asked, listing
from operators.api.changing import remove, update
from operators.api.cloud import ImageStore, Zone, name_of
from operators.api.commands.details import pairs
from operators.api.declare import ROOT_ADMIN, Answer, Single, boolean, command, maps, string, uuid
from operators.api.responses.done import Done
from operators.contract.codec import to_wire
from operators.contract.fabric import IMAGE_STORE, ZONE, ImageStoreSpec

FOLDER, BUCKET = "NFS", "S3"
"""CloudStack's names of a folder that every host sees, and of what S3 keeps."""
OF_S3 = ("bucket", "endpoint", "region", "prefix", "usehttps")
KEYS = ("accesskey", "secretkey")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStoreResponse:
    """A store."""

    id: str
    name: str
    url: str
    protocol: str
    providername: str
    readonly: bool = False


def image_store(obj: ImageStore) -> ImageStoreResponse:
    """The response of one."""
    spec, in_bucket = obj.spec, obj.spec.type == BUCKET
    return ImageStoreResponse(
        id=obj.meta.uid,
        name=name_of(obj),
        url=f"{spec.endpoint}/{spec.bucket}/{spec.prefix}".rstrip("/") if in_bucket else f"file:{spec.path}",
        protocol=spec.endpoint.partition(":")[0] if in_bucket else "file",
        providername=BUCKET if in_bucket else FOLDER,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListImageStores(ListArgs):
    """Arguments."""

    id: ImageStore | None = uuid("ID of the store", IMAGE_STORE)
    name: str = string("Name of the store")
    provider: str = string("NFS or S3")
    protocol: str = string("file, http or https")
    readonly: bool = boolean("Whether to list those that take nothing, of which there are none")
    zoneid: Zone | None = uuid("A zone; every store is for all", ZONE)


@command(
    "listImageStores",
    "Lists where backups are kept. Templates are fetched from their urls and need no store.",
    item=ImageStoreResponse,
    key="imagestore",
    roles=ROOT_ADMIN,
)
async def list_image_stores(call: Call, args: ListImageStores) -> Answer:
    """ImageStores."""

    def wanted(obj: ImageStore) -> bool:
        shown = image_store(obj)
        return (
            asked(args, obj, name_of(obj))
            and args.provider.lower() in ("", shown.providername.lower())
            and args.protocol.lower() in ("", shown.protocol)
            and not args.readonly
        )

    return listing(args, call.cloud.all(IMAGE_STORE, None, wanted), image_store)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddImageStore:
    """Arguments."""

    provider: str = string("NFS: a folder that every host sees; or S3", required=True)
    name: str = string("Name of the store; the keys of an S3 store are mounted under it")
    url: str = string("NFS: file:/<path>, where every host mounts it; S3: the endpoint, unless details have it")
    details: tuple[Mapping[str, str], ...] = maps("Of S3: " + ", ".join(OF_S3))


@command(
    "addImageStore",
    "Adds a store for backups. The hosts mount a folder themselves, and the keys of S3 are in a Secret that the chart "
    "mounts (agents.imageStoreKeys).",
    item=ImageStoreResponse,
    key="imagestore",
    roles=ROOT_ADMIN,
    ignored="zoneid",
)
async def add_image_store(call: Call, args: AddImageStore) -> Answer:
    """The ImageStore that kubectl would make."""
    details = {key.lower(): value for key, value in pairs(args.details)}
    provider = args.provider.upper()
    if provider not in (FOLDER, BUCKET):
        raise errors.invalid(f"provider {args.provider} is not supported: it must be {FOLDER} or {BUCKET}")
    spec = _folder(args.url, details) if provider == FOLDER else _bucket(args.url, details)
    base = naming.slug(args.name, f"{provider.lower()}-store")
    notes = naming.notes_of(base, args.name or base)
    said = {"annotations": notes} if notes else {}
    taken = f"There is an image store {base} already: give another name"
    return Single(image_store(await naming.claim(call, IMAGE_STORE, base, to_wire(spec), taken, **said)))


def _folder(url: str, details: Mapping[str, str]) -> ImageStoreSpec:
    if details:
        raise errors.invalid(f"details are for provider {BUCKET}")
    parts = urlsplit(url)
    if parts.scheme.lower() != "file" or parts.netloc or not parts.path.startswith("/"):
        raise errors.invalid(
            "url must be file:/<path>: have every host mount the folder there first, by nfs for example"
        )
    return ImageStoreSpec(path=parts.path.rstrip("/"))


def _bucket(url: str, details: Mapping[str, str]) -> ImageStoreSpec:
    if given := sorted(set(details) & set(KEYS)):
        where = "put the keys into a Secret and name it in the chart's agents.imageStoreKeys.<name of the store>"
        raise errors.ApiError(432, f"{', '.join(given)} cannot be given here: {where}")
    if unknown := sorted(set(details) - set(OF_S3)):
        raise errors.invalid(f"details {', '.join(unknown)} are not known: there are {', '.join(OF_S3)}")
    if not details.get("bucket"):
        raise errors.missing("addImageStore", "details[0].bucket")
    endpoint = (details.get("endpoint") or url).rstrip("/")
    if endpoint and "://" not in endpoint:
        endpoint = f"{'http' if details.get('usehttps', '').lower() == 'false' else 'https'}://{endpoint}"
    region = details.get("region") or ImageStoreSpec().region
    return ImageStoreSpec(BUCKET, "", endpoint, details["bucket"], region, details.get("prefix", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateImageStore:
    """Arguments."""

    id: ImageStore = uuid("ID of the store", IMAGE_STORE, required=True)
    name: str = string("What the store is called from now on")


@command(
    "updateImageStore",
    "Gives a store another name for people.",
    item=ImageStoreResponse,
    key="imagestore",
    roles=ROOT_ADMIN,
    refused="capacitybytes readonly",
)
async def update_image_store(call: Call, args: UpdateImageStore) -> Answer:
    """The name that is shown; backups name the object's own, which stays."""
    return Single(image_store(await update(call, args.id, {}, name=args.name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteImageStore:
    """Arguments."""

    id: ImageStore = uuid("ID of the store", IMAGE_STORE, required=True)


@command(
    "deleteImageStore",
    "Takes a store out of the cloud. What is kept there stays there, and waits until it is stated again.",
    item=Done,
    roles=ROOT_ADMIN,
)
async def delete_image_store(call: Call, args: DeleteImageStore) -> Answer:
    """Delete the object alone."""
    await remove(call, args.id)
    return Single(Done())
