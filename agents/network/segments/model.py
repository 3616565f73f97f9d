"""A network's segment on this host: what is wanted and what is there."""

from __future__ import annotations

from dataclasses import dataclass, field

from agents.network.links import Link
from agents.network.metadata.place import Place
from agents.network.rules import Rules
from operators.contract.meta import Key, Obj
from operators.contract.networking import HostNetworkSpec, HostSideStatus

VXLAN_PORT = 4789
FLOOD = "00:00:00:00:00:00"
"""The address of the forwarding entries by which a broadcast, or a frame to a yet unknown guest, goes to every peer."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The HostNetwork."""

    host_network: Obj[HostNetworkSpec, HostSideStatus]

    @property
    def spec(self) -> HostNetworkSpec:
        """What it asks for."""
        return self.host_network.spec

    @property
    def deleting(self) -> bool:
        """Whether it has to be cleared away."""
        return self.host_network.meta.deleting


@dataclass(frozen=True, slots=True)
class Seen:
    """The devices of that name on the host, and the peers that the VXLAN device floods to."""

    bridge: Link | None
    vxlan: Link | None
    peers: frozenset[str]
    metadata: Place = field(default_factory=Place)


@dataclass(frozen=True, slots=True)
class Links:
    """Lines for `ip -batch`, on the host or inside a namespace."""

    lines: tuple[str, ...]
    netns: str = ""


@dataclass(frozen=True, slots=True)
class Peers:
    """Changes of the peers that the VXLAN device floods to."""

    device: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entries:
    """Lines for `bridge fdb`."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MakeNetns:
    """Make the metadata service's namespace."""

    name: str
    leftover: bool


@dataclass(frozen=True, slots=True)
class Serve:
    """Serve metadata in a namespace, to the guests of a HostNetwork."""

    netns: str
    host_network: Key


@dataclass(frozen=True, slots=True)
class Close:
    """Serve no more there."""

    netns: str


Action = Links | Peers | Entries | MakeNetns | Rules | Serve | Close
