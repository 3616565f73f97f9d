"""What a Volume's status says."""

from __future__ import annotations

from dataclasses import replace

from operators.contract.meta import Condition
from operators.contract.reasons import Reason, Type
from operators.contract.storage import VolumeStatus
from operators.kernel import Blocked, Done, Outcome, Rejected, Report, Retry
from operators.storage.volumes import moving
from operators.storage.volumes.following import held_up
from operators.storage.volumes.model import Seen, VolumeObj
from operators.storage.volumes.plan import PASSING


def report(volume: VolumeObj, seen: Seen, outcome: Outcome) -> tuple[Report, ...]:
    """The status of one Volume; none while all there is to say would be over before it is read."""
    if isinstance(outcome, Retry) and outcome.reason in PASSING:
        return ()
    if volume.meta.deleting and isinstance(outcome, Done):
        return ()
    disk = seen.disk
    bound = Condition(Type.BOUND, "False", outcome.reason, outcome.message)
    # The claim is Compute's word; it stands as it was read, since this write is of the very state that was.
    claim = volume.status.claimed_by
    fields = VolumeStatus(phase=_phase(volume, seen, outcome), attached_to=_attached_to(seen), claimed_by=claim)
    if disk is not None:
        message = f"on pool {disk.spec.pool} of host {disk.spec.host_name}"
        bound = Condition(Type.BOUND, "True", Reason.AS_SPECIFIED, message)
        fields = VolumeStatus(
            phase=fields.phase,
            pool=disk.spec.pool,
            host_name="" if seen.shared else disk.spec.host_name,
            disk=disk.meta.name,
            disk_host=disk.spec.host_name,
            move_to=moving.target(seen),
            size=disk.status.virtual_size or volume.status.size,
            format=disk.spec.format,
            attached_to=fields.attached_to,
            claimed_by=fields.claimed_by,
        )
    elif volume.status.disk and not volume.meta.deleting:
        # Its file passes to another host, or the Disk is lost: what is known of where it was stays said.
        fields = replace(volume.status, phase=fields.phase, attached_to=fields.attached_to)
    follows = held_up(volume, seen)
    more = (follows,) if follows is not None else ()
    return (Report(volume, fields, (bound, _attached(seen), *more)),)


def _attached_to(seen: Seen) -> str:
    return seen.holders[0].virtual_machine if seen.holders else ""


def _attached(seen: Seen) -> Condition:
    if not seen.holders:
        return Condition(Type.ATTACHED, "False", Reason.RELEASED, "no VirtualMachine lists it")
    holder = seen.holders[0]
    message = f"VirtualMachine {holder.virtual_machine} on host {holder.host} has it"
    return Condition(Type.ATTACHED, "True", Reason.IN_USE, message)


def _phase(volume: VolumeObj, seen: Seen, outcome: Outcome) -> str:
    match outcome:
        case Done():
            return "InUse" if seen.holders else "Available"
        case Rejected():
            return "Rejected"
        case _ if volume.meta.deleting:
            return "Deleting"
        case Blocked(reason=Reason.WAITING_FOR_FIRST_CONSUMER):
            return "Waiting"
        case Blocked(reason=reason) if reason in PASSING:
            return "Provisioning"
        case _ if seen.disk is not None and seen.disk.status.virtual_size:
            return "InUse" if seen.holders else "Available"
        case _:
            return "Pending"
