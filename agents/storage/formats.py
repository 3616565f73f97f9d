"""How a disk's data lies in a file, and what the file itself tells of it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from agents.storage import qcow2
from agents.storage.qcow2 import Header
from operators.contract.formats import DiskFormat


@dataclass(frozen=True, slots=True)
class Layout:
    """How the data of a disk is to lie in its file."""

    form: str = DiskFormat.QCOW2
    preallocated: bool = False
    """Whether it takes all of its size at once."""

    @property
    def options(self) -> tuple[str, ...]:
        """For the qemu-img that makes it."""
        return ("-o", "preallocation=falloc") if self.preallocated else ()

    @property
    def growth(self) -> tuple[str, ...]:
        """For the qemu-img that grows it."""
        return ("--preallocation=falloc",) if self.preallocated else ()


QCOW2 = Layout()


def of(file: str) -> str:
    """The format of a file of ours, by its name: what is in a raw file is the guest's, and says nothing."""
    return DiskFormat.RAW if file.endswith(".raw") else DiskFormat.QCOW2


def header(fd: int, form: str) -> Header:
    """What an open file says of itself; of a raw one there is but its length. Raises NotQcow2."""
    return Header(os.fstat(fd).st_size) if form == DiskFormat.RAW else qcow2.read_header(fd)
