"""The controller of this host's Instances."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from agents.hypervisor import migration
from agents.hypervisor import plan as planning
from agents.hypervisor.act import act
from agents.hypervisor.departures import Departures
from agents.hypervisor.driver import Hypervisor, HypervisorError, Record
from agents.hypervisor.files import Files
from agents.hypervisor.holding import Holding
from agents.hypervisor.hotplug import size_of
from agents.hypervisor.model import (
    Action,
    AskToEnd,
    Clear,
    Depart,
    Detach,
    DetachNic,
    Instance,
    Leaving,
    Mirror,
    Pivot,
    Resurrect,
    Seen,
    SetPassword,
    Start,
    Stay,
    Unmirror,
    Wanted,
)
from agents.hypervisor.observe import Timing, names_of, observe
from agents.hypervisor.room import Limits, Room
from agents.hypervisor.settings import Settings
from operators.contract.compute import GuestInfo, Power
from operators.contract.fabric import HOST_REPORT
from operators.contract.instances import INSTANCE, AttachedDisk, AttachedNic, InstanceStatus
from operators.contract.meta import Key, Kind, Obj
from operators.contract.networking import PORT_BINDING
from operators.contract.reasons import Reason, Type
from operators.contract.snapshots import DISK_SNAPSHOT
from operators.contract.storage import DISK, DiskSpec, DiskStatus
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Outcome, Problem
from operators.kernel.report import Voice

log = structlog.get_logger()

HOLD_FIRST, HOLD_LONGEST = 0.5, 60.0
"""Seconds before a start that failed is tried again; doubled each time."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A start that failed, of a domain as one definition of it was asked for."""

    record: Record
    times: int
    until: float
    message: str


class Instances:
    """Makes each Instance's domain what the Instance says, and reports it."""

    name = "instances"
    kind = INSTANCE
    workers = 4
    """As many as the hypervisor takes calls at a time."""
    voice = Voice(Type.REALISED)

    def __init__(
        self,
        context: Context,
        hypervisor: Hypervisor,
        files: Files,
        settings: Settings,
        holding: Holding,
        inside: Callable[[Instance, bool], GuestInfo | None] = lambda instance, active: None,
    ) -> None:
        self._context = context
        self._holding = holding
        self._inside = inside
        """What a guest is known to say of itself, if it is active."""
        self._cache = context.cache
        self._hypervisor = hypervisor
        self._files = files
        self._stop_deadline = settings.stop_deadline
        self._address = settings.address
        self._departures = Departures(hypervisor, self.changed)
        self._asked: dict[str, float] = {}
        """When each guest was first asked to end. An agent that restarts gives it the whole time again."""
        self._failed: dict[str, Failure] = {}
        self._room = Room()
        self._refused: set[Key] = set()
        """Keys that wait for other guests to end."""
        self._leaving: dict[str, dict[str, tuple[float, float]]] = {}
        """When each guest was first and last asked to let go of a disk, by serial, or NIC, by tap. A new agent asks
        anew."""
        self._mirrored: dict[str, dict[str, float]] = {}
        """When a disk of each guest was last begun to be copied elsewhere, by serial."""
        self._passwords: dict[str, int] = {}
        """The last password that each guest's agent has set. A new agent goes by the status, or sets it again."""
        self._vain: dict[str, tuple[int, float]] = {}
        """The last one that it did not set, and when it was asked to."""
        self._silent: dict[Key, float] = {}
        """Since when each key is on its way without a word."""
        self._cache.index(INSTANCE, "vm", lambda instance: (instance.spec.virtual_machine.uid,))
        self._cache.index(INSTANCE, "parts", names_of)
        self._cache.index(PORT_BINDING, "tap", lambda binding: (binding.spec.tap,))
        self._cache.index(DISK, "path", lambda disk: (disk.status.path,) if disk.status.path else ())

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """An Instance concerns itself; a Disk and a PortBinding the Instances that name it."""
        return {
            INSTANCE: lambda instance: (instance.key,),
            DISK: self._naming,
            PORT_BINDING: self._naming,
            DISK_SNAPSHOT: self._naming,
            HOST_REPORT: lambda _: tuple(self._refused),
        }

    def _naming(self, part: Any) -> Iterable[Key]:
        """Not of a part that says nothing yet: its making is no step closer to a start."""
        if not (part.status.conditions or part.meta.deleting or self._cache.get(part.kind, part.key) is None):
            return []
        return [instance.key for instance in self._cache.by(INSTANCE, "parts", str(part.key))]

    def changed(self, uuid: str) -> None:
        """A domain changed: look at its Instance."""
        for instance in self._cache.by(INSTANCE, "vm", uuid):
            self._context.poke(self.name, instance.key)

    def all(self) -> None:
        """The hypervisor came or went: look at every Instance."""
        for instance in self._cache.all(INSTANCE):
            self._context.poke(self.name, instance.key)

    async def observe(self, key: Key) -> tuple[Wanted, Seen] | None:
        """Read one Instance and its domain."""
        instance = self._cache.get(INSTANCE, key)
        if instance is None:
            self._silent.pop(key, None)
            self._refused.discard(key)
            return None
        if not self._room.seeded:
            await self._count_guests()
        now, uuid = self._context.clock.monotonic(), instance.spec.virtual_machine.uid
        asked, failed = self._asked.get(uuid), self._failed.get(uuid)
        timing = Timing(
            asked=None if asked is None else now - asked,
            waited=now - self._silent.get(key, now),
            deadline=self._stop_deadline if (own := instance.spec.stop_deadline) is None else float(own),
            hold=max(0.0, failed.until - now) if failed else 0.0,
            failure=failed.message if failed else "",
            holding=self._holding.asked(uuid),
            mirrored={serial: now - at for serial, at in self._mirrored.get(uuid, {}).items()},
            leaving={
                serial: Leaving(now - first, now - last)
                for serial, (first, last) in self._leaving.get(uuid, {}).items()
            },
        )
        wanted, seen = await observe(instance, self._cache, self._hypervisor, self._files, self._context.clock, timing)
        if instance.spec.outgoing is None:
            self._departures.forget(uuid)
        attempt, called_off = self._departures.of(uuid), self._departures.called_off(uuid, now)
        request, at = self._vain.get(uuid, (0, 0.0))
        password = instance.spec.password
        return wanted, replace(
            seen,
            address=self._address,
            attempt=attempt,
            called_off=called_off,
            password_set=self._passwords.get(uuid, 0),
            password_asked=now - at if password is not None and password.request == request else None,
        )

    def plan(self, wanted: Wanted, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """Decide, purely; then forget when a guest was asked to end, once it has.

        Whether there is room, the decision and the claim are one step, since nothing is awaited in between."""
        instance, key = wanted.instance, wanted.instance.key
        active = seen.domain is not None and seen.domain.active
        if active:
            self._room.hold(instance)
        elif not seen.trouble and self._room.leave(wanted.uuid):
            self._poke(self._refused)
        full = "" if active else self._room.refusal(instance, self._limits())
        actions, outcome = planning.plan(wanted, replace(seen, full=full))
        if any(isinstance(action, Start | Resurrect) for action in actions):
            self._room.hold(instance)
        if outcome.reason == Reason.HOST_FULL:
            self._refused.add(key)
        else:
            self._refused.discard(key)
        if not active:
            self._asked.pop(wanted.uuid, None)
            self._leaving.pop(wanted.uuid, None)
            self._mirrored.pop(wanted.uuid, None)
        elif seen.domain is not None and (leaving := self._leaving.get(wanted.uuid)) is not None:
            there = {each.device.serial for each in seen.domain.disks} | {nic.tap for nic in seen.domain.nics}
            self._leaving[wanted.uuid] = {key: asked for key, asked in leaving.items() if key in there}
        return actions, outcome

    def _limits(self) -> Limits | None:
        for report in self._cache.all(HOST_REPORT):
            if report.status.hypervisor is not None:
                return Limits.of(report.status.hypervisor, report.spec.overcommit)
        return None

    async def _count_guests(self) -> None:
        """Count the guests that an earlier agent started, before one more is let in."""
        try:
            active = {each.uuid for each in await self._hypervisor.domains() if each.active}
        except HypervisorError:
            return  # Nothing is started while it does not answer.
        self._room.seed(each for each in self._cache.all(INSTANCE) if each.spec.virtual_machine.uid in active)

    def _poke(self, keys: Iterable[Key]) -> None:
        for key in tuple(keys):
            self._context.poke(self.name, key)

    async def act(self, action: Action) -> None:
        """Do one action."""
        if isinstance(action, Depart):
            self._departures.begin(action)
            return
        if isinstance(action, SetPassword):
            await self._set_password(action)
            return
        if isinstance(action, Stay):
            self._departures.give_up(action, self._context.clock.monotonic())
        if isinstance(action, AskToEnd):
            self._asked.setdefault(action.uuid, self._context.clock.monotonic())
        if isinstance(action, Mirror):
            self._mirrored.setdefault(action.uuid, {})[action.disk.serial] = self._context.clock.monotonic()
        if isinstance(action, Detach | DetachNic):
            key = action.serial if isinstance(action, Detach) else action.tap
            now, leaving = self._context.clock.monotonic(), self._leaving.setdefault(action.uuid, {})
            leaving[key] = leaving.get(key, (now, now))[0], now
        try:
            await act(action, self._hypervisor, self._files, self._context.clock)
        except Problem as problem:
            if isinstance(action, Start | Resurrect):
                self._hold(action, problem.outcome.message)
            raise
        if isinstance(action, Start | Resurrect):
            self._failed.pop(action.spec.uuid, None)
        if isinstance(action, Pivot | Unmirror):
            # It did not break off; the next one may begin at once.
            self._mirrored.get(action.uuid, {}).pop(action.serial, None)
        if isinstance(action, Clear):
            self._failed.pop(action.uuid, None)

    async def _set_password(self, action: SetPassword) -> None:
        """What the guest's agent refuses is no trouble of the guest's: it takes the password at its next start."""
        uuid, password = action.uuid, action.password
        try:
            await self._hypervisor.set_password(uuid, password.user, password.text)
        except HypervisorError as error:
            self._vain[uuid] = password.request, self._context.clock.monotonic()
            log.info("password_not_set", vm=uuid, request=password.request, why=str(error))
        else:
            self._passwords[uuid] = password.request

    def _hold(self, action: Start | Resurrect, message: str) -> None:
        before = self._failed.get(action.spec.uuid)
        times = before.times + 1 if before and before.record == action.spec.record else 0
        until = self._context.clock.monotonic() + min(HOLD_LONGEST, HOLD_FIRST * 2.0**times)
        self._failed[action.spec.uuid] = Failure(action.spec.record, times, until, message)

    def report(self, wanted: Wanted, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """What the Instance's status should say; nothing yet of what is on its way."""
        key = wanted.instance.key
        if planning.silent(outcome, seen):
            self._silent.setdefault(key, self._context.clock.monotonic())
            return ()
        self._silent.pop(key, None)
        verdict = Type.RELEASED if wanted.instance.meta.deleting else Type.REALISED
        active = seen.domain is not None and seen.domain.active
        guest = wanted.instance.status.guest if seen.trouble else self._inside(wanted.instance, active)
        uuid, before = wanted.uuid, wanted.instance.status
        fields = replace(
            status(wanted.instance, seen),
            disks=self._disks(wanted, seen),
            nics=_nics(wanted, seen),
            guest=guest,
            password_set=max(before.password_set, self._passwords.get(uuid, 0)),
            password_refused=max(before.password_refused, self._vain.get(uuid, (0, 0.0))[0]),
        )
        return (Report(wanted.instance, fields, verdict=verdict),)

    def _disks(self, wanted: Wanted, seen: Seen) -> tuple[AttachedDisk, ...]:
        """What the guest has, by the names of its Volumes; one that is not listed any more is known by its Disk."""
        if seen.trouble or seen.domain is None:
            return wanted.instance.status.disks if seen.trouble else ()
        if not seen.domain.active:
            return tuple(self._settling(wanted, seen))
        listed = {disk.serial: disk.volume for disk in wanted.instance.spec.disks}
        has = []
        for each in seen.domain.disks:
            disk, serial = self._disk(each.device.path), each.device.serial
            volume = listed.get(serial) or (disk.spec.volume.name if disk else serial)
            has.append(AttachedDisk(volume, each.target, size_of(each), disk.meta.name if disk else ""))
        return tuple(has)

    def _settling(self, wanted: Wanted, seen: Seen) -> Iterator[AttachedDisk]:
        """Of a guest that is off: the disks that it had gone over to, until Storage has taken note."""
        record = seen.domain.record if seen.domain else None
        for serial, path in record.moved if record else ():
            disk = self._disk(path)
            if serial in seen.unsettled and disk is not None:
                yield AttachedDisk(disk.spec.volume.name, "none", disk.spec.size, disk.meta.name)

    def _disk(self, path: str) -> Obj[DiskSpec, DiskStatus] | None:
        return next(iter(self._cache.by(DISK, "path", path)), None)


def _nics(wanted: Wanted, seen: Seen) -> tuple[AttachedNic, ...]:
    """What the guest has, by the names of its Ports."""
    if seen.trouble:
        return wanted.instance.status.nics
    has = seen.domain.nics if seen.domain is not None and seen.domain.active else ()
    return tuple(AttachedNic(nic.mac, nic.tap, seen.owners.get(nic.tap, "")) for nic in has)


def status(instance: Instance, seen: Seen) -> InstanceStatus:
    """What is seen, as the Instance's status has it. What cannot be seen now stays as it was said last."""
    before, domain = instance.status, seen.domain
    if seen.trouble:
        return before
    if domain is None:
        stopped = Power.STOPPED if before.power or instance.spec.power is Power.STOPPED else ""
        return InstanceStatus(
            power=stopped,
            start_observed=before.start_observed,
            reboot_observed=before.reboot_observed,
            reset_observed=before.reset_observed,
            arrival=migration.arrival(instance, seen),
            departure=migration.departure(instance, seen),
        )
    record = domain.record if domain.record and domain.record.started_at else None
    return InstanceStatus(
        domain_uuid=domain.uuid,
        power=domain.power,
        stop_reason="" if domain.active else domain.stop_reason or before.stop_reason or "Crashed",
        started_at=record.started_at if record else before.started_at,
        start_observed=record.start if record else before.start_observed,
        reboot_observed=record.reboot if record else before.reboot_observed,
        reset_observed=record.reset if record else before.reset_observed,
        console_log=seen.console_path,
        arrival=migration.arrival(instance, seen),
        departure=migration.departure(instance, seen),
    )
