"""What is decided about an ImageUpload."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from operators.contract.meta import Obj
from operators.contract.uploads import ImageUploadSpec, ImageUploadStatus

Upload: TypeAlias = Obj[ImageUploadSpec, ImageUploadStatus]


class State(StrEnum):
    """What has become of the file. It is the file's name that says so: nothing else could be true after a crash."""

    PART = "part"
    """It is coming."""
    WHOLE = "image"
    """All of it is there, and it is what its user said it would be."""
    WRONG = "wrong"
    """All of it came, and it was another file; its bytes are thrown away."""


@dataclass(frozen=True, slots=True)
class Staged:
    """The file of one ImageUpload."""

    state: State
    size: int
    """Bytes."""
    at: datetime
    """When it was last written."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is of one ImageUpload."""

    now: datetime
    created: datetime
    limit: int
    """The most bytes that an image may have."""
    file: Staged | None = None
    images: tuple[str, ...] = ()
    """Images and Volumes of its namespace that name its url, each with its kind."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Check the file that has come, and name it accordingly."""

    upload: Upload

    def __str__(self) -> str:
        return str(self.upload.key)


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete it, and its file."""

    upload: Upload

    def __str__(self) -> str:
        return str(self.upload.key)


Action: TypeAlias = Finish | Remove
