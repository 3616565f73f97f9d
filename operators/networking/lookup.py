"""Questions to the cache that both controllers ask, and the indexes that answer them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from operators.contract.fabric import HOST, HOST_REPORT
from operators.contract.instances import INSTANCE, InstanceSpec, InstanceStatus
from operators.contract.meta import Key, Obj, holds
from operators.contract.networking import (
    CLAIM,
    HOST_NETWORK,
    NETWORK,
    PORT,
    PORT_BINDING,
    ROUTER,
    HostSideStatus,
    PortBindingSpec,
    RouterSpec,
)
from operators.contract.reasons import Type
from operators.kernel.cache import AnyKind, AnyObj, Cache
from operators.networking.networks.model import HostSeen, NetworkObj, PortObj

BY_NETWORK = "network"
"""Ports, PortBindings, HostNetworks and Routers: `namespace/network`."""
BY_PORT = "port"
"""Instances: `namespace/port` of each NIC that they list, or that their guest has yet to let go of."""
BY_VM = "vm"
"""Instances: the uid of their VirtualMachine."""
BY_HOST = "host"
"""Routers, HostNetworks and Instances: `spec.hostName`."""
BY_OWNER = "claimant"
"""Claims: the uid of their Network, and its `namespace/name`."""
BY_NAMESPACE = "namespace"
"""Networks."""

InstanceObj = Obj[InstanceSpec, InstanceStatus]
BindingObj = Obj[PortBindingSpec, HostSideStatus]
RouterObj = Obj[RouterSpec, HostSideStatus]


def indexes(cache: Cache) -> None:
    """Have the cache keep the indexes."""
    cache.index(PORT, BY_NETWORK, lambda port: (f"{port.meta.namespace}/{port.spec.network}",))
    resolved: tuple[AnyKind, ...] = (PORT_BINDING, HOST_NETWORK, ROUTER)
    for kind in resolved:
        cache.index(kind, BY_NETWORK, lambda obj: (f"{obj.meta.namespace}/{obj.spec.network.name}",))
    cache.index(INSTANCE, BY_PORT, lambda vm: {str(key) for key in ports_of(vm)})
    cache.index(INSTANCE, BY_VM, lambda vm: (vm.spec.virtual_machine.uid,))
    placed: tuple[AnyKind, ...] = (ROUTER, HOST_NETWORK, INSTANCE, HOST_REPORT)
    for kind in placed:
        cache.index(kind, BY_HOST, lambda obj: (obj.spec.host_name,))
    cache.index(CLAIM, BY_OWNER, _claimants)
    cache.index(NETWORK, BY_NAMESPACE, lambda network: (network.meta.namespace,))


def network_of(port: PortObj) -> Key:
    """The Network that a Port is on."""
    return Key(port.meta.namespace, port.spec.network)


def ports_of(instance: InstanceObj) -> frozenset[Key]:
    """The Ports that an Instance lists, or whose devices its guest has yet to let go of."""
    return frozenset(Key(instance.meta.namespace, port) for port in instance.spec.ports | instance.status.ports)


def instances(cache: Cache, port: PortObj) -> tuple[InstanceObj, ...]:
    """The Instances that use a Port; one of an earlier VirtualMachine of the same name does not count.

    One that no longer lists it uses it until its agent, which may have plugged it in meanwhile, has said that the guest
    has let go: an address must not have two owners."""
    machines = _machines(port)
    listing = [
        each
        for each in cache.by(INSTANCE, BY_PORT, str(port.key))
        if not machines or each.spec.virtual_machine.uid in machines
    ]
    bound = {each.spec.host_name for each in bindings(cache, port)} - {each.spec.host_name for each in listing}
    unheard = [
        each
        for uid in (machines if bound else ())
        for each in cache.by(INSTANCE, BY_VM, uid)
        if each.spec.host_name in bound and each.status.observed_generation < each.meta.generation
    ]
    return (*listing, *unheard)


def in_use(cache: Cache, port: PortObj) -> bool:
    """Whether a guest may have a Port's addresses.

    Of a Port that is being deleted nothing new is bound, so an Instance that only lists it cannot have it."""
    users = instances(cache, port)
    if bindings(cache, port) or not port.meta.deleting:
        return bool(users or bindings(cache, port))
    return any(port.meta.name in each.status.ports for each in users)


def lists_default(cache: Cache, port: PortObj) -> bool:
    """Whether a Port is its guest's default NIC, as its Instance says; one that no Instance lists is for itself."""
    said = [
        nic.default_route for each in instances(cache, port) for nic in each.spec.nics if nic.port == port.meta.name
    ]
    return all(said)


def _machines(port: PortObj) -> set[str]:
    return {owner.uid for owner in port.meta.owner_references if owner.kind == "VirtualMachine"}


def of_machine(cache: Cache, instance: InstanceObj) -> Iterator[Key]:
    """The Ports of an Instance's VirtualMachine: those that it lists, and those that it may have listed before."""
    yield from ports_of(instance) | {port.key for port in cache.owned(PORT, instance.spec.virtual_machine.uid)}


def bindings(cache: Cache, port: PortObj) -> tuple[BindingObj, ...]:
    """The PortBindings of this very Port."""
    return cache.owned(PORT_BINDING, port.meta.uid)


def router(cache: Cache, network: NetworkObj) -> RouterObj | None:
    """The Router of this very Network."""
    return next(iter(cache.owned(ROUTER, network.meta.uid)), None)


def hosts(cache: Cache) -> Iterator[HostSeen]:
    """Every host, as its Host and its network agent's report tell."""
    reports = {report.spec.host_name: report.status.network for report in cache.all(HOST_REPORT)}
    for host in cache.all(HOST):
        report = reports.get(host.meta.name)
        yield HostSeen(
            name=host.meta.name,
            zone=host.spec.zone,
            reachable=holds(host.status.conditions, Type.REACHABLE),
            leaving=host.meta.deleting,
            underlay=report.underlay_address if report else "",
            bridges=frozenset(report.bridges if report else ()),
            routers=len(cache.by(ROUTER, BY_HOST, host.meta.name)),
        )


def of_this(objs: Iterable[AnyObj], network: NetworkObj) -> tuple[list[AnyObj], list[AnyObj]]:
    """Objects of this very Network, and those that an earlier one of the same name left."""
    mine: list[AnyObj] = []
    foreign: list[AnyObj] = []
    for obj in objs:
        (mine if obj.spec.network.uid == network.meta.uid else foreign).append(obj)
    return mine, foreign


def _claimants(claim: AnyObj) -> Iterable[str]:
    owner = claim.spec.owner
    return (owner.uid, f"{owner.namespace}/{owner.name}")
