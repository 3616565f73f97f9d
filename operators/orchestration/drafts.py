"""What Orchestration makes for a VirtualMachine. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from operators.contract import names
from operators.contract.meta import Key, Kind, Owner
from operators.contract.networking import PORT, PortSpec
from operators.contract.storage import VOLUME, VolumeSource, VolumeSpec
from operators.orchestration.record import VM

DEFAULT_DISK_OFFERING = VolumeSpec().disk_offering


@dataclass(frozen=True, slots=True)
class Draft:
    """An object to be made for a VirtualMachine."""

    kind: Kind[Any, Any]
    key: Key
    spec: object
    owner: Owner
    flow: str
    finalizer: str

    def __str__(self) -> str:
        return f"{self.kind.kind}/{self.key.name}"


def drafts(vm: VM, flow: str) -> tuple[Draft, ...]:
    """Everything to be made for a VirtualMachine: a Port per NIC, and the root Volume when it starts from an image."""
    ports = tuple(
        Draft(
            PORT,
            Key(vm.meta.namespace, names.port(vm.meta.name, nic.name)),
            PortSpec(nic.network, vm.meta.name, vm.spec.hostname or vm.meta.name, nic.ip, nic.mac),
            vm.owner,
            flow,
            names.finalizer("networking"),
        )
        for nic in vm.spec.interfaces
    )
    if not vm.spec.image:
        return ports
    root = VolumeSpec(
        size=vm.spec.root_disk_size,
        disk_offering=vm.spec.root_disk_offering or DEFAULT_DISK_OFFERING,
        source=VolumeSource(image=vm.spec.image),
    )
    key = Key(vm.meta.namespace, vm.spec.root_of(vm.meta.name))
    return (*ports, Draft(VOLUME, key, root, vm.owner, flow, names.finalizer("storage")))
