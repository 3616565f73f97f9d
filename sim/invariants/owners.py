"""Whatever can be had by one alone has one owner: addresses, segments, paths, machines, volumes, a host's room."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from operators.contract import names
from operators.contract.quantity import Quantity
from sim.invariants.words import (
    BINDING,
    COPY,
    DISK,
    HOST_NETWORK,
    INSTANCE,
    PEOPLE,
    ROUTER,
    VM,
    Complaints,
    deleting,
    name_of,
    of,
    volume_uid,
)
from sim.store.server import Event, Table

if TYPE_CHECKING:
    from sim.run import Run


NICS = re.compile(r"nic\d|back")
"""What users here call NICs, or leave uncalled."""


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
                yield f"{name_of(event.obj)} gives {field} {each[field]} to two Ports"


@of("portbindings")
def a_binding_has_its_own_address(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """No two live PortBindings of different Ports share a MAC or an address on one network."""
    if event.type != "ADDED":
        return
    mine = event.obj["spec"]
    for other in run.all(BINDING):
        spec = other["spec"]
        if other is event.obj or spec["network"]["uid"] != mine["network"]["uid"] or deleting(other):
            continue
        if spec["port"]["uid"] != mine["port"]["uid"] and (spec["ip"] == mine["ip"] or spec["mac"] == mine["mac"]):
            yield f"{name_of(event.obj)} and {name_of(other)} share {mine['ip']} or {mine['mac']}"


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
            yield f"{name_of(event.obj)} and {name_of(other)} share segment {mine['segmentId']}"
        public, others = mine.get("uplink", {}).get("address"), spec.get("uplink", {}).get("address")
        if public and public == others:
            yield f"{name_of(event.obj)} and {name_of(other)} share public address {public}"


@of("disks", "imagecopies")
def a_path_has_one_disk(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """A path on a pool belongs to one Volume or ImageCopy."""
    if event.type != "ADDED":
        return
    mine = event.obj["spec"]
    for other in (*run.all(DISK), *run.all(COPY)):
        same = (other["spec"]["pool"], other["spec"]["path"]) == (mine["pool"], mine["path"])
        # On a shared pool each host that reaches a Volume's file has a Disk for it.
        if same and volume_uid(other) != volume_uid(event.obj):
            yield f"{name_of(event.obj)} and {name_of(other)} share {mine['pool']}:{mine['path']}"


@of("instances")
def a_vm_has_one_instance(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """There are never two Instances of one VirtualMachine, but for one that a guest is to arrive at."""
    if event.type != "ADDED" or event.obj["spec"].get("incoming"):
        return
    uid = event.obj["spec"]["virtualMachine"]["uid"]
    for other in run.all(INSTANCE):
        if other["spec"]["virtualMachine"]["uid"] == uid and other["metadata"]["uid"] != event.obj["metadata"]["uid"]:
            yield f"{name_of(event.obj)} and {name_of(other)} are of the same VirtualMachine"


@of("ports")
def a_nic_has_one_port(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """A VirtualMachine's Ports are named after its NICs, which come and go: no step of a Flow is done twice."""
    if event.type != "ADDED":
        return
    for owner in event.obj["metadata"].get("ownerReferences", ()):
        vm = next((each for each in run.all(VM) if each["metadata"]["uid"] == owner["uid"]), None)
        if vm is not None and not NICS.fullmatch(event.obj["metadata"]["name"].rpartition("-")[2]):
            yield f"{name_of(vm)} has no NIC for {name_of(event.obj)}"


@of("portbindings")
def no_binding_goes_under_a_guest(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """Nobody deletes a PortBinding whose device a running guest has, unless that guest's Instance is deleted too."""
    if author in PEOPLE or not deleting(event.obj) or event.before is None or deleting(event.before):
        return
    spec = event.obj["spec"]
    host = run.world.hosts.get(spec["hostName"])
    standing = {each["spec"]["virtualMachine"]["uid"] for each in run.all(INSTANCE) if not deleting(each)}
    for uuid, guest in host.machine.running.items() if host is not None else ():
        if uuid in standing and any(nic.tap == spec["tap"] for nic in guest.nics):
            yield f"{author} deleted {name_of(event.obj)}, whose device guest {uuid} has"


@of("routers")
def an_address_is_freed_after_its_device(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """An address leaves the ledger only when no running guest has a device for it."""
    if event.type != "MODIFIED" or event.before is None or run.restored:
        return
    held = {each["port"]["uid"] for each in event.obj["spec"].get("reservations", ())}
    freed = {each["port"]["uid"] for each in event.before["spec"].get("reservations", ())} - held
    taps = {names.tap(uid): uid for uid in freed}
    for host in run.world.hosts.values() if taps else ():
        for uuid, guest in host.machine.running.items():
            for nic in guest.nics:
                if nic.tap in taps and uuid not in run.orphans:
                    yield f"{name_of(event.obj)} frees {nic.mac}, which guest {uuid} on {host.name} has"


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
            yield f"{name_of(event.obj)} and {name_of(other)} both list Volume {sorted(shared)[0]}"


@of("instances")
def capacity_is_not_exceeded(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """The memory of a host's Instances is never more than the host gives out."""
    if event.type != "ADDED":
        return
    host = event.obj["spec"]["hostName"]
    if host not in run.world.hosts:
        yield f"{name_of(event.obj)} is placed on {host}, which does not exist"
        return
    asked = sum(
        Quantity.parse(each["spec"]["memory"])
        for each in run.all(INSTANCE)
        if each["spec"]["hostName"] == host and each["spec"]["power"] == "Running"
    )
    gives = run.world.hosts[host].gives[1]
    if asked > gives:
        yield f"{host} gives out {gives >> 20} MiB and its Instances ask for {asked >> 20} MiB"
