"""Decides where a guest moves to, or why it cannot (yet)."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from operators.compute.migrations.model import Action, Migration, Put, Seen
from operators.compute.model import VM, Instance
from operators.compute.scheduler import choose
from operators.compute.scheduler.choose import refused
from operators.contract import names
from operators.contract.compute import Power, RunPolicy
from operators.contract.instances import InstanceSpec
from operators.contract.migrations import Incoming, MigrateStorage
from operators.contract.reasons import Reason
from operators.kernel.outcome import Blocked, Outcome, Rejected

Plan: TypeAlias = tuple[list[Action], Outcome]


def begin(migration: Migration, seen: Seen) -> Plan:
    """Make the target, on the host that was asked for or that the scheduler chooses."""
    vm, source = seen.vm, seen.source
    if (trouble := _unfit(migration, seen)) is not None:
        return [], trouble
    assert vm is not None and source is not None and seen.need is not None
    host, why = _choose(migration, seen, source)
    if not host:
        return [], Blocked(Reason.NO_HOST_FITS, why)
    spec = target_spec(migration, vm, source, host, seen)
    return [Put(vm, spec, source, new=True)], Blocked(Reason.MIGRATING, f"host {host} gets ready for the guest")


def _unfit(migration: Migration, seen: Seen) -> Outcome | None:
    """Why the virtual machine cannot be moved, wherever to."""
    name, vm, source = migration.spec.virtual_machine, seen.vm, seen.source
    if vm is None:
        if migration.status.uid:
            return Rejected(Reason.FAILED, f"VirtualMachine {name} is gone")
        return Blocked(Reason.WAITING_FOR_HOST, f"there is no VirtualMachine {name} in this namespace: name another")
    if vm.meta.deleting or vm.spec.wanted is RunPolicy.STOPPED:
        asked = "deleted" if vm.meta.deleting else "stopped"
        return Rejected(Reason.INVALID, f"VirtualMachine {name} is to be {asked}, and only what runs can be moved live")
    if seen.ahead:
        return Blocked(Reason.WAITING_FOR_MIGRATION, f"Migration {seen.ahead} of the same VirtualMachine is first")
    # Before its status says anything, it may be placed by somebody who has not heard of its Instance (`act._only_one`).
    if source is None or source.meta.deleting or source.status.power != Power.RUNNING or not vm.status.conditions:
        return Blocked(Reason.STARTING, f"VirtualMachine {name} does not run yet")
    if seen.snapshot:
        message = f"VirtualMachineSnapshot {seen.snapshot} is not done, and the guest stays until it is"
        return Blocked(Reason.WAITING_FOR_SNAPSHOT, message)
    if source.spec.has_cd:
        message = "what is in its CD drive does not move along: take spec.cdrom out of the VirtualMachine first"
        return Blocked(Reason.STILL_ATTACHED, message)
    if going := source.status.ports - source.spec.ports:
        message = f"the guest has yet to let go of Port {min(going)}, which the other host does not get"
        return Blocked(Reason.DETACHING, message)
    if source.spec.outgoing is not None:
        return Blocked(Reason.WAITING_FOR_MIGRATION, "an earlier move of its guest is being given up")
    if seen.source_host is not None and not seen.source_host.reachable:
        return Blocked(Reason.HOST_DOWN, f"its host {seen.source_host.name} is not reachable")
    if migration.spec.target_host == source.spec.host_name:
        return Rejected(Reason.INVALID, f"the guest is on host {source.spec.host_name} already")
    if seen.source_full:
        message = f"host {source.spec.host_name} moves as many guests as it may at a time"
        return Blocked(Reason.WAITING_FOR_MIGRATION, message)
    if seen.need is None:
        return Blocked(Reason.OFFERING_NOT_FOUND, f"there is no ComputeOffering {vm.spec.offering}: make it")
    return None


def _choose(migration: Migration, seen: Seen, source: Instance) -> tuple[str, str]:
    """The host, or why there is none."""
    assert seen.need is not None
    asked, need = migration.spec.target_host, seen.need
    others = [host for host in seen.hosts if host.name != source.spec.host_name]
    if asked:
        others = [host for host in others if host.name == asked]
        if not others:
            return "", f"there is no Host {asked}: name another, or leave spec.targetHost out"
    free = [host for host in others if host.name not in seen.unfit]
    choice = choose(need, free, seen.policy)
    if choice.host:
        return choice.host, ""
    said = [f"{host.name}: {seen.unfit[host.name]}" for host in others if host.name in seen.unfit]
    said += [str(refusal) for host in free if (refusal := refused(need, host)) is not None]
    return "", "no host can take the guest: " + ("; ".join(said) or "there is no other host")


def target_spec(migration: Migration, vm: VM, source: Instance, host: str, seen: Seen) -> InstanceSpec:
    """The Instance at the target: the same guest with the Disks and PortBindings of that host."""
    spec = source.spec
    incoming = Incoming(
        migration=replace(migration.ref, namespace="", kind=""),
        from_host=spec.host_name,
        whole=migration.spec.storage is MigrateStorage.FULL,
    )
    return replace(
        spec,
        host_name=host,
        disks=tuple(
            replace(disk, disk=seen.disks.get(f"{host}/{disk.volume}", disk.disk), move_to="") for disk in spec.disks
        ),
        nics=tuple(replace(nic, port_binding=names.port_binding(nic.port, host)) for nic in spec.nics),
        incoming=incoming,
        outgoing=None,
    )
