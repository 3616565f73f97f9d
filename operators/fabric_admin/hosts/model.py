"""A node and the objects that stand for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from operators.contract.fabric import (
    HostReportSpec,
    HostReportStatus,
    HostSpec,
    HostStatus,
    Overcommit,
    StoragePoolSpec,
    StoragePoolStatus,
)
from operators.contract.meta import Kind, Meta, Obj, ObjectRef, Owner

Host: TypeAlias = Obj[HostSpec, HostStatus]
HostReport: TypeAlias = Obj[HostReportSpec, HostReportStatus]
StoragePool: TypeAlias = Obj[StoragePoolSpec, StoragePoolStatus]


@dataclass(frozen=True, slots=True)
class Node:
    """A Kubernetes node, and where its labels put it."""

    has_agents: bool
    zone: str = "default"
    rack: str = "default"
    group: str = "default"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A host, as its node and its Host state it; either may be missing."""

    name: str
    node: Node | None
    host: Host | None
    pool_path: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is of it."""

    report: HostReport | None = None
    pools: tuple[StoragePool, ...] = ()
    """The StoragePools of this host only."""
    local_pool: bool = False
    """Whether there is a StoragePool of the name that its local one has."""
    zone: bool = True
    rack: bool = True
    group: bool = True
    occupants: tuple[str, ...] = ()
    """Instances and Disks on it, looked for only when it is to go."""


@dataclass(frozen=True, slots=True)
class MakeHost:
    """Make the Host; from then on its spec is the operator's of the cloud."""

    name: str
    node: Node


@dataclass(frozen=True, slots=True)
class MakeReport:
    """Make the HostReport that the agents write into."""

    owner: Owner
    overcommit: Overcommit


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the host's agents the overcommitment that its Host states now."""

    report: HostReport
    overcommit: Overcommit


@dataclass(frozen=True, slots=True)
class MakePool:
    """Make the StoragePool of the host's own folder."""

    owner: Owner
    zone: str
    path: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Put our finalizer on a Host that somebody else made."""

    host: Meta


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete what stands for a Host that goes."""

    kind: Kind[Any, Any]
    ref: ObjectRef


@dataclass(frozen=True, slots=True)
class LetGo:
    """Take our finalizer off the Host."""

    host: Meta


Action: TypeAlias = MakeHost | MakeReport | Tell | MakePool | Hold | Remove | LetGo
