"""A VirtualMachine as CloudStack's `virtualmachine`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network

from operators.api.call import Call
from operators.api.cloud import VM, Image, InstanceGroup, Network, Port, Zone, name_of
from operators.api.responses.owned import OwnedResponse, whose
from operators.api.sizes import size_of
from operators.api.tags import TagResponse, tag_responses
from operators.api.wire import Date, Long, Prepared, date
from operators.contract import names
from operators.contract.compute import COMPUTE_OFFERING, RunPolicy
from operators.contract.fabric import HOST, ZONE
from operators.contract.identity import ACCOUNT, DOMAIN, PROJECT
from operators.contract.instancegroups import INSTANCE_GROUP
from operators.contract.meta import condition
from operators.contract.networking import NETWORK, PORT
from operators.contract.placement import AFFINITY_GROUP
from operators.contract.reasons import Reason, Type
from operators.contract.storage import IMAGE, VOLUME

HYPERVISOR = "KVM"
MIB = 2**20
NOBODY_KNOWS = frozenset({Reason.HOST_DOWN, Reason.AGENT_SILENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class NicResponse:
    """One network interface."""

    id: str
    networkid: str | None
    networkname: str
    netmask: str | None
    gateway: str | None
    ipaddress: str | None
    macaddress: str | None
    traffictype: str = "Guest"
    type: str = "Isolated"
    isdefault: bool
    deviceid: str
    virtualmachineid: str
    broadcasturi: str | None = None
    isolationuri: str | None = None
    secondaryip: tuple[str, ...] = ()
    extradhcpoption: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupResponse:
    """An affinity group, as its members tell of it."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualMachineResponse(OwnedResponse):
    """A virtual machine."""

    id: str
    name: str
    displayname: str
    created: Date | None
    state: str
    haenable: bool
    zoneid: str | None
    zonename: str | None
    hostid: str | None
    hostname: str | None
    templateid: str | None
    templatename: str | None
    templatedisplaytext: str | None
    templateformat: str | None
    isoid: str | None
    isoname: str | None
    isodisplaytext: str | None
    passwordenabled: bool = False
    serviceofferingid: str | None
    serviceofferingname: str
    cpunumber: int | None
    memory: int | None
    rootdeviceid: Long = Long(0)
    rootdevicetype: str = "ROOT"
    securitygroup: tuple[str, ...] = ()
    nic: tuple[NicResponse, ...]
    hypervisor: str = HYPERVISOR
    ipaddress: str | None
    instancename: str | None
    details: Mapping[str, str] = field(default_factory=dict)
    affinitygroup: tuple[GroupResponse, ...] = ()
    group: str | None
    groupid: str | None
    keypairs: str | None
    displayvm: bool = True
    isdynamicallyscalable: bool = False
    deleteprotection: bool
    tags: tuple[TagResponse, ...] = ()


CATALOGUE = (
    *(COMPUTE_OFFERING, IMAGE, ZONE, HOST, NETWORK, AFFINITY_GROUP, INSTANCE_GROUP),
    *(ACCOUNT, PROJECT, DOMAIN),
)
"""What a response names beside what is the virtual machine's own. It changes seldom."""


def written(call: Call, vm: VM) -> Prepared:
    """The response as lists have it, which is not made again while it would say the same."""
    cloud = call.cloud
    ports = (cloud.named(PORT, names.port(vm.meta.name, nic.name), vm.meta.namespace) for nic in vm.spec.interfaces)
    own = (
        vm.meta.resource_version,
        *(port.meta.resource_version if port else "" for port in ports),
        *(flow.meta.resource_version for flow in cloud.flows_of(vm)),
        bool(vm.spec.cdrom) and cloud.named(VOLUME, vm.spec.cdrom, vm.meta.namespace) is not None,
        cloud.migration_of(vm) is not None and state_of(call, vm),
    )
    rests_on = (cloud.stamp(CATALOGUE), own)
    return cloud.kept.response((vm.meta.uid, call.caller.root), rests_on, lambda: virtual_machine(call, vm))


def virtual_machine(call: Call, vm: VM) -> VirtualMachineResponse:
    """The response of one virtual machine; where it runs is only for the root admin to see."""
    cloud, meta, spec = call.cloud, vm.meta, vm.spec
    offering = cloud.named(COMPUTE_OFFERING, spec.offering)
    image = cloud.image(spec.image, meta.namespace) if spec.image else None
    cd = _cd(call, vm)
    host = cloud.named(HOST, vm.status.host_name) if call.caller.root and vm.status.host_name else None
    zone, nics, size = zone_of(call, vm), nics_of(call, vm), size_of(offering, spec)
    custom, group = offering is not None and offering.spec.custom is not None, group_of(call, vm)
    return VirtualMachineResponse(
        id=meta.uid,
        name=name_of(vm),
        displayname=meta.annotations.get(names.ANNOTATION_DISPLAY_NAME) or name_of(vm),
        **whose(call, meta.namespace),
        created=date(meta.creation_timestamp),
        state=state_of(call, vm),
        haenable=spec.ha_enabled,
        zoneid=zone.meta.uid if zone else None,
        zonename=zone.meta.name if zone else None,
        hostid=host.meta.uid if host else None,
        hostname=host.meta.name if host else None,
        templateid=image.meta.uid if image else None,
        templatename=image.meta.name if image else None,
        templatedisplaytext=(image.spec.display_name or image.meta.name) if image else None,
        isoid=cd.meta.uid if cd else None,
        isoname=cd.meta.name if cd else None,
        isodisplaytext=(cd.spec.display_name or cd.meta.name) if cd else None,
        templateformat=image.spec.format.upper() if image else None,
        serviceofferingid=offering.meta.uid if offering else None,
        serviceofferingname=(offering.spec.display_name or offering.meta.name) if offering else spec.offering,
        cpunumber=size.cpus if offering else None,
        memory=size.memory if offering else None,
        nic=nics,
        ipaddress=next((nic.ipaddress for nic in nics if nic.isdefault), None),
        instancename=names.domain(meta.namespace, meta.name, meta.uid) if call.caller.root else None,
        details={"cpuNumber": str(size.cpus), "memory": str(size.memory)} if custom else {},
        affinitygroup=_groups(call, vm),
        group=name_of(group) if group else None,
        groupid=group.meta.uid if group else None,
        keypairs=",".join(spec.ssh_key_pairs) or None,
        deleteprotection=spec.delete_protection,
        tags=tag_responses(meta),
    )


def _cd(call: Call, vm: VM) -> Image | None:
    """What is in its CD drive, where that is of an Image."""
    volume = call.cloud.named(VOLUME, vm.spec.cdrom, vm.meta.namespace) if vm.spec.cdrom else None
    return (
        call.cloud.image(volume.spec.source.image, vm.meta.namespace) if volume and volume.spec.source.image else None
    )


def group_of(call: Call, vm: VM) -> InstanceGroup | None:
    """The InstanceGroup that it is in."""
    name = vm.meta.labels.get(names.LABEL_GROUP, "")
    return call.cloud.named(INSTANCE_GROUP, name, vm.meta.namespace) if name else None


def _groups(call: Call, vm: VM) -> tuple[GroupResponse, ...]:
    found = (call.cloud.named(AFFINITY_GROUP, name, vm.meta.namespace) for name in vm.spec.affinity_groups)
    return tuple(GroupResponse(id=each.meta.uid, name=name_of(each)) for each in found if each is not None)


def state_of(call: Call, vm: VM) -> str:
    """CloudStack's word for how it is, from the conditions and never from the phase."""
    if vm.meta.deleting:
        return "Expunging"
    if call.cloud.given_up(vm):
        return "Error"
    runs = vm.spec.wanted is RunPolicy.RUNNING
    ready = condition(vm.status.conditions, Type.READY)
    if ready is None or ready.observed_generation < vm.meta.generation:
        return "Starting" if runs else "Stopping" if vm.status.instance else "Stopped"
    if ready.true:
        if runs:
            move = call.cloud.migration_of(vm)
            return "Migrating" if move is not None and move.status.target_host else "Running"
        return "Destroyed" if vm.spec.destroyed else "Stopped"
    if ready.reason in NOBODY_KNOWS:
        return "Unknown"
    return "Starting" if runs else "Stopping"


def zone_of(call: Call, vm: VM) -> Zone | None:
    """Where it is; before a host is chosen, where it was asked to be."""
    host = call.cloud.named(HOST, vm.status.host_name) if vm.status.host_name else None
    networks = (call.cloud.named(NETWORK, nic.network, vm.meta.namespace) for nic in vm.spec.nics)
    name = host.spec.zone if host else vm.spec.placement.zone or next((net.spec.zone for net in networks if net), "")
    return call.cloud.zone(name)


def nics_of(call: Call, vm: VM) -> tuple[NicResponse, ...]:
    """Its interfaces, as far as their Ports exist."""
    out = []
    for index, nic in enumerate(vm.spec.interfaces):
        port = call.cloud.named(PORT, names.port(vm.meta.name, nic.name), vm.meta.namespace)
        if port is not None and any(owner.uid == vm.meta.uid for owner in port.meta.owner_references):
            network = call.cloud.named(NETWORK, nic.network, vm.meta.namespace)
            out.append(_nic(index, nic.default, port, network, vm, root=call.caller.root))
    return tuple(out)


@lru_cache(4096)
def netmask(cidr: str) -> str:
    """That of a network: `255.255.255.0`."""
    return str(IPv4Network(cidr, strict=False).netmask)


def _nic(index: int, default: bool, port: Port, network: Network | None, vm: VM, *, root: bool) -> NicResponse:
    segment = f"vxlan://{network.status.segment_id}" if root and network and network.status.segment_id else None
    return NicResponse(
        id=port.meta.uid,
        networkid=network.meta.uid if network else None,
        networkname=name_of(network) if network else port.spec.network,
        netmask=netmask(network.spec.cidr) if network else None,
        gateway=port.status.gateway or None,
        ipaddress=port.status.ip or port.spec.ip or None,
        macaddress=port.status.mac or port.spec.mac or None,
        isdefault=default,
        deviceid=str(index),
        virtualmachineid=vm.meta.uid,
        broadcasturi=segment,
        isolationuri=segment,
    )
