"""Where the tool keeps things: a cache that any cluster may share, and the state of the one cluster.

The cache holds what can be built again and is named by version. The state lives outside the working
copy, so that a fresh clone finds (or takes down) the cluster that another clone started.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


def cache_dir() -> Path:
    """Return the folder of things built once per version."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cloudstack-dev"


def state_dir() -> Path:
    """Return the folder of the running cluster: keys, etcd's data, logs, the nodes' disks."""
    return Path(os.environ.get("CLOUDSTACK_DEV_STATE") or "/var/lib/cloudstack-dev")


@contextmanager
def finished_folder(target: Path) -> Iterator[Path]:
    """Give a scratch folder that becomes `target` only if the block ends well.

    The rename is atomic, so a build that is killed never leaves half a folder under the final name.
    """
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    """Write a file by way of a temporary one, so that a reader sees the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text)
    scratch.chmod(mode)
    scratch.rename(path)
    return path
