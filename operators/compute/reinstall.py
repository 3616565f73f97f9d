"""A root disk that is made anew under its virtual machine (`spec.reinstallRequest`).

Orchestration makes the new root Volume at once. The guest is stopped when nothing is known against that Volume, and
started with it; the former one is let go of only when Storage has made the new one, so a wrong image costs a stop at
most, and no data.
"""

from __future__ import annotations

from dataclasses import replace

from operators.compute.model import VM, Instance, Seen, VolumeView
from operators.compute.resolve import disk_of, kept_disks, unusable
from operators.contract import names
from operators.contract.compute import Power, RunPolicy
from operators.contract.instances import InstanceDisk
from operators.contract.reasons import ON_THE_WAY, Reason
from operators.kernel.outcome import Blocked


def due(vm: VM, seen: Seen, instance: Instance) -> Blocked | None:
    """What is to happen before an Instance can be started with its new root disk; None when nothing is.

    `Stopping` where the guest is to be stopped now, or is being stopped."""
    root = _new(vm, seen, instance)
    if root is None:
        return None
    if (lack := _lack(root, instance)) is not None:
        return lack
    if off(instance):
        return None
    return Blocked(Reason.STOPPING, "the guest is being stopped, for its root disk is made anew")


def at_rest(vm: VM, seen: Seen, instance: Instance) -> tuple[InstanceDisk, ...]:
    """The disks that a stopped guest has: those that it keeps, and the new root disk as soon as that can be had."""
    root = _new(vm, seen, instance)
    kept = kept_disks(seen, instance.spec)
    if root is None:
        return kept
    if _lack(root, instance) is None and off(instance):
        return (disk_of(root, instance.spec.host_name), *kept)
    former = _former(vm)
    return tuple(each for each in instance.spec.disks if each in kept or each.volume in former)


def meanwhile(vm: VM, seen: Seen, instance: Instance) -> Seen:
    """What a guest has as long as it keeps its former root disk."""
    names_ = _former(vm)
    has = next((each for each in instance.spec.disks if each.volume in names_), None)
    if has is None:
        return seen
    former = VolumeView(has.volume, root=True, expected=True, ready=True, disk=has.disk, move_to=has.move_to)
    return replace(seen, volumes=tuple(former if each.root else each for each in seen.volumes))


def _former(vm: VM) -> frozenset[str]:
    return frozenset(names.root_volume(vm.meta.name, request) for request in range(vm.spec.reinstall_request))


def observed(vm: VM, seen: Seen) -> int:
    """The last request whose root disk an Instance has, made and ready."""
    request, instance = vm.spec.reinstall_request, seen.instance
    root = next((volume for volume in seen.volumes if volume.root), None)
    if root is None or not request:
        return vm.status.reinstall_observed
    if instance is None:
        # It was never started, so there is no root disk to lose, and none is made before it is.
        waits = vm.spec.wanted is RunPolicy.STOPPED and root.exists and root.reason in ON_THE_WAY
        return request if waits else vm.status.reinstall_observed
    if not root.ready:
        return vm.status.reinstall_observed
    listed = any(each.volume == root.name for each in instance.spec.disks)
    return request if listed else vm.status.reinstall_observed


def off(instance: Instance) -> bool:
    """Whether its host has said that the guest does not run, and knows that it is not to."""
    status = instance.status
    heard = status.observed_generation >= instance.meta.generation and instance.spec.power is Power.STOPPED
    return heard and status.power in (Power.STOPPED, Power.CRASHED)


def _new(vm: VM, seen: Seen, instance: Instance) -> VolumeView | None:
    """The root disk that an Instance is to have and has not."""
    if vm.spec.reinstall_request <= vm.status.reinstall_observed:
        return None
    root = next((volume for volume in seen.volumes if volume.root), None)
    has = root is None or any(each.volume == root.name for each in instance.spec.disks)
    return None if has else root


def _lack(root: VolumeView, instance: Instance) -> Blocked | None:
    """What is against the new root disk as far as anybody knows: until that is seen to, the guest keeps the old one."""
    if (lack := unusable(root, instance.spec.host_name)) is not None:
        return lack
    if not root.exists or not root.reason:
        return Blocked(Reason.WAITING_FOR_VOLUMES, f"the new root disk, Volume {root.name}, is to be made")
    if root.ready or root.reason in ON_THE_WAY:
        return None
    return Blocked(Reason(root.reason), f"the new root disk, Volume {root.name}: {root.message}")
