"""The fabric group: what an operator of the cloud owns and arranges, and what its hosts report."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from operators.contract import names
from operators.contract.compute import CatalogueStatus
from operators.contract.formats import FormatReport
from operators.contract.meta import Condition, Kind
from operators.contract.quantity import Quantity

NOTHING = Quantity(0)


class Scheduling(StrEnum):
    """How the hosts of a zone are filled."""

    SPREAD = "Spread"
    PACK = "Pack"


@dataclass(frozen=True, slots=True)
class ZoneSpec:
    """A data centre: the largest failure domain."""

    dns: tuple[str, ...] = ()
    """Name servers for guests; without any, a router resolves only its own network's names."""
    enabled: bool = True
    scheduling: Scheduling | None = None
    """How its hosts are filled; as the cloud's default has it (chart value `scheduler.policy`) when left out."""


@dataclass(frozen=True, slots=True)
class RackSpec:
    """CloudStack's pod: hosts behind one switch."""

    zone: str = "default"


@dataclass(frozen=True, slots=True)
class HostGroupSpec:
    """CloudStack's cluster: hosts alike enough to migrate among."""

    zone: str = "default"
    rack: str = "default"
    hypervisor: str = "KVM"


@dataclass(frozen=True, slots=True)
class Overcommit:
    """How many times a host's capacity is given out. Decimal text, since CRDs have no exact fractions."""

    cpu: str = "4"
    memory: str = "1"


@dataclass(frozen=True, slots=True)
class HostSpec:
    """A hypervisor host. Fabric Admin makes one for each node that runs an agent and never writes it again."""

    node: str
    group: str = "default"
    rack: str = "default"
    zone: str = "default"
    tags: frozenset[str] = frozenset()
    schedulable: bool = True
    maintenance: bool = False
    simulated: bool = False
    """Whether no node stands behind it but the simulator; only what asks for its zone or name goes there."""
    overcommit: Overcommit = field(default_factory=Overcommit)


class HostState(StrEnum):
    """What Fabric Monitoring makes of a host's heartbeats."""

    UP = "Up"
    SUSPECT = "Suspect"
    DOWN = "Down"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class HostStatus:
    """`Accepted` by Fabric Admin; the rest by Fabric Monitoring."""

    observed_generation: int = 0
    state: str = ""
    """One of HostState; for printing, read `Reachable` instead."""
    address: str = ""
    conditions: tuple[Condition, ...] = ()
    """`Accepted`, `Reachable`, `Ready`."""


@dataclass(frozen=True, slots=True)
class HostReportSpec:
    """Made by Fabric Admin, for the agents of `host_name` to report into."""

    host_name: str
    overcommit: Overcommit = field(default_factory=Overcommit)
    """The Host's, for the hypervisor agent: it lets no more guests start than that."""


@dataclass(frozen=True, slots=True)
class HypervisorReport:
    """Written by the hypervisor agent."""

    cpus: int = 0
    memory: Quantity = NOTHING
    cpu_model: str = ""
    driver: str = ""
    """`kvm`, `qemu` (software emulation) or `simulated`."""
    libvirt: str = ""
    qemu: str = ""
    unknown_domains: tuple[str, ...] = ()
    """Domains on the host that no Instance stands for; reported and left alone."""


class Mark(StrEnum):
    """What a storage agent found of a pool's mark in its folder."""

    PRESENT = "Present"
    ABSENT = "Absent"


@dataclass(frozen=True, slots=True)
class PoolReport:
    """One pool of the host, as the storage agent sees it."""

    pool: str
    online: bool
    capacity: Quantity = NOTHING
    free: Quantity = NOTHING
    """Rounded, so that a report changes only when it matters."""
    mark: str = ""
    """One of Mark: whether the folder says that it is the pool's."""
    message: str = ""
    formats: tuple[FormatReport, ...] = ()
    """What it holds, and what can be done with that; qcow2 alone where an agent does not say."""


@dataclass(frozen=True, slots=True)
class StorageReport:
    """Written by the storage agent."""

    pools: tuple[PoolReport, ...] = ()
    unknown_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkReport:
    """Written by the network agent."""

    underlay_address: str = ""
    bridges: tuple[str, ...] = ()
    """Bridges that uplinks may use."""
    unknown_devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostReportStatus:
    """One field manager for each of its three parts."""

    hypervisor: HypervisorReport | None = None
    storage: StorageReport | None = None
    network: NetworkReport | None = None


@dataclass(frozen=True, slots=True)
class StoragePoolSpec:
    """A place for disks."""

    type: str = "Directory"
    """`Directory` (of one host) or `SharedDirectory` (the same folder on every host of its scope)."""
    path: str = ""
    """The folder on the host, beneath the agents' pool root."""
    host_name: str = ""
    """The host, for a Directory."""
    zone: str = "default"
    group: str = ""
    """The HostGroup whose hosts alone reach a SharedDirectory; every host of the zone when empty."""
    tags: frozenset[str] = frozenset()
    schedulable: bool = True
    maintenance: bool = False
    """Nothing new is placed on it, and no guest is started from it; guests that run go on."""
    overcommit: str = "2"
    """How many times its capacity is promised to disks, which grow only as they are written (CloudStack: 2, too)."""
    threshold: int = 85
    """Percent of its capacity in use above which no new disk is placed on it."""


@dataclass(frozen=True, slots=True)
class StoragePoolStatus:
    """`Accepted` by Fabric Admin; the rest by Fabric Monitoring."""

    observed_generation: int = 0
    capacity: Quantity | None = None
    free: Quantity | None = None
    marker: str = ""
    """The Host whose agent puts the pool's mark into a shared folder, once."""
    marked: bool = False
    """Whether some host has found the mark: from then on a folder without it is another folder."""
    formats: tuple[FormatReport, ...] = ()
    """What every host that can use it can do there."""
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class IPRangeSpec:
    """Public addresses that routers may take."""

    cidr: str
    gateway: str
    start: str
    end: str
    bridge: str
    """The hosts' bridge to that network."""
    zone: str = "default"


@dataclass(frozen=True, slots=True)
class ImageStoreSpec:
    """Where backups are kept: apart from the pools, and reached from every host."""

    type: str = "Directory"
    """`Directory` (a folder that every host sees) or `S3`."""
    path: str = ""
    """The folder on every host, beneath the agents' pool root; for a Directory."""
    endpoint: str = ""
    """`https://…` of an S3-compatible service."""
    bucket: str = ""
    region: str = "us-east-1"
    prefix: str = ""
    """What the keys of all objects begin with."""


ZONE = Kind(names.FABRIC, "Zone", "zones", ZoneSpec, CatalogueStatus, namespaced=False)
RACK = Kind(names.FABRIC, "Rack", "racks", RackSpec, CatalogueStatus, namespaced=False)
HOST_GROUP = Kind(names.FABRIC, "HostGroup", "hostgroups", HostGroupSpec, CatalogueStatus, namespaced=False)
HOST = Kind(names.FABRIC, "Host", "hosts", HostSpec, HostStatus, namespaced=False)
HOST_REPORT = Kind(
    names.FABRIC, "HostReport", "hostreports", HostReportSpec, HostReportStatus, namespaced=False, host_side=True
)
STORAGE_POOL = Kind(names.FABRIC, "StoragePool", "storagepools", StoragePoolSpec, StoragePoolStatus, namespaced=False)
IMAGE_STORE = Kind(names.FABRIC, "ImageStore", "imagestores", ImageStoreSpec, CatalogueStatus, namespaced=False)
IP_RANGE = Kind(names.FABRIC, "IPRange", "ipranges", IPRangeSpec, CatalogueStatus, namespaced=False)

KINDS: tuple[Kind[object, object], ...] = (
    ZONE,
    RACK,
    HOST_GROUP,
    HOST,
    HOST_REPORT,
    STORAGE_POOL,
    IP_RANGE,
    IMAGE_STORE,
)
