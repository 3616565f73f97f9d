"""What a Volume's plan can do, one small function per action."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Owner
from operators.contract.reasons import Reason
from operators.contract.snapshots import VOLUME_SNAPSHOT, VolumeSnapshotSpec
from operators.contract.storage import DISK, IMAGE, IMAGE_COPY, VOLUME, ImageCopySpec, ImageSpec
from operators.kernel import Problem, Retry, Store
from operators.kernel.store import AlreadyExists
from operators.storage import pieces
from operators.storage.volumes.model import (
    Action,
    Adjust,
    DeleteDisk,
    DiskObj,
    DropSnapshot,
    MakeCopy,
    MakeDisk,
    MakeImage,
    MakeSnapshot,
    Protect,
    Unprotect,
)

FINALIZER = names.finalizer("storage")
TRACED = (names.LABEL_VM_UID, names.LABEL_FLOW)


@singledispatch
async def act(action: Action, store: Store) -> None:
    """Do one action."""
    raise NotImplementedError(type(action).__name__)


@act.register
async def _(action: Protect, store: Store) -> None:
    volume = action.volume.meta
    await store.finalize(VOLUME, volume, volume.finalizers_with(FINALIZER))


@act.register
async def _(action: Unprotect, store: Store) -> None:
    volume = action.volume.meta
    if FINALIZER in volume.finalizers:
        await store.finalize(VOLUME, volume, volume.finalizers_without(FINALIZER))


@act.register
async def _(action: MakeDisk, store: Store) -> None:
    volume = action.volume
    labels = {name: value for name, value in volume.meta.labels.items() if name in TRACED}
    key = Key(volume.meta.namespace, action.name)
    body = DISK.body(key, spec=to_wire(action.spec), labels=labels, **_ours(volume.owner))
    try:
        await store.create(DISK, body)
    except AlreadyExists:
        await store.get(DISK, key)
        raise Problem(Retry(Reason.PROVISIONING, f"Disk {key.name} was there already", after=0.1)) from None


@act.register
async def _(action: MakeImage, store: Store) -> None:
    volume, source = action.volume, action.volume.spec.source
    key = Key(volume.meta.namespace, names.source_image(volume.meta.name))
    spec = ImageSpec(url=source.url, checksum=source.checksum, format=source.format or "qcow2")
    try:
        await store.create(IMAGE, IMAGE.body(key, spec=to_wire(spec), ownerReferences=[to_wire(volume.owner)]))
    except AlreadyExists:
        await store.get(IMAGE, key)


@act.register
async def _(action: MakeSnapshot, store: Store) -> None:
    volume = action.volume
    key = Key(volume.meta.namespace, names.source_snapshot(volume.meta.name))
    await pieces.make(store, VOLUME_SNAPSHOT, key, VolumeSnapshotSpec(volume.spec.source.volume), volume.owner)


@act.register
async def _(action: DropSnapshot, store: Store) -> None:
    await store.delete(VOLUME_SNAPSHOT, action.snapshot.key, uid=action.snapshot.meta.uid)


@act.register
async def _(action: MakeCopy, store: Store) -> None:
    """Volumes are planned side by side, so another one may have made it meanwhile: it is the same for all."""
    image = action.image
    key = Key(image.meta.namespace, names.image_copy(image.meta.name, action.pool))
    spec = ImageCopySpec(
        host_name=action.executor,
        pool=action.pool,
        path=f"images/{image.meta.uid}.qcow2",
        image=image.ref,
        url=image.spec.url,
        checksum=action.checksum or image.spec.checksum or image.status.checksum,
        source=action.source,
        format=image.spec.format,
    )
    try:
        await store.create(IMAGE_COPY, IMAGE_COPY.body(key, spec=to_wire(spec), **_ours(image.owner)))
    except AlreadyExists:
        await store.get(IMAGE_COPY, key)


@act.register
async def _(action: Adjust, store: Store) -> None:
    disk = action.disk.meta
    spec = to_wire(action.spec)
    # Even when empty: what a create has set, leaving out does not take away.
    if action.disk.spec.file_of:
        spec["fileOf"] = action.spec.file_of
    if action.disk.spec.copy_of:
        spec["copyOf"] = action.spec.copy_of
    await store.apply(DISK, DISK.body(disk.key, spec=spec, **disk.guard))


@act.register
async def _(action: DeleteDisk, store: Store) -> None:
    if not action.set_aside:
        await _unused(action.disk, store)
    meta = action.disk.meta
    # Of that very state: whether its file stays was part of what was decided.
    await store.delete(DISK, meta.key, uid=meta.uid, resource_version=meta.resource_version)


async def _unused(disk: DiskObj, store: Store) -> None:
    """Raise if the API server knows an Instance that has the Disk: a cache may lack it."""
    made_for = disk.meta.labels.get(names.LABEL_VM_UID, "")
    for body in await store.list(INSTANCE, field_selector=f"spec.hostName={disk.spec.host_name}"):
        # That of a later virtual machine of the same name waits for a Disk of its own.
        ours = body["metadata"].get("namespace") == disk.meta.namespace
        ours = ours and made_for in ("", body["spec"]["virtualMachine"]["uid"])
        if ours and disk.meta.name in _had_by(body):
            raise Problem(Retry(Reason.PROGRESSING, f"Instance {body['metadata']['name']} needs it after all", 1.0))


def _had_by(instance: Json) -> set[str]:
    """The Disks that an Instance's guest has, or is to have: its status knows of one that it has gone over to."""
    now = {each["volume"]: each["disk"] for each in instance.get("status", {}).get("disks", ())}
    return {*now.values(), *(now.get(each["volume"], each["disk"]) for each in instance["spec"].get("disks", ()))}


def _ours(owner: Owner) -> dict[str, Any]:
    """Metadata of what we make: whose it is, and that we see to its end."""
    return {"ownerReferences": [to_wire(owner)], "finalizers": [FINALIZER]}
