"""Images in folders: a file for each, that disks of the same pool rest on."""

from __future__ import annotations

from dataclasses import dataclass

from agents.storage import folders, places
from agents.storage.directories import exporting
from agents.storage.fetching.naming import temporaries
from agents.storage.folders import Draft, Place, off_loop
from agents.storage.jobs import Told
from agents.storage.qemuimg import QemuImg

MODE = 0o444


@dataclass(frozen=True, slots=True)
class Images:
    """See `ImagePart`."""

    qemu: QemuImg

    async def draft(self, image: Place, name: str, *, keep: bool = False) -> Draft:
        """In the pool itself: giving it its name is then all that is left to do."""
        return await off_loop(Draft, image, name, keep=keep)

    async def export(self, source: Place, image: Place, uid: str) -> None:
        """See `exporting`."""
        await exporting.export(source, image, temporaries(uid)[0], self.qemu, MODE)

    async def duplicate(self, source: Place, image: Place, uid: str, checksum: str, told: Told) -> None:
        """See `exporting`."""
        await exporting.duplicate(source, image, temporaries(uid)[0], checksum, MODE, told)

    async def checksum(self, image: Place, told: Told) -> str:
        """See `exporting`."""
        return await exporting.checksum(image, told)

    async def dependants(self, image: Place) -> tuple[str, ...]:
        """By the headers of the files in the folder of disks."""
        files = await off_loop(places.backed_by, Place(image.pool, "volumes", ""), f"../{image.folder}/{image.file}")
        return tuple(f"volumes/{file}" for file in files)

    async def leftovers(self, image: Place, uid: str) -> tuple[str, ...]:
        """By their names."""
        return await off_loop(places.present, image, *temporaries(uid))

    async def tidy(self, image: Place, names: tuple[str, ...]) -> None:
        """Unlink them."""
        await off_loop(folders.remove, image, *names)

    async def remove(self, image: Place, uid: str) -> None:
        """Unlink all of it."""
        await off_loop(folders.remove, image, image.file, *temporaries(uid))
