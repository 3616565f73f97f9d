"""The controller of VirtualMachineSnapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from operators.compute import restarts, turns
from operators.compute.act import body
from operators.compute.capacity import Ledger
from operators.compute.model import VM, Instance
from operators.compute.snapshots import back
from operators.compute.snapshots.asked import BY_VM
from operators.compute.snapshots.model import (
    Action,
    BringBack,
    Drop,
    EndTurn,
    Protect,
    Seen,
    SnapshotObj,
    Take,
    TakeTurn,
    Unprotect,
)
from operators.compute.snapshots.observe import observe
from operators.compute.snapshots.plan import FINALIZER, decide
from operators.compute.turns import SNAPSHOT, Turn
from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind
from operators.contract.reasons import Reason
from operators.contract.snapshots import VOLUME_SNAPSHOT, Moment, VolumeSnapshotSpec
from operators.contract.storage import VOLUME
from operators.contract.vmsnapshots import VIRTUAL_MACHINE_SNAPSHOT
from operators.kernel.clock import stamp
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Done, Outcome, Problem, Rejected, Retry
from operators.kernel.report import Voice
from operators.kernel.store import AlreadyExists, Forbidden


class Snapshots:
    """Has the disks of virtual machines taken together, and brought back together."""

    name = "vm-snapshots"
    kind = VIRTUAL_MACHINE_SNAPSHOT
    workers = 1
    """One at a time: of two of one virtual machine, the later run sees what the earlier one began."""
    voice = Voice()

    def __init__(self, context: Context, ledger: Ledger) -> None:
        self._context = context
        self._store = context.store
        self._cache = context.cache
        self._ledger = ledger
        self._cache.index(
            VIRTUAL_MACHINE_SNAPSHOT, BY_VM, lambda each: (f"{each.meta.namespace}/{each.spec.virtual_machine}",)
        )

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A snapshot concerns the others of its virtual machine; the rest those that are not at rest."""
        return {
            VIRTUAL_MACHINE_SNAPSHOT: lambda each: (
                each.key,
                *self._of(each.meta.namespace, each.spec.virtual_machine),
            ),
            VOLUME_SNAPSHOT: _owners,
            VIRTUAL_MACHINE: lambda vm: self._busy(vm.meta.namespace, vm.meta.name),
            INSTANCE: self._of_instance,
            VOLUME: self._of_volume,
        }

    def _of(self, namespace: str, vm: str) -> list[Key]:
        return [each.key for each in self._cache.by(VIRTUAL_MACHINE_SNAPSHOT, BY_VM, f"{namespace}/{vm}")]

    def _busy(self, namespace: str, vm: str) -> Iterator[Key]:
        for snapshot in self._cache.by(VIRTUAL_MACHINE_SNAPSHOT, BY_VM, f"{namespace}/{vm}"):
            if (
                back.busy(snapshot.status)
                or not snapshot.status.taken_at
                or snapshot.spec.revert_request > snapshot.status.revert_observed
            ):
                yield snapshot.key

    def _of_instance(self, instance: Instance) -> Iterator[Key]:
        namespace, vm, turn = instance.meta.namespace, instance.spec.virtual_machine.name, turns.of(instance)
        yield from self._busy(namespace, vm)
        if turn is not None:
            named = self._cache.by(VIRTUAL_MACHINE_SNAPSHOT, BY_VM, f"{namespace}/{vm}")
            yield from (each.key for each in named if each.meta.uid == turn.uid)

    def _of_volume(self, volume: Any) -> Iterator[Key]:
        for vm in self._cache.by(VIRTUAL_MACHINE, "volume", str(volume.key)):
            yield from self._busy(vm.meta.namespace, vm.meta.name)

    async def observe(self, key: Key) -> tuple[SnapshotObj, Seen] | None:
        """Read one VirtualMachineSnapshot and what surrounds it."""
        snapshot = self._cache.get(VIRTUAL_MACHINE_SNAPSHOT, key)
        if snapshot is None:
            return None
        return snapshot, observe(snapshot, self._cache, self._ledger, stamp(self._context.clock.now()))

    def plan(self, wanted: SnapshotObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """See `decide`."""
        decision = decide(wanted, seen)
        return decision.actions, decision.outcome

    async def act(self, action: Action) -> None:
        """Do one action."""
        match action:
            case Protect(snapshot):
                kept = snapshot.meta.finalizers_with(FINALIZER)
                await self._store.finalize(VIRTUAL_MACHINE_SNAPSHOT, snapshot.meta, kept)
            case Unprotect(snapshot):
                left = snapshot.meta.finalizers_without(FINALIZER)
                await self._store.finalize(VIRTUAL_MACHINE_SNAPSHOT, snapshot.meta, left)
            case TakeTurn():
                await self._take_turn(action)
            case EndTurn(vm, instance):
                await self._store.apply(INSTANCE, _with_turn(vm, instance, {}))
            case Take():
                await self._take(action)
            case BringBack(disk, request):
                spec = to_wire(replace(disk.spec, revert_request=request))
                await self._store.apply(VOLUME_SNAPSHOT, VOLUME_SNAPSHOT.body(disk.key, spec=spec, **disk.meta.guard))
            case Drop(disk):
                await self._store.delete(VOLUME_SNAPSHOT, disk.key, uid=disk.meta.uid)

    async def _take_turn(self, action: TakeTurn) -> None:
        """Guarded: the Instance as it was when nothing stood against it, or a Conflict."""
        if action.over:
            known = await self._store.list(VIRTUAL_MACHINE_SNAPSHOT)
            if action.over in {each["metadata"]["uid"] for each in known}:
                raise Problem(Retry(Reason.WAITING_FOR_SNAPSHOT, "another one is not done yet", after=1.0))
        turn = Turn(action.purpose, action.snapshot.meta.uid)
        await self._store.apply(INSTANCE, _with_turn(action.vm, action.instance, {SNAPSHOT: str(turn)}))

    async def _take(self, action: Take) -> None:
        """Make the VolumeSnapshot. Its user has one more of these, which a quota may forbid."""
        snapshot, part = action.snapshot, action.part
        status = snapshot.status
        beside = status.parts[0].volume_snapshot if snapshot.spec.memory else ""
        moment = Moment(f"{snapshot.meta.uid}-{status.attempt}", len(status.parts), beside)
        spec = VolumeSnapshotSpec(part.volume, snapshot.spec.quiesce, moment=moment)
        key = Key(snapshot.meta.namespace, part.volume_snapshot)
        body = VOLUME_SNAPSHOT.body(key, spec=to_wire(spec), ownerReferences=[to_wire(snapshot.owner)])
        try:
            await self._store.create(VOLUME_SNAPSHOT, body)
        except AlreadyExists:
            await self._store.get(VOLUME_SNAPSHOT, key)  # which shows it to the cache
            found = self._cache.get(VOLUME_SNAPSHOT, key)
            if found is not None and snapshot.meta.uid not in (owner.uid for owner in found.meta.owner_references):
                message = f"there is a VolumeSnapshot {key.name} of somebody else's: delete it, or take another name"
                raise Problem(Retry(Reason.NAME_TAKEN, message, after=30.0)) from None
            raise Problem(Retry(Reason.PROGRESSING, f"VolumeSnapshot {key.name} was there already", 0.1)) from None
        except Forbidden as error:
            message = f"its VolumeSnapshots may not be made: {error}"
            raise Problem(Retry(Reason.STORAGE_ERROR, message, after=30.0)) from error

    def report(self, wanted: SnapshotObj, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """How it stands; nothing of what was decided is said when an action found something else."""
        decision = decide(wanted, seen)
        if wanted.meta.deleting and isinstance(decision.outcome, Done):
            return ()
        status = decision.status if outcome == decision.outcome else wanted.status
        fields = replace(status, phase=_phase(wanted, outcome), conditions=())
        return (Report(wanted, fields, (decision.reverted,) if decision.reverted is not None else ()),)


def _with_turn(vm: VM, instance: Instance, turn: Mapping[str, str]) -> Json:
    """The Instance as it is, but for whose turn it is."""
    meta = instance.meta
    counters, flow = restarts.kept(meta.annotations), meta.labels.get(names.LABEL_FLOW, "")
    return body(vm, instance.spec, counters, flow, meta.name, turn, **meta.guard)


def _owners(disk: Any) -> Iterator[Key]:
    for owner in disk.meta.owner_references:
        if owner.kind == VIRTUAL_MACHINE_SNAPSHOT.kind:
            yield Key(disk.meta.namespace, owner.name)


def _phase(snapshot: SnapshotObj, outcome: Outcome) -> str:
    if snapshot.meta.deleting:
        return "Deleting"
    match outcome:
        case Done():
            reverting = snapshot.status.reverting > snapshot.status.revert_observed
            return "Reverting" if reverting else "Ready"
        case Rejected():
            return "Failed"
        case _:
            return "Pending" if not snapshot.status.parts or snapshot.status.taken_at else "Taking"
