"""The headers of VMDK and VDI files, as far as it is decided by them whether QEMU may open such a file at all.

Both may name other files: a VMDK its extents and its parent, in a text inside it; a VDI its parent. QEMU would open
those on our behalf, so only files that hold all their data themselves are let through.
Layouts: VMware's "Virtual Disk Format 5.0", VirtualBox's VDI as block/vdi.c of QEMU has it.
"""

from __future__ import annotations

import os
import re
import struct

SECTOR = 512
_VMDK = struct.Struct("<4sIIQQQQ")
"""magic, version, flags, capacity, grain size, descriptor's offset and size (in sectors)."""
_MOST_TEXT = 1 << 20
_TYPE = re.compile(r'^createType\s*=\s*"([^"]*)"', re.MULTILINE)
_PARENT = re.compile(r"^parentCID\s*=\s*([0-9a-fA-F]+)", re.MULTILINE)
_EXTENT = re.compile(r'^(?:RW|RDONLY|NOACCESS)\s+\d+\s+(\w+)\s+"', re.MULTILINE)
WHOLE = frozenset({"monolithicSparse", "streamOptimized"})
_VDI_SIGNATURE, _VDI_TYPES = 0xBEDA107F, {1, 2}


class Unsafe(Exception):
    """The file is not one that holds all its data itself; the text says why."""


def virtual_size(fd: int, form: str) -> int:
    """Bytes of the disk in an open VMDK or VDI file. Raises Unsafe."""
    return _vmdk(fd) if form == "vmdk" else _vdi(fd)


def _vmdk(fd: int) -> int:
    head = os.pread(fd, _VMDK.size, 0)
    if len(head) < _VMDK.size or head[:4] != b"KDMV":
        raise Unsafe("it is not a VMDK file that holds its data itself (monolithicSparse or streamOptimized)")
    _, _, _, capacity, _, text_at, text_size = _VMDK.unpack(head)
    if not text_at or not 0 < text_size * SECTOR <= _MOST_TEXT:
        raise Unsafe("it has no description, so nobody can say what it is part of")
    text = os.pread(fd, text_size * SECTOR, text_at * SECTOR).split(b"\0", 1)[0].decode("latin-1")
    found = _TYPE.search(text)
    if found is None or found[1] not in WHOLE:
        type_ = found[1] if found else "unknown"
        raise Unsafe(f"it is of type {type_}, and only {' and '.join(sorted(WHOLE))} are taken")
    parent = _PARENT.search(text)
    if (parent is not None and parent[1].lower() != "ffffffff") or "parentFileNameHint" in text:
        raise Unsafe("it is made from another file (its parent)")
    extents = _EXTENT.findall(text)
    if len(extents) != 1 or extents[0] != "SPARSE":
        raise Unsafe("its data is in other files (its extents)")
    return int(capacity) * SECTOR


def _vdi(fd: int) -> int:
    head = os.pread(fd, SECTOR, 0)
    if len(head) < SECTOR or struct.unpack_from("<I", head, 0x40)[0] != _VDI_SIGNATURE:
        raise Unsafe("it is not a VDI file")
    if struct.unpack_from("<I", head, 0x4C)[0] not in _VDI_TYPES:
        raise Unsafe("it is made from another file (its parent)")
    if any(head[0x1A8:0x1C8]):
        raise Unsafe("it is linked to another file (its parent)")
    return int(struct.unpack_from("<Q", head, 0x170)[0])
