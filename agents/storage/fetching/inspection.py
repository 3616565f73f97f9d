"""What a downloaded file is: a disk on its own, or something that would have QEMU open other files, or never end."""

from __future__ import annotations

import os
from typing import Any

from agents.storage import qcow2
from agents.storage.failure import Failed
from agents.storage.fetching import foreign
from agents.storage.qemuimg import Limits, QemuImg, QemuImgError
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason

OTHERS = {
    qcow2.MAGIC: "qcow2",
    b"KDMV": "vmdk",
    b"vhdxfile": "vhdx",
    b"conectix": "vhd",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"<!DO": "html",
    b"<htm": "html",
}
"""How files start that are surely no raw disk."""


ISO = frozenset({b"CD001", b"BEA01", b"NSR02", b"NSR03"})
"""What CDs (ISO 9660) and DVDs (UDF) have in their volume descriptors."""
ISO_AT = range(32769, 32769 + 16 * 2048, 2048)


async def inspect(fd: int, form: str, limit: int, qemu: QemuImg) -> None:
    """Check a file against the format it is declared to have. Raises Failed with UnsafeImage or ImageTooLarge."""
    if form in ("raw", "iso"):
        _check_raw(fd, limit, form)
        return
    if form == "qcow2":
        _check_header(fd, limit)
    else:
        _check_foreign(fd, form, limit)
    try:
        found = await qemu.info(fd, form, Limits())
    except QemuImgError as error:
        raise Failed(Reason.UNSAFE_IMAGE, f"it is no sound {form} file: {error}") from error
    _check_info(found, form, limit)


def _check_raw(fd: int, limit: int, form: str) -> None:
    start = os.pread(fd, 16, 0)
    if form == "iso" and not any(os.pread(fd, 5, at) in ISO for at in ISO_AT):
        raise Failed(Reason.UNSAFE_IMAGE, "the Image says iso, and the file has no file system of a CD or DVD")
    for magic, kind in OTHERS.items():
        if start.startswith(magic):
            raise Failed(Reason.UNSAFE_IMAGE, f"the Image says {form}, and the file is {kind}; correct its format")
    _check_size(os.fstat(fd).st_size, limit)


def _check_header(fd: int, limit: int) -> None:
    """Before any QEMU code sees the file."""
    try:
        header = qcow2.read_header(fd)
    except qcow2.NotQcow2 as error:
        raise Failed(
            Reason.UNSAFE_IMAGE, f"the Image says qcow2, but {error}; correct its format or its url"
        ) from error
    if header.backing:
        raise Failed(
            Reason.UNSAFE_IMAGE, "it is made from another file (a backing file); flatten it by qemu-img convert"
        )
    if header.incompatible & qcow2.DATA_FILE:
        raise Failed(Reason.UNSAFE_IMAGE, "its data is in another file; flatten it by qemu-img convert")
    if header.incompatible & ~qcow2.KNOWN:
        raise Failed(Reason.UNSAFE_IMAGE, "it uses features of qcow2 that are not known here; convert it")
    if header.encrypted:
        raise Failed(
            Reason.UNSAFE_IMAGE, "it is encrypted, which guests could not read; decrypt it by qemu-img convert"
        )
    _check_size(header.virtual_size, limit)


def _check_foreign(fd: int, form: str, limit: int) -> None:
    """Before any QEMU code sees the file."""
    try:
        size = foreign.virtual_size(fd, form)
    except foreign.Unsafe as error:
        message = f"the Image says {form}, but {error}; convert it by qemu-img convert -O qcow2"
        raise Failed(Reason.UNSAFE_IMAGE, message) from error
    _check_size(size, limit)


def _check_info(found: dict[str, Any], form: str, limit: int) -> None:
    """What qemu-img makes of it must be the same."""
    data = (found.get("format-specific") or {}).get("data") or {}
    refused = {
        "it is in another format": found.get("format") != form,
        "it is made from another file": any("backing" in key for key in found),
        "its data is in another file": "data-file" in data,
        "it is encrypted": bool(found.get("encrypted") or data.get("encrypt")),
        "it is marked as corrupt": bool(data.get("corrupt")),
    }
    for why, so in refused.items():
        if so:
            raise Failed(Reason.UNSAFE_IMAGE, f"{why}, says qemu-img; make it anew by qemu-img convert")
    _check_size(int(found.get("virtual-size", 0)), limit)


def _check_size(virtual: int, limit: int) -> None:
    if virtual <= 0:
        raise Failed(Reason.UNSAFE_IMAGE, "it is empty")
    if virtual > limit:
        size, most = Quantity(virtual), Quantity(limit)
        message = f"it unfolds to {size}, and images may have {most} (IMAGE_MAX_VIRTUAL_SIZE)"
        raise Failed(Reason.IMAGE_TOO_LARGE, message)
