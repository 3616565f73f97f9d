"""Filters: each tells, in words, why a host cannot take a virtual machine; the empty string when it can."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from operators.compute.scheduler.model import DiskNeed, HostView, Need, PoolView
from operators.contract.quantity import Quantity

Filter: TypeAlias = Callable[[Need, HostView], str]


def host_state(need: Need, host: HostView) -> str:
    """Fabric Monitoring must have said that the host is reachable."""
    if host.reachable:
        return ""
    return f"not reachable: {host.reachable_message}" if host.reachable_message else "not reachable"


def maintenance(need: Need, host: HostView) -> str:
    """Nothing new goes to a host in maintenance."""
    return "in maintenance" if host.maintenance else ""


def schedulable(need: Need, host: HostView) -> str:
    """The operator of the cloud may keep new virtual machines off a host."""
    return "" if host.schedulable else "spec.schedulable is false"


def zone_enabled(need: Need, host: HostView) -> str:
    """Nothing new goes into a zone that is disabled or not defined."""
    return "" if host.zone_enabled else f"zone {host.zone} is disabled or does not exist"


def simulated(need: Need, host: HostView) -> str:
    """Nothing goes to a simulated host by chance: no guest would run."""
    asked = need.zone == host.zone or need.host == host.name
    return "simulated, which spec.placement does not ask for" if host.simulated and not asked else ""


def chosen_zone(need: Need, host: HostView) -> str:
    """The user's choice of zone."""
    return "" if need.zone in ("", host.zone) else f"in zone {host.zone}, not {need.zone}"


def chosen_group(need: Need, host: HostView) -> str:
    """The user's choice of host group."""
    return "" if need.group in ("", host.group) else f"in group {host.group}, not {need.group}"


def chosen_host(need: Need, host: HostView) -> str:
    """The user's choice of host."""
    return "" if need.host in ("", host.name) else f"not the chosen host {need.host}"


def tags(need: Need, host: HostView) -> str:
    """The tags that the compute offering asks for."""
    missing = sorted(need.host_tags - host.tags)
    return f"lacks the tags {', '.join(missing)}" if missing else ""


def affinity(need: Need, host: HostView) -> str:
    """The rules of its strict affinity groups."""
    for group in need.groups:
        if not group.strict or not group.members:
            continue
        if group.together and host.name not in group.members:
            there = ", ".join(sorted(group.members))
            return f"affinity group {group.name} has its virtual machines on {there}"
        if not group.together and (other := group.members.get(host.name)):
            return f"anti-affinity group {group.name} has {other} here"
    return ""


def cpu(need: Need, host: HostView) -> str:
    """Processors, with the host's overcommitment."""
    if not host.reported:
        return "its hypervisor agent has not reported yet"
    free = host.cpus_offered - host.cpus_claimed
    return "" if need.cpus <= free else f"{need.cpus} CPUs needed, {max(0, free)} of {host.cpus_offered} free"


def memory(need: Need, host: HostView) -> str:
    """Memory, with the host's overcommitment."""
    free = host.memory_offered - host.memory_claimed
    if need.memory <= free:
        return ""
    return f"{Quantity(need.memory)} needed, {_rough(free)} of {_rough(host.memory_offered)} free"


def volumes_on_host(need: Need, host: HostView) -> str:
    """Disks that exist already must be within the host's reach: they are not moved for a start."""
    reach = {pool.name: pool for pool in host.pools}
    for disk in need.disks:
        if disk.bound and disk.host not in ("", host.name):
            return f"volume {disk.volume} is on host {disk.host}"
        if disk.bound and not disk.host and disk.pool not in reach:
            return f"volume {disk.volume} is on pool {disk.pool}, which it does not reach"
        if disk.bound and disk.pool in reach and reach[disk.pool].maintenance:
            return f"volume {disk.volume} is on pool {disk.pool}, which is in maintenance"
        if disk.image_on is not None and not disk.image_on & reach.keys():
            have = ", ".join(sorted(disk.image_on))
            return f"the image of volume {disk.volume} is only on pool {have}, which it does not reach"
    return ""


def pool_space(need: Need, host: HostView) -> str:
    """Disks that do not exist yet need a pool each: online, with the offering's tags, with room."""
    left = _Left(host)
    for claimed in host.disks_claimed:
        left.promise(claimed)
    for disk in sorted((disk for disk in need.disks if not disk.bound), key=lambda disk: -disk.size):
        if not left.give(disk):
            return _no_pool(disk, host, left)
    return ""


class _Left:
    """What is left of a host's pools while disks are given to them, the emptiest first, as Storage does."""

    def __init__(self, host: HostView) -> None:
        self.pools = host.pools
        self.free = {pool.name: pool.free for pool in host.pools}
        self.promisable = {pool.name: pool.promisable for pool in host.pools}

    def promise(self, disk: DiskNeed) -> str:
        """Promise a disk room on the pool that suits it best; the empty string when none can."""
        fitting = [
            pool.name
            for pool in self.pools
            if _fits(disk, pool) and min(self.free[pool.name], self.promisable[pool.name]) >= disk.size
        ]
        best = max(fitting, key=lambda name: (self.free[name], name), default="")
        if best:
            self.promisable[best] -= disk.size
        return best

    def give(self, disk: DiskNeed) -> bool:
        """The same for a disk of our own, which must find room beside the others even when it is full."""
        if best := self.promise(disk):
            self.free[best] -= disk.size
        return bool(best)


def _fits(disk: DiskNeed, pool: PoolView) -> bool:
    return pool.online and not pool.closed and disk.tags <= pool.tags and disk.pool in ("", pool.name)


def _no_pool(disk: DiskNeed, host: HostView, left: _Left) -> str:
    wish = f" {disk.pool}" if disk.pool else ""
    wish += f" with the tags {', '.join(sorted(disk.tags))}" if disk.tags else ""
    fitting = [pool for pool in host.pools if _fits(disk, pool)]
    if not fitting:
        shut = [f"{pool.name} {pool.closed}" for pool in host.pools if pool.closed and disk.pool in ("", pool.name)]
        return f"no online pool{wish} for volume {disk.volume}" + (f": {', '.join(shut)}" if shut else "")
    needs = f"volume {disk.volume} needs {Quantity(disk.size)}"
    if any(left.free[pool.name] >= disk.size for pool in fitting):
        most = max(left.promisable[pool.name] for pool in fitting)
        return f"{needs}, its pools{wish} may give out only {_rough(most)} more: the rest is promised to other disks"
    return f"{needs}, its largest pool{wish} has {_rough(max(pool.free for pool in fitting))} free"


def _rough(size: int) -> str:
    """A size in whole MiB: exact bytes tell a reader nothing, and would change the message all the time."""
    mib = 1024 * 1024
    return str(Quantity(max(0, size) // mib * mib))


FILTERS: Mapping[str, Filter] = {
    "HostState": host_state,
    "Maintenance": maintenance,
    "Schedulable": schedulable,
    "ZoneEnabled": zone_enabled,
    "Simulated": simulated,
    "Zone": chosen_zone,
    "Group": chosen_group,
    "Host": chosen_host,
    "Tags": tags,
    "Affinity": affinity,
    "CPU": cpu,
    "Memory": memory,
    "VolumesOnHost": volumes_on_host,
    "PoolSpace": pool_space,
}
"""In the order in which they are asked; the first that refuses is the one named."""
