"""A Network and everything that bears on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from operators.contract.codec import Json
from operators.contract.fabric import IPRangeSpec, ZoneSpec
from operators.contract.meta import Key, Obj, ObjectRef
from operators.contract.networking import (
    HostNetworkSpec,
    HostSideStatus,
    NetworkOfferingSpec,
    NetworkSpec,
    NetworkStatus,
    PortSpec,
    PortStatus,
    RouterSpec,
)

NetworkObj: TypeAlias = Obj[NetworkSpec, NetworkStatus]
PortObj: TypeAlias = Obj[PortSpec, PortStatus]
RouterObj: TypeAlias = Obj[RouterSpec, HostSideStatus]
HostNetworkObj: TypeAlias = Obj[HostNetworkSpec, HostSideStatus]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The Network; None once it is gone, when only its Claims are left to give back."""

    key: Key
    network: NetworkObj | None


@dataclass(frozen=True, slots=True)
class HostSeen:
    """A host, as its Host and HostReport tell."""

    name: str
    zone: str
    reachable: bool
    leaving: bool
    """Whether somebody deleted the Host."""
    underlay: str
    """Empty until its network agent has reported."""
    bridges: frozenset[str]
    routers: int


@dataclass(frozen=True, slots=True)
class Rival:
    """Another Network of the namespace whose CIDR overlaps."""

    name: str
    cidr: str
    settled: bool
    """Whether it has its segment already."""
    created: str
    uid: str


@dataclass(frozen=True, slots=True)
class ClaimSeen:
    """A Claim that this Network owns, or of one that is gone."""

    name: str
    uid: str
    pool: str
    value: str


@dataclass(frozen=True, slots=True)
class Seen:
    """All of it from the cache."""

    offering: NetworkOfferingSpec | None = None
    zone: ZoneSpec | None = None
    rivals: tuple[Rival, ...] = ()
    claims: tuple[ClaimSeen, ...] = ()
    orphans: tuple[ClaimSeen, ...] = ()
    """Claims of an earlier Network of the same name, which went without giving them back."""
    taken: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Claimed values by pool."""
    ranges: tuple[IPRangeSpec, ...] = ()
    """Of its zone."""
    hosts: Mapping[str, HostSeen] = field(default_factory=dict)
    router: RouterObj | None = None
    host_networks: tuple[HostNetworkObj, ...] = ()
    foreign: tuple[str, ...] = ()
    """Objects in the way that an earlier Network of the same name left."""
    ports: tuple[PortObj, ...] = ()
    bound: frozenset[str] = frozenset()
    """Uids of the Ports that an Instance lists or that have a PortBinding."""
    side: frozenset[str] = frozenset()
    """Uids of the Ports of NICs that are not their guest's default one."""
    lost: frozenset[str] = frozenset()
    """Uids in the ledger whose Port is certainly gone."""
    at: frozenset[str] = frozenset()
    """Hosts with an Instance or PortBinding on the network."""


@dataclass(frozen=True, slots=True)
class Protect:
    """Put our finalizer on the Network."""

    network: NetworkObj

    def __str__(self) -> str:
        return f"Protect({self.network.key})"


@dataclass(frozen=True, slots=True)
class Unprotect:
    """Take our finalizer off the Network."""

    network: NetworkObj

    def __str__(self) -> str:
        return f"Unprotect({self.network.key})"


@dataclass(frozen=True, slots=True)
class TakeOne:
    """Claim the first of several values that is still free."""

    pool: str
    values: tuple[str, ...]
    owner: ObjectRef

    def __str__(self) -> str:
        return f"TakeOne({self.pool}, from {self.values[0]} on)"


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Delete a Claim, once its Network is certainly gone or going."""

    claim: ClaimSeen
    network: Key


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object; what somebody else created first is not changed."""

    kind: str
    body: Json

    def __str__(self) -> str:
        return f"Create({self.kind} {self.body['metadata']['name']})"


@dataclass(frozen=True, slots=True)
class Apply:
    """Apply an object, guarded by what the body names of uid and resourceVersion; without a uid it is made."""

    kind: str
    body: Json

    def __str__(self) -> str:
        return f"Apply({self.kind} {self.body['metadata']['name']})"


@dataclass(frozen=True, slots=True)
class Delete:
    """Ask for the deletion of a host-side object."""

    obj: Obj[Any, Any]

    def __str__(self) -> str:
        return f"Delete({self.obj.kind.kind} {self.obj.key})"


Action: TypeAlias = Protect | Unprotect | TakeOne | GiveBack | Create | Apply | Delete
