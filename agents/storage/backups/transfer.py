"""Copies a snapshot's content to an image store and back."""

from __future__ import annotations

import asyncio
import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agents.storage import chains
from agents.storage.backups.layout import PIECE, Broken, Listing, list_key, piece_key, unpack_piece
from agents.storage.copying import check_room
from agents.storage.failure import Failed
from agents.storage.folders import Draft, Place, in_thread, off_loop
from agents.storage.jobs import Told
from agents.storage.qemuimg import Extent, Limits, QemuImg
from agents.storage.stores import Store
from operators.contract.formats import DiskFormat
from operators.contract.reasons import Reason
from operators.contract.storage import BackupRef

DISK_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Result:
    """What a backup came to, in bytes."""

    size: int
    stored: int
    transferred: int


async def back_up(source: Place, store: Store, volume: str, backup: str, qemu: QemuImg, told: Told) -> Result:
    """Copy what the store has not got yet. Cut off anywhere and begun again, it goes on with what is missing."""
    known = {key.rpartition("/")[2]: size async for key, size in store.keys(f"{volume}/pieces")}
    before = set(known)
    with chains.opened(source) as layers:
        extents = await qemu.extents(layers[0])
        size = extents[-1].end if extents else 0
        pieces: dict[int, str] = {}
        numbers = sorted(_numbers(extents))
        for done, number in enumerate(numbers):
            data = await in_thread(_read, layers[0], extents, number, size)
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
    await store.put(list_key(volume, backup), Listing(size, pieces).pack())
    await store.settle()
    used = set(pieces.values())
    return Result(size, sum(known[each] for each in used), sum(known[each] for each in used - before))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _numbers(extents: Sequence[Extent]) -> set[int]:
    """The pieces in which there is data."""
    found: set[int] = set()
    for extent in extents:
        if extent.data:
            found.update(range(extent.start // PIECE, -(-extent.end // PIECE)))
    return found


def _read(fd: int, extents: Sequence[Extent], number: int, size: int) -> bytes:
    start = number * PIECE
    out = bytearray(min(PIECE, size - start))
    for extent in _within(extents, start, start + len(out)):
        low, high = max(extent.start, start), min(extent.end, start + len(out))
        at = extent.offset + low - extent.start
        while low < high:
            data = os.pread(fd, high - low, at)
            if not data:
                break  # the file ends within a cluster; what is missing there is zeros
            out[low - start : low - start + len(data)] = data
            low, at = low + len(data), at + len(data)
    return bytes(out)


def _within(extents: Sequence[Extent], low: int, high: int) -> Iterator[Extent]:
    return (each for each in extents if each.data and each.start < high and each.end > low)


async def listing(store: Store, volume: str, backup: str) -> Listing | None:
    """The list of a backup that is whole. Raises Failed when it is broken."""
    data = await store.get(list_key(volume, backup))
    try:
        return None if data is None else Listing.unpack(data)
    except Broken as error:
        raise Failed(Reason.STORAGE_ERROR, f"ImageStore {store.name}: {error}") from error


async def restore(store: Store, ref: BackupRef, place: Place, uid: str, size: int, qemu: QemuImg, told: Told) -> None:
    """Make a disk from a backup; every piece is checked, and the disk is there only when it is whole."""
    volume, backup = ref.volume_uid, ref.backup_uid
    found = await listing(store, volume, backup)
    if found is None:
        raise Failed(Reason.BACKUP_NOT_FOUND, f"ImageStore {store.name} has no such backup; delete the Volume")
    raw = await off_loop(Draft, place, f".{uid}.conv")
    try:
        await in_thread(os.ftruncate, raw.fd, max(size, found.size))
        check_room(raw.fd, 2 * PIECE * len(found.pieces), place.pool.name)
        for done, (number, digest) in enumerate(sorted(found.pieces.items())):
            data = await _piece(store, volume, digest)
            await in_thread(_write, raw.fd, data, number * PIECE, max(size, found.size))
            told(done * 90 // len(found.pieces))
        if place.form == DiskFormat.RAW:
            await in_thread(raw.publish, DISK_MODE)
        else:
            await _converted(raw, place, uid, qemu, max(size, found.size))
    finally:
        raw.discard()
        raw.close()


async def _converted(raw: Draft, place: Place, uid: str, qemu: QemuImg, size: int) -> None:
    draft = await off_loop(Draft, place, f".{uid}.part")
    try:
        await qemu.convert(raw.fd, draft.fd, Limits(cpu=24 * 3600, output=size + (1 << 30)))
        await in_thread(draft.publish, DISK_MODE)
    except BaseException:
        draft.discard()
        raise
    finally:
        draft.close()


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


def _write(fd: int, data: bytes, at: int, size: int) -> None:
    if at + len(data) > size:
        raise OSError("the backup's list names a piece beyond its end")
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, at)
        view, at = view[written:], at + written


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
