"""What must hold in every run, in one place.

`AT_EVERY_WRITE` are looked at with each change of an object, `AT_EVERY_START` with each start of a guest,
`AT_EVERY_REMOVAL` with each file that is removed: they must hold whatever is broken just then. `IN_THE_END` must hold
within bounded time once nothing is broken any more, and then stay. Each says what is wrong, in a sentence, or nothing.
What processes owe the API server in each request is in `manners.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from agents.storage.marks import MARK
from operators.contract import names
from operators.contract.orchestration import FlowState
from operators.contract.quantity import Quantity
from sim.hosts.filesystem import Node
from sim.hosts.host import POOL_ROOT, Host
from sim.hosts.network import TAP
from sim.store.schema import Json
from sim.store.server import Event, Table

if TYPE_CHECKING:
    from sim.run import Run

Complaints = Iterator[str]
VM, INSTANCE = (names.COMPUTE, "virtualmachines"), (names.COMPUTE, "instances")
MIGRATION = (names.COMPUTE, "migrations")
VOLUME, DISK = (names.STORAGE, "volumes"), (names.STORAGE, "disks")
SNAPSHOT, DISK_SNAPSHOT = (names.STORAGE, "volumesnapshots"), (names.STORAGE, "disksnapshots")
IMAGE, COPY = (names.STORAGE, "images"), (names.STORAGE, "imagecopies")
NETWORK, PORT, ROUTER = (names.NETWORKING, "networks"), (names.NETWORKING, "ports"), (names.NETWORKING, "routers")
BINDING, HOST_NETWORK = (names.NETWORKING, "portbindings"), (names.NETWORKING, "hostnetworks")
CLAIM, FLOW = (names.NETWORKING, "claims"), (names.ORCHESTRATION, "flows")
NAMESPACE = ("", "namespaces")
POOL = (names.FABRIC, "storagepools")
HOST, REPORT = (names.FABRIC, "hosts"), (names.FABRIC, "hostreports")
USERS = {
    *(kind[1] for kind in (VM, VOLUME, NETWORK, IMAGE, SNAPSHOT)),
    "zones",
    "racks",
    "hostgroups",
    "ipranges",
    "computeofferings",
}
PEOPLE = ("user", "garbage-collector", "namespace-controller")
TERMINAL = {state.value for state in FlowState if state.terminal}


AtWrite = Callable[["Run", Table, Event, str], Complaints]
_OF: dict[str, tuple[str, ...]] = {}


def of(*plurals: str) -> Callable[[AtWrite], AtWrite]:
    """An invariant that only writes of some resources can break; the others are looked at with every write."""

    def note(invariant: AtWrite) -> AtWrite:
        _OF[invariant.__name__] = plurals
        return invariant

    return note


def at_write_of(plural: str) -> tuple[AtWrite, ...]:
    """The invariants to look at when an object of that resource was written."""
    return tuple(each for each in AT_EVERY_WRITE if plural in _OF.get(each.__name__, (plural,)))


# At every write.


@of(*USERS)
def nobody_writes_a_users_spec(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """No controller writes a user's spec, labels or annotations."""
    if event.type != "MODIFIED" or author in PEOPLE or event.before is None:
        return
    for part in ("spec", "data"):
        if event.obj.get(part) != event.before.get(part):
            yield f"{author} wrote the {part} of {_name(event.obj)}"
    for part in ("labels", "annotations", "ownerReferences"):
        if event.obj["metadata"].get(part) != event.before["metadata"].get(part):
            yield f"{author} wrote the {part} of {_name(event.obj)}"


def agents_write_only_status_of_their_own(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """An agent writes only the status of objects of its own host."""
    _, at, host = author.partition("@")
    if not at or table.resource.plural == "leases":
        return
    if event.type != "MODIFIED" or event.before is None or event.obj.get("spec") != event.before.get("spec"):
        yield f"{author} did more to {_name(event.obj)} than write its status"
    elif event.obj["spec"].get("hostName") != host:
        yield f"{author} wrote {_name(event.obj)} of host {event.obj['spec'].get('hostName')}"


@of("flows")
def a_flow_ends_once(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """A Flow that ended stays as it ended."""
    if event.before is None or event.type != "MODIFIED":
        return
    before, now = _status(event.before).get("state"), _status(event.obj).get("state")
    if before in TERMINAL and now != before:
        yield f"{_name(event.obj)} had ended as {before} and is {now} now"


@of("routers")
def an_address_has_one_owner(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """Within a network an address and a MAC are reserved for one Port."""
    if event.type == "DELETED":
        return
    for field in ("ip", "mac"):
        owners: dict[str, str] = {}
        for each in event.obj["spec"].get("reservations", ()):
            other = owners.setdefault(each[field], each["port"]["uid"])
            if other != each["port"]["uid"]:
                yield f"{_name(event.obj)} gives {field} {each[field]} to two Ports"


@of("portbindings")
def a_binding_has_its_own_address(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """No two live PortBindings of different Ports share a MAC or an address on one network."""
    if event.type != "ADDED":
        return
    mine = event.obj["spec"]
    for other in run.all(BINDING):
        spec = other["spec"]
        if other is event.obj or spec["network"]["uid"] != mine["network"]["uid"] or _deleting(other):
            continue
        if spec["port"]["uid"] != mine["port"]["uid"] and (spec["ip"] == mine["ip"] or spec["mac"] == mine["mac"]):
            yield f"{_name(event.obj)} and {_name(other)} share {mine['ip']} or {mine['mac']}"


@of("hostnetworks", "routers")
def a_segment_has_one_network(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """A segment id, and a public address, belongs to one network at a time."""
    if event.type != "ADDED":
        return
    mine = event.obj["spec"]
    for other in (*run.all(HOST_NETWORK), *run.all(ROUTER)):
        spec = other["spec"]
        if spec["network"]["uid"] == mine["network"]["uid"]:
            continue
        if spec["segmentId"] == mine["segmentId"]:
            yield f"{_name(event.obj)} and {_name(other)} share segment {mine['segmentId']}"
        public, others = mine.get("uplink", {}).get("address"), spec.get("uplink", {}).get("address")
        if public and public == others:
            yield f"{_name(event.obj)} and {_name(other)} share public address {public}"


@of("disks", "imagecopies")
def a_path_has_one_disk(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """A path on a pool belongs to one Volume or ImageCopy."""
    if event.type != "ADDED":
        return
    mine = event.obj["spec"]
    for other in (*run.all(DISK), *run.all(COPY)):
        same = (other["spec"]["pool"], other["spec"]["path"]) == (mine["pool"], mine["path"])
        # On a shared pool each host that reaches a Volume's file has a Disk for it.
        if same and _of_volume(other) != _of_volume(event.obj):
            yield f"{_name(event.obj)} and {_name(other)} share {mine['pool']}:{mine['path']}"


@of("instances")
def a_vm_has_one_instance(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """There are never two Instances of one VirtualMachine, but for one that a guest is to arrive at."""
    if event.type != "ADDED" or event.obj["spec"].get("incoming"):
        return
    uid = event.obj["spec"]["virtualMachine"]["uid"]
    for other in run.all(INSTANCE):
        if other["spec"]["virtualMachine"]["uid"] == uid and other["metadata"]["uid"] != event.obj["metadata"]["uid"]:
            yield f"{_name(event.obj)} and {_name(other)} are of the same VirtualMachine"


@of("ports")
def a_nic_has_one_port(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """A VirtualMachine has no more Ports than it has NICs: no step of a Flow is done twice."""
    if event.type != "ADDED":
        return
    for owner in event.obj["metadata"].get("ownerReferences", ()):
        vm = next((each for each in run.all(VM) if each["metadata"]["uid"] == owner["uid"]), None)
        ports = [
            each
            for each in run.all(PORT)
            if any(o["uid"] == owner["uid"] for o in each["metadata"].get("ownerReferences", ()))
        ]
        if vm is not None and len(ports) > len(vm["spec"].get("nics", ())):
            yield f"{_name(vm)} has {len(vm['spec'].get('nics', ()))} NICs and {len(ports)} Ports"


@of("disks")
def no_disk_goes_under_a_guest(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """Nobody deletes a Disk that a running guest writes to, unless that guest's Instance is being deleted too."""
    if author in PEOPLE or not _deleting(event.obj) or event.before is None or _deleting(event.before):
        return
    host, path = run.world.hosts.get(event.obj["spec"]["hostName"]), str(_status(event.obj).get("path"))
    standing = {each["spec"]["virtualMachine"]["uid"] for each in run.all(INSTANCE) if not _deleting(each)}
    for uuid, spec in host.machine.running.items() if host is not None else ():
        if uuid in standing and any(disk.path == path for disk in spec.disks):
            yield f"{author} deleted {_name(event.obj)}, to which guest {uuid} writes"


@of("instances")
def a_volume_has_one_vm(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """No two Instances list the same Volume, but for those of one VirtualMachine whose guest moves."""
    if event.type == "DELETED":
        return
    if (
        event.type == "MODIFIED"
        and event.before
        and event.before["spec"].get("disks") == event.obj["spec"].get("disks")
    ):
        return
    where = event.obj["metadata"]["namespace"]
    mine = {each["volume"] for each in event.obj["spec"].get("disks", ())}
    for other in run.all(INSTANCE):
        if other["metadata"]["uid"] == event.obj["metadata"]["uid"] or other["metadata"]["namespace"] != where:
            continue
        same = other["spec"]["virtualMachine"]["uid"] == event.obj["spec"]["virtualMachine"]["uid"]
        if same and any(each["spec"].get("incoming") for each in (event.obj, other)):
            continue
        if shared := mine & {each["volume"] for each in other["spec"].get("disks", ())}:
            yield f"{_name(event.obj)} and {_name(other)} both list Volume {sorted(shared)[0]}"


@of("instances")
def capacity_is_not_exceeded(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """The memory of a host's Instances is never more than the host gives out."""
    if event.type != "ADDED":
        return
    host = event.obj["spec"]["hostName"]
    if host not in run.world.hosts:
        yield f"{_name(event.obj)} is placed on {host}, which does not exist"
        return
    asked = sum(
        Quantity.parse(each["spec"]["memory"])
        for each in run.all(INSTANCE)
        if each["spec"]["hostName"] == host and each["spec"]["power"] == "Running"
    )
    gives = run.world.hosts[host].gives[1]
    if asked > gives:
        yield f"{host} gives out {gives >> 20} MiB and its Instances ask for {asked >> 20} MiB"


@of("instances")
def power_was_observed(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """An Instance says Running only of a guest that was there since its status said something else."""
    if event.type != "MODIFIED" or event.before is None:
        return
    before, now = _status(event.before).get("power"), _status(event.obj).get("power")
    if now == "Running" and before != "Running":
        host, uid = run.world.hosts[event.obj["spec"]["hostName"]], event.obj["spec"]["virtualMachine"]["uid"]
        if uid not in host.machine.running and not _ever_started(run, uid):
            yield f"{_name(event.obj)} says Running, and no such guest was ever started on {host.name}"


@of("disks", "imagecopies")
def files_were_observed(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """A Disk or ImageCopy says Provisioned only when its file is there (or was, until its host lost power just now)."""
    if event.type != "MODIFIED" or event.before is None:
        return
    if _condition(event.obj, "Provisioned") == "True" and _condition(event.before, "Provisioned") != "True":
        host = run.world.hosts[event.obj["spec"]["hostName"]]
        if host.files.find(_status(event.obj).get("path", "?")) is None and host.up:
            yield f"{_name(event.obj)} says Provisioned, and there is no file {_status(event.obj).get('path')}"


@of("portbindings")
def rules_were_observed(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """A PortBinding says Programmed only when its MAC is let through."""
    if event.type != "MODIFIED" or event.before is None:
        return
    if _condition(event.obj, "Programmed") == "True" and _condition(event.before, "Programmed") != "True":
        host, spec = run.world.hosts[event.obj["spec"]["hostName"]], event.obj["spec"]
        let = host.network.spaces[""].elements.get(("bridge", "cloudstack", "macs"), {})
        if not any(spec["mac"] in mark for mark in let) and host.up and run.world.loop.now - run.booted(host) > 60:
            yield f"{_name(event.obj)} says Programmed, and {spec['mac']} is not let through on {host.name}"


@of("virtualmachines")
def ready_means_running(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """A VirtualMachine becomes Ready=Running only if its guest was started on the host that its status names."""
    if event.type != "MODIFIED" or event.before is None:
        return
    if _reason(event.obj, "Ready") == "Running" and _reason(event.before, "Ready") != "Running":
        name, uid = _status(event.obj).get("hostName", ""), event.obj["metadata"]["uid"]
        host = run.world.hosts.get(name)
        if host is None or not _ever_started(run, uid):
            yield f"{_name(event.obj)} is Ready and Running, and was never started on {name or 'any host'}"


def quota_holds(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """What a ResourceQuota limits is never more than its limit."""
    if event.type != "ADDED":
        return
    for quota in run.all(("", "resourcequotas")):
        where = quota["metadata"]["namespace"]
        hard = quota["spec"]["hard"].get(f"count/{table.resource.named}")
        count = sum(1 for key in table.records if key[0] == where)
        if hard is not None and event.obj["metadata"].get("namespace") == where and count > int(hard):
            yield f"{count} {table.resource.plural} in {where}, where {hard} are allowed"


AT_EVERY_WRITE: tuple[AtWrite, ...] = (
    nobody_writes_a_users_spec,
    agents_write_only_status_of_their_own,
    a_flow_ends_once,
    an_address_has_one_owner,
    a_binding_has_its_own_address,
    a_segment_has_one_network,
    a_path_has_one_disk,
    a_vm_has_one_instance,
    a_nic_has_one_port,
    no_disk_goes_under_a_guest,
    a_volume_has_one_vm,
    capacity_is_not_exceeded,
    power_was_observed,
    files_were_observed,
    rules_were_observed,
    ready_means_running,
    quota_holds,
)


def _ever_started(run: Run, uid: str) -> bool:
    """On any host: a guest that moved was started elsewhere."""
    return any(each.uuid == uid for host in run.world.hosts.values() for each in host.machine.starts)


# At every start of a guest.


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


AT_EVERY_REMOVAL: tuple[Callable[[Run, Host, Node, str], Complaints], ...] = (no_file_goes_under_a_guest,)

WHEN_A_GUEST_GOES_ON: tuple[Callable[[Run, Host, str], Complaints], ...] = (one_copy_runs, one_writer_per_disk)

AT_EVERY_START: tuple[Callable[[Run, Host, str], Complaints], ...] = (
    one_copy_runs,
    one_writer_per_disk,
    a_start_is_done_once,
    somebody_wants_it,
    no_host_is_overfull,
)


# In the end.


def vms_are_as_specified(run: Run) -> Complaints:
    """Every VirtualMachine that can be satisfied is, and says so; every other one says why."""
    for vm in run.all(VM):
        uid, name = vm["metadata"]["uid"], _name(vm)
        hosts = [host.name for host in run.world.hosts.values() if uid in host.machine.running]
        if _deleting(vm):
            yield f"{name} is still being deleted: {_flows(run, vm)}"
        elif run.cancelled(vm):
            continue
        elif vm["spec"]["runPolicy"] == "Stopped":
            if hosts:
                yield f"{name} is to be stopped and runs on {hosts[0]}"
        elif problem := run.unsatisfiable(vm):
            if _condition(vm, "Ready") == "True" and not hosts:
                yield f"{name} says Ready, though {problem}"
            elif not _condition(vm, "Ready"):
                yield f"{name} does not say that {problem}"
        elif len(hosts) != 1:
            yield f"{name} is to run and runs on {hosts}: {_why(vm)}"
        elif vm["spec"].get("paused", False) is not (uid in run.world.hosts[hosts[0]].machine.paused):
            yield f"{name} says paused={vm['spec'].get('paused', False)}, and its guest is not so: {_why(vm)}"
        elif _condition(vm, "Ready") != "True" and not vm["spec"].get("paused"):
            yield f"{name} runs on {hosts[0]} and does not say Ready: {_why(vm)}"
        elif _status(vm).get("hostName") != hosts[0]:
            yield f"{name} runs on {hosts[0]} and says {_status(vm).get('hostName')}"


def statuses_are_up_to_date(run: Run) -> Complaints:
    """Every status is about the newest generation, but for those that say by a digest what they are about."""
    for kind in (VM, INSTANCE, VOLUME, DISK, NETWORK, PORT):
        for each in run.all(kind):
            seen = _status(each).get("observedGeneration")
            if seen is not None and seen != each["metadata"]["generation"] and not _deleting(each):
                yield f"{_name(each)} is of generation {each['metadata']['generation']}, its status of {seen}"


def deleted_means_gone(run: Run) -> Complaints:
    """What was deleted is gone, unless it is in use and says so."""
    users = [each["spec"] for each in run.all(VM)]
    for kind in (
        NAMESPACE,
        INSTANCE,
        DISK,
        COPY,
        PORT,
        BINDING,
        HOST_NETWORK,
        ROUTER,
        FLOW,
        VOLUME,
        NETWORK,
        SNAPSHOT,
        DISK_SNAPSHOT,
    ):
        for each in run.all(kind):
            if not _deleting(each):
                continue
            name = each["metadata"]["name"]
            if kind is VOLUME and any(name in (*spec.get("volumes", ()), spec.get("rootVolume")) for spec in users):
                continue
            if kind is NETWORK and any(port["spec"]["network"] == name for port in run.all(PORT)):
                continue
            if kind is NAMESPACE:
                yield f"{_name(each)} is still being deleted: {_inside(run, name)}"
                continue
            yield f"{_name(each)} is still being deleted, held by {each['metadata'].get('finalizers')}: {_why(each)}"


def _inside(run: Run, namespace: str) -> str:
    """What holds a namespace."""
    left = [
        f"{_name(each)} held by {each['metadata'].get('finalizers')}: {_why(each)}"
        for key in run.world.server.tables
        for each in run.all(key)
        if each["metadata"].get("namespace") == namespace
    ]
    return f"{len(left)} objects, {left[:3]}"


def nothing_is_left_over(run: Run) -> Complaints:
    """Nothing is left in the API server that lost its owner."""
    alive = {each["metadata"]["uid"] for key in run.world.server.tables for each in run.all(key)}
    for key in run.world.server.tables:
        for each in run.all(key):
            owners = each["metadata"].get("ownerReferences", ())
            if owners and not any(owner["uid"] in alive for owner in owners):
                yield f"{_name(each)} has lost its owner {owners[0]['kind']} {owners[0]['name']}"
    for claim in run.all(CLAIM):
        if claim["spec"]["owner"]["uid"] not in alive:
            yield f"{_name(claim)} is of {claim['spec']['owner']}, which is gone"
    for router in run.all(ROUTER):
        for each in router["spec"].get("reservations", ()):
            if each["port"]["uid"] not in alive:
                yield f"{_name(router)} reserves {each['ip']} for Port {each['port']['name']}, which is gone"


def hosts_hold_only_what_is_known(run: Run) -> Complaints:
    """On the hosts there is no domain, file, device, namespace or server that no object stands for."""
    for host in run.world.hosts.values():
        yield from _strange_guests(run, host)
        yield from _strange_files(run, host)
        yield from _strange_devices(run, host)


def _strange_guests(run: Run, host: Host) -> Complaints:
    wanted = {
        each["spec"]["virtualMachine"]["uid"]: each
        for each in run.all(INSTANCE)
        if each["spec"]["hostName"] == host.name
    }
    machine = host.machine
    for what, uuids in (("domain", machine.defined), ("seed", machine.seeds), ("console log", machine.consoles)):
        for uuid in sorted(uuids):
            if uuid not in wanted and uuid not in run.orphans:
                yield f"{host.name} has a {what} of {uuid}, and no Instance stands for it"
    for uuid in machine.running:
        if uuid in wanted and wanted[uuid]["spec"].get("power") == "Stopped":
            yield f"{host.name} runs {uuid}, whose Instance asks for Stopped"


def _strange_files(run: Run, host: Host) -> Complaints:
    all_ = (*run.all(DISK), *run.all(COPY), *run.all(DISK_SNAPSHOT))
    known = {f"{POOL_ROOT}/{_folder(each)}/{each['spec']['path']}" for each in all_
             if each["spec"]["hostName"] == host.name or each["spec"]["pool"] == names.SHARED_POOL}  # fmt: skip
    making = {each["metadata"]["uid"] for each in all_}
    for path in host.files.files(POOL_ROOT):
        if path.endswith(f"/{MARK}") or any(f"/.{uid}." in path for uid in making):
            continue
        if path not in known and path not in run.kept and path not in run.orphans:
            yield f"{host.name} has a file {path}, and no Disk or ImageCopy stands for it"


def _folder(each: Json) -> str:
    pool: str = each["spec"]["pool"]
    return "local" if pool.startswith("local-") else pool


def _strange_devices(run: Run, host: Host) -> Complaints:
    known = _reported(run, host)
    for each in run.all(HOST_NETWORK):
        if each["spec"]["hostName"] == host.name:
            segment = each["spec"]["segmentId"]
            known |= {each["spec"]["bridge"], each["spec"]["vxlan"], f"csm{segment}", f"csmi{segment}"}
    for each in run.all(ROUTER):
        if each["spec"]["hostName"] == host.name:
            segment = each["spec"]["segmentId"]
            known |= {each["spec"]["netns"], f"csri{segment}", f"csrp{segment}"}
    for name in host.network.ours():
        if name not in known and not TAP.fullmatch(name) and name not in run.orphans:
            yield f"{host.name} has a device {name}, and no object stands for it"
    for server in host.network.servers.values():
        if server.netns not in known and server.netns not in run.orphans:
            yield f"{host.name} has a DHCP server in {server.netns}, and no Router stands for it"
    macs = {each["spec"]["mac"] for each in run.all(BINDING) if each["spec"]["hostName"] == host.name}
    # A guest of which a restored backup knows nothing is left alone, and so is its connection.
    macs |= {nic.mac for spec in host.machine.running.values() for nic in spec.nics}
    for element in host.network.spaces[""].elements.get(("bridge", "cloudstack", "macs"), {}).values():
        if element["concat"][1] not in macs:
            yield f"{host.name} lets {element['concat'][1]} through, and no PortBinding stands for it"


def _reported(run: Run, host: Host) -> set[str]:
    """Devices that its agent made over again for what a list from a replica that was behind had told it of.

    It cannot tell them from a stranger's, so it names them to whoever runs the host. kopf asks for no such list."""
    if not run.world.processes[f"network@{host.name}"].troubles.misled:
        return set()
    reports = (each for each in run.all(REPORT) if each["metadata"]["name"] == host.name)
    return {name for each in reports for name in each.get("status", {}).get("network", {}).get("unknownDevices", ())}


def networks_work(run: Run) -> Complaints:
    """A running guest's bridge, tap and rules are there, its host's peers are all others, its router serves it."""
    for host in run.world.hosts.values():
        links = host.network.spaces[""].links
        let = host.network.spaces[""].elements.get(("bridge", "cloudstack", "macs"), {})
        for uuid, spec in host.machine.running.items():
            for nic in () if uuid in run.orphans else spec.nics:
                if nic.bridge not in links or not links[nic.bridge].up:
                    yield f"guest {uuid} on {host.name} has no bridge {nic.bridge}"
                if not any(nic.mac in mark and nic.tap in mark for mark in let):
                    yield f"guest {uuid} on {host.name}: {nic.mac} is not let through"
                metadata = links.get(nic.bridge.replace("csbr", "csmi"))
                if metadata is None or metadata.master != nic.bridge:
                    yield f"guest {uuid} on {host.name} has no metadata service on bridge {nic.bridge}"
    for router in run.all(ROUTER):
        if not _deleting(router):
            yield from _serves(run, router)


def _serves(run: Run, router: Json) -> Complaints:
    host, spec = run.world.hosts.get(router["spec"]["hostName"]), router["spec"]
    if host is None or not host.up:
        return
    space = host.network.spaces.get(spec["netns"])
    server = [each for each in host.network.servers.values() if each.netns == spec["netns"]]
    if space is None or not server:
        yield f"{_name(router)} has no namespace or DHCP server on {host.name}: {_why(router)}"
        return
    files = host.network.state.get(server[0].state, {})
    for each in spec.get("reservations", ()):
        if not any(each["mac"] in text and each["ip"] in text for text in files.values()):
            yield f"{_name(router)} does not serve {each['ip']} to {each['mac']}"


def flows_have_ended(run: Run) -> Complaints:
    """Every Flow has ended, but for those of a VirtualMachine that cannot be satisfied."""
    for flow in run.all(FLOW):
        state, target = _status(flow).get("state"), flow["spec"]["target"]
        if state in TERMINAL or flow["spec"].get("suspend"):
            continue
        if flow["spec"]["operation"] == "Migrate":
            continue  # which ends with its Migration: see below
        vm = next((each for each in run.all(VM) if each["metadata"]["uid"] == target["uid"]), None)
        if vm is None or (not run.unsatisfiable(vm) and not run.cancelled(vm)):
            yield f"{_name(flow)} is {state or 'not begun'}: {_why(flow)}"


def migrations_have_ended(run: Run) -> Complaints:
    """Every Migration has ended, or says what it waits for; none of its traces is left on an Instance."""
    unfinished = set()
    for each in run.all(MIGRATION):
        if not _status(each).get("finishedAt"):
            unfinished.add(each["metadata"]["uid"])
            if not _condition(each, "Succeeded") or _reason(each, "Succeeded") in ("Migrating", "Cancelled"):
                yield f"{_name(each)} has not ended: {_why(each, 'Succeeded')}"
    for flow in run.all(FLOW):
        over = _status(flow).get("state") in TERMINAL
        if flow["spec"]["operation"] == "Migrate" and over is (flow["spec"]["target"]["uid"] in unfinished):
            yield f"{_name(flow)} is {_status(flow).get('state')}, contrary to its Migration"
    for each in run.all(INSTANCE):
        incoming, outgoing = each["spec"].get("incoming", {"committed": True}), each["spec"].get("outgoing")
        hand = outgoing if incoming.get("committed") else incoming
        if hand and hand["migration"]["uid"] not in unfinished:
            yield f"{_name(each)} is still in the hands of a Migration that has ended"


def hosts_are_up(run: Run) -> Complaints:
    """Every host that runs is said to be reachable."""
    for host in run.all(HOST):
        if run.world.hosts[host["metadata"]["name"]].up and _condition(host, "Reachable") != "True":
            yield f"{_name(host)} is up and not said to be reachable: {_why(host, 'Reachable')}"
    if len(run.all(HOST)) != len(run.world.hosts):
        yield f"there are {len(run.world.hosts)} hosts and {len(run.all(HOST))} Host objects"


def reservations_are_complete(run: Run) -> Complaints:
    """Every live Port of a live Network has an address."""
    networks = {
        (each["metadata"]["namespace"], each["metadata"]["name"]) for each in run.all(NETWORK) if not _deleting(each)
    }
    reserved = {each["port"]["uid"] for router in run.all(ROUTER) for each in router["spec"].get("reservations", ())}
    for port in run.all(PORT):
        where = port["metadata"]["namespace"], port["spec"]["network"]
        if where in networks and not _deleting(port) and port["metadata"]["uid"] not in reserved:
            yield f"{_name(port)} has no address: {_why(port)}"


IN_THE_END: tuple[Callable[[Run], Complaints], ...] = (
    migrations_have_ended,
    hosts_are_up,
    vms_are_as_specified,
    statuses_are_up_to_date,
    deleted_means_gone,
    nothing_is_left_over,
    hosts_hold_only_what_is_known,
    networks_work,
    flows_have_ended,
    reservations_are_complete,
)


# Words.


def _of_volume(obj: Json) -> str:
    """The uid of a Disk's Volume, or of an ImageCopy itself."""
    return str(obj["spec"].get("volume", obj["metadata"])["uid"])


def _name(obj: Json) -> str:
    meta = obj["metadata"]
    return f"{obj['kind']} {meta.get('namespace', '')}/{meta['name']}".replace(" /", " ")


def _status(obj: Json) -> Json:
    return obj.get("status") or {}


def _deleting(obj: Json) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def _find(obj: Json, type_: str) -> Json:
    return next((each for each in _status(obj).get("conditions", ()) if each["type"] == type_), {})


def _condition(obj: Json, type_: str) -> str:
    return str(_find(obj, type_).get("status", ""))


def says_ready(obj: Json) -> bool:
    """Whether it does."""
    return _condition(obj, "Ready") == "True"


def _reason(obj: Json, type_: str) -> str:
    return str(_find(obj, type_).get("reason", ""))


def _why(obj: Json, type_: str = "") -> str:
    for name in (type_, "Ready", "Provisioned", "Programmed", "Realised", "Released", "Succeeded"):
        if (found := _find(obj, name)) and name:
            return f"{name}={found['status']} {found['reason']}: {found.get('message', '')}"
    return "it says nothing"


def _flows(run: Run, vm: Json) -> str:
    mine = [each for each in run.all(FLOW) if each["spec"]["target"]["uid"] == vm["metadata"]["uid"]]
    return (
        "; ".join(f"{each['spec']['operation']} is {_status(each).get('state', 'not begun')}" for each in mine)
        or "no Flow"
    )


def changed(value: Any, other: Any) -> bool:
    """Whether two values differ."""
    return bool(value != other)
