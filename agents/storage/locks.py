"""QEMU's locks on a disk's file, as far as they tell whether a guest runs on it.

QEMU (since 2.10) locks single bytes of an image: byte 100 + n while it uses permission n, byte 200 + n while it lets
nobody else use it; writing is permission 1. They are locks of an open file, so they end with the process.
Source: block/file-posix.c of QEMU.
"""

from __future__ import annotations

import fcntl
import os
import struct

_FLOCK = struct.Struct("@hhqqi4x")
_WRITES, _REFUSES_WRITERS = 101, 201


class InUse(Exception):
    """Somebody has the file open for writing."""


def written(fd: int) -> bool:
    """Whether a QEMU has the file open for writing, whatever its format."""
    found = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _WRITES, 1, 0))
    return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)


def keep_writers_out(fd: int) -> None:
    """Let no QEMU open the file for writing, until the descriptor is closed. Raises InUse when one has it open."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, _REFUSES_WRITERS, 1, 0))
    if written(fd):
        raise InUse
