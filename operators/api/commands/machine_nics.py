"""Interfaces that come to a virtual machine and go from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from operators.api import errors
from operators.api.call import Call
from operators.api.changing import change
from operators.api.cloud import VM, Network, Port, name_of
from operators.api.declare import Answer, Started, command, string, uuid
from operators.api.jobs import changed
from operators.api.responses.virtualmachine import VirtualMachineResponse, zone_of
from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.compute import VIRTUAL_MACHINE, Nic
from operators.contract.networking import NETWORK, PORT

MOST = 8
"""Interfaces that a virtual machine can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddNic:
    """Arguments."""

    virtualmachineid: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)
    networkid: Network = uuid("ID of the network", NETWORK, required=True)
    ipaddress: str = string("Address on that network; one is chosen when left out")
    macaddress: str = string("MAC address; one is chosen when left out")


@command(
    "addNicToVirtualMachine",
    "Gives a virtual machine, which may run, an interface on a network.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    asynchronous=True,
    refused="dhcpoptions",
)
async def add_nic(call: Call, args: AddNic) -> Answer:
    """The caller's own `spec.nics`, in which each has its name from now on."""
    network, ip, mac = args.networkid, args.ipaddress, args.macaddress.lower()
    _fits(call, args.virtualmachineid, network)

    def make(now: VM) -> Json:
        has = _interfaces(now)
        if any((mac and nic.mac == mac) or (ip and (nic.network, nic.ip) == (network.meta.name, ip)) for nic in has):
            raise errors.invalid(f"An interface of virtual machine {name_of(now)} has that address already")
        if len(has) >= MOST:
            raise errors.invalid(f"Virtual machine {name_of(now)} has {MOST} interfaces, and can have no more")
        return _listed((*has, Nic(network.meta.name, ip, mac, _free(call, now), default=not has)))

    return Started(changed(await change(call, args.virtualmachineid, make)))


def _fits(call: Call, vm: VM, network: Network) -> None:
    """Refuse a network that the virtual machine cannot reach."""
    if network.meta.namespace != vm.meta.namespace:
        raise errors.denied(f"network {name_of(network)} belongs to another account than the virtual machine")
    zone = zone_of(call, vm)
    if zone is not None and network.spec.zone != zone.meta.name:
        raise errors.invalid(f"network {name_of(network)} is in zone {network.spec.zone}, not {zone.meta.name}")


def _free(call: Call, vm: VM) -> str:
    """A name that no interface has, nor one that is still on its way out."""
    taken = {nic.name for nic in vm.spec.interfaces}
    found = (f"nic{number}" for number in range(2 * MOST + len(taken)))
    free = [name for name in found if name not in taken]
    unused = (
        name for name in free if call.cloud.named(PORT, names.port(vm.meta.name, name), vm.meta.namespace) is None
    )
    return next(unused, free[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class OfNic:
    """Arguments."""

    virtualmachineid: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)
    nicid: Port = uuid("ID of the interface", PORT, required=True)


@command(
    "removeNicFromVirtualMachine",
    "Takes an interface from a virtual machine, which may run. Its addresses are free once the guest has let go of it.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    asynchronous=True,
)
async def remove_nic(call: Call, args: OfNic) -> Answer:
    """The caller's own `spec.nics`."""

    def make(now: VM) -> Json:
        has, nic = _interfaces(now), _own(now, args.nicid)
        if nic.default:
            where = f"virtual machine {name_of(now)} in network {nic.network}"
            raise errors.invalid(f"Unable to remove NIC from {where}, NIC is default.")
        return _listed([each for each in has if each.name != nic.name])

    return Started(changed(await change(call, args.virtualmachineid, make)))


@command(
    "updateDefaultNicForVirtualMachine",
    "Makes an interface the one by which a virtual machine reaches the world; its guest hears of it by DHCP.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    asynchronous=True,
)
async def update_default_nic(call: Call, args: OfNic) -> Answer:
    """The caller's own `spec.nics`."""

    def make(now: VM) -> Json:
        has, nic = _interfaces(now), _own(now, args.nicid)
        if nic.default:
            raise errors.invalid("Unable to set default nic because chosen nic is already the default nic")
        return _listed([replace(each, default=each.name == nic.name) for each in has])

    return Started(changed(await change(call, args.virtualmachineid, make)))


def _interfaces(vm: VM) -> tuple[Nic, ...]:
    if vm.spec.destroyed or vm.meta.deleting:
        raise errors.invalid(f"Virtual machine {name_of(vm)} is destroyed")
    return vm.spec.interfaces


def _own(vm: VM, port: Port) -> Nic:
    """The interface that a Port is of."""
    for nic in vm.spec.interfaces:
        own = any(owner.uid == vm.meta.uid for owner in port.meta.owner_references)
        if own and names.port(vm.meta.name, nic.name) == port.meta.name:
            return nic
    raise errors.invalid(f"The interface {port.meta.uid} is none of virtual machine {name_of(vm)}")


def _listed(nics: Sequence[Nic]) -> Json:
    return {"spec": {"nics": [to_wire(nic) for nic in nics]}}
