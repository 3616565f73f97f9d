"""Decides how a running guest comes to the disks that its Instance lists: plugged in, let go of, grown, throttled.

A disk is known by its serial, which the Instance gives each of its Volumes and the domain keeps.
"""

from __future__ import annotations

from agents.hypervisor.driver import Attached, DiskDevice, Domain
from agents.hypervisor.model import Action, Attach, Detach, Grow, Part, Seen, Throttle, Wanted
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason
from operators.kernel.outcome import Blocked, Done, Outcome, Retry

PATIENCE = 2.0
"""Seconds before the status says what is on its way."""
ASK_AGAIN = 10.0
"""Seconds between requests to let go of a disk: QEMU takes no second one at once, and a booting guest hears none."""
REFUSED = 30.0
"""Seconds after which a guest that keeps a disk is said to refuse."""

Plan = tuple[list[Action], Outcome]


def plan(want: Wanted, domain: Domain, seen: Seen) -> Plan:
    """The next steps for the disks of a guest that runs and is to run."""
    there = {each.device.serial: each for each in domain.disks}
    listed = {part.serial: part for part in seen.disks}
    actions: list[Action] = []
    for part in seen.disks:
        actions += _device(want, part, there.get(part.serial))
    strays = [each for each in domain.disks if _stray(each, listed)]
    for each in strays:
        asked = seen.leaving.get(each.device.serial)
        if asked is None or asked.last >= ASK_AGAIN:
            actions.append(Detach(want.uuid, each.target, each.device.serial))
    if any(not isinstance(action, Detach) for action in actions):
        return actions, Retry(Reason.ATTACHING, "its disks are being changed", 0.0)
    if strays:
        return actions, _leaving(strays[0], seen)
    if late := [part for part in seen.disks if part.device is None and part.serial not in there]:
        message, left = f"Disk {late[0].name} is attached once it is ready: {late[0].why}", PATIENCE - seen.waited
        return actions, Retry(Reason.ATTACHING, message, left) if left > 0 else Blocked(Reason.ATTACHING, message)
    return actions, Done(Reason.RUNNING)


def _device(want: Wanted, part: Part, there: Attached | None) -> list[Action]:
    """What one listed disk lacks. A Disk that is not ready at present changes nothing for the guest that has it."""
    disk = part.device
    if not isinstance(disk, DiskDevice):
        return []
    if there is None:
        return [Attach(want.uuid, disk)]
    if there.device.path != disk.path:
        return []  # the guest has another Volume of that name, which has to go first: see `_stray`
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
    return isinstance(part.device, DiskDevice) and part.device.path != each.device.path


def _leaving(stray: Attached, seen: Seen) -> Outcome:
    serial = stray.device.serial
    asked = seen.leaving.get(serial)
    if asked is None or asked.first < REFUSED:
        wait = ASK_AGAIN if asked is None or asked.last >= ASK_AGAIN else ASK_AGAIN - asked.last
        wait = min(wait, PATIENCE - seen.waited) if seen.waited < PATIENCE else wait
        return Retry(Reason.DETACHING, f"the guest was asked to let go of disk {serial}", wait)
    message = (
        f"the guest has not let go of disk {serial} for {int(asked.first // 10 * 10)} s: unmount it there, "
        "or stop the virtual machine; it is asked again and again"
    )
    return Retry(Reason.DETACH_REFUSED, message, ASK_AGAIN)


def size_of(attached: Attached) -> Quantity:
    """What the guest sees of a disk."""
    return Quantity(attached.device.size)
