"""Nothing is left over that nobody owns, in the API server or on a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.storage.backups.layout import Listing, list_key, piece_key
from agents.storage.marks import MARK
from operators.contract import names
from sim.hosts.host import POOL_ROOT, Host
from sim.hosts.network import TAP
from sim.invariants.words import (
    BINDING,
    CLAIM,
    COPY,
    DISK,
    DISK_BACKUP,
    DISK_SNAPSHOT,
    HOST_NETWORK,
    INSTANCE,
    REPORT,
    ROUTER,
    VM,
    VOLUME,
    Complaints,
    condition,
    deleting,
    folder_of,
    name_of,
    status_of,
)

if TYPE_CHECKING:
    from sim.run import Run


def nothing_is_left_over(run: Run) -> Complaints:
    """Nothing is left in the API server that lost its owner."""
    alive = {each["metadata"]["uid"] for key in run.world.server.tables for each in run.all(key)}
    for key in run.world.server.tables:
        for each in run.all(key):
            owners = each["metadata"].get("ownerReferences", ())
            if owners and not any(owner["uid"] in alive for owner in owners):
                yield f"{name_of(each)} has lost its owner {owners[0]['kind']} {owners[0]['name']}"
    for claim in run.all(CLAIM):
        if claim["spec"]["owner"]["uid"] not in alive:
            yield f"{name_of(claim)} is of {claim['spec']['owner']}, which is gone"
    for router in run.all(ROUTER):
        for each in router["spec"].get("reservations", ()):
            if each["port"]["uid"] not in alive:
                yield f"{name_of(router)} reserves {each['ip']} for Port {each['port']['name']}, which is gone"


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
    known = {f"{POOL_ROOT}/{folder_of(each)}/{each['spec']['path']}" for each in all_
             if each["spec"]["hostName"] == host.name or each["spec"]["pool"] == names.SHARED_POOL}  # fmt: skip
    known |= {path.replace(".qcow2", ".memory") for path in known if "/snapshots/" in path}
    making = {each["metadata"]["uid"] for each in all_}
    for path in host.files.files(POOL_ROOT):
        if path.endswith(f"/{MARK}") or any(f"/.{uid}." in path for uid in making):
            continue
        if path not in known and path not in run.kept and path not in run.orphans:
            yield f"{host.name} has a file {path}, and no Disk or ImageCopy stands for it"


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


def one_root_disk_is_kept(run: Run) -> Complaints:
    """Of a machine whose root disk was made anew, the former ones are gone."""
    for vm in run.all(VM):
        request, meta = vm["spec"].get("reinstallRequest", 0), vm["metadata"]
        if deleting(vm) or not request or status_of(vm).get("reinstallObserved", 0) < request or run.cancelled(vm):
            continue
        former = {names.root_volume(meta["name"], number) for number in range(request)}
        for volume in run.all(VOLUME):
            owners = {each["uid"] for each in volume["metadata"].get("ownerReferences", ())}
            if volume["metadata"]["name"] in former and meta["uid"] in owners:
                yield f"{name_of(volume)} is left of {name_of(vm)}, whose root disk was made anew {request} times"


def the_store_holds_only_backups(run: Run) -> Complaints:
    """In the image store there is no list and no piece that no DiskBackup stands for."""
    backups, objects = run.all(DISK_BACKUP), run.world.vault.objects
    lists = {list_key(each["spec"]["volumeUid"], each["spec"]["backup"]["uid"]) for each in backups}
    pieces = {
        piece_key(key.split("/")[0], digest)
        for key, data in objects.items()
        if key in lists
        for digest in Listing.unpack(data).pieces.values()
    }
    unfinished = {each["spec"]["volumeUid"] for each in backups if condition(each, "Provisioned") != "True"}
    for key in sorted(objects):
        if key not in lists and key not in pieces and key not in run.orphans and key.split("/")[0] not in unfinished:
            yield f"the image store holds {key}, and no DiskBackup stands for it"
