"""A status never claims what was never observed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.invariants.words import Complaints, condition, ever_started, name_of, of, reason, status_of
from sim.store.server import Event, Table

if TYPE_CHECKING:
    from sim.run import Run


@of("instances")
def power_was_observed(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """An Instance says Running only of a guest that was there since its status said something else."""
    if event.type != "MODIFIED" or event.before is None:
        return
    before, now = status_of(event.before).get("power"), status_of(event.obj).get("power")
    if now == "Running" and before != "Running":
        host, uid = run.world.hosts[event.obj["spec"]["hostName"]], event.obj["spec"]["virtualMachine"]["uid"]
        if uid not in host.machine.running and not ever_started(run, uid):
            yield f"{name_of(event.obj)} says Running, and no such guest was ever started on {host.name}"


@of("disks", "imagecopies")
def files_were_observed(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """A Disk or ImageCopy says Provisioned only when its file is there (or was, until its host lost power just now)."""
    if event.type != "MODIFIED" or event.before is None:
        return
    if condition(event.obj, "Provisioned") == "True" and condition(event.before, "Provisioned") != "True":
        host = run.world.hosts[event.obj["spec"]["hostName"]]
        if host.files.find(status_of(event.obj).get("path", "?")) is None and host.up:
            yield f"{name_of(event.obj)} says Provisioned, and there is no file {status_of(event.obj).get('path')}"


@of("portbindings")
def rules_were_observed(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """A PortBinding says Programmed only when its MAC is let through."""
    if event.type != "MODIFIED" or event.before is None:
        return
    if condition(event.obj, "Programmed") == "True" and condition(event.before, "Programmed") != "True":
        host, spec = run.world.hosts[event.obj["spec"]["hostName"]], event.obj["spec"]
        let = host.network.spaces[""].elements.get(("bridge", "cloudstack", "macs"), {})
        if not any(spec["mac"] in mark for mark in let) and host.up and run.world.loop.now - run.booted(host) > 60:
            yield f"{name_of(event.obj)} says Programmed, and {spec['mac']} is not let through on {host.name}"


@of("virtualmachines")
def ready_means_running(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """A VirtualMachine becomes Ready=Running only if its guest was started on the host that its status names."""
    if event.type != "MODIFIED" or event.before is None:
        return
    if reason(event.obj, "Ready") == "Running" and reason(event.before, "Ready") != "Running":
        name, uid = status_of(event.obj).get("hostName", ""), event.obj["metadata"]["uid"]
        host = run.world.hosts.get(name)
        if host is None or not ever_started(run, uid):
            yield f"{name_of(event.obj)} is Ready and Running, and was never started on {name or 'any host'}"
