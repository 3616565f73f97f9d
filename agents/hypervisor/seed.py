"""The NoCloud disk: what a guest reads at first boot about itself.

An ISO 9660 image labelled `cidata` with `meta-data` and `user-data`, as cloud-init's NoCloud source has it
(https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from pathlib import Path

import pycdlib

from operators.contract.instances import CloudInit

APPLICATION = 32768 + 574
"""Where the volume descriptor names the application that wrote the disk; here, the digest of its content."""
DIGEST = 40


def files(cloud_init: CloudInit) -> dict[str, str]:
    """The disk's files. Public keys stand in the meta-data, so that user data stays as its author wrote it."""
    lines = [
        f"instance-id: {json.dumps(cloud_init.instance_id)}",
        f"local-hostname: {json.dumps(cloud_init.hostname)}",
    ]
    if cloud_init.ssh_keys:
        lines.append("public-keys:")
        lines.extend(f"  - {json.dumps(key)}" for key in cloud_init.ssh_keys)
    # cloud-init passes over a disk without a user-data file, hence an empty one.
    return {"meta-data": "\n".join(lines) + "\n", "user-data": cloud_init.user_data}


def digest(cloud_init: CloudInit) -> str:
    """A digest of all that the disk says."""
    return hashlib.sha256(json.dumps(files(cloud_init)).encode()).hexdigest()[:DIGEST]


def image(cloud_init: CloudInit) -> bytes:
    """The disk's content."""
    iso = pycdlib.PyCdlib()
    iso.new(vol_ident="cidata", joliet=3, rock_ridge="1.09", app_ident_str=digest(cloud_init))
    for number, (name, text) in enumerate(files(cloud_init).items()):
        content = text.encode()
        iso.add_fp(io.BytesIO(content), len(content), f"/FILE{number}.;1", rr_name=name, joliet_path=f"/{name}")
    out = io.BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()


def written(path: Path) -> str:
    """The digest of the disk at `path`; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(APPLICATION)
            return file.read(DIGEST).decode(errors="replace")
    except FileNotFoundError:
        return ""


def write(path: Path, cloud_init: CloudInit) -> None:
    """Write the disk, whole or not at all. Only root may read it: user data can hold secrets."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
    scratch = path.with_suffix(f".{os.getpid()}.new")
    scratch.unlink(missing_ok=True)
    try:
        scratch.touch(0o600, exist_ok=False)
        scratch.write_bytes(image(cloud_init))
        scratch.replace(path)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            scratch.unlink()
        raise
