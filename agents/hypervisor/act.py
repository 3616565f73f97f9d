"""One small function per action, safe to repeat."""

from __future__ import annotations

from dataclasses import replace

from agents.hypervisor.driver import Hypervisor, HypervisorError
from agents.hypervisor.files import Files
from agents.hypervisor.model import (
    AskToEnd,
    Attach,
    AttachNic,
    Clear,
    CutPower,
    Deed,
    Detach,
    DetachNic,
    Grow,
    Hold,
    Keep,
    Mirror,
    Pivot,
    Release,
    Resize,
    Resume,
    Resurrect,
    Start,
    Stay,
    Suspend,
    Throttle,
    Unmirror,
    Unpause,
    WriteSeed,
)
from operators.contract.reasons import Reason
from operators.kernel.clock import Clock, stamp
from operators.kernel.outcome import Problem, Retry


async def act(action: Deed, hypervisor: Hypervisor, files: Files, clock: Clock) -> None:
    """Do one action. What the hypervisor or the file system refuses becomes a Problem to retry."""
    try:
        await _act(action, hypervisor, files, clock)
    except HypervisorError as error:
        raise Problem(Retry(Reason.HYPERVISOR_ERROR, f"{_VERB[type(action)]}: {error}")) from error
    except OSError as error:
        raise Problem(Retry(Reason.HYPERVISOR_ERROR, f"{_VERB[type(action)]}: {error.strerror or error}")) from error


_VERB = {
    WriteSeed: "writing the NoCloud disk",
    Start: "starting the guest",
    Resurrect: "bringing the guest's memory back (raise spec.resetRequest to have it boot from its disks instead)",
    Hold: "having the guest stand still",
    Release: "letting the guest go on",
    Keep: "keeping the record of the start",
    AskToEnd: "asking the guest to end",
    CutPower: "cutting the guest's power",
    Resize: "giving the guest another size",
    Suspend: "pausing the guest",
    Unpause: "letting the paused guest go on",
    Resume: "resuming the guest",
    Clear: "removing the domain",
    Attach: "attaching a disk",
    Detach: "detaching a disk",
    AttachNic: "attaching a NIC",
    DetachNic: "detaching a NIC",
    Grow: "growing a disk",
    Throttle: "limiting a disk",
    Mirror: "copying a disk to another pool",
    Pivot: "going over to a disk on another pool",
    Unmirror: "giving up a copy of a disk",
    Stay: "giving up the guest's move",
}


async def _act(action: Deed, hypervisor: Hypervisor, files: Files, clock: Clock) -> None:
    match action:
        case WriteSeed(uuid=uuid, cloud_init=cloud_init):
            await files.write_seed(uuid, cloud_init)
        case Start(spec=spec):
            await files.fresh_console(spec.uuid)
            await hypervisor.define(spec)
            await hypervisor.start(spec.uuid)
            await hypervisor.record(spec.uuid, replace(spec.record, started_at=stamp(clock.now())))
        case Resurrect(spec=spec, memory=memory):
            await files.fresh_console(spec.uuid)
            # It stands still until its record says that it was started: what has run is never brought back again.
            await hypervisor.restore(replace(spec, record=replace(spec.record, held=True)), memory)
        case Hold(uuid=uuid, record=record):
            await hypervisor.record(uuid, replace(record, held=True))
            await hypervisor.suspend(uuid)
        case Release():
            await _release(action, hypervisor, stamp(clock.now()))
        case Keep(uuid=uuid, record=record):
            await hypervisor.record(uuid, record)
        case AskToEnd(uuid=uuid, insist=insist):
            await hypervisor.shutdown(uuid, insist=insist)
        case CutPower(uuid=uuid):
            await hypervisor.destroy(uuid)
        case Resize(uuid=uuid, record=record):
            await hypervisor.resize(uuid, record.cpus, record.memory)
            await hypervisor.record(uuid, record)
        case Suspend(uuid=uuid, record=record):
            # The record first: whoever finds the guest paused must know by whom.
            await hypervisor.record(uuid, replace(record, paused=True))
            await hypervisor.suspend(uuid)
        case Unpause(uuid=uuid, record=record):
            await hypervisor.resume(uuid)
            await hypervisor.record(uuid, replace(record, paused=False))
        case Resume(uuid=uuid):
            await hypervisor.resume(uuid)
        case Stay(uuid=uuid):
            await hypervisor.stay(uuid)
        case Clear(uuid=uuid):
            await hypervisor.undefine(uuid)
            await files.remove(uuid)
        case Attach(uuid=uuid, disk=disk):
            await hypervisor.attach(uuid, disk)
        case Detach(uuid=uuid, target=target):
            await hypervisor.detach(uuid, target)
        case AttachNic(uuid=uuid, nic=nic):
            await hypervisor.attach_nic(uuid, nic)
        case DetachNic(uuid=uuid, tap=tap):
            await hypervisor.detach_nic(uuid, tap)
        case Grow(uuid=uuid, target=target, size=size):
            await hypervisor.grow(uuid, target, size)
        case Throttle(uuid=uuid, target=target, disk=disk):
            await hypervisor.throttle(uuid, target, disk)
        case Mirror(uuid=uuid, target=target, disk=disk):
            await hypervisor.mirror(uuid, target, disk)
        case Pivot(uuid=uuid, target=target, record=record):
            await hypervisor.record(uuid, record)
            await hypervisor.pivot(uuid, target)
        case Unmirror(uuid=uuid, target=target):
            await hypervisor.unmirror(uuid, target)


async def _release(action: Release, hypervisor: Hypervisor, now: str) -> None:
    """The record first, as always: whoever finds the guest still standing lets it go on."""
    begun = replace(action.record, started_at=action.record.started_at or now, held=True)
    if begun != action.record:
        await hypervisor.record(action.uuid, begun)
    if action.resume:
        await hypervisor.resume(action.uuid)
    await hypervisor.record(action.uuid, replace(begun, held=False))
