"""The driver of folders: a file for each disk, snapshot and image, of one host or seen by several."""

from __future__ import annotations

from agents.storage.directories.contents import Contents
from agents.storage.directories.disks import Disks
from agents.storage.directories.images import Images
from agents.storage.directories.pool import Folders
from agents.storage.directories.snapshots import Snapshots
from agents.storage.driver import Driver
from agents.storage.qemuimg import QemuImg
from operators.contract.formats import Ability, DiskFormat, FormatReport

_COMMON = frozenset(
    {Ability.THIN, Ability.COPIES, Ability.SNAPSHOTS, Ability.BACKUPS, Ability.GROW_ONLINE, Ability.MOVE_LIVE}
)
_MORE = frozenset({Ability.LINKED_CLONES, Ability.MIGRATE_INCREMENTS, Ability.ADOPTION})
FORMATS = (FormatReport(DiskFormat.QCOW2, _COMMON | _MORE), FormatReport(DiskFormat.RAW, _COMMON))


def directories(type_: str, qemu: QemuImg, most: int) -> Driver:
    """The driver of pools of the type; `most` is how many bytes a file to adopt may unfold to."""
    return Driver(
        type_,
        FORMATS,
        pool=Folders(),
        disks=Disks(qemu, most),
        snapshots=Snapshots(qemu),
        contents=Contents(qemu),
        images=Images(qemu),
    )
