"""Capacity and topology, from what the watches told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from operators.contract.codec import Json, to_wire
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE
from operators.contract.fabric import HOST, HOST_GROUP, HOST_REPORT, RACK, STORAGE_POOL, ZONE
from operators.contract.meta import Key, Kind, Obj, holds
from operators.contract.networking import NETWORK
from operators.contract.reasons import Type
from operators.contract.storage import VOLUME
from operators.data.rest.declare import Endpoint, Values
from operators.kernel.cache import Cache


@dataclass(slots=True)
class Zone:
    """What a zone has, and what was given out of it; memory and storage in bytes."""

    hosts: int = 0
    virtual_machines: int = 0
    cpus: int = 0
    cpus_given: int = 0
    memory: int = 0
    memory_given: int = 0
    storage: int = 0
    storage_used: int = 0
    storage_given: int = 0


class Fabric:
    """The endpoints over one cache."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def endpoints(self) -> tuple[Endpoint, ...]:
        """All of them."""
        return (
            Endpoint("/data/v1/capacity", "What hosts and pools have, and what was given out of it", self.capacity),
            Endpoint("/data/v1/topology", "Zones with their racks, groups and hosts", self.topology),
        )

    async def capacity(self, _: Values) -> Json:
        """By zone."""
        zones = {zone.meta.name: Zone() for zone in self._cache.all(ZONE)}
        self._had(zones)
        self._given(zones)
        return {"zones": {name: {key: value or 0 for key, value in _wire(zone)} for name, zone in zones.items()}}

    def _had(self, zones: dict[str, Zone]) -> None:
        for host in self._cache.all(HOST):
            report = self._cache.get(HOST_REPORT, host.key)
            if report is not None and report.status.hypervisor is not None:
                at = zones.setdefault(host.spec.zone, Zone())
                at.hosts += 1
                at.cpus += report.status.hypervisor.cpus
                at.memory += int(report.status.hypervisor.memory)
        for pool in self._cache.all(STORAGE_POOL):
            at = zones.setdefault(pool.spec.zone, Zone())
            size, free = pool.status.capacity, pool.status.free
            if size is not None:
                at.storage += int(size)
                at.storage_used += int(size) - int(free if free is not None else size)

    def _given(self, zones: dict[str, Zone]) -> None:
        for vm in self._cache.all(VIRTUAL_MACHINE):
            offering = self._cache.get(COMPUTE_OFFERING, Key("", vm.spec.offering))
            host = self._cache.get(HOST, Key("", vm.status.host_name)) if vm.status.host_name else None
            if offering is not None and host is not None:
                at = zones.setdefault(host.spec.zone, Zone())
                at.virtual_machines += 1
                at.cpus_given += offering.spec.cpus
                at.memory_given += int(offering.spec.memory)
        for volume in self._cache.all(VOLUME):
            pool = self._cache.get(STORAGE_POOL, Key("", volume.status.pool)) if volume.status.pool else None
            if pool is not None:
                zones.setdefault(pool.spec.zone, Zone()).storage_given += int(
                    volume.status.size or volume.spec.size or 0
                )

    async def topology(self, _: Values) -> Json:
        """The tree of the fabric."""
        guests: dict[str, int] = {}
        for vm in self._cache.all(VIRTUAL_MACHINE):
            guests[vm.status.host_name] = guests.get(vm.status.host_name, 0) + 1
        return {"zones": [self._zone(zone, guests) for zone in self._beneath(ZONE)]}

    def _zone(self, zone: Obj[Any, Any], guests: dict[str, int]) -> Json:
        name = zone.meta.name
        return {
            "name": name,
            "racks": [self._rack(rack, name, guests) for rack in self._beneath(RACK, zone=name)],
            "pools": [pool.meta.name for pool in self._beneath(STORAGE_POOL, zone=name)],
            "networks": len(self._beneath(NETWORK, zone=name)),
        }

    def _rack(self, rack: Obj[Any, Any], zone: str, guests: dict[str, int]) -> Json:
        groups = []
        for group in self._beneath(HOST_GROUP, zone=zone, rack=rack.meta.name):
            hosts = self._beneath(HOST, zone=zone, rack=rack.meta.name, group=group.meta.name)
            groups.append({"name": group.meta.name, "hosts": [_host(host, guests) for host in hosts]})
        return {"name": rack.meta.name, "groups": groups}

    def _beneath(self, kind: Kind[Any, Any], **where: str) -> list[Obj[Any, Any]]:
        every = sorted(self._cache.all(kind), key=lambda obj: (obj.meta.namespace, obj.meta.name))
        return [obj for obj in every if all(getattr(obj.spec, name) == value for name, value in where.items())]


def _host(host: Obj[Any, Any], guests: dict[str, int]) -> Json:
    up = holds(host.status.conditions, Type.REACHABLE)
    return {"name": host.meta.name, "reachable": up, "virtualMachines": guests.get(host.meta.name, 0)}


def _wire(zone: Zone) -> list[tuple[str, int]]:
    return list(to_wire(zone).items())
