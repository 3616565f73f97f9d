"""The controller of captures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from agents.hypervisor.captures.model import Action, Begin, End, Guest, Part, SaveMemory, Seen, SnapshotObj, Still, Thaw
from agents.hypervisor.captures.plan import plan, wanted
from agents.hypervisor.driver import Domain, Hypervisor, HypervisorError
from agents.hypervisor.holding import Holding
from operators.contract.compute import Power
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind, holds
from operators.contract.reasons import Reason, Type
from operators.contract.snapshots import DISK_SNAPSHOT, Capture, Quiesce
from operators.contract.storage import DISK
from operators.kernel import Done, Outcome, Problem, Report, Retry
from operators.kernel.clock import stamp
from operators.kernel.manager import Context

log = structlog.get_logger()

HOLD_FIRST, HOLD_LONGEST = 5.0, 300.0
"""Seconds before a copy that failed is tried again; doubled each time."""
BY_VOLUME = "volume"
"""Index of Instances and DiskSnapshots: `namespace/volume` for each Volume that they list or are of."""
BY_MOMENT = "moment"
"""Index of DiskSnapshots: `namespace/id` of the moment that they are to be of."""


@dataclass
class _Attempt:
    """What is remembered of one DiskSnapshot's copy."""

    known: bool = False
    thawed: bool = False
    file: str = ""
    at: str = ""
    quiesced: bool = False
    failures: int = 0
    until: float = 0.0
    held: str = ""
    guest: str = ""
    """uuid of the guest of which it was begun."""
    number: int = 0
    """That of its standing still as the copy was begun (see `Holding`), if its memory is to be kept."""
    whole: bool = False
    """Whether the copy is, so that the memory may be written down."""
    remembered: bool = False
    """Whether that has been."""


class Captures:
    """Has the disks of running guests copied for DiskSnapshots."""

    name = "captures"
    kind = DISK_SNAPSHOT
    workers = 2

    def __init__(self, context: Context, hypervisor: Hypervisor, holding: Holding) -> None:
        self._context = context
        self._cache = context.cache
        self._hypervisor = hypervisor
        self._holding = holding
        self._attempts: dict[str, _Attempt] = {}
        self._cache.index(INSTANCE, BY_VOLUME, _volumes_of)
        self._cache.index(DISK_SNAPSHOT, BY_MOMENT, _moment_of)
        self._cache.index(DISK_SNAPSHOT, BY_VOLUME, lambda each: (f"{each.meta.namespace}/{each.spec.volume.name}",))

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A guest that comes or goes concerns what is still to be copied of its disks."""
        return {
            DISK_SNAPSHOT: lambda snapshot: (snapshot.key, *(each.key for each in self._others(snapshot))),
            INSTANCE: self._of_guest,
        }

    def _of_guest(self, instance: Any) -> Iterable[Key]:
        for volume in _volumes_of(instance):
            for snapshot in self._cache.by(DISK_SNAPSHOT, BY_VOLUME, volume):
                if wanted(snapshot):
                    yield snapshot.key

    async def observe(self, key: Key) -> tuple[SnapshotObj, Seen] | None:
        """The guest that has the disk, and the copy that is being made of it."""
        snapshot = self._cache.get(DISK_SNAPSHOT, key)
        if snapshot is None:
            return None
        if not wanted(snapshot) and snapshot.meta.uid not in self._attempts:
            return None
        attempt = self._attempts.setdefault(snapshot.meta.uid, _Attempt())
        try:
            return snapshot, await self._look(snapshot, attempt)
        except HypervisorError as error:
            return snapshot, Seen(trouble=str(error))

    async def _look(self, snapshot: SnapshotObj, attempt: _Attempt) -> Seen:
        guest = await self._guest(snapshot)
        if guest is not None and attempt.remembered:
            return Seen(guest, remembered=True)  # whatever has become of the guest since
        if guest is None or not guest.active:
            attempt.known = False
            return Seen(guest)
        known = attempt.known  # before we look: another one of its moment may begin the copy meanwhile
        backup = await self._hypervisor.backup(guest.uuid)
        if backup is not None and (file := backup.into(snapshot.status.target)):
            known = attempt.known = True
            attempt.file = file.rpartition("/")[2]
        failure = None
        if known and backup is None:  # what is known of a job is known until the next one, which writes memory down
            failure = "" if attempt.whole else await self._hypervisor.backup_failure(guest.uuid)
        if known and backup is None and failure != "":
            known = False
            self._fails(attempt, failure or "nothing is known of how the copy ended")
        parts = await self._parts(snapshot, guest)
        return Seen(
            guest,
            backup=backup,
            known=known,
            thawed=attempt.thawed,
            failure=failure,
            token=int(self._context.clock.now().timestamp() * 1000),
            hold=max(0.0, attempt.until - self._context.clock.monotonic()),
            held=attempt.held,
            parts=parts,
            stood=guest.stands and 0 < attempt.number == self._holding.number(guest.uuid),
            remembered=attempt.remembered,
            lacking=max(0, snapshot.spec.moment.size - len(parts)) if snapshot.spec.moment is not None else 0,
            passed=any(_taken(each) for each in self._others(snapshot)),
        )

    def _others(self, snapshot: SnapshotObj) -> list[SnapshotObj]:
        """The rest of its moment."""
        found = (each for of in _moment_of(snapshot) for each in self._cache.by(DISK_SNAPSHOT, BY_MOMENT, of))
        return [each for each in found if each.meta.uid != snapshot.meta.uid]

    async def _parts(self, snapshot: SnapshotObj, guest: Guest) -> tuple[Part, ...]:
        """It, and what was asked for of its moment by now, of the same guest."""
        parts = []
        for each in sorted((snapshot, *self._others(snapshot)), key=lambda each: each.meta.name):
            of = guest if each is snapshot else await self._guest(each)
            if wanted(each) and of is not None and of.uuid == guest.uuid:
                parts.append(Part(each.meta.uid, of.disk, each.status.target, _memory(each)))
        return tuple(parts)

    async def _guest(self, snapshot: SnapshotObj) -> Guest | None:
        volume = snapshot.spec.volume
        for instance in self._cache.by(INSTANCE, BY_VOLUME, f"{snapshot.meta.namespace}/{volume.name}"):
            for each in instance.spec.disks:
                disk = self._cache.get(DISK, Key(instance.meta.namespace, each.disk))
                if each.volume == volume.name and disk is not None and disk.spec.volume.uid == volume.uid:
                    machine = instance.spec.virtual_machine
                    domain = await self._hypervisor.domain(machine.uid)
                    active = domain is not None and domain.active
                    return Guest(machine.uid, disk.status.path, machine.name, active, _stands(domain))
        return None

    def plan(self, wanted: SnapshotObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """See `plan`."""
        return plan(wanted, seen)

    async def act(self, action: Action) -> None:
        """Do one action."""
        try:
            match action:
                case Thaw(guest):
                    await self._hypervisor.thaw(guest.uuid)
                    for attempt in self._attempts.values():
                        attempt.thawed = True
                case End(guest):
                    await self._hypervisor.end_backup(guest.uuid)
                case Still(guest):
                    self._holding.ask(guest.uuid)
                    self._look_at(guest)
                case SaveMemory():
                    await self._save_memory(action)
                case Begin():
                    await self._begin(action)
        except HypervisorError as error:
            raise Problem(Retry(Reason.HYPERVISOR_ERROR, str(error), after=HOLD_FIRST)) from error

    def _look_at(self, guest: Guest) -> None:
        """Have the controller of Instances see to whether it stands still."""
        for instance in self._cache.by(INSTANCE, "vm", guest.uuid):
            self._context.poke("instances", instance.key)

    async def _begin(self, action: Begin) -> None:
        """Have the guest hold still for the moment in which the copy begins."""
        attempts = {part: self._attempts.setdefault(part.uid, _Attempt()) for part in action.parts}
        for attempt in attempts.values():
            attempt.known = False
        # Its memory would be that of a guest that holds still, and never goes on.
        asks = action.quiesce is not Quiesce.NEVER and not action.memory
        quiesced = asks and await self._freeze(action)
        try:
            at = stamp(self._context.clock.now())
            number = self._holding.ask(action.guest.uuid) if action.memory else 0
            copies = {part.disk: action.file(part) for part in action.parts}
            await self._hypervisor.begin_backup(action.guest.uuid, copies)
            for part, attempt in attempts.items():
                attempt.known, attempt.at, attempt.quiesced = True, at, quiesced
                attempt.number, attempt.whole, attempt.remembered = number, False, False
                attempt.guest = action.guest.uuid
                attempt.file = action.file(part).rpartition("/")[2]
        except HypervisorError as error:
            for attempt in attempts.values():
                self._fails(attempt, str(error))
            raise
        finally:
            if quiesced:
                await self._hypervisor.thaw(action.guest.uuid)

    async def _save_memory(self, action: SaveMemory) -> None:
        """Of a guest that goes on then, however that ends."""
        uuid = action.guest.uuid
        number = self._holding.number(uuid)
        together = [each for each in self._attempts.values() if each.guest == uuid and each.number == number]
        for attempt in together:
            attempt.whole = True
        try:
            with self._holding.busy(uuid):
                await self._hypervisor.save_memory(uuid, action.path)
            for attempt in together:
                attempt.remembered = True
        except HypervisorError as error:
            for attempt in together:
                self._fails(attempt, str(error))
            raise
        finally:
            self._look_at(action.guest)

    async def _freeze(self, action: Begin) -> bool:
        """Whether the guest holds still. Raises Problem when it must and does not."""
        try:
            await self._hypervisor.freeze(action.guest.uuid)
        except HypervisorError as error:
            await self._hypervisor.thaw(action.guest.uuid)  # it may have held still just too late to say so
            if action.quiesce is Quiesce.REQUIRED:
                message = f"the guest does not hold still ({error}); install qemu-guest-agent, or ask for IfPossible"
                raise Problem(Retry(Reason.GUEST_NOT_QUIESCED, message, after=HOLD_FIRST)) from error
            log.info("guest_not_quiesced", vm=action.guest.virtual_machine, why=str(error))
            return False
        return True

    def _fails(self, attempt: _Attempt, why: str) -> None:
        attempt.known = False
        attempt.held = why
        attempt.until = self._context.clock.monotonic() + min(HOLD_LONGEST, HOLD_FIRST * 2.0**attempt.failures)
        attempt.failures += 1

    def report(self, wanted_: SnapshotObj, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """That the copy is whole, or why it cannot be made; nothing of one on its way, as it may be over at once."""
        uid, attempt = wanted_.meta.uid, self._attempts[wanted_.meta.uid]
        if not wanted(wanted_):
            del self._attempts[uid]
            return ()
        quiet = outcome.reason in (Reason.CAPTURING, Reason.STOPPED)
        if quiet:
            return ()
        fields: dict[str, Any] = {}
        if isinstance(outcome, Done):
            at = attempt.at or stamp(self._context.clock.now())
            fields["capture"] = Capture(attempt.file, at, attempt.quiesced, _memory(wanted_))
        return (Report(wanted_, fields, verdict=Type.CAPTURED, observed_generation=False),)


def _moment_of(snapshot: SnapshotObj) -> tuple[str, ...]:
    moment = snapshot.spec.moment
    return (f"{snapshot.meta.namespace}/{moment.id}",) if moment is not None else ()


def _memory(snapshot: SnapshotObj) -> bool:
    """Whether the guest's memory is to be kept beside it."""
    moment = snapshot.spec.moment
    return moment is not None and moment.memory == snapshot.spec.snapshot.name


def _stands(domain: Domain | None) -> bool:
    """Whether a guest stands still because that was asked for."""
    if domain is None or domain.power is not Power.PAUSED or domain.record is None:
        return False
    return domain.record.held or domain.record.paused


def _taken(snapshot: SnapshotObj) -> bool:
    return any(holds(snapshot.status.conditions, type_) for type_ in (Type.CAPTURED, Type.PROVISIONED))


def _volumes_of(instance: Any) -> Iterable[str]:
    return {f"{instance.meta.namespace}/{disk.volume}" for disk in instance.spec.disks}
