"""A VolumeSnapshot as CloudStack's `snapshot`."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api.call import Call
from operators.api.cloud import Snapshot, name_of
from operators.api.responses.owned import OwnedResponse, whose
from operators.api.responses.volume import type_of
from operators.api.tags import TagResponse, tag_responses
from operators.api.wire import Date, Long, date
from operators.contract.fabric import STORAGE_POOL, ZONE
from operators.contract.meta import holds
from operators.contract.reasons import Type
from operators.contract.storage import VOLUME


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotResponse(OwnedResponse):
    """A snapshot of a volume."""

    id: str
    name: str
    created: Date | None
    state: str
    snapshottype: str = "MANUAL"
    intervaltype: str = "MANUAL"
    volumeid: str | None
    volumename: str
    volumetype: str | None
    physicalsize: Long | None
    virtualsize: Long | None
    zoneid: str | None
    zonename: str | None
    revertable: bool
    tags: tuple[TagResponse, ...] = ()


def snapshot(call: Call, obj: Snapshot) -> SnapshotResponse:
    """The response of one snapshot."""
    found = call.cloud.named(VOLUME, obj.spec.volume, obj.meta.namespace)
    volume = found if found is not None and obj.status.volume_uid in ("", found.meta.uid) else None
    pool = call.cloud.named(STORAGE_POOL, obj.status.pool) if obj.status.pool else None
    zone = call.cloud.named(ZONE, pool.spec.zone) if pool else None
    ready = holds(obj.status.conditions, Type.READY)
    return SnapshotResponse(
        id=obj.meta.uid,
        name=name_of(obj),
        created=date(obj.status.taken_at or obj.meta.creation_timestamp),
        state="Destroying" if obj.meta.deleting else "BackedUp" if ready else "Creating",
        volumeid=volume.meta.uid if volume else obj.status.volume_uid or None,
        volumename=name_of(volume) if volume else obj.spec.volume,
        volumetype=type_of(volume) if volume else None,
        physicalsize=Long(int(obj.status.stored)) if obj.status.stored is not None else None,
        virtualsize=Long(int(obj.status.size)) if obj.status.size is not None else None,
        zoneid=zone.meta.uid if zone else None,
        zonename=zone.meta.name if zone else None,
        revertable=ready and volume is not None,
        tags=tag_responses(obj.meta),
        **whose(call, obj.meta.namespace),
    )
