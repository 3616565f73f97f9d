"""Zones, Racks, HostGroups, Hosts and StoragePools as CloudStack's zones, pods, clusters, hosts and pools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from operators.api.call import Call
from operators.api.cloud import Host, HostGroup, Pool, Rack, Zone, name_of
from operators.api.wire import Date, Long, date
from operators.contract.fabric import HOST_GROUP, HOST_REPORT, RACK, ZONE, HostState
from operators.contract.meta import holds
from operators.contract.reasons import Type

UP, DOWN = "Up", "Down"


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneResponse:
    """A zone."""

    id: str
    name: str
    dns1: str | None
    dns2: str | None
    internaldns1: str | None
    internaldns2: str | None
    networktype: str = "Advanced"
    securitygroupsenabled: bool = False
    allocationstate: str
    dhcpprovider: str = "VirtualRouter"
    localstorageenabled: bool = True
    type: str = "Core"
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PodResponse:
    """A pod."""

    id: str
    name: str
    zoneid: str | None
    zonename: str
    allocationstate: str = "Enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterResponse:
    """A cluster."""

    id: str
    name: str
    podid: str | None
    podname: str
    zoneid: str | None
    zonename: str
    hypervisortype: str
    clustertype: str = "CloudManaged"
    managedstate: str = "Managed"
    allocationstate: str = "Enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostResponse:
    """A hypervisor host."""

    id: str
    name: str
    type: str = "Routing"
    state: str
    resourcestate: str
    ipaddress: str | None
    zoneid: str | None
    zonename: str
    podid: str | None
    podname: str
    clusterid: str | None
    clustername: str
    hypervisor: str
    hypervisorversion: str | None
    cpunumber: int | None
    memorytotal: Long | None
    hosttags: str | None
    created: Date | None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoragePoolResponse:
    """A place for disks."""

    id: str
    name: str
    zoneid: str | None
    zonename: str
    scope: str
    type: str
    path: str
    ipaddress: str | None
    state: str
    disksizetotal: Long | None
    disksizeused: Long | None
    tags: str | None
    created: Date | None
    hypervisor: str = "KVM"


def zone(obj: Zone) -> ZoneResponse:
    """The response of one zone."""
    dns = (*obj.spec.dns, None, None)
    return ZoneResponse(
        id=obj.meta.uid,
        name=name_of(obj),
        dns1=dns[0],
        dns2=dns[1],
        internaldns1=dns[0],
        internaldns2=dns[1],
        allocationstate="Enabled" if obj.spec.enabled else "Disabled",
    )


def pod(call: Call, obj: Rack) -> PodResponse:
    """The response of one Rack."""
    zone_ = call.cloud.named(ZONE, obj.spec.zone)
    return PodResponse(
        id=obj.meta.uid, name=name_of(obj), zoneid=zone_.meta.uid if zone_ else None, zonename=obj.spec.zone
    )


def cluster(call: Call, obj: HostGroup) -> ClusterResponse:
    """The response of one HostGroup."""
    zone_, rack = call.cloud.named(ZONE, obj.spec.zone), call.cloud.named(RACK, obj.spec.rack)
    return ClusterResponse(
        id=obj.meta.uid,
        name=name_of(obj),
        podid=rack.meta.uid if rack else None,
        podname=obj.spec.rack,
        zoneid=zone_.meta.uid if zone_ else None,
        zonename=obj.spec.zone,
        hypervisortype=obj.spec.hypervisor,
    )


def host(call: Call, obj: Host) -> HostResponse:
    """The response of one host."""
    cloud, spec = call.cloud, obj.spec
    zone_, rack, group = cloud.named(ZONE, spec.zone), cloud.named(RACK, spec.rack), cloud.named(HOST_GROUP, spec.group)
    report = cloud.named(HOST_REPORT, obj.meta.name)
    told = report.status.hypervisor if report else None
    return HostResponse(
        id=obj.meta.uid,
        name=name_of(obj),
        state=state_of(obj),
        resourcestate=resource_state(obj),
        ipaddress=obj.status.address or None,
        zoneid=zone_.meta.uid if zone_ else None,
        zonename=spec.zone,
        podid=rack.meta.uid if rack else None,
        podname=spec.rack,
        clusterid=group.meta.uid if group else None,
        clustername=spec.group,
        hypervisor=group.spec.hypervisor if group else "KVM",
        hypervisorversion=told.qemu or None if told else None,
        cpunumber=told.cpus if told else None,
        memorytotal=Long(int(told.memory)) if told else None,
        hosttags=",".join(sorted(spec.tags)) or None,
        created=date(obj.meta.creation_timestamp),
    )


def state_of(obj: Host) -> str:
    """Whether its heartbeats come; CloudStack says Alert of one that nobody heard of for a while."""
    if holds(obj.status.conditions, Type.REACHABLE):
        return UP
    return "Alert" if obj.status.state == HostState.SUSPECT else DOWN


def resource_state(obj: Host) -> str:
    """Whether new virtual machines may go there."""
    if obj.spec.maintenance:
        return "Maintenance"
    return "Enabled" if obj.spec.schedulable else "Disabled"


def storage_pool(call: Call, obj: Pool) -> StoragePoolResponse:
    """The response of one pool."""
    zone_, size, free = call.cloud.named(ZONE, obj.spec.zone), obj.status.capacity, obj.status.free
    return StoragePoolResponse(
        id=obj.meta.uid,
        name=name_of(obj),
        zoneid=zone_.meta.uid if zone_ else None,
        zonename=obj.spec.zone,
        scope=scope_of(obj),
        type="Filesystem" if obj.spec.host_name else "SharedMountPoint",
        path=obj.spec.path,
        ipaddress=obj.spec.host_name or None,
        state=pool_state(obj),
        disksizetotal=Long(int(size)) if size is not None else None,
        disksizeused=Long(int(size) - int(free)) if size is not None and free is not None else None,
        tags=",".join(sorted(obj.spec.tags)) or None,
        created=date(obj.meta.creation_timestamp),
    )


def scope_of(obj: Pool) -> str:
    """Who reaches it."""
    return "HOST" if obj.spec.host_name else "ZONE"


def pool_state(obj: Pool) -> str:
    """Whether it can be used."""
    if obj.spec.maintenance:
        return "Maintenance"
    if not obj.spec.schedulable:
        return "Disabled"
    return UP if holds(obj.status.conditions, Type.READY) else DOWN
