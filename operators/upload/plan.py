"""Decides how an ImageUpload stands, when it has had its time, and who may bring bytes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta

from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason
from operators.kernel.outcome import Blocked, Done, Outcome, Rejected, Retry
from operators.upload.model import Action, Finish, Remove, Seen, State, Upload

TO_COME = timedelta(hours=24)
"""From its creation, for all bytes to be there."""
TO_USE = timedelta(hours=24)
"""From the last byte, for an Image to name the url."""
ALL = 100
"""Percent."""
WRONG = "the file that came is not the one of spec.sha256: delete this ImageUpload and upload the file again"


def plan(upload: Upload, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """Check what has come; remove what nobody brought or used in its time."""
    file = seen.file
    if seen.images and not _awaited(upload, seen):
        return (), _used(upload, seen)
    if seen.images and seen.now >= expiry(seen):
        return (), Rejected(Reason.FILE_LOST, f"no file came in its time: delete this and {seen.images[0]}")
    if seen.now >= (ends := expiry(seen)):
        return (Remove(upload),), Done()
    left = (ends - seen.now).total_seconds()
    if upload.spec.size > seen.limit and not upload.spec.form:
        return (), Rejected(Reason.IMAGE_TOO_LARGE, _too_large(upload, seen))
    if file is None or file.state is State.PART:
        if upload.spec.form:
            return (), Retry(Reason.UPLOADING, "the form with its bytes is awaited", left)
        if file is not None and file.size >= upload.spec.size:
            return (Finish(upload),), Retry(Reason.UPLOADING, "all bytes are there and are being checked", left)
        return (), Retry(Reason.UPLOADING, "its bytes are awaited: cloudstack image upload brings them", left)
    if file.state is State.WRONG:
        return (), Rejected(Reason.CHECKSUM_MISMATCH, WRONG)
    return (), Done(message="an Image may name its url", after=left)


def _used(upload: Upload, seen: Seen) -> Outcome:
    """While something is made from it, it has no end."""
    if seen.file is not None and seen.file.state is State.WHOLE:
        return Done(message=f"{seen.images[0]} is fetched from here")
    message = (
        f"the file is not on Upload's volume any more: pools that have {seen.images[0]} keep it, and no other "
        "pool can get it; upload the file as a new Image"
    )
    return Blocked(Reason.FILE_LOST, message)


def _awaited(upload: Upload, seen: Seen) -> bool:
    """Whether the file of a form has never been here: what names its url was made before it."""
    whole = seen.file is not None and seen.file.state is State.WHOLE
    return upload.spec.form and not whole and upload.status.received < ALL


def expiry(seen: Seen) -> datetime:
    """When it goes, as long as no Image names its url."""
    if seen.file is not None and seen.file.state is State.WHOLE:
        return seen.file.at + TO_USE
    return seen.created + TO_COME


def matches(upload: Upload, token: str) -> bool:
    """Whether the token is that of the ImageUpload; takes as long for every wrong one."""
    said = hashlib.sha256(token.encode(errors="replace")).hexdigest()
    return hmac.compare_digest(said, upload.spec.token_sha256)


def refusal(upload: Upload, seen: Seen) -> tuple[int, str] | None:
    """Why no bytes are taken from who has the token: an HTTP status, and a sentence. None when they are."""
    if upload.meta.deleting:
        return 410, "this ImageUpload is being deleted"
    if seen.file is not None and seen.file.state is State.WRONG:
        return 409, WRONG
    if seen.file is not None and seen.file.state is State.WHOLE:
        return 409, "the file is there already: its token has done its work"
    if seen.now >= seen.created + TO_COME:
        hours = int(TO_COME.total_seconds()) // 3600
        return 410, f"this ImageUpload is older than {hours} hours: delete it and begin again"
    if upload.spec.size > seen.limit and not upload.spec.form:
        return 413, _too_large(upload, seen)
    return None


def received(upload: Upload, size: int) -> int:
    """Percent, in steps of ten, so that an upload costs the API server ten writes."""
    return min(ALL, size * 10 // max(1, upload.spec.size) * 10)


def _too_large(upload: Upload, seen: Seen) -> str:
    size, limit = Quantity(upload.spec.size), Quantity(seen.limit)
    return f"the file has {size}, and images may have {limit} (IMAGE_MAX_DOWNLOAD)"
