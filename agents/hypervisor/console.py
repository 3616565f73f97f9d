"""Console logs: one file per guest, cut when it grows too long.

libvirt's own log daemon would do this; where a host runs without it, a guest could fill the disk by talking.
"""

from __future__ import annotations

import os
from pathlib import Path

LIMIT = 4 * 1024 * 1024
"""Bytes after which a log is cut; what it held stays beside it, in a file of the same name and `.1`."""
CHECK = 60.0
"""Seconds between looks at the sizes."""


def path_of(folder: Path, uuid: str) -> Path:
    """The console log of a domain."""
    return folder / f"{uuid}.log"


def exists(path: Path) -> bool:
    """Whether anything is left of a log."""
    return path.exists() or _old(path).exists()


def fresh(path: Path) -> None:
    """Begin a new log for a start; what the guest said before stays as the older one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.replace(_old(path))


def remove(path: Path) -> None:
    """Remove a log for good."""
    path.unlink(missing_ok=True)
    _old(path).unlink(missing_ok=True)


def trim(folder: Path, limit: int = LIMIT) -> int:
    """Cut every log that is too long; how many were. QEMU appends, so it goes on at the new end."""
    cut = 0
    for path in folder.glob("*.log"):
        if not path.is_symlink() and path.stat().st_size > limit:
            with path.open("rb") as file:
                file.seek(-limit, os.SEEK_END)
                _old(path).write_bytes(file.read(limit))
            os.truncate(path, 0)
            cut += 1
    return cut


def _old(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")
