"""Uploads: an image that comes from its user's own machine, piece by piece, before there is an Image of it."""

from __future__ import annotations

from dataclasses import dataclass

from operators.contract import names
from operators.contract.meta import Condition, Kind

TUS = "1.0.0"
"""The version of the protocol by which the bytes come: tus (https://tus.io), its core and its header of expiry."""
TOKEN_HEADER = "Upload-Token"  # noqa: S105 - the header's name
"""The token goes in a header of its own: `Authorization` is the API server's, and a URL is what proxies log."""
OFFSET_HEADER = "Upload-Offset"
CONTENT_TYPE = "application/offset+octet-stream"
SIGNATURE_HEADER = "X-signature"
"""Where CloudStack's own clients put what `getUploadParamsFor…` told them to: the token."""


def image_url(base: str, uid: str) -> str:
    """Where storage agents fetch what came for the ImageUpload of that uid; it can be named before it has come."""
    return f"{base.rstrip('/')}/images/{uid}"


@dataclass(frozen=True, slots=True)
class ImageUploadSpec:
    """A wish to bring one file. Immutable."""

    size: int
    """Bytes; of a form, the most that may come."""
    token_sha256: str
    """Of the token, in hexadecimal; the token itself never reaches the API server."""
    sha256: str = ""
    """Of the file, in hexadecimal. Only that of a form may be left out: whatever comes first is then taken."""
    form: bool = False
    """Whether it comes as one form that a browser posts, which can neither be resumed nor say its size before."""


@dataclass(frozen=True, slots=True)
class ImageUploadStatus:
    """Written by Upload."""

    observed_generation: int = 0
    phase: str = ""
    received: int = 0
    """Percent, in steps of ten; a HEAD request tells to the byte."""
    url: str = ""
    """What an Image of the same namespace names as its `spec.url`; there once the file is whole and checked."""
    expires: str = ""
    """When it goes unless the file is whole, or an Image names the url, by then."""
    conditions: tuple[Condition, ...] = ()
    """`Ready`."""


IMAGE_UPLOAD = Kind(names.STORAGE, "ImageUpload", "imageuploads", ImageUploadSpec, ImageUploadStatus)

KINDS: tuple[Kind[object, object], ...] = (IMAGE_UPLOAD,)
