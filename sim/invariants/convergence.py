"""When faults have stopped, everything becomes as it is specified, or says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.invariants.possible import full
from sim.invariants.words import (
    BACKUP,
    BINDING,
    COPY,
    DISK,
    DISK_BACKUP,
    DISK_SNAPSHOT,
    FLOW,
    HOST,
    HOST_NETWORK,
    IMAGE,
    INSTANCE,
    MIGRATION,
    NAMESPACE,
    NETWORK,
    PORT,
    ROUTER,
    SCHEDULE,
    SNAPSHOT,
    TERMINAL,
    VM,
    VM_SNAPSHOT,
    VOLUME,
    Complaints,
    condition,
    deleting,
    flows_of,
    name_of,
    reason,
    status_of,
    why,
)
from sim.store.schema import Json

if TYPE_CHECKING:
    from sim.run import Run


def vms_are_as_specified(run: Run) -> Complaints:
    """Every VirtualMachine that can be satisfied is, and says so; every other one says why."""
    for vm in run.all(VM):
        uid, name = vm["metadata"]["uid"], name_of(vm)
        hosts = [host.name for host in run.world.hosts.values() if uid in host.machine.running]
        if deleting(vm):
            yield f"{name} is still being deleted: {flows_of(run, vm)}"
        elif run.cancelled(vm):
            continue
        elif vm["spec"]["runPolicy"] == "Stopped":
            if hosts:
                yield f"{name} is to be stopped and runs on {hosts[0]}"
        elif problem := run.unsatisfiable(vm):
            if condition(vm, "Ready") == "True" and not hosts:
                yield f"{name} says Ready, though {problem}"
            elif not condition(vm, "Ready"):
                yield f"{name} does not say that {problem}"
        elif len(hosts) != 1:
            yield f"{name} is to run and runs on {hosts}: {why(vm)}"
        elif vm["spec"].get("paused", False) is not (uid in run.world.hosts[hosts[0]].machine.paused):
            yield f"{name} says paused={vm['spec'].get('paused', False)}, and its guest is not so: {why(vm)}"
        elif condition(vm, "Ready") != "True" and not vm["spec"].get("paused"):
            yield f"{name} runs on {hosts[0]} and does not say Ready: {why(vm)}"
        elif status_of(vm).get("hostName") != hosts[0]:
            yield f"{name} runs on {hosts[0]} and says {status_of(vm).get('hostName')}"


def statuses_are_up_to_date(run: Run) -> Complaints:
    """Every status is about the newest generation, but for those that say by a digest what they are about."""
    for kind in (VM, INSTANCE, VOLUME, DISK, NETWORK, PORT, SNAPSHOT, VM_SNAPSHOT, BACKUP, IMAGE, SCHEDULE):
        for each in run.all(kind):
            seen = status_of(each).get("observedGeneration")
            if seen is not None and seen != each["metadata"]["generation"] and not deleting(each):
                yield f"{name_of(each)} is of generation {each['metadata']['generation']}, its status of {seen}"


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
        VM_SNAPSHOT,
        BACKUP,
        DISK_BACKUP,
        SCHEDULE,
        IMAGE,
    ):
        for each in run.all(kind):
            if not deleting(each):
                continue
            name = each["metadata"]["name"]
            if kind is VOLUME and any(
                name in (*spec.get("volumes", ()), spec.get("rootVolume"), spec.get("cdrom")) for spec in users
            ):
                continue
            if kind in (IMAGE, COPY) and _made_from(run, each):
                continue
            if kind is NETWORK and any(port["spec"]["network"] == name for port in run.all(PORT)):
                continue
            if kind is NAMESPACE:
                yield f"{name_of(each)} is still being deleted: {_inside(run, name)}"
                continue
            yield f"{name_of(each)} is still being deleted, held by {each['metadata'].get('finalizers')}: {why(each)}"


def _made_from(run: Run, image: Json) -> bool:
    """Whether an Image that is being deleted has Volumes that are made from it, and says so."""
    return reason(image, "Ready") == "StillInUse" or reason(image, "Released") == "StillInUse"


ON_ITS_WAY = ("", "Capturing", "Copying", "Importing", "Progressing", "Reverting")
"""Reasons of what nobody needs to do anything about."""
BROKEN = "StorageError"
"""The reason of what nobody here gives cause for."""


def copies_are_made(run: Run) -> Complaints:
    """Snapshots, backups and images of disks are made, or say what somebody must see to."""
    for kind in (SNAPSHOT, VM_SNAPSHOT, BACKUP, IMAGE, SCHEDULE):
        for each in run.all(kind):
            if deleting(each) or condition(each, "Ready") == "True":
                continue
            if reason(each, "Ready") in ON_ITS_WAY or (reason(each, "Ready") == BROKEN and not run.restored):
                yield f"{name_of(each)} is not made: {why(each)}"
    for each in (*run.all(SNAPSHOT), *run.all(VM_SNAPSHOT)):
        asked, done = each["spec"].get("revertRequest", 0), status_of(each).get("revertObserved", 0)
        due = asked > done and not deleting(each) and condition(each, "Ready") == "True"
        if due and reason(each, "Reverted") in (*ON_ITS_WAY, BROKEN) and not run.restored:
            yield f"{name_of(each)} has not been brought back: {why(each, 'Reverted')}"


def _inside(run: Run, namespace: str) -> str:
    """What holds a namespace."""
    left = [
        f"{name_of(each)} held by {each['metadata'].get('finalizers')}: {why(each)}"
        for key in run.world.server.tables
        for each in run.all(key)
        if each["metadata"].get("namespace") == namespace
    ]
    return f"{len(left)} objects, {left[:3]}"


def flows_have_ended(run: Run) -> Complaints:
    """Every Flow has ended, but for those of a VirtualMachine that cannot be satisfied."""
    for flow in run.all(FLOW):
        state, target = status_of(flow).get("state"), flow["spec"]["target"]
        if state in TERMINAL or flow["spec"].get("suspend"):
            continue
        if flow["spec"]["operation"] == "Migrate":
            continue  # which ends with its Migration: see below
        vm = next((each for each in run.all(VM) if each["metadata"]["uid"] == target["uid"]), None)
        if vm is None or (not run.unsatisfiable(vm) and not run.cancelled(vm)):
            yield f"{name_of(flow)} is {state or 'not begun'}: {why(flow)}"


def migrations_have_ended(run: Run) -> Complaints:
    """Every Migration has ended, or says what it waits for; none of its traces is left on an Instance."""
    unfinished = set()
    for each in run.all(MIGRATION):
        if not status_of(each).get("finishedAt"):
            unfinished.add(each["metadata"]["uid"])
            if not condition(each, "Succeeded") or reason(each, "Succeeded") in ("Migrating", "Cancelled"):
                yield f"{name_of(each)} has not ended: {why(each, 'Succeeded')}"
    for flow in run.all(FLOW):
        over = status_of(flow).get("state") in TERMINAL
        if flow["spec"]["operation"] == "Migrate" and over is (flow["spec"]["target"]["uid"] in unfinished):
            yield f"{name_of(flow)} is {status_of(flow).get('state')}, contrary to its Migration"
    for each in run.all(INSTANCE):
        incoming, outgoing = each["spec"].get("incoming", {"committed": True}), each["spec"].get("outgoing")
        hand = outgoing if incoming.get("committed") else incoming
        if hand and hand["migration"]["uid"] not in unfinished:
            yield f"{name_of(each)} is still in the hands of a Migration that has ended"


def hosts_are_up(run: Run) -> Complaints:
    """Every host that runs is said to be reachable."""
    for host in run.all(HOST):
        if run.world.hosts[host["metadata"]["name"]].up and condition(host, "Reachable") != "True":
            yield f"{name_of(host)} is up and not said to be reachable: {why(host, 'Reachable')}"
    if len(run.all(HOST)) != len(run.world.hosts):
        yield f"there are {len(run.world.hosts)} hosts and {len(run.all(HOST))} Host objects"


def reservations_are_complete(run: Run) -> Complaints:
    """Every live Port of a live Network has an address."""
    networks = {
        (each["metadata"]["namespace"], each["metadata"]["name"]) for each in run.all(NETWORK) if not deleting(each)
    }
    reserved = {each["port"]["uid"] for router in run.all(ROUTER) for each in router["spec"].get("reservations", ())}
    for port in run.all(PORT):
        where = port["metadata"]["namespace"], port["spec"]["network"]
        if full(run, *where):
            continue
        if where in networks and not deleting(port) and port["metadata"]["uid"] not in reserved:
            yield f"{name_of(port)} has no address: {why(port)}"
