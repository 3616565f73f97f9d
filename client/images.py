"""`cloudstack image upload FILE NAME`: an Image from a file of this machine.

Done again after anything went wrong it goes on where it was: the ImageUpload says which file it is for, and the token
is kept at home until the Image is made.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from client.cluster import ClientError, Cluster
from client.progress import Bar, sized
from client.tus import Link, carry
from operators.contract.meta import Key, Obj, condition, holds
from operators.contract.reasons import Type
from operators.contract.storage import IMAGE
from operators.contract.uploads import IMAGE_UPLOAD, ImageUploadSpec, ImageUploadStatus

CHUNK = 1 << 20
CHECKING = 1800
"""Seconds for Upload to check what came: it reads the file once more where it was started anew."""
_MAGIC = ((0, b"QFI\xfb", "qcow2"), (0, b"KDMV", "vmdk"), (0x40, b"\x7f\x10\xda\xbe", "vdi"), (0x8001, b"CD001", "iso"))


@dataclass(frozen=True)
class Asked:
    """What the command line says of the Image."""

    file: Path
    name: str
    format: str = ""
    os_type: str = ""
    display_name: str = ""
    public: bool = False
    quiet: bool = False


def upload(cluster: Cluster, asked: Asked, url: str = "") -> int:
    """Bring the file, and make the Image. Raises ClientError."""
    try:
        with asked.file.open("rb") as source:
            _upload(cluster, asked, source, url)
    except OSError as error:
        raise ClientError(f"{asked.file} cannot be read: {error.strerror}") from error
    return 0


def _upload(cluster: Cluster, asked: Asked, source: BinaryIO, url: str) -> None:
    form = asked.format or recognised(source, asked.file.suffix)
    size = os.fstat(source.fileno()).st_size
    key = Key(cluster.namespace, asked.name)
    sha256 = _hashed(source, _bar(asked, "reading  ", size))
    if (image := cluster.get(IMAGE, key)) is not None:
        if IMAGE.parse(image).spec.checksum != f"sha256:{sha256}":
            raise ClientError(f"there is an Image {key} of another file: a new version is a new Image")
        print(f"image {asked.name} is there already")
        return
    begun, token = _begun(cluster, key, ImageUploadSpec(size, "", sha256))
    if not _ready(begun):
        if not token:
            raise ClientError(
                f"an upload of this file was begun elsewhere: go on there, or kubectl -n {key.namespace} delete "
                f"imageupload {key.name} and begin anew"
            )
        bar = _bar(asked, "uploading", size)
        try:
            carry(Link(cluster, key, token, url), source, size, bar.at if bar else lambda _: None)
        finally:
            if bar:
                bar.end()
        begun = _checked(cluster, key, begun)
    spec = {"url": begun.status.url, "checksum": f"sha256:{sha256}", "format": form}
    spec |= {"osType": asked.os_type} if asked.os_type else {}
    spec |= {"displayName": asked.display_name} if asked.display_name else {}
    cluster.create(IMAGE, IMAGE.body(key, spec=spec | ({"public": True} if asked.public else {})))
    _kept(begun.spec.token_sha256).unlink(missing_ok=True)
    print(f"image {asked.name} is made from {sized(size)} of {form}")


def _begun(cluster: Cluster, key: Key, want: ImageUploadSpec) -> tuple[Obj[ImageUploadSpec, ImageUploadStatus], str]:
    """The ImageUpload, an earlier one of the same file or a new one; and its token, where that is known here."""
    if (body := cluster.get(IMAGE_UPLOAD, key)) is not None:
        found = IMAGE_UPLOAD.parse(body)
        if (found.spec.size, found.spec.sha256) != (want.size, want.sha256):
            raise ClientError(
                f"an upload of another file as {key.name} is under way: choose another name, or kubectl -n "
                f"{key.namespace} delete imageupload {key.name}"
            )
        with contextlib.suppress(FileNotFoundError):
            return found, _kept(found.spec.token_sha256).read_text()
        return found, ""
    token = secrets.token_urlsafe(32)
    hashed = hashlib.sha256(token.encode()).hexdigest()
    _keep(_kept(hashed), token)  # before its ImageUpload: one that nobody can open would be in the way for a day
    spec = {"size": want.size, "sha256": want.sha256, "tokenSha256": hashed}
    try:
        return IMAGE_UPLOAD.parse(cluster.create(IMAGE_UPLOAD, IMAGE_UPLOAD.body(key, spec=spec))), token
    except ClientError:
        _kept(hashed).unlink(missing_ok=True)
        raise


def _ready(upload: Obj[ImageUploadSpec, ImageUploadStatus]) -> bool:
    """Whether an Image may name its url: that stays when the file is lost."""
    return bool(upload.status.url) and holds(upload.status.conditions, Type.READY)


def _checked(
    cluster: Cluster, key: Key, begun: Obj[ImageUploadSpec, ImageUploadStatus]
) -> Obj[ImageUploadSpec, ImageUploadStatus]:
    """The ImageUpload once its file was checked. Raises ClientError when it is not what was to come."""
    for body in cluster.watch(IMAGE_UPLOAD, key, CHECKING):
        found = IMAGE_UPLOAD.parse(body)
        if found.meta.uid != begun.meta.uid:
            raise ClientError(f"the ImageUpload {key} was made anew meanwhile")
        if _ready(found):
            return found
        if (stalled := condition(found.status.conditions, Type.STALLED)) is not None:
            raise ClientError(stalled.message)
    raise ClientError("the file is there and still being checked: the same command goes on from there")


def recognised(source: BinaryIO, suffix: str) -> str:
    """The format that a file's content shows. Raises ClientError where it shows none."""
    for at, magic, form in _MAGIC:
        source.seek(at)
        if source.read(len(magic)) == magic:
            return form
    if suffix.lower() in (".raw", ".img"):
        return "raw"
    raise ClientError("the file's format is not recognised: say --format")


def _hashed(source: BinaryIO, bar: Bar | None) -> str:
    told: Callable[[int], None] = bar.at if bar else lambda _: None
    digest, at = hashlib.sha256(), 0
    source.seek(0)
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        at += len(chunk)
        told(at)
    if bar:
        bar.end()
    if not at:
        raise ClientError("the file is empty")
    return digest.hexdigest()


def _bar(asked: Asked, label: str, size: int) -> Bar | None:
    return None if asked.quiet else Bar(label, size, sys.stderr)


def _kept(hashed: str) -> Path:
    """Where a token is kept, by its hash."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "cloudstack" / "uploads" / hashed


def _keep(path: Path, token: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)


def asked_by(chosen: Any) -> Asked:
    """From the parsed command line."""
    return Asked(
        Path(chosen.file),
        chosen.name,
        chosen.format,
        chosen.os_type,
        chosen.display_name,
        chosen.public,
        chosen.quiet,
    )
