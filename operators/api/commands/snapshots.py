"""Snapshots of volumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, TaggedListArgs, asked, listing, owned
from operators.api.changing import change, remove
from operators.api.cloud import Snapshot, Volume, Zone, name_of
from operators.api.declare import Answer, Started, boolean, command, maps, string, uuid, uuids
from operators.api.jobs import DELETION, REVERTING, changed, job_id
from operators.api.responses.done import Done
from operators.api.responses.snapshot import SnapshotResponse, snapshot
from operators.api.responses.volume import ALLOCATED, user_of, volume_state
from operators.api.tags import written
from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.fabric import ZONE
from operators.contract.identity import Resource
from operators.contract.snapshots import VOLUME_SNAPSHOT, Quiesce, VolumeSnapshotSpec
from operators.contract.storage import VOLUME
from operators.contract.vmsnapshots import VIRTUAL_MACHINE_SNAPSHOT


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSnapshot:
    """Arguments."""

    volumeid: Volume = uuid("ID of the volume", VOLUME, required=True)
    name: str = string("Name of the snapshot")
    quiescevm: bool = boolean("Whether its guest must hold still; tried by default, and demanded with true")
    tags: tuple[Mapping[str, str], ...] = maps("Its tags: tags[0].key=a&tags[0].value=b")


@command(
    "createSnapshot",
    "Takes a snapshot of a volume, whether its guest runs or not.",
    item=SnapshotResponse,
    key="snapshot",
    asynchronous=True,
    refused="locationtype policyid storageids usestoragereplication",
    ignored="account domainid asyncbackup zoneids",
)
async def create_snapshot(call: Call, args: CreateSnapshot) -> Answer:
    """The VolumeSnapshot that kubectl would make, beside its volume."""
    volume = args.volumeid
    if volume_state(volume) == ALLOCATED and user_of(call, volume) is None:
        said = f"VolumeId: {volume.meta.uid} is not in Ready state but Allocated. Cannot take snapshot"
        raise errors.invalid(f"{said}: it has no disk until a virtual machine uses it")
    quiesce = Quiesce.REQUIRED if args.quiescevm else Quiesce.IF_POSSIBLE
    spec = to_wire(VolumeSnapshotSpec(volume.meta.name, quiesce))
    name = args.name or f"{name_of(volume)}-snapshot"
    amounts: dict[str, int] = {Resource.SNAPSHOTS: 1}
    made = await naming.create(call, VOLUME_SNAPSHOT, volume.meta.namespace, name, spec, amounts=amounts)
    obj = VOLUME_SNAPSHOT.parse(made)
    if tags := {each["key"]: each.get("value", "") for each in args.tags if each.get("key")}:
        note: Json = {"metadata": {"annotations": {names.ANNOTATION_TAGS: written(tags)}}}
        obj = await change(call, obj, lambda _: note)
    return Started(changed(obj), obj.meta.uid)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSnapshots(TaggedListArgs):
    """Arguments."""

    id: Snapshot | None = uuid("ID of the snapshot", VOLUME_SNAPSHOT)
    ids: tuple[Snapshot, ...] = uuids("IDs of snapshots; not together with id", VOLUME_SNAPSHOT)
    name: str = string("Name of the snapshot")
    volumeid: Volume | None = uuid("Those of this volume", VOLUME)
    zoneid: Zone | None = uuid("Those in this zone", ZONE)


@command(
    "listSnapshots",
    "Lists snapshots of volumes.",
    item=SnapshotResponse,
    key="snapshot",
    refused="imagestoreid intervaltype locationtype snapshottype storageid",
    ignored="showunique",
)
async def list_snapshots(call: Call, args: ListSnapshots) -> Answer:
    """Those of the caller, or of whom it asks about."""
    ids = {each.meta.uid for each in args.ids}
    volume = args.volumeid

    def wanted(obj: Snapshot) -> bool:
        of = volume is None or (
            obj.meta.namespace == volume.meta.namespace
            and (obj.status.volume_uid or volume.meta.uid) == volume.meta.uid
            and obj.spec.volume == volume.meta.name
        )
        zone = args.zoneid is None or snapshot(call, obj).zoneid == args.zoneid.meta.uid
        return (
            of
            and zone
            and not obj.meta.deleting
            and (not ids or obj.meta.uid in ids)
            and asked(args, obj, name_of(obj))
        )

    return listing(args, owned(call, VOLUME_SNAPSHOT, args, args.id, wanted), lambda obj: snapshot(call, obj))


def _stands_alone(obj: Snapshot) -> None:
    """Raise ApiError for one that was made for a snapshot of a virtual machine, which is whole or nothing."""
    whole = next((each for each in obj.meta.owner_references if each.kind == VIRTUAL_MACHINE_SNAPSHOT.kind), None)
    if whole is not None:
        raise errors.invalid(f"Snapshot {name_of(obj)} is part of VM snapshot {whole.name}: take that one as a whole")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSnapshot:
    """Arguments."""

    id: Snapshot = uuid("ID of the snapshot", VOLUME_SNAPSHOT, required=True)
    zoneid: Zone | None = uuid("The zone to delete it in; it is in one", ZONE)


@command("deleteSnapshot", "Deletes a snapshot.", item=Done, asynchronous=True)
async def delete_snapshot(call: Call, args: DeleteSnapshot) -> Answer:
    """Volumes that were made from it are whole by themselves."""
    _stands_alone(args.id)
    await remove(call, args.id)
    return Started(job_id(args.id.meta.uid, DELETION))


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertSnapshot:
    """Arguments."""

    id: Snapshot = uuid("ID of the snapshot", VOLUME_SNAPSHOT, required=True)


@command(
    "revertSnapshot",
    "Replaces the content of a snapshot's volume by the snapshot's. Its virtual machine must be stopped.",
    item=SnapshotResponse,
    key="snapshot",
    asynchronous=True,
)
async def revert_snapshot(call: Call, args: RevertSnapshot) -> Answer:
    """The caller's own `spec.revertRequest`, raised by one."""
    _stands_alone(args.id)
    volume = call.cloud.named(VOLUME, args.id.spec.volume, args.id.meta.namespace)
    if volume is None or volume.meta.uid != args.id.status.volume_uid:
        raise errors.invalid(f"The volume of snapshot {name_of(args.id)} does not exist any more")

    def make(now: Snapshot) -> Json:
        return {"spec": {"revertRequest": now.spec.revert_request + 1}}

    await change(call, args.id, make)
    return Started(job_id(args.id.meta.uid, REVERTING))
