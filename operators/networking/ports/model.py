"""A Port and everything that bears on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from operators.contract.instances import InstanceSpec, InstanceStatus
from operators.contract.meta import Condition, Obj
from operators.contract.networking import (
    HostSideStatus,
    NetworkSpec,
    NetworkStatus,
    PortBindingSpec,
    PortSpec,
    PortStatus,
    RouterSpec,
)

PortObj: TypeAlias = Obj[PortSpec, PortStatus]
NetworkObj: TypeAlias = Obj[NetworkSpec, NetworkStatus]
RouterObj: TypeAlias = Obj[RouterSpec, HostSideStatus]
BindingObj: TypeAlias = Obj[PortBindingSpec, HostSideStatus]
InstanceObj: TypeAlias = Obj[InstanceSpec, InstanceStatus]


@dataclass(frozen=True, slots=True)
class Seen:
    """All of it from the cache."""

    network: NetworkObj | None = None
    router: RouterObj | None = None
    instances: tuple[InstanceObj, ...] = ()
    """Those that use the Port: that list it, or whose guest has yet to let go of it."""
    in_use: bool = False
    """Whether a guest may have its addresses."""
    bindings: tuple[BindingObj, ...] = ()
    """Of this very Port."""
    foreign: tuple[str, ...] = ()
    """PortBindings in the way that an earlier Port of the same name left."""
    segments: Mapping[str, Condition | None] = field(default_factory=dict)
    """Of each host of the Instances: what the network's HostNetwork there says of itself."""
    silent: frozenset[str] = frozenset()
    """Those of the hosts whose network agent never reported."""


@dataclass(frozen=True, slots=True)
class Protect:
    """Put our finalizer on the Port."""

    port: PortObj

    def __str__(self) -> str:
        return f"Protect({self.port.key})"


@dataclass(frozen=True, slots=True)
class Unprotect:
    """Take our finalizer off the Port."""

    port: PortObj

    def __str__(self) -> str:
        return f"Unprotect({self.port.key})"


@dataclass(frozen=True, slots=True)
class Bind:
    """Have the Port made on a host."""

    port: PortObj
    spec: PortBindingSpec

    def __str__(self) -> str:
        return f"Bind({self.port.key} to {self.spec.host_name})"


@dataclass(frozen=True, slots=True)
class Unbind:
    """Have the Port taken off a host."""

    binding: BindingObj

    def __str__(self) -> str:
        return f"Unbind({self.binding.key})"


Action: TypeAlias = Protect | Unprotect | Bind | Unbind
"""What may be done for a Port. Its addresses are no action of its own: the network's run reserves them."""
