"""The files on Upload's volume: `UID.part` while one comes, `UID.image` once it is whole, `UID.wrong` if it is refused.

Nothing else is remembered of them, so a process that is killed at any instant finds all it needs. The hash of what has
come is kept in memory, and made again from the file where that is lost. The content is never opened as an image here.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from operators.upload.model import Staged, State

CHUNK = 1 << 20
RESERVE = 1 << 30
"""Bytes of the volume that stay free (at most a twentieth of it)."""
_NAME = re.compile(r"([0-9a-f-]{36})\.(part|image|wrong)")


@dataclass
class _Sum:
    """The hash of a file's beginning."""

    digest: Any = field(default_factory=hashlib.sha256)
    size: int = 0


class Busy(Exception):
    """Somebody else writes this file just now."""


class Files:
    """All files of the volume. What takes long is run in threads by the callers, one at a time for each file."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._sums: dict[str, _Sum] = {}
        self._busy: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def alone(self, uid: str, *, wait: bool = False) -> AsyncIterator[None]:
        """Nobody else writes, checks or removes that file meanwhile. Raises Busy instead of waiting, unless told to."""
        lock = self._busy.setdefault(uid, asyncio.Lock())
        if lock.locked() and not wait:
            raise Busy
        async with lock:
            yield

    def path(self, uid: str, state: State) -> Path:
        """Where a file is in that state."""
        return self._folder / f"{uid}.{state}"

    def staged(self, uid: str) -> Staged | None:
        """What there is of a file; None when no byte has come."""
        for state in (State.WHOLE, State.WRONG, State.PART):
            with contextlib.suppress(FileNotFoundError):
                found = self.path(uid, state).stat()
                return Staged(state, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))
        return None

    def append(self, uid: str, offset: int, data: bytes) -> None:
        """Put bytes behind those that are there. Raises OSError when the volume is full; what was written stays."""
        fd = os.open(self.path(uid, State.PART), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            view = memoryview(data)
            at = offset
            while view:
                written = os.pwrite(fd, view, at)
                self._note(uid, at, view[:written])
                at += written
                view = view[written:]
        finally:
            os.close(fd)

    def _note(self, uid: str, offset: int, data: memoryview) -> None:
        """Hash on the way, where nothing is missing before it."""
        known = self._sums.setdefault(uid, _Sum())
        if known.size == offset:
            known.digest.update(data)
            known.size += len(data)

    def restart(self, uid: str) -> None:
        """Forget what has come: it comes from its beginning again."""
        self.path(uid, State.PART).unlink(missing_ok=True)
        self._sums.pop(uid, None)

    def sync(self, uid: str) -> None:
        """What is acknowledged is on the disk."""
        with contextlib.suppress(FileNotFoundError), self.path(uid, State.PART).open("rb") as file:
            os.fdatasync(file.fileno())

    def finish(self, uid: str, size: int, sha256: str) -> None:
        """Check a file that has come, and name it by what was found. It may have been done before.

        Where nobody said what it adds up to it is taken as it is."""
        part = self.path(uid, State.PART)
        try:
            with part.open("r+b") as file:
                good = os.fstat(file.fileno()).st_size == size
                good = good and (not sha256 or self._hashed(uid, file.fileno()) == sha256)
                if not good:
                    file.truncate(0)
                os.fsync(file.fileno())
        except FileNotFoundError:
            return
        part.rename(self.path(uid, State.WHOLE if good else State.WRONG))
        self._sync_folder()
        self._sums.pop(uid, None)

    def _hashed(self, uid: str, fd: int) -> str:
        known = self._sums.get(uid) or _Sum()
        while chunk := os.pread(fd, CHUNK, known.size):
            known.digest.update(chunk)
            known.size += len(chunk)
        return str(known.digest.hexdigest())

    def remove(self, uid: str) -> None:
        """Whatever there is of a file."""
        for state in State:
            self.path(uid, state).unlink(missing_ok=True)
        self._sums.pop(uid, None)

    def orphans(self, known: Collection[str]) -> set[str]:
        """The uids of files that belong to none of these."""
        return {uid for uid in self._uids() if uid not in known}

    def _uids(self) -> Iterator[str]:
        for entry in os.scandir(self._folder):
            if match := _NAME.fullmatch(entry.name):
                yield match[1]

    def room(self) -> int:
        """Bytes that may still come."""
        volume = os.statvfs(self._folder)
        return volume.f_bavail * volume.f_frsize - min(RESERVE, volume.f_blocks * volume.f_frsize // 20)

    def _sync_folder(self) -> None:
        fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
