"""Snapshots in folders: a file for each, that stands on its own."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from agents.storage import folders, places, qcow2
from agents.storage.directories.copying import copied, copy
from agents.storage.failure import Failed
from agents.storage.folders import Place, Strange, in_thread, inner_folder, off_loop, open_file
from agents.storage.locks import InUse, keep_writers_out
from agents.storage.qemuimg import QemuImg, QemuImgError
from agents.storage.snapshots.model import beginning, memory_at, part, revert, swap
from operators.contract.reasons import Reason

MODE = 0o400
MAGIC = b"LibvirtQemudSave"
DISK_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Snapshots:
    """See `SnapshotPart`."""

    qemu: QemuImg

    def landing(self, snapshot: Place, uid: str) -> str:
        """Beside the snapshot, under a name of the object's."""
        return f"{snapshot.pool.path}/{snapshot.folder}/{beginning(uid)}"

    async def prepare(self, snapshot: Place) -> None:
        """Make the folder."""
        await off_loop(_prepare, snapshot)

    async def land(self, snapshot: Place, file: str) -> None:
        """Give it its name, once it is looked at and on the disk."""
        await off_loop(_publish, snapshot, file)

    async def land_memory(self, snapshot: Place, file: str) -> None:
        """The same, for what a hypervisor wrote of the guest's memory; fine if that was done."""
        await off_loop(_publish_memory, snapshot, file)

    async def memory(self, snapshot: Place) -> int | None:
        """The blocks of that file."""
        return await off_loop(_memory, snapshot)

    def memory_path(self, snapshot: Place) -> str:
        """Beside the snapshot's own."""
        return memory_at(snapshot).absolute

    async def take(self, disk: Place, snapshot: Place, uid: str) -> None:
        """No guest can start on it meanwhile, by QEMU's own lock."""
        try:
            await copy(disk, snapshot, part(uid), self.qemu, MODE)
        except QemuImgError as error:
            if error.locked:
                raise Failed(Reason.CAPTURING, "a guest has been started on it") from error
            raise

    async def stored(self, snapshot: Place) -> int:
        """The blocks of its file."""
        return await off_loop(places.blocks, snapshot)

    async def bring_back(self, snapshot: Place, disk: Place, uid: str, request: int) -> None:
        """By a second name of a file that was prepared beside the disk's, under a name that holds the request.

        So whoever comes after a kill sees by the file's identity whether it was done already."""
        prepared = Place(disk.pool, disk.folder, revert(uid, request), disk.form)
        if not await off_loop(places.present, disk, prepared.file):
            now = await off_loop(places.header_at, disk)
            size = now.virtual_size if now is not None else 0
            draft = await copied(snapshot, prepared, part(uid), self.qemu, size=size)
            try:
                await in_thread(draft.publish, DISK_MODE)
            finally:
                draft.close()
        try:
            await off_loop(_swap, disk, prepared.file, swap(uid))
        except InUse:
            message = "a guest runs on it; it is brought back once that is stopped"
            raise Failed(Reason.STILL_ATTACHED, message) from None

    async def leftovers(self, snapshot: Place, disk: Place, uid: str) -> tuple[str, ...]:
        """In both folders."""
        return await off_loop(_leftovers, snapshot, disk, uid)

    async def tidy(self, place: Place, names: tuple[str, ...]) -> None:
        """Unlink them."""
        await off_loop(folders.remove, place, *names)

    async def remove(self, snapshot: Place, disk: Place, uid: str) -> None:
        """Its file and everything in the making."""
        await off_loop(_clear, snapshot, disk, uid)


def _prepare(place: Place) -> None:
    with inner_folder(place, make=True):
        pass


def _publish_memory(place: Place, captured: str) -> None:
    """Before the disk's copy gets its name, so that whoever finds that finds the memory too."""
    kept = memory_at(place)
    with inner_folder(place, make=False) as folder:
        fd = open_file(folder, captured, os.O_RDWR)
        if fd is None:
            if (done := open_file(folder, kept.file)) is None:
                raise Strange(f"{captured} is gone")
            os.close(done)
            return
        try:
            if os.pread(fd, len(MAGIC), 0) != MAGIC:
                raise Strange(f"{captured} is not a guest's memory as libvirt writes it")
            os.fchmod(fd, MODE)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(captured, kept.file, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def _memory(place: Place) -> int | None:
    kept = memory_at(place)
    return places.blocks(kept) if places.present(kept, kept.file) else None


def _publish(place: Place, captured: str) -> None:
    with inner_folder(place, make=False) as folder:
        fd = open_file(folder, captured, os.O_RDWR)
        if fd is None:
            raise Strange(f"{captured} is gone")
        try:
            try:
                header = qcow2.read_header(fd)
            except qcow2.NotQcow2 as error:
                raise Strange(f"{captured}: {error}") from error
            if header.backing or header.incompatible & qcow2.DATA_FILE:
                raise Strange(f"{captured} does not stand on its own")
            os.fchmod(fd, MODE)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(captured, place.file, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def _swap(place: Place, prepared: str, second: str) -> None:
    with inner_folder(place, make=False) as folder, contextlib.ExitStack() as stack:
        old = open_file(folder, place.file)
        if old is None:
            raise Strange(f"{place.file} is gone")
        stack.callback(os.close, old)
        new = os.stat(prepared, dir_fd=folder, follow_symlinks=False)
        if os.path.samestat(new, os.fstat(old)):
            return
        keep_writers_out(old)
        owner = os.fstat(old)
        os.chown(prepared, owner.st_uid, owner.st_gid, dir_fd=folder, follow_symlinks=False)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(second, dir_fd=folder)
        os.link(prepared, second, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        os.rename(second, place.file, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def _leftovers(place: Place, source: Place, uid: str) -> tuple[str, ...]:
    return (*places.beginning(place, beginning(uid)), *places.beginning(source, beginning(uid)))


def _clear(place: Place, source: Place, uid: str) -> None:
    folders.remove(place, place.file, memory_at(place).file, *places.beginning(place, beginning(uid)))
    folders.remove(source, *places.beginning(source, beginning(uid)))
