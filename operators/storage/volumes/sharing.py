"""Decides which hosts of a shared pool reach a Volume's file, and when it passes from one host to another (ADR 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from operators.contract import names
from operators.contract.meta import holds
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Outcome
from operators.storage.volumes.model import Action, Adjust, DeleteDisk, DiskObj, MakeDisk, Seen, VolumeObj
from operators.storage.volumes.shape import keeps


def promote(volume: VolumeObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """The Disk of the host that saw to the file is gone: one by which another host sees it takes its place."""
    hosts = {holder.host for holder in seen.holders}
    staying = [each for each in seen.sights if not each.meta.deleting]
    if not staying:
        return (), Blocked(Reason.PROVISIONING, "hosts that no longer use its file let go of it")
    heir = next((each for each in staying if each.spec.host_name in hosts), staying[0])
    spec = replace(heir.spec, file_of="", adopt=True, keep=keeps(volume))
    return (Adjust(heir, spec),), Blocked(Reason.PROVISIONING, f"its file passes to host {spec.host_name}")


def sights(volume: VolumeObj, seen: Seen, disk: DiskObj) -> list[Action]:
    """Let every other host on which an Instance lists the Volume reach its file, and no host longer than that."""
    hosts = ({holder.host for holder in seen.holders} & seen.reached) - {disk.spec.host_name}
    spec = replace(disk.spec, file_of=disk.meta.name, adopt=True, keep=True)
    actions: list[Action] = []
    for sight in seen.sights:
        theirs = replace(spec, host_name=sight.spec.host_name)
        if sight.spec.host_name not in hosts and not sight.meta.deleting:
            actions.append(DeleteDisk(sight))
        elif not sight.meta.deleting and sight.spec != theirs:
            actions.append(Adjust(sight, theirs))
    for host in sorted(hosts - {sight.spec.host_name for sight in seen.sights}):
        actions.append(MakeDisk(volume, names.disk_on(volume.meta.name, host), replace(spec, host_name=host)))
    return actions


def passes(seen: Seen, disk: DiskObj) -> bool:
    """Whether the file is to pass to another host: it is used only there, and is seen from there."""
    hosts = {holder.host for holder in seen.holders}
    sees = {each.spec.host_name for each in seen.sights if holds(each.status.conditions, Type.PROVISIONED)}
    return disk.spec.host_name not in hosts and bool(hosts & sees)
