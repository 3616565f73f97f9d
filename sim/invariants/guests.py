"""What must hold whenever a guest is started, goes on, or runs on what somebody removes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sim.hosts.filesystem import Node
from sim.hosts.host import Host
from sim.invariants.words import INSTANCE, PEOPLE, Complaints, deleting, name_of, of, status_of
from sim.store.server import Event, Table

if TYPE_CHECKING:
    from sim.run import Run


def one_copy_runs(run: Run, host: Host, uuid: str) -> Complaints:
    """Never two running copies of a VM."""
    for other in run.world.hosts.values():
        if other is not host and uuid in other.machine.running and uuid not in other.machine.paused:
            yield f"guest {uuid} was started on {host.name} and runs on {other.name} too"


def one_writer_per_disk(run: Run, host: Host, uuid: str) -> Complaints:
    """Never two writers on a disk."""
    mine = {host.files.find(disk.path): disk.path for disk in host.machine.running[uuid].disks}
    for other in run.world.hosts.values():
        for guest, spec in other.machine.running.items():
            for disk in spec.disks if (other, guest) != (host, uuid) else ():
                if (node := other.files.find(disk.path)) in mine:
                    yield f"guests {uuid} on {host.name} and {guest} on {other.name} both write {mine[node]}"


def a_start_is_done_once(run: Run, host: Host, uuid: str) -> Complaints:
    """A guest is started once for each request, boot of its host and reboot."""
    record = host.machine.starts[-1].record
    same = [each for each in host.machine.starts if each.uuid == uuid and each.record == record and not each.lost]
    if len(same) > 1:
        yield f"guest {uuid} was started twice for {record}, at {same[0].time:.3f} and {same[1].time:.3f}"


def somebody_wants_it(run: Run, host: Host, uuid: str) -> Complaints:
    """A guest is started only for an Instance of that host, or one that was there a moment ago."""
    if uuid not in run.instances_seen.get(host.name, ()):
        yield f"guest {uuid} was started on {host.name}, where no Instance ever asked for it"


def no_host_is_overfull(run: Run, host: Host, uuid: str) -> Complaints:
    """The guests that run on a host never hold more of it than it gives out, whatever schedulers did."""
    cpus, memory = host.gives
    guests = host.machine.running.values()
    if (held := sum(spec.memory for spec in guests)) > memory:
        yield f"{host.name} gives out {memory >> 20} MiB, and its guests hold {held >> 20} MiB once {uuid} is started"
    if (taken := sum(spec.cpus for spec in guests)) > cpus:
        yield f"{host.name} gives out {cpus} CPUs, and its guests hold {taken} once {uuid} is started"


def no_file_goes_under_a_guest(run: Run, host: Host, node: Node, path: str) -> Complaints:
    """No file is removed to which a running guest writes."""
    for other in run.world.hosts.values():
        for uuid, spec in other.machine.running.items():
            if any(other.files.find(disk.path) is node for disk in spec.disks):
                yield f"{path} was removed on {host.name} while guest {uuid} on {other.name} writes to it"


@of("disks")
def no_disk_goes_under_a_guest(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """Nobody deletes a Disk that a running guest writes to, unless that guest's Instance is being deleted too."""
    if author in PEOPLE or not deleting(event.obj) or event.before is None or deleting(event.before):
        return
    host, path = run.world.hosts.get(event.obj["spec"]["hostName"]), str(status_of(event.obj).get("path"))
    standing = {each["spec"]["virtualMachine"]["uid"] for each in run.all(INSTANCE) if not deleting(each)}
    for uuid, spec in host.machine.running.items() if host is not None else ():
        if uuid in standing and any(disk.path == path for disk in spec.disks):
            yield f"{author} deleted {name_of(event.obj)}, to which guest {uuid} writes"


def it_has_one_root_disk(run: Run, host: Host, uuid: str) -> Complaints:
    """A guest has one root disk, and boots from it, however often that was made anew."""
    for instance in run.all(INSTANCE):
        if instance["spec"]["virtualMachine"]["uid"] == uuid and instance["spec"]["hostName"] == host.name:
            vm = instance["spec"]["virtualMachine"]["name"]
            roots = re.compile(rf"{re.escape(vm)}-root\d*")
            listed = [each["volume"] for each in instance["spec"].get("disks", ())]
            if (found := [each for each in listed if roots.fullmatch(each)]) != listed[:1]:
                yield f"guest {uuid} of {vm} was started with root disks {found} among {listed}"
