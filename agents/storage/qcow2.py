"""The header of a qcow2 file, as far as the agent decides by it.

Read here, and not by `qemu-img info`, for two reasons. Every Disk is looked at again after each event and restart: some
20 µs in place of a process of 10 ms, and no lock taken under a running guest. And a downloaded file is looked at before
any QEMU code sees it, since opening a hostile one may already read other files (CVE-2024-4467).
Layout: docs/interop/qcow2.txt of QEMU.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

MAGIC = b"QFI\xfb"
_FIXED = struct.Struct(">4sIQIIQI")
"""magic, version, backing file offset and size, cluster bits, virtual size, encryption method."""
_INCOMPATIBLE = struct.Struct(">Q")
_INCOMPATIBLE_AT = 72
_MAX_BACKING = 1023

DATA_FILE = 1 << 2
"""Incompatible feature bit: the data is in another file."""
KNOWN = 0b11111
"""Incompatible feature bits of QEMU 7.2: dirty, corrupt, data file, compression type, extended L2."""


class NotQcow2(Exception):
    """The file is not a qcow2 file of version 2 or 3."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a qcow2 file says of itself."""

    virtual_size: int
    backing: str = ""
    encrypted: bool = False
    incompatible: int = 0


def read_header(fd: int) -> Header:
    """Read the header. Raises NotQcow2."""
    data = os.pread(fd, 104, 0)
    if len(data) < _FIXED.size or data[:4] != MAGIC:
        raise NotQcow2("it does not start as a qcow2 file does")
    _, version, backing_at, backing_size, _, virtual_size, encryption = _FIXED.unpack_from(data)
    if version not in (2, 3):
        raise NotQcow2(f"it is qcow2 of version {version}; versions 2 and 3 are known")
    incompatible = 0
    if version == 3:
        if len(data) < _INCOMPATIBLE_AT + _INCOMPATIBLE.size:
            raise NotQcow2("its header is cut off")
        (incompatible,) = _INCOMPATIBLE.unpack_from(data, _INCOMPATIBLE_AT)
    backing = ""
    if backing_at:
        backing = os.pread(fd, min(backing_size, _MAX_BACKING), backing_at).decode(errors="replace") or "?"
    return Header(virtual_size, backing, bool(encryption), incompatible)
