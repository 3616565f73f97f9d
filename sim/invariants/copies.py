"""What is copied, brought back and restored is of one moment, and holds what was there at it.

A disk here holds no more than the moment until when a guest wrote to it (`Node.written`). So copies of several disks
fit together if none of them was written to after another one was copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.storage.backups.layout import Broken, Listing, list_key, piece_key, unpack_piece
from sim.hosts.filesystem import Node, moment_of
from sim.hosts.host import POOL_ROOT, Host
from sim.invariants.words import (
    DISK,
    DISK_BACKUP,
    DISK_SNAPSHOT,
    VM_SNAPSHOT,
    Complaints,
    condition,
    deleting,
    folder_of,
    name_of,
    of,
    status_of,
)
from sim.store.schema import Json
from sim.store.server import Event, Table

if TYPE_CHECKING:
    from sim.run import Run


@of("virtualmachinesnapshots")
def a_machine_is_taken_at_one_moment(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """The disks of a VirtualMachineSnapshot that says that it was taken are of one moment."""
    if event.type != "MODIFIED" or event.before is None:
        return
    if status_of(event.obj).get("takenAt") and not status_of(event.before).get("takenAt"):
        files = [node for part in _parts(event.obj) if (node := _copy_of(run, event.obj, part)) is not None]
        if files and max(each.written for each in files) > min(each.copied for each in files) + 1e-6:
            said = ", ".join(f"written until {each.written:.3f}, copied at {each.copied:.3f}" for each in files)
            yield f"{name_of(event.obj)} is of several moments: {said}"


@of("virtualmachinesnapshots")
def a_machine_goes_back_as_a_whole(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """A VirtualMachineSnapshot that says that it was brought back has been, with all of its disks."""
    status = status_of(event.obj)
    before = status_of(event.before) if event.before is not None else {}
    if status.get("reverting", 0) > before.get("reverting", 0):
        run.reverting[event.obj["metadata"]["uid"]] = run.world.loop.now
    said = "resumeStart" if event.obj["spec"].get("memory") else "revertObserved"  # before the guest writes again
    if event.type != "MODIFIED" or status.get(said, 0) <= before.get(said, 0):
        return
    for part in _parts(event.obj):
        copy, disk = _copy_of(run, event.obj, part), _disk_of(run, event.obj, part)
        if copy is not None and disk is not None and copy.written != disk.written:
            yield (
                f"{name_of(event.obj)} says that it was brought back, and Volume {part['volume']} is of "
                f"{disk.written:.3f}, not of {copy.written:.3f}"
            )


def what_a_guest_remembers_is_on_its_disks(run: Run, host: Host, uuid: str) -> Complaints:
    """A guest that is brought back with its memory finds what was there while that was kept: it stood still then."""
    remembered = host.machine.remembering.get(uuid)
    if remembered is None:
        return
    since, until = remembered
    for disk in host.machine.running[uuid].disks:
        node = host.files.find(disk.path)
        if node is not None and not disk.cdrom and not since <= node.written <= until:
            yield (
                f"guest {uuid} was brought back with the memory of {since:.3f} to {until:.3f} on a disk of "
                f"{node.written:.3f}"
            )


def nothing_starts_half_gone_back(run: Run, host: Host, uuid: str) -> Complaints:
    """No guest runs on disks of which some were brought back and others are still to be."""
    for each in run.all(VM_SNAPSHOT):
        status = status_of(each)
        since = run.reverting.get(each["metadata"]["uid"])
        if status.get("virtualMachineUid") != uuid or since is None:
            continue
        if status.get("reverting", 0) <= status.get("revertObserved", 0):
            continue
        disks = {part["volume"]: _disk_of(run, each, part) for part in _parts(each)}
        back = {name: node.copied > since for name, node in disks.items() if node is not None}
        if len(set(back.values())) > 1:
            yield f"guest {uuid} was started while {name_of(each)} was being brought back: {back}"


@of("diskbackups")
def a_backup_holds_what_its_snapshot_holds(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """A DiskBackup that says that it was made holds what the snapshot's file does, if that is still there."""
    if event.type != "MODIFIED" or event.before is None:
        return
    if condition(event.obj, "Provisioned") == "True" and condition(event.before, "Provisioned") != "True":
        spec = event.obj["spec"]
        found = _stored(run, spec["volumeUid"], spec["backup"]["uid"])
        if isinstance(found, str):
            yield f"{name_of(event.obj)} says that it was made, and {found}"
            return
        file = _file(run, event.obj, spec["source"])
        if file is not None and file.written != found:
            yield f"{name_of(event.obj)} holds what was at {found:.3f}, and its snapshot what was at {file.written:.3f}"


@of("disks")
def a_restored_disk_holds_what_its_backup_holds(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """A Disk that was made from a backup holds what that does."""
    if event.type != "MODIFIED" or event.before is None or "backup" not in event.obj["spec"]:
        return
    if condition(event.obj, "Provisioned") == "True" and condition(event.before, "Provisioned") != "True":
        ref = event.obj["spec"]["backup"]
        found, file = _stored(run, ref["volumeUid"], ref["backupUid"]), _file(run, event.obj, event.obj["spec"]["path"])
        if isinstance(found, float) and file is not None and file.copied and file.written < found:
            yield f"{name_of(event.obj)} holds what was at {file.written:.3f}, and its backup what was at {found:.3f}"


def backups_can_be_restored(run: Run) -> Complaints:
    """What a DiskBackup says that it made is whole in the store, unless the API server went back to an old state."""
    for each in () if run.restored else run.all(DISK_BACKUP):
        if condition(each, "Provisioned") == "True" and not deleting(each):
            found = _stored(run, each["spec"]["volumeUid"], each["spec"]["backup"]["uid"])
            if isinstance(found, str):
                yield f"{name_of(each)} says that it was made, and {found}"


def _stored(run: Run, volume: str, backup: str) -> float | str:
    """The moment of which a backup in the store is; what is wrong with it, if something is."""
    objects = run.world.vault.objects
    data = objects.get(list_key(volume, backup))
    if data is None:
        return "its list is not in the store"
    try:
        pieces = Listing.unpack(data).pieces
        if lost := [digest for digest in pieces.values() if piece_key(volume, digest) not in objects]:
            return f"the store lacks piece {lost[0]}"
        return moment_of(unpack_piece(objects[piece_key(volume, pieces[0])])) if 0 in pieces else 0.0
    except Broken as error:
        return str(error)


def _parts(snapshot: Json) -> list[Json]:
    return list(status_of(snapshot).get("parts", ()))


def _copy_of(run: Run, snapshot: Json, part: Json) -> Node | None:
    """The file of one disk of a VirtualMachineSnapshot."""
    where = snapshot["metadata"]["namespace"], part["volumeSnapshot"]
    found = run.world.server.tables[DISK_SNAPSHOT].records.get(where)
    return _file(run, found.obj, found.obj["spec"]["path"]) if found is not None else None


def _disk_of(run: Run, snapshot: Json, part: Json) -> Node | None:
    """The file of the disk itself, if it is still the one that was taken, and no guest has it."""
    for disk in run.all(DISK):
        spec = disk["spec"]
        holds = "copyOf" not in spec and (not spec.get("replaces") or spec.get("filled"))
        if spec["volume"]["uid"] == part["volumeUid"] and holds:
            file = _file(run, disk, spec["path"])
            if file is not None:
                return file
    return None


def _file(run: Run, each: Json, path: str) -> Node | None:
    host = run.world.hosts.get(each["spec"]["hostName"])
    return host.files.find(f"{POOL_ROOT}/{folder_of(each)}/{path}") if host is not None and host.up else None
