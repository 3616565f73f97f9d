"""Which boot of the host this is, so that guests are started again after one and not after anything else."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

KERNEL = Path("/proc/sys/kernel/random/boot_id")


def read(run_dir: Path) -> str:
    """The same text until the host boots again.

    Kept in a folder of the host that every boot empties, because hosts that share one kernel (as those of `dev` do)
    share the kernel's own boot id. Without that folder the kernel's id has to do.
    """
    path = run_dir / "boot-id"
    if not run_dir.is_dir():
        return KERNEL.read_text().strip()
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    scratch = run_dir / f"boot-id.{os.getpid()}"
    scratch.write_text(f"{uuid.uuid4()}\n")
    try:
        os.link(scratch, path)  # unlike a rename, the first of two wins
    except FileExistsError:
        pass
    finally:
        scratch.unlink()
    return path.read_text().strip()
