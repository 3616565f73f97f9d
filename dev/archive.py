"""Container images of one layer and one program, written without a container tool (`docker save` format)."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path


def write_archive(target: Path, reference: str, program: Path, *, command: str) -> None:
    """Write an image that holds one static program at `command` and starts it. The same input gives the same bytes."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        entry = tarfile.TarInfo(command.lstrip("/"))
        entry.size, entry.mode = program.stat().st_size, 0o755
        with program.open("rb") as content:
            tar.addfile(entry, content)
    data = layer.getvalue()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": [command]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}"]},
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": [reference], "Layers": ["layer.tar"]}]).encode()
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    with tarfile.open(scratch, "w") as tar:
        for path, content_bytes in (("layer.tar", data), (name, config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(path)
            entry.size = len(content_bytes)
            tar.addfile(entry, io.BytesIO(content_bytes))
    scratch.rename(target)


def image_id(archive: Path) -> str:
    """Return the image's identity: the digest of its configuration."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile("manifest.json")
        if member is None:
            raise ValueError(f"{archive} is not an image archive")
        config: str = json.loads(member.read())[0]["Config"]
    return config.removesuffix(".json").removeprefix("sha256:").rpartition("/")[2]
