"""Copies a snapshot's content to an image store and back."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from agents.storage.backups.layout import PIECE, Broken, Listing, list_key, piece_key, unpack_piece
from agents.storage.driver import ContentPart, Reader
from agents.storage.failure import Failed
from agents.storage.folders import Place
from agents.storage.jobs import Told
from agents.storage.stores import Store
from operators.contract.reasons import Reason
from operators.contract.storage import BackupRef


@dataclass(frozen=True, slots=True)
class Result:
    """What a backup came to, in bytes."""

    size: int
    stored: int
    transferred: int


async def back_up(source: Reader, store: Store, volume: str, backup: str, told: Told) -> Result:
    """Copy what the store has not got yet. Cut off anywhere and begun again, it goes on with what is missing."""
    known = {key.rpartition("/")[2]: size async for key, size in store.keys(f"{volume}/pieces")}
    before = set(known)
    pieces: dict[int, str] = {}
    numbers = sorted(_numbers(source.data))
    for done, number in enumerate(numbers):
        data = await source.read(number * PIECE, min(PIECE, source.size - number * PIECE))
        digest = await asyncio.to_thread(_digest, data)
        if not any(data):
            continue
        pieces[number] = digest
        if digest not in known:
            packed = await asyncio.to_thread(zlib.compress, data, 1)
            await store.put(piece_key(volume, digest), packed)
            known[digest] = len(packed)
        told(done * 100 // len(numbers))
    await store.settle()
    await store.put(list_key(volume, backup), Listing(source.size, pieces).pack())
    await store.settle()
    used = set(pieces.values())
    return Result(source.size, sum(known[each] for each in used), sum(known[each] for each in used - before))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _numbers(data: Sequence[tuple[int, int]]) -> set[int]:
    """The pieces in which there is data."""
    found: set[int] = set()
    for start, end in data:
        found.update(range(start // PIECE, -(-end // PIECE)))
    return found


async def listing(store: Store, volume: str, backup: str) -> Listing | None:
    """The list of a backup that is whole. Raises Failed when it is broken."""
    data = await store.get(list_key(volume, backup))
    try:
        return None if data is None else Listing.unpack(data)
    except Broken as error:
        raise Failed(Reason.STORAGE_ERROR, f"ImageStore {store.name}: {error}") from error


async def restore(
    store: Store, ref: BackupRef, port: ContentPart, place: Place, uid: str, size: int, told: Told
) -> None:
    """Make a disk from a backup; every piece is checked, and the disk is there only when it is whole."""
    volume, backup = ref.volume_uid, ref.backup_uid
    found = await listing(store, volume, backup)
    if found is None:
        raise Failed(Reason.BACKUP_NOT_FOUND, f"ImageStore {store.name} has no such backup; delete the Volume")
    async with port.writing(place, uid, max(size, found.size), PIECE * len(found.pieces)) as disk:
        for done, (number, digest) in enumerate(sorted(found.pieces.items())):
            await disk.write(number * PIECE, await _piece(store, volume, digest))
            told(done * 90 // len(found.pieces))
        await disk.publish()


async def _piece(store: Store, volume: str, digest: str) -> bytes:
    data = await store.get(piece_key(volume, digest))
    if data is None:
        raise Failed(Reason.STORAGE_ERROR, f"ImageStore {store.name} lacks a piece of it ({digest[:12]}…)")
    try:
        out = await asyncio.to_thread(unpack_piece, data)
    except Broken as error:
        raise Failed(Reason.STORAGE_ERROR, f"ImageStore {store.name}: {error}") from error
    if _digest(out) != digest:
        raise Failed(Reason.CHECKSUM_MISMATCH, f"ImageStore {store.name}: a piece ({digest[:12]}…) has changed")
    return out


async def forget(store: Store, volume: str, backup: str) -> None:
    """Remove a backup and the pieces that no other backup of the Volume has.

    Nobody backs the Volume up meanwhile: Storage sees to that."""
    await store.delete(list_key(volume, backup))
    used: set[str] = set()
    async for key, _ in store.keys(f"{volume}/backups"):
        data = await store.get(key)
        if data is not None:
            try:
                used.update(Listing.unpack(data).pieces.values())
            except Broken as error:
                # What it names is not known, so nothing may go.
                raise Failed(Reason.STORAGE_ERROR, f"ImageStore {store.name}: {key}: {error}") from error
    spare = [key async for key, _ in store.keys(f"{volume}/pieces") if key.rpartition("/")[2] not in used]
    await store.delete(*spare)
