"""Decides how a running guest comes to its disks: plugged in, let go of, grown, throttled, moved elsewhere.

A disk is known by its serial, which the Instance gives each of its Volumes and the domain keeps.
"""

from __future__ import annotations

from dataclasses import replace

from agents.hypervisor.driver import Attached, DiskDevice, Domain
from agents.hypervisor.model import Action, Attach, Detach, Grow, Mirror, Part, Pivot, Seen, Throttle, Unmirror, Wanted
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason
from operators.kernel.outcome import Blocked, Done, Outcome, Retry

PATIENCE = 2.0
"""Seconds before the status says what is on its way."""
ASK_AGAIN = 10.0
"""Seconds between requests to let go of a disk: QEMU takes no second one at once, and a booting guest hears none."""
REFUSED = 30.0
"""Seconds after which a guest that keeps a disk is said to refuse."""

COPY_AGAIN = 30.0
"""Seconds after which a copy that broke off is begun anew."""

Plan = tuple[list[Action], Outcome]


def plan(want: Wanted, domain: Domain, seen: Seen) -> Plan:
    """The next steps for the disks of a guest that runs and is to run."""
    there = {each.device.serial: each for each in domain.disks}
    listed = {part.serial: part for part in seen.disks}
    actions: list[Action] = []
    for part in seen.disks:
        actions += _device(want, part, there.get(part.serial))
        actions += _move(want, domain, part, there.get(part.serial), seen)
    strays = [each for each in domain.disks if _stray(each, listed)]
    inserted = any(isinstance(action, Attach) and action.disk.cdrom for action in actions)
    for each in strays:
        if each.device.cdrom and inserted:
            continue  # the new medium takes its place
        if due(each.device.serial, seen):
            actions.append(Detach(want.uuid, each.target, each.device.serial))
    if any(not isinstance(action, Detach) for action in actions):
        return actions, Retry(Reason.ATTACHING, "its disks are being changed", 0.0)
    if strays:
        serial = strays[0].device.serial
        return actions, leaving(f"disk {serial}", serial, "unmount it there", seen)
    if late := [part for part in seen.disks if part.device is None and part.serial not in there]:
        message, left = f"Disk {late[0].name} is attached once it is ready: {late[0].why}", PATIENCE - seen.waited
        return actions, Retry(Reason.ATTACHING, message, left) if left > 0 else Blocked(Reason.ATTACHING, message)
    if copying := [each for each in domain.disks if each.mirror and not each.mirrored]:
        message, left = f"disk {copying[0].device.serial} is being copied to another pool", PATIENCE - seen.waited
        return actions, Retry(Reason.MOVING, message, left) if left > 0 else Blocked(Reason.MOVING, message)
    if failed := [part for part in seen.disks if _holds(part, there.get(part.serial), seen)]:
        message = f"the copy of disk {failed[0].serial} to another pool broke off (is that full?); it is begun anew"
        return actions, Retry(Reason.STORAGE_ERROR, message, COPY_AGAIN - seen.mirrored[failed[0].serial])
    return actions, Done(Reason.RUNNING)


def _move(want: Wanted, domain: Domain, part: Part, there: Attached | None, seen: Seen) -> list[Action]:
    """The next step of a disk that is to be, or is, copied to another pool."""
    if there is None:
        return []
    if part.move is None or part.move.path == there.device.path:
        return [Unmirror(want.uuid, there.target, part.serial)] if there.mirror and part.device is not None else []
    if not there.mirror:
        return [] if _holds(part, there, seen) else [Mirror(want.uuid, there.target, part.move)]
    if there.mirror != part.move.path:
        return [Unmirror(want.uuid, there.target, part.serial)]
    if not there.mirrored or domain.record is None:
        return []
    others = tuple(each for each in domain.record.moved if each[0] != part.serial)
    record = replace(domain.record, moved=(*others, (part.serial, part.move.path)))
    return [Pivot(want.uuid, there.target, part.serial, record)]


def _holds(part: Part, there: Attached | None, seen: Seen) -> bool:
    """Whether a copy that broke off is not to be begun anew yet."""
    waits = there is not None and part.move is not None and not there.mirror and part.move.path != there.device.path
    return waits and seen.mirrored.get(part.serial, COPY_AGAIN) < COPY_AGAIN


def moved(seen: Seen) -> tuple[tuple[str, str], ...]:
    """What a domain's record says of disks that its guest went over to, as far as Storage has yet to take note."""
    record = seen.domain.record if seen.domain else None
    listed = {part.serial: part for part in seen.disks}
    said = record.moved if record else ()
    return tuple((serial, path) for serial, path in said if serial in listed and _elsewhere(listed[serial], path))


def _elsewhere(part: Part, path: str) -> bool:
    return isinstance(part.device, DiskDevice) and part.device.path != path


def at_start(seen: Seen) -> tuple[DiskDevice, ...]:
    """The disks to start with. Where the guest had gone over to another one, or was about to, that one has its data."""
    went = dict(moved(seen))
    disks = []
    for part in seen.disks:
        if part.move is not None and went.get(part.serial) == part.move.path:
            disks.append(part.move)
        elif isinstance(part.device, DiskDevice):
            disks.append(part.device)
    return tuple(disks)


def _device(want: Wanted, part: Part, there: Attached | None) -> list[Action]:
    """What one listed disk lacks. A Disk that is not ready at present changes nothing for the guest that has it."""
    disk = part.device
    if not isinstance(disk, DiskDevice):
        return []
    if there is None:
        return [Attach(want.uuid, disk)]
    if there.device.path != disk.path or there.mirror:
        return []  # another Volume of that name has to go first (see `_stray`), or a copy has to end
    actions: list[Action] = []
    if there.device.size and there.device.size < disk.size:
        actions.append(Grow(want.uuid, there.target, disk.size))
    if (there.device.iops, there.device.throughput) != (disk.iops, disk.throughput):
        actions.append(Throttle(want.uuid, there.target, disk))
    return actions


def _stray(each: Attached, listed: dict[str, Part]) -> bool:
    """Whether a guest's disk is to go: it is not listed, or it is an earlier Volume's of the same name."""
    part = listed.get(each.device.serial)
    if part is None:
        return True
    known = {disk.path for disk in (part.device, part.move) if isinstance(disk, DiskDevice)}
    return isinstance(part.device, DiskDevice) and each.device.path not in known


def due(key: str, seen: Seen) -> bool:
    """Whether the guest is to be asked (again) to let go of a device."""
    asked = seen.leaving.get(key)
    return asked is None or asked.last >= ASK_AGAIN


def leaving(what: str, key: str, advice: str, seen: Seen) -> Outcome:
    """How it stands with a device that the guest was asked to let go of."""
    asked = seen.leaving.get(key)
    if asked is None or asked.first < REFUSED:
        wait = ASK_AGAIN if asked is None or asked.last >= ASK_AGAIN else ASK_AGAIN - asked.last
        wait = min(wait, PATIENCE - seen.waited) if seen.waited < PATIENCE else wait
        return Retry(Reason.DETACHING, f"the guest was asked to let go of {what}", wait)
    message = (
        f"the guest has not let go of {what} for {int(asked.first // 10 * 10)} s: {advice}, "
        "or stop the virtual machine; it is asked again and again"
    )
    return Retry(Reason.DETACH_REFUSED, message, ASK_AGAIN)


def size_of(attached: Attached) -> Quantity:
    """What the guest sees of a disk."""
    return Quantity(attached.device.size)
