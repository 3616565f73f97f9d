"""Moves of running virtual machines to other hosts."""

from __future__ import annotations

import dataclasses
import secrets
from dataclasses import dataclass
from typing import Any

from operators.api import errors
from operators.api.call import Call, ListArgs, contains, listing
from operators.api.cloud import VM, Host, name_of
from operators.api.declare import ROOT_ADMIN, Answer, Started, boolean, command, uuid
from operators.api.hostroom import Verdict, needs_copies, verdicts
from operators.api.jobs import job_of_migration
from operators.api.responses.fabric import HostResponse, host
from operators.api.responses.virtualmachine import VirtualMachineResponse
from operators.contract.codec import to_wire
from operators.contract.compute import VIRTUAL_MACHINE, RunPolicy
from operators.contract.fabric import HOST
from operators.contract.meta import Key
from operators.contract.migrations import MIGRATION, MigrationSpec
from operators.contract.quantity import Duration

BEGIN_WITHIN = Duration(120)
"""After which a move that no host takes is a job that failed: what fitted when it was asked for may fit no more."""
LONGEST = 40
"""Characters of a virtual machine's name in the name of its Migration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrate:
    """Arguments."""

    virtualmachineid: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)
    hostid: Host | None = uuid("ID of the host to move to", HOST)
    autoselect: bool = boolean("Whether the scheduler chooses the host, when hostid is left out")


@command(
    "migrateVirtualMachine",
    "Moves a running virtual machine to another host; disks that only its host reaches go along.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    roles=ROOT_ADMIN,
    asynchronous=True,
    refused="storageid",
)
async def migrate(call: Call, args: Migrate) -> Answer:
    """The Migration that kubectl would make, and its Flow as the job."""
    vm = args.virtualmachineid
    if vm.spec.wanted is not RunPolicy.RUNNING or not vm.status.host_name or vm.meta.deleting:
        raise errors.invalid(f"Unable to migrate virtual machine {name_of(vm)}: it is not running")
    if args.hostid is None and not args.autoselect:
        raise errors.invalid("Please specify hostid, or autoselect=true to have a host chosen")
    if (ahead := call.cloud.migration_of(vm)) is not None:
        raise errors.invalid(f"Virtual machine {name_of(vm)} is being moved already: Migration {ahead.meta.name}")
    _must_fit(call, vm, args.hostid)
    spec = MigrationSpec(vm.meta.name, args.hostid.meta.name if args.hostid else "", begin_within=BEGIN_WITHIN)
    own = f"{vm.meta.name[:LONGEST].rstrip('-')}-{secrets.token_hex(6)}"
    owner = to_wire(dataclasses.replace(vm.owner, controller=False, block_owner_deletion=False))
    body = MIGRATION.body(Key(vm.meta.namespace, own), spec=to_wire(spec), ownerReferences=[owner])
    made = MIGRATION.parse(await call.store.create(MIGRATION, body))
    return Started(await job_of_migration(call, made, vm))


def _must_fit(call: Call, vm: VM, asked: Host | None) -> None:
    """Say at once what would only make the job wait."""
    if asked is not None and asked.meta.name == vm.status.host_name:
        raise errors.invalid(f"Virtual machine {name_of(vm)} is on host {name_of(asked)} already")
    found = [each for each in verdicts(call, vm) if asked is None or each.host.meta.uid == asked.meta.uid]
    if any(each.suitable for each in found):
        return
    why = "; ".join(each.why_not for each in found[:10]) or "there is no other host"
    raise errors.ApiError(533, f"Unable to migrate virtual machine {name_of(vm)}: {why}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FindHosts(ListArgs):
    """Arguments."""

    virtualmachineid: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostForMigrationResponse(HostResponse):
    """A host, and what it is to a guest that is to move."""

    suitableformigration: bool
    requiresStorageMotion: bool  # noqa: N815 - CloudStack's spelling
    hasenoughcapacity: bool


@command(
    "findHostsForMigration",
    "Lists the hosts that a running virtual machine could move to, the suitable ones first.",
    item=HostForMigrationResponse,
    key="host",
    roles=ROOT_ADMIN,
)
async def find_hosts(call: Call, args: FindHosts) -> Answer:
    """Every host but its own; what decides in the end is the scheduler."""
    vm, copies = args.virtualmachineid, needs_copies(call, args.virtualmachineid)
    if vm.spec.wanted is not RunPolicy.RUNNING or not vm.status.host_name:
        raise errors.invalid(f"Virtual machine {name_of(vm)} is not running, so there is nothing to move")

    def shown(each: Verdict) -> HostForMigrationResponse:
        return HostForMigrationResponse(
            **_fields(host(call, each.host)),
            suitableformigration=each.suitable,
            requiresStorageMotion=copies,
            hasenoughcapacity=each.room,
        )

    found = [each for each in verdicts(call, vm) if contains(args.keyword, name_of(each.host))]
    return listing(args, found, shown)


def _fields(response: HostResponse) -> dict[str, Any]:
    return {field.name: getattr(response, field.name) for field in dataclasses.fields(response)}
