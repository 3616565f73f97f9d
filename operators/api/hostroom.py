"""Which hosts could take a running guest: a look ahead for people, by what the API sees. Compute has the last word."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from operators.api.call import Call
from operators.api.cloud import VM, Host, name_of
from operators.api.sizes import MIB, size_of
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE, RunPolicy
from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL
from operators.contract.meta import holds
from operators.contract.quantity import factor
from operators.contract.reasons import Type
from operators.contract.storage import VOLUME


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one host is to a running guest."""

    host: Host
    refusal: str
    """Why it cannot go there, whatever room there is; empty when it can."""
    room: bool

    @property
    def suitable(self) -> bool:
        """Whether the guest could go there now."""
        return not self.refusal and self.room

    @property
    def why_not(self) -> str:
        """Why it could not, for people."""
        return self.refusal or f"host {name_of(self.host)} has no room for it"


def verdicts(call: Call, vm: VM) -> list[Verdict]:
    """Every host but the guest's own, the suitable ones first."""
    offering = call.cloud.named(COMPUTE_OFFERING, vm.spec.offering)
    own = call.cloud.named(HOST, vm.status.host_name)
    size, taken = size_of(offering, vm.spec), _taken(call)
    tags = offering.spec.host_tags if offering is not None else frozenset[str]()
    out = []
    for host in call.cloud.all(HOST):
        if host.meta.name == vm.status.host_name:
            continue
        cpus, memory = _room(call, host)
        held = taken[host.meta.name, "cpus"], taken[host.meta.name, "memory"]
        room = held[0] + size.cpus <= cpus and held[1] + size.memory <= memory
        out.append(Verdict(host, _refusal(vm, own, host, tags), room))
    return sorted(out, key=lambda each: not each.suitable)


def needs_copies(call: Call, vm: VM) -> bool:
    """Whether one of its disks is on a pool of its host alone, and so goes along with the guest."""
    for name in (vm.spec.root_of(vm.meta.name), *vm.spec.volumes):
        volume = call.cloud.named(VOLUME, name, vm.meta.namespace) if name else None
        pool = call.cloud.named(STORAGE_POOL, volume.status.pool) if volume is not None else None
        if pool is not None and pool.spec.host_name:
            return True
    return False


def _refusal(vm: VM, own: Host | None, host: Host, tags: frozenset[str]) -> str:
    name, wish = name_of(host), vm.spec.placement
    if not holds(host.status.conditions, Type.REACHABLE):
        return f"host {name} is not up"
    if host.spec.maintenance or not host.spec.schedulable:
        return f"host {name} takes no virtual machines: it is disabled or in maintenance"
    if own is not None and host.spec.zone != own.spec.zone:
        return f"host {name} is in another zone"
    if host.spec.simulated != (own is not None and own.spec.simulated):
        return f"host {name} is simulated" if host.spec.simulated else f"host {name} is a real one"
    if (wish.host and wish.host != host.meta.name) or (wish.group and wish.group != host.spec.group):
        return f"host {name} is not where the virtual machine was asked to be"
    if missing := tags - host.spec.tags:
        return f"host {name} lacks the tags {', '.join(sorted(missing))} of its service offering"
    return ""


def _room(call: Call, host: Host) -> tuple[int, int]:
    """The CPUs and MiB of memory that a host gives out; none while nobody reported."""
    report = call.cloud.named(HOST_REPORT, host.meta.name)
    told = report.status.hypervisor if report is not None else None
    if told is None:
        return 0, 0
    times = host.spec.overcommit
    return int(told.cpus * factor(times.cpu)), int(int(told.memory) * factor(times.memory)) // MIB


def _taken(call: Call) -> Counter[tuple[str, str]]:
    """What the guests of each host have."""
    total: Counter[tuple[str, str]] = Counter()
    for vm in call.cloud.all(VIRTUAL_MACHINE, None, lambda each: bool(each.status.host_name)):
        if vm.spec.wanted is RunPolicy.RUNNING:
            size = size_of(call.cloud.named(COMPUTE_OFFERING, vm.spec.offering), vm.spec)
            total[vm.status.host_name, "cpus"] += size.cpus
            total[vm.status.host_name, "memory"] += size.memory
    return total
