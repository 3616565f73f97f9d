"""Decides what brings one Volume closer to its spec.

Not placed → wait for a first consumer → choose a pool → copy of the image → Disk → ready; when deleting, the same
way back. Choosing among pools is in `placement`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from operators.contract import names
from operators.contract.formats import Ability
from operators.contract.meta import condition
from operators.contract.quantity import Quantity
from operators.contract.reasons import ON_THE_WAY, Reason, Type
from operators.contract.storage import DiskSpec
from operators.kernel.outcome import Blocked, Done, Outcome, Problem, Rejected, Retry
from operators.storage import abilities, lost
from operators.storage.volumes import cloning, restore, sharing
from operators.storage.volumes.following import follow
from operators.storage.volumes.limits import too_much, within
from operators.storage.volumes.model import (
    Action,
    Adjust,
    DeleteDisk,
    DiskObj,
    MakeCopy,
    MakeDisk,
    MakeImage,
    Pool,
    Protect,
    Seen,
    Unprotect,
    VolumeObj,
)
from operators.storage.volumes.moving import begin, move
from operators.storage.volumes.placement import choose
from operators.storage.volumes.shape import aligned, keeps, limits, offered, shape

FINALIZER = names.finalizer("storage")

PASSING = ON_THE_WAY
"""States that most often are over within milliseconds. They are reported only once they have lasted (`Seen.quiet`): of
a deploy, whose disk is ready some 30 ms after its Instance appeared, the API server sees one status write a Volume."""

Plan = tuple[Sequence[Action], Outcome]


def plan(volume: VolumeObj, seen: Seen) -> Plan:
    """The next steps for one Volume, and how it stands once they are done."""
    try:
        actions, outcome = _plan(volume, seen)
    except Problem as problem:
        actions, outcome = (), problem.outcome
    outcome = lost.told(outcome, seen.lost)
    if not volume.meta.deleting and FINALIZER not in volume.meta.finalizers:
        actions = [Protect(volume), *actions]
    if isinstance(outcome, Blocked) and outcome.reason in PASSING and seen.quiet > 0:
        outcome = Retry(outcome.reason, outcome.message, after=seen.quiet)
    return actions, outcome


def _plan(volume: VolumeObj, seen: Seen) -> Plan:
    if volume.meta.deleting:
        return _end(volume, seen)
    if seen.disk is not None:
        return _keep(volume, seen, seen.disk)
    actions, outcome = _place(volume, seen)
    return (actions, outcome) if volume.status.disk or seen.sights else within(seen, actions, outcome)


def _end(volume: VolumeObj, seen: Seen) -> Plan:
    if seen.holders:
        holder = seen.holders[0]
        return (), Blocked(
            Reason.STILL_ATTACHED,
            f"VirtualMachine {holder.virtual_machine} on host {holder.host} still has it; "
            "take it out of its spec, or delete the VirtualMachine",
        )
    if seen.clones:
        message = f"it is being copied to {', '.join(seen.clones)}; it goes when that is done"
        return (), Blocked(Reason.STILL_IN_USE, message)
    others = (*seen.sights, *seen.retired, *seen.moves.copies, *((seen.heir,) if seen.heir else ()))
    if others:
        hosts = ", ".join(each.spec.host_name for each in others)
        let_go = tuple(DeleteDisk(each) for each in others if not each.meta.deleting)
        return let_go, Blocked(Reason.DELETING, f"it is being let go of by hosts: {hosts}")
    if seen.disk is None:
        return (Unprotect(volume),), Done(Reason.RELEASED)
    if seen.disk.meta.deleting:
        released = condition(seen.disk.status.conditions, Type.RELEASED)
        if released is not None and not released.true and released.reason not in PASSING:
            return (), Blocked(released.reason, f"Disk {seen.disk.meta.name} cannot be freed: {released.message}")
        return (), Blocked(Reason.DELETING, f"host {seen.disk.spec.host_name} is freeing Disk {seen.disk.meta.name}")
    spec = replace(seen.disk.spec, keep=keeps(volume))
    adjust = () if spec == seen.disk.spec else (Adjust(seen.disk, spec),)
    return adjust or (DeleteDisk(seen.disk),), Blocked(Reason.DELETING, f"Disk {seen.disk.meta.name} is to be freed")


def _place(volume: VolumeObj, seen: Seen) -> Plan:
    if seen.name_taken:
        return (), Blocked(Reason.PROVISIONING, "the Disk of an earlier Volume of this name is still being freed")
    if seen.sights:
        return sharing.promote(volume, seen)
    if volume.status.disk and volume.status.size:
        return _take_up(volume, seen, volume.status.size)
    if volume.spec.source.snapshot:
        return restore.place(volume, seen)
    if volume.spec.source.volume:
        return cloning.place(volume, seen)
    if volume.spec.source.file:
        return cloning.adopt(volume, seen)
    if volume.spec.source.url and (seen.image is None or seen.stranger):
        return _fetch(volume, seen)
    if volume.spec.source.backup:
        return restore.from_backup(volume, seen)
    least = _least(volume, seen)
    size = _size(volume, seen, least)
    if not seen.holders:
        return (), Blocked(Reason.WAITING_FOR_FIRST_CONSUMER, "it is placed once a VirtualMachine lists it")
    if seen.image is not None and seen.image.spec.source is not None and seen.original is None:
        message = f"Image {seen.image.meta.name} is not made yet; its conditions say what it waits for"
        return (), Blocked(Reason.WAITING_FOR_IMAGE, message)
    pool = choose(volume, seen, size or least)
    actions: list[Action] = []
    if seen.image is not None:
        if pool.copy is None:
            actions.append(MakeCopy.like(seen.image, pool.name, pool.executor, seen.original))
        elif pool.copy.spec.image.uid != seen.image.meta.uid or pool.copy.meta.deleting:
            message = f"an earlier copy of image {seen.image.meta.name} on pool {pool.name} is still being removed"
            return (), Blocked(Reason.WAITING_FOR_IMAGE, message)
        if size is None:
            return actions, _importing(seen, pool)
    spec = _disk_spec(volume, seen, pool, size or least)
    actions.append(MakeDisk(volume, names.disk(volume.meta.name), spec))
    return actions, Blocked(Reason.PROVISIONING, f"host {pool.executor} makes its disk on pool {pool.name}")


def _fetch(volume: VolumeObj, seen: Seen) -> Plan:
    """Make the Image that stands for its url: fetched, checked and shared among pools as any other."""
    name = names.source_image(volume.meta.name)
    if seen.stranger:
        return (), Blocked(
            Reason.NAME_TAKEN, f"Image {name} is somebody's own: delete it, or name the Volume otherwise"
        )
    return (MakeImage(volume),), Blocked(Reason.PROVISIONING, f"Image {name} is made for its url")


def _take_up(volume: VolumeObj, seen: Seen, size: Quantity) -> Plan:
    """Have a new Disk take up the Volume's file, whose Disk was lost.

    It is never made anew (`adopt`): that would be blank, or fresh from the image, and pass for the data."""
    if not seen.holders:
        message = f"its file in pool {volume.status.pool} is taken up again once a VirtualMachine lists it"
        return (), Blocked(Reason.WAITING_FOR_FIRST_CONSUMER, message)
    home = next((pool for pool in seen.pools if pool.name == volume.status.pool), None)
    if home is None:
        message = f"its data is on pool {volume.status.pool}, which host {seen.holders[0].host} does not reach"
        return (), Blocked(Reason.NO_HOST_FITS, message)
    spec = replace(_disk_spec(volume, seen, home, size), adopt=True)
    before = volume.status.disk_host in ("", home.executor)
    name = volume.status.disk if before else names.disk_on(volume.meta.name, home.executor)
    return (MakeDisk(volume, name, spec),), Blocked(
        Reason.PROVISIONING, f"host {home.executor} takes up its file {spec.path}"
    )


def _keep(volume: VolumeObj, seen: Seen, disk: DiskObj) -> Plan:
    if disk.meta.deleting:
        if disk.spec.keep and seen.sights:
            return (), _passing(volume, seen, disk)
        if disk.spec.keep:
            return (), Blocked(Reason.PROVISIONING, f"host {disk.spec.host_name} lets go of its file, which stays")
        message = f"Disk {disk.meta.name} was deleted by someone, and its data is being freed with it"
        return (), Blocked(Reason.STORAGE_ERROR, message)
    follows, _ = follow(volume, seen, disk)
    actions, outcome = _stay(volume, seen, disk)
    return [*cloning.settle(volume, seen, disk), *follows, *actions], outcome


def _passing(volume: VolumeObj, seen: Seen, disk: DiskObj) -> Outcome:
    """How it stands while a host lets go of its file, which another one uses: well, as long as it is not to grow."""
    outcome = _verdict(seen, disk, disk.spec)
    if not isinstance(outcome, Done) or (volume.spec.size or 0) <= disk.spec.size:
        return outcome
    return Blocked(Reason.GROWING, f"it grows once host {disk.spec.host_name} has let go of its file")


def _stay(volume: VolumeObj, seen: Seen, disk: DiskObj) -> Plan:
    if sharing.passes(seen, disk):
        adjust = () if disk.spec.keep else (Adjust(disk, replace(disk.spec, keep=True)),)
        return adjust or (DeleteDisk(disk),), _verdict(seen, disk, disk.spec)
    target = aligned(volume.spec.size) if volume.spec.size else disk.spec.size
    if target < disk.spec.size:
        message = f"a Volume cannot shrink: it has {disk.spec.size}, so ask for that or more"
        return (), Rejected(Reason.SIZE_TOO_SMALL, message)
    stays = _no_growth(seen, disk, target)
    target = disk.spec.size if stays is not None else target
    # A guest that has it sees it grow: its hypervisor does what the storage agent may not, with QEMU on the file.
    spec = replace(disk.spec, size=target, keep=keeps(volume), limits=limits(volume, seen, disk.spec.limits))
    actions: list[Action] = [] if spec == disk.spec else [Adjust(disk, spec)]
    actions += sharing.sights(volume, seen, replace(disk, spec=spec))
    moves, moving = move(volume, seen, disk)
    outcome = _verdict(seen, disk, spec)
    outcome = stays if stays is not None and isinstance(outcome, Done) else outcome
    if isinstance(outcome, Done) and not actions:
        actions = begin(volume, seen, disk)
        outcome = moving or (
            Blocked(Reason.MOVING, f"it is to move to pool {volume.spec.pool}") if actions else outcome
        )
    return [*moves, *actions], outcome


def _no_growth(seen: Seen, disk: DiskObj, size: int) -> Blocked | None:
    """Why it does not grow at present: a limit, or its pool cannot do that under the guest that runs on it."""
    if size > disk.spec.size and (much := too_much(seen, size)):
        return Blocked(Reason.LIMIT_EXCEEDED, much)
    why = abilities.lack(disk.spec.pool, seen.told, Ability.GROW_ONLINE, disk.spec.format)
    runs = next((holder for holder in seen.holders if holder.running), None)
    if not why or runs is None or size == disk.spec.size:
        return None
    return Blocked(Reason.RESTART_REQUIRED, f"{why}; it grows once VirtualMachine {runs.virtual_machine} is stopped")


def _verdict(seen: Seen, disk: DiskObj, spec: DiskSpec) -> Outcome:
    """How a placed Volume stands, once the Disk has been adjusted to `spec`."""
    if not disk.meta.deleting and (trouble := _trouble(disk, spec.size)) is not None:
        return trouble
    sights = {sight.spec.host_name: sight for sight in seen.sights}
    for holder in seen.holders:
        if holder.host == spec.host_name:
            continue
        if holder.host not in seen.reached:
            return Blocked(
                Reason.NO_HOST_FITS,
                f"its data is on pool {spec.pool} of host {spec.host_name}, which host {holder.host} of "
                f"VirtualMachine {holder.virtual_machine} does not reach",
            )
        if holder.host not in sights:
            return Blocked(Reason.PROVISIONING, f"host {holder.host} has yet to see its file on pool {spec.pool}")
        if (trouble := _trouble(sights[holder.host], disk.status.virtual_size or spec.size)) is not None:
            return trouble
    return Done()


def _trouble(disk: DiskObj, size: int) -> Blocked | None:
    """What a host has yet to do to one Disk, or cannot."""
    provisioned, where = condition(disk.status.conditions, Type.PROVISIONED), disk.spec
    if provisioned is not None and not provisioned.true:
        return Blocked(provisioned.reason, f"on pool {where.pool} of host {where.host_name}: {provisioned.message}")
    if provisioned is not None and 0 < (disk.status.virtual_size or 0) < size:
        return Blocked(Reason.GROWING, f"it grows from {disk.status.virtual_size} to {Quantity(size)}")
    if provisioned is None or (disk.status.virtual_size or 0) < size:
        return Blocked(Reason.PROVISIONING, f"host {where.host_name} makes its disk on pool {where.pool}")
    return None


def _least(volume: VolumeObj, seen: Seen) -> Quantity:
    """The smallest size that holds what the Volume starts out with, as far as it is known yet."""
    if not volume.spec.source.image and not volume.spec.source.url:
        return Quantity(0)
    if seen.image is None or seen.image.meta.deleting:
        where = "in its namespace or the catalogue" if "/" not in volume.spec.source.image else "that is public"
        gone = "is being deleted" if seen.image is not None else f"does not exist {where}"
        raise Problem(Blocked(Reason.IMAGE_NOT_FOUND, f"Image {volume.spec.source.image} {gone}"))
    return aligned(max(seen.virtual_size or 0, seen.image.spec.minimum_disk or 0))


def _size(volume: VolumeObj, seen: Seen, least: Quantity) -> Quantity | None:
    """How large the new Disk is to be; None while only the image could tell, and nobody has fetched it yet."""
    asked, offering = volume.spec.size, offered(volume, seen)
    if offering.spec.size is not None:
        if asked is not None and asked != offering.spec.size:
            message = (
                f"DiskOffering {offering.meta.name} has the fixed size {offering.spec.size}; ask for that or another"
            )
            raise Problem(Rejected(Reason.INVALID, message))
        asked = offering.spec.size
    if asked is None and seen.image is None:
        raise Problem(Rejected(Reason.INVALID, "a blank Volume needs spec.size"))
    if asked is not None and asked < least:
        message = f"Image {volume.spec.source.image} needs {least}, not {asked}; ask for more, or leave the size out"
        raise Problem(Rejected(Reason.SIZE_TOO_SMALL, message))
    if seen.image is not None and seen.virtual_size is None:
        return None
    return aligned(asked or least)


def _importing(seen: Seen, pool: Pool) -> Outcome:
    """How the first fetching of an image goes, in the words of its copy."""
    assert seen.image is not None
    copy = pool.copy
    provisioned = condition(copy.status.conditions, Type.PROVISIONED) if copy else None
    if provisioned is not None and not provisioned.true and provisioned.reason != Reason.IMPORTING:
        return Blocked(provisioned.reason, f"Image {seen.image.meta.name} on pool {pool.name}: {provisioned.message}")
    return Blocked(Reason.IMPORTING, f"Image {seen.image.meta.name} is being fetched to pool {pool.name}")


def _disk_spec(volume: VolumeObj, seen: Seen, pool: Pool, size: Quantity) -> DiskSpec:
    image = seen.image
    copy = f"{image.meta.namespace}/{names.image_copy(image.meta.name, pool.name)}" if image else ""
    return replace(shape(volume, seen, pool.executor, pool.name, size), image_copy=copy)
