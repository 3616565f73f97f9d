"""The port behind which pools of a type are served.

A driver knows where a pool's disks are and what can be done with them; the rooms above it decide what is to be done.
`directories.py` serves folders. To add another type (RBD, LVM): give StoragePool its name, write a driver, and enter it
in `handlers.build`. Whatever a driver cannot do it leaves out of `formats`; Storage then does not ask for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from agents.storage.folders import Place, PoolFolder, PoolOffline
from agents.storage.formats import Layout
from agents.storage.qcow2 import Header
from operators.contract.formats import FormatReport


class Driver(Protocol):
    """Serves the disks of one type of pool.

    Everything but `look`, `in_use` and `was_taken` may be cut off anywhere and done again. A disk is there only when it
    is whole. All raise PoolOffline, Strange (something is there that is not ours), OSError and QemuImgError; what
    copies raises Failed.
    """

    @property
    def formats(self) -> tuple[FormatReport, ...]:
        """What it holds, and what can be done with that."""

    async def look(self, disk: Place) -> Header | None:
        """How large a disk is and what it is made from; None when there is none."""

    async def in_use(self, disk: Place) -> bool:
        """Whether a guest has it open for writing; a disk that is not there it has not."""

    async def create(self, disk: Place, uid: str, size: int, layout: Layout, base: str) -> None:
        """Make a disk, blank or on a base that is told relative to it."""

    async def copy(self, origin: Place, disk: Place, uid: str, size: int, layout: Layout) -> None:
        """Make a disk that stands on its own from another one on which no guest runs."""

    async def adopt(self, origin: Place, disk: Place) -> None:
        """Make what somebody put into the pool a disk, once it was found harmless."""

    async def take(self, origin: Place, former: str, disk: Place, uid: str, size: int, layout: Layout) -> None:
        """Bring the data of a disk (of the uid `former`) on another pool here, and set that one aside."""

    async def was_taken(self, origin: Place, former: str) -> bool:
        """Whether a disk was set aside."""

    async def give_back(self, origin: Place, former: str) -> None:
        """Have a disk that was set aside be there again."""

    async def resize(self, disk: Place, size: int, layout: Layout) -> None:
        """Grow a disk that no guest has open. Raises QemuImgError that is `locked` when one has."""

    async def remove(self, disk: Place, uid: str) -> None:
        """Remove a disk, and what is left of attempts to make it."""


@dataclass(frozen=True, slots=True)
class Drivers:
    """The drivers of this process, by the type of pool."""

    of_type: Mapping[str, Driver]

    def of(self, pool: PoolFolder) -> Driver:
        """The driver of a pool. Raises PoolOffline."""
        try:
            return self.of_type[pool.type]
        except KeyError:
            message = f"this agent serves no pools of the type {pool.type}; upgrade it"
            raise PoolOffline(message) from None
