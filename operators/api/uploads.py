"""Files that clients bring by a form, of which there is an object from the beginning."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from operators.api import errors
from operators.api.call import Call
from operators.api.naming import no_namespace, slug
from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.meta import Key, condition
from operators.contract.reasons import Type
from operators.contract.uploads import IMAGE_UPLOAD, ImageUploadSpec, image_url
from operators.kernel.store import NotFound

MOST = 1 << 50
"""Bytes of a form; Upload takes no more than agents would fetch (`IMAGE_MAX_DOWNLOAD`)."""
TO_COME = timedelta(hours=24)
"""How long Upload waits for it."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An ImageUpload that was made, and what opens it."""

    key: Key
    token: str
    url: str
    """Where storage agents will find the file."""


async def begin(call: Call, namespace: str, name: str, checksum: str) -> Begun:
    """Make the ImageUpload that `cloudstack image upload` would make, but for a form."""
    if not call.published.uploads:
        own = f"`cloudstack image upload FILE {slug(name, 'image')} -n {namespace}` brings one"
        raise errors.invalid(f"Uploads are not published here (UPLOAD_URL): {own}")
    token = secrets.token_urlsafe(32)
    algorithm, _, digits = checksum.partition(":")
    spec = ImageUploadSpec(
        MOST, hashlib.sha256(token.encode()).hexdigest(), digits if algorithm == "sha256" else "", form=True
    )
    key = Key(namespace, names.joined(slug(name, "image"), secrets.token_hex(4)))
    try:
        body = await call.store.create(IMAGE_UPLOAD, IMAGE_UPLOAD.body(key, spec=to_wire(spec)))
    except NotFound:
        raise no_namespace(namespace) from None
    return Begun(key, token, image_url(call.published.images, body["metadata"]["uid"]))


def awaited(call: Call, url: str) -> str:
    """What is to be said of an Image whose file is still to come; empty for all others."""
    base = image_url(call.published.images, "")
    if not url.startswith(base):
        return ""
    upload = call.cloud.by_uid(IMAGE_UPLOAD, url.removeprefix(base))
    if upload is None:
        return ""
    said = condition(upload.status.conditions, Type.READY)
    if said is not None and said.true:
        return ""
    return said.message if said is not None and said.message else "Its upload has not begun"
