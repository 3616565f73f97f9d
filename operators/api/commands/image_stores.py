"""Stores apart from the pools, which are ImageStores: backups are kept there."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api.call import Call, ListArgs, asked, listing
from operators.api.changing import remove
from operators.api.cloud import ImageStore, Zone, name_of
from operators.api.declare import ROOT_ADMIN, Answer, Single, boolean, command, string, uuid
from operators.api.responses.done import Done
from operators.contract.fabric import IMAGE_STORE, ZONE

FOLDER, BUCKET = "NFS", "S3"
"""CloudStack's names of a folder that every host sees, and of what S3 keeps."""


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
