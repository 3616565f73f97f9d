"""The networking group: networks and ports as users state them, and what agents build of them on hosts."""

from __future__ import annotations

from dataclasses import dataclass, field

from operators.contract import names
from operators.contract.compute import CatalogueStatus
from operators.contract.meta import Condition, Kind, ObjectRef


@dataclass(frozen=True, slots=True)
class NetworkOfferingSpec:
    """A class of network: its kind and the services that its router gives."""

    guest_type: str = "isolated"
    """`isolated` for now; `shared` and `l2` follow."""
    display_name: str = ""
    services: frozenset[str] = frozenset({"dhcp", "dns", "sourceNat"})


@dataclass(frozen=True, slots=True)
class DhcpRange:
    """The part of the CIDR that addresses are chosen from, both ends included."""

    start: str
    end: str


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A network of a tenant. Its offering, CIDR and gateway cannot change."""

    cidr: str
    """For example `10.1.1.0/24`; IPv4, prefix 8 to 29; may not overlap another Network of the namespace."""
    offering: str = "isolated"
    gateway: str = ""
    """The CIDR's first address by default."""
    dhcp_range: DhcpRange | None = None
    dns: tuple[str, ...] = ()
    """Name servers that the router forwards to; the zone's by default."""
    domain: str = ""
    """DNS domain of its guests; `<network>.<namespace>.internal` by default."""
    zone: str = "default"
    restart_request: int = 0
    """Raised by one, its router is made anew, once; compare `status.restartObserved`. Guests stay as they are."""


@dataclass(frozen=True, slots=True)
class NetworkStatus:
    """Written by Networking."""

    observed_generation: int = 0
    phase: str = ""
    segment_id: int = 0
    gateway: str = ""
    source_nat_address: str = ""
    router: str = ""
    router_host: str = ""
    ports: int = 0
    restart_observed: int = 0
    """The newest `spec.restartRequest` that was done."""
    conditions: tuple[Condition, ...] = ()
    """`SourceNAT`, `Ready`."""


@dataclass(frozen=True, slots=True)
class PortSpec:
    """One NIC of a virtual machine on a Network. Made by Orchestration; a user may make one to reserve an address."""

    network: str
    virtual_machine: str = ""
    hostname: str = ""
    """The guest's host name, for DHCP and DNS."""
    ip: str = ""
    mac: str = ""


@dataclass(frozen=True, slots=True)
class PortStatus:
    """Written by Networking."""

    observed_generation: int = 0
    phase: str = ""
    ip: str = ""
    mac: str = ""
    gateway: str = ""
    host_name: str = ""
    """The hypervisor host it is bound to."""
    binding: str = ""
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class HostNetworkSpec:
    """One network's segment on one host. Written by Networking; only the peers change."""

    host_name: str
    network: ObjectRef
    segment_id: int
    bridge: str
    vxlan: str
    local: str
    """This host's address in the underlay."""
    peers: tuple[str, ...] = ()
    """Underlay addresses of the other hosts with this network, sorted."""
    mtu: int = 1450


@dataclass(frozen=True, slots=True)
class HostSideStatus:
    """Written by the network agent of `spec.hostName`."""

    observed_generation: int = 0
    applied: str = ""
    """Digest of the spec that is programmed."""
    conditions: tuple[Condition, ...] = ()
    """`Programmed`, `Released`."""


@dataclass(frozen=True, slots=True)
class PortBindingSpec:
    """A Port on one host: its tap on the network's bridge, and what may pass there. Written by Networking."""

    host_name: str
    port: ObjectRef
    network: ObjectRef
    host_network: str
    bridge: str
    tap: str
    mac: str
    ip: str
    mtu: int = 1450
    gateway: str = ""
    """The network's router, at whose address the guest finds the metadata service too."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """One Port's addresses on a Network. The list in the Router's spec is the network's ledger of addresses."""

    port: ObjectRef
    mac: str
    ip: str
    hostname: str
    default_route: bool = True
    """Whether DHCP tells the guest of a router and of name servers: those of its default NIC's network only."""


@dataclass(frozen=True, slots=True)
class Uplink:
    """How a router reaches the world: its own public address on a bridge of the host."""

    bridge: str
    address: str
    """With prefix length, for example `10.98.0.10/24`."""
    gateway: str


@dataclass(frozen=True, slots=True)
class RouterSpec:
    """A network's gateway, DHCP and DNS, in a network namespace of one host.

    Written by Networking, under the guard of its resourceVersion, since `reservations` is where an address finds its
    one owner.
    """

    host_name: str
    network: ObjectRef
    segment_id: int
    netns: str
    bridge: str
    gateway: str
    """With prefix length."""
    domain: str
    dns: tuple[str, ...] = ()
    uplink: Uplink | None = None
    reservations: tuple[Reservation, ...] = ()
    mtu: int = 1450
    restart_request: int = 0
    """The Network's, when this Router was made: one with a lower one is replaced."""


@dataclass(frozen=True, slots=True)
class ClaimSpec:
    """A value that has one owner in the whole cloud. Created, never changed; the API server lets only one exist."""

    pool: str
    """`segment` or `public-address`."""
    value: str
    owner: ObjectRef = field(default_factory=lambda: ObjectRef("", ""))


NETWORK_OFFERING = Kind(
    names.NETWORKING, "NetworkOffering", "networkofferings", NetworkOfferingSpec, CatalogueStatus, namespaced=False
)
NETWORK = Kind(names.NETWORKING, "Network", "networks", NetworkSpec, NetworkStatus)
PORT = Kind(names.NETWORKING, "Port", "ports", PortSpec, PortStatus)
HOST_NETWORK = Kind(names.NETWORKING, "HostNetwork", "hostnetworks", HostNetworkSpec, HostSideStatus, host_side=True)
PORT_BINDING = Kind(names.NETWORKING, "PortBinding", "portbindings", PortBindingSpec, HostSideStatus, host_side=True)
ROUTER = Kind(names.NETWORKING, "Router", "routers", RouterSpec, HostSideStatus, host_side=True)
CLAIM = Kind(names.NETWORKING, "Claim", "claims", ClaimSpec, CatalogueStatus, namespaced=False)

KINDS: tuple[Kind[object, object], ...] = (NETWORK_OFFERING, NETWORK, PORT, HOST_NETWORK, PORT_BINDING, ROUTER, CLAIM)
