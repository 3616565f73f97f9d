"""Reads what an Image is to be made of where no url leads to it: a Volume's disk, or a VolumeSnapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from operators.contract import names
from operators.contract.formats import Ability
from operators.contract.meta import Key, holds
from operators.contract.reasons import Reason, Type
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import IMAGE, VOLUME, PoolFile
from operators.kernel import Cache
from operators.kernel.outcome import Blocked
from operators.storage import abilities
from operators.storage.images.lookup import ImageObj
from operators.storage.volumes import observe as volumes

BY_SOURCE = "source"
"""Index of Images: kind and key of what they are made of."""


@dataclass(frozen=True, slots=True)
class Material:
    """What an Image is to be made of, as it is now."""

    file: PoolFile | None = None
    host: str = ""
    """The host that copies it."""
    lack: Blocked | None = None
    """Why it cannot be copied at present."""


def add_indexes(cache: Cache) -> None:
    """Keep the index that `waiting` looks Images up in."""
    cache.index(IMAGE, BY_SOURCE, _keys_of)


def waiting(cache: Cache, kind: str, key: Key) -> Iterator[Key]:
    """The Images that are still to be made of a Volume or VolumeSnapshot."""
    for image in cache.by(IMAGE, BY_SOURCE, f"{kind} {key}"):
        if not image.status.checksum:
            yield image.key


def material(cache: Cache, image: ImageObj) -> Material:
    """What an Image is to be made of."""
    source = image.spec.source
    assert source is not None
    if source.snapshot:
        return _snapshot(cache, Key(image.meta.namespace, source.snapshot))
    return _volume(cache, Key(image.meta.namespace, source.volume))


def _snapshot(cache: Cache, key: Key) -> Material:
    snapshot = cache.get(VOLUME_SNAPSHOT, key)
    if snapshot is None or snapshot.meta.deleting:
        gone = "is being deleted" if snapshot is not None else "does not exist in its namespace"
        return Material(lack=Blocked(Reason.SNAPSHOT_NOT_FOUND, f"VolumeSnapshot {key.name} {gone}"))
    if not holds(snapshot.status.conditions, Type.READY) or not snapshot.status.pool:
        message = f"VolumeSnapshot {key.name} is still being taken; its conditions say how that goes"
        return Material(lack=Blocked(Reason.WAITING_FOR_VOLUMES, message))
    file = PoolFile(snapshot.status.pool, names.snapshot_path(snapshot.meta.uid))
    return Material(file, snapshot.status.host_name)


def _volume(cache: Cache, key: Key) -> Material:
    volume = cache.get(VOLUME, key)
    if volume is None or volume.meta.deleting:
        gone = "is being deleted" if volume is not None else "does not exist in its namespace"
        return Material(lack=Blocked(Reason.VOLUME_NOT_FOUND, f"Volume {key.name} {gone}"))
    disk = volumes.disk_of(cache, volume)
    if disk is None or disk.meta.deleting or not holds(disk.status.conditions, Type.PROVISIONED):
        message = f"Volume {key.name} is not made yet, so there is nothing to copy"
        return Material(lack=Blocked(Reason.WAITING_FOR_VOLUMES, message))
    file, host = PoolFile(disk.spec.pool, disk.spec.path), disk.spec.host_name
    if why := abilities.lack(file.pool, abilities.told(cache, file.pool), Ability.COPIES, disk.spec.format):
        return Material(lack=Blocked(Reason.UNSUPPORTED, f"{why}; move Volume {key.name} to another pool first"))
    runs = next((holder.virtual_machine for holder in volumes.holders_of(cache, volume) if holder.running), "")
    if runs:
        message = f"VirtualMachine {runs} runs on Volume {key.name}: stop it, or make the Image of a VolumeSnapshot"
        return Material(file, host, Blocked(Reason.STILL_ATTACHED, message))
    return Material(file, host)


def _keys_of(image: ImageObj) -> Iterable[str]:
    source = image.spec.source
    if source is None:
        return ()
    kind, name = (VOLUME_SNAPSHOT.kind, source.snapshot) if source.snapshot else (VOLUME.kind, source.volume)
    return (f"{kind} {Key(image.meta.namespace, name)}",)
