"""What the ways in have in common: what they ask of the room, how they refuse, and how long they wait."""

from __future__ import annotations

from typing import Protocol

from operators.contract.meta import Key
from operators.upload.model import Seen, Upload

IDLE, SLOWEST = 60.0, 16 << 10
"""Seconds that a request may take, and bytes a second beyond them: one that drips would hold a place for ever."""


class Refused(Exception):
    """The HTTP status, and a sentence for people."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Desk(Protocol):
    """What the server asks of the room."""

    async def find(self, key: Key) -> Upload | None:
        """The ImageUpload of that name, even one that was made a moment ago."""

    def seen(self, upload: Upload) -> Seen:
        """How it stands."""

    async def whole(self, upload: Upload, size: int) -> Seen:
        """Check and name a file whose last byte has come; how it stands then."""

    def wake(self, key: Key) -> None:
        """There is news of its file."""
