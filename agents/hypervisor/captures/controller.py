"""The controller of captures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from agents.hypervisor.captures.model import Action, Begin, End, Guest, Seen, SnapshotObj, Thaw
from agents.hypervisor.captures.plan import plan, wanted
from agents.hypervisor.driver import Hypervisor, HypervisorError
from operators.contract.compute import INSTANCE
from operators.contract.meta import Key, Kind
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
"""Index of Instances: `namespace/volume` for each Volume that they list."""


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


class Captures:
    """Has the disks of running guests copied for DiskSnapshots."""

    name = "captures"
    kind = DISK_SNAPSHOT
    workers = 2

    def __init__(self, context: Context, hypervisor: Hypervisor) -> None:
        self._context = context
        self._cache = context.cache
        self._hypervisor = hypervisor
        self._attempts: dict[str, _Attempt] = {}
        self._cache.index(INSTANCE, BY_VOLUME, _volumes_of)

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """Guests that come and go are seen when the storage agent looks again."""
        return {DISK_SNAPSHOT: lambda snapshot: (snapshot.key,)}

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
        if guest is None or not guest.active:
            attempt.known = False
            return Seen(guest)
        backup = await self._hypervisor.backup(guest.uuid)
        if backup is not None and snapshot.status.target and backup.target.startswith(snapshot.status.target):
            attempt.known = True
            attempt.file = backup.target.rpartition("/")[2]
        failure = await self._hypervisor.backup_failure(guest.uuid) if attempt.known and backup is None else None
        if attempt.known and backup is None and failure != "":
            self._fails(attempt, failure or "nothing is known of how the copy ended")
        return Seen(
            guest,
            backup=backup,
            known=attempt.known,
            thawed=attempt.thawed,
            failure=failure,
            token=int(self._context.clock.now().timestamp() * 1000),
            hold=max(0.0, attempt.until - self._context.clock.monotonic()),
            held=attempt.held,
        )

    async def _guest(self, snapshot: SnapshotObj) -> Guest | None:
        volume = snapshot.spec.volume
        for instance in self._cache.by(INSTANCE, BY_VOLUME, f"{snapshot.meta.namespace}/{volume.name}"):
            for each in instance.spec.disks:
                disk = self._cache.get(DISK, Key(instance.meta.namespace, each.disk))
                if each.volume == volume.name and disk is not None and disk.spec.volume.uid == volume.uid:
                    machine = instance.spec.virtual_machine
                    domain = await self._hypervisor.domain(machine.uid)
                    active = domain is not None and domain.active
                    return Guest(machine.uid, disk.status.path, machine.name, active)
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
                case Begin(snapshot):
                    await self._begin(action, self._attempts[snapshot.meta.uid])
        except HypervisorError as error:
            raise Problem(Retry(Reason.HYPERVISOR_ERROR, str(error), after=HOLD_FIRST)) from error

    async def _begin(self, action: Begin, attempt: _Attempt) -> None:
        """Have the guest hold still for the moment in which the copy begins."""
        attempt.known = False
        attempt.quiesced = action.quiesce is not Quiesce.NEVER and await self._freeze(action)
        try:
            attempt.at = stamp(self._context.clock.now())
            await self._hypervisor.begin_backup(action.guest.uuid, action.guest.disk, action.target)
            attempt.known = True
            attempt.file = action.target.rpartition("/")[2]
        except HypervisorError as error:
            self._fails(attempt, str(error))
            raise
        finally:
            if attempt.quiesced:
                await self._hypervisor.thaw(action.guest.uuid)

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
            fields["capture"] = Capture(attempt.file, attempt.at or stamp(self._context.clock.now()), attempt.quiesced)
        return (Report(wanted_, fields, verdict=Type.CAPTURED, observed_generation=False),)


def _volumes_of(instance: Any) -> Iterable[str]:
    return {f"{instance.meta.namespace}/{disk.volume}" for disk in instance.spec.disks}
