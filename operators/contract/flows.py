"""The Flow of one operation on a VirtualMachine, or of a Migration: the same whoever makes it.

Orchestration makes it when it sees what a VirtualMachine asks for; the API makes the very same one a moment earlier, so
that it can tell its caller the uid at once. Their names being equal, one of the two creates is `AlreadyExists`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.compute import VIRTUAL_MACHINE, VirtualMachineSpec, VirtualMachineStatus
from operators.contract.meta import Key, Obj, ObjectRef
from operators.contract.migrations import MIGRATION, MigrationSpec, MigrationStatus
from operators.contract.orchestration import FLOW, FlowSpec, OnFailure, Operation
from operators.contract.quantity import Duration

RUN_POLICY = "runPolicy"
REBOOT_REQUEST = "rebootRequest"
REINSTALL_REQUEST = "reinstallRequest"


def key_of(vm: Obj[VirtualMachineSpec, VirtualMachineStatus], operation: Operation) -> Key:
    """Where the Flow of an operation on this very generation of a VirtualMachine is."""
    meta = vm.meta
    return Key(meta.namespace, names.flow(meta.name, meta.uid, operation.value, meta.generation))


def inputs_of(spec: VirtualMachineSpec) -> Mapping[str, str]:
    """The intent that a Flow records, as its `spec.inputs` says it."""
    said = {RUN_POLICY: spec.wanted.value, REBOOT_REQUEST: str(spec.reboot_request)}
    return said | ({REINSTALL_REQUEST: str(spec.reinstall_request)} if spec.reinstall_request else {})


def flow_of(vm: Obj[VirtualMachineSpec, VirtualMachineStatus], operation: Operation) -> Json:
    """The Flow to create. A deployment takes its deadline and what to do on failure from the annotations."""
    meta, deadline, on_failure = vm.meta, None, OnFailure.STOP
    if operation is Operation.DEPLOY:
        deadline = _deadline(meta.annotations.get(names.ANNOTATION_DEPLOY_DEADLINE, ""))
        wish = meta.annotations.get(names.ANNOTATION_DEPLOY_ON_FAILURE, "")
        on_failure = OnFailure(wish) if wish in tuple(OnFailure) else OnFailure.STOP
    target = ObjectRef(meta.name, meta.uid, kind=VIRTUAL_MACHINE.kind)
    spec = FlowSpec(operation, target, meta.generation, inputs_of(vm.spec), deadline, on_failure)
    return FLOW.body(key_of(vm, operation), spec=to_wire(spec), labels={names.LABEL_VM_UID: meta.uid})


def key_of_migration(migration: Obj[MigrationSpec, MigrationStatus]) -> Key:
    """Where the Flow of a Migration is; Compute looks there whether it was cancelled."""
    meta = migration.meta
    return Key(meta.namespace, names.flow(meta.name, meta.uid, Operation.MIGRATE.value, 1))


def flow_of_migration(migration: Obj[MigrationSpec, MigrationStatus], vm_uid: str) -> Json:
    """The Flow of a Migration, which goes with it; `vm_uid` may be unknown yet."""
    target = ObjectRef(migration.meta.name, migration.meta.uid, kind=MIGRATION.kind)
    return FLOW.body(
        key_of_migration(migration),
        spec=to_wire(FlowSpec(Operation.MIGRATE, target, 1)),
        ownerReferences=[to_wire(replace(migration.owner, block_owner_deletion=False))],
        labels={names.LABEL_VM_UID: vm_uid} if vm_uid else {},
    )


def _deadline(text: str) -> Duration | None:
    try:
        return Duration.parse(text) if text else None
    except ValueError:
        return None
