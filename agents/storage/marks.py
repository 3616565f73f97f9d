"""The mark that a pool's folder carries, so that two folders are never taken for one pool, nor one for two.

A shared folder that is not mounted is an empty folder of the host; another cluster may export one of the same path.
Both look well, and a disk made there would be lost to every other host. So a folder is used only if it carries the
mark of its StoragePool, and only the host that Fabric Monitoring names writes one, once in a pool's life.
"""

from __future__ import annotations

import contextlib
import os
import threading

from agents.storage.folders import PoolFolder, PoolOffline, Unmarked, open_file

MARK = ".cloudstack-pool"
_LONGEST = 512
_WRITING = threading.Lock()
"""A new pool's first disk and first probe come at the same time, in threads of their own."""


def check(folder: int, pool: PoolFolder, *, make: bool) -> None:
    """See that the open folder is the pool's; mark it if that is for us to do. Raises PoolOffline and Unmarked."""
    found = _read(folder)
    if found is None:
        if pool.marks and make:
            _write(folder, pool)
        elif not pool.makes:
            raise Unmarked(
                f"{pool.path} does not carry the mark of StoragePool {pool.name}: is the shared folder mounted here?"
            )
        return
    name, _, uid = found.partition(" ")
    if name == pool.name and (pool.makes or uid == pool.uid):
        return
    raise PoolOffline(
        f"{pool.path} is the folder of StoragePool {name} (uid {uid}), not of {pool.name} (uid {pool.uid}): "
        f"give this one another path, or remove {MARK} there if that one is gone for good"
    )


def _read(folder: int) -> str | None:
    """`name uid`, as the first line of the mark."""
    fd = open_file(folder, MARK)
    if fd is None:
        return None
    try:
        return os.pread(fd, _LONGEST, 0).decode(errors="replace").partition("\n")[0]
    finally:
        os.close(fd)


def _write(folder: int, pool: PoolFolder) -> None:
    """Whole or not there; and if somebody was first, theirs stays."""
    with _WRITING:
        if _read(folder) is None:
            _link(folder, pool)


def _link(folder: int, pool: PoolFolder) -> None:
    temporary = f"{MARK}.{pool.uid}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=folder)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder)
    text = f"{pool.name} {pool.uid}\nThis folder is a StoragePool's. Leave this file where it is.\n"
    try:
        os.pwrite(fd, text.encode(), 0)
        os.fsync(fd)
    finally:
        os.close(fd)
    with contextlib.suppress(FileExistsError):
        os.link(temporary, MARK, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    os.unlink(temporary, dir_fd=folder)
    os.fsync(folder)
