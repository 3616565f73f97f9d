"""What a virtual machine needs, and what each host has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum


class Policy(StrEnum):
    """How hosts are filled; environment SCHEDULER_POLICY, or a Zone's own."""

    SPREAD = "spread"
    PACK = "pack"


@dataclass(frozen=True, slots=True)
class DiskNeed:
    """One disk of the virtual machine. Either it is on a pool already, or a pool is still to be found."""

    volume: str
    size: int = 0
    """Bytes; 0 when not known yet."""
    tags: frozenset[str] = frozenset()
    """Tags of its disk offering, which a pool must all carry."""
    pool: str = ""
    """Where it is already, or where its user wants it."""
    bound: bool = False
    host: str = ""
    """The only host that reaches it, if there is only one."""
    namespace: str = ""
    """The Volume's; with its name, what tells two disks apart."""
    image_on: frozenset[str] | None = None
    """The pools that have the image which it is to be made from; None where that can be had on any."""


@dataclass(frozen=True, slots=True)
class GroupNeed:
    """An affinity group that the virtual machine is in, and where the other members are."""

    name: str
    together: bool
    """Affinity; else anti-affinity."""
    strict: bool
    members: Mapping[str, str] = field(default_factory=dict)
    """By host, one of the other members there."""


@dataclass(frozen=True, slots=True)
class Need:
    """What is to be placed."""

    namespace: str
    cpus: int
    memory: int
    """Bytes."""
    host_tags: frozenset[str] = frozenset()
    zone: str = ""
    group: str = ""
    host: str = ""
    """The user's own choices; empty where it is the scheduler's."""
    disks: tuple[DiskNeed, ...] = ()
    groups: tuple[GroupNeed, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolView:
    """A storage pool, as one host reaches it."""

    name: str
    tags: frozenset[str] = frozenset()
    free: int = 0
    """Bytes."""
    promisable: int = 0
    """Bytes that may still be given out: disks grow only as they are written, so a pool promises more than it has."""
    online: bool = True
    closed: str = ""
    """Why nothing new is placed on it; empty when it is open."""
    maintenance: bool = False


@dataclass(frozen=True, slots=True)
class HostView:
    """A host, and what is already promised of it."""

    name: str
    reachable: bool = True
    reachable_message: str = ""
    schedulable: bool = True
    maintenance: bool = False
    simulated: bool = False
    """Whether no node stands behind it."""
    zone: str = "default"
    zone_enabled: bool = True
    policy: Policy | None = None
    """How its zone is to be filled; None where the zone says nothing."""
    group: str = "default"
    tags: frozenset[str] = frozenset()
    reported: bool = True
    """Whether its hypervisor agent said what it has."""
    cpus: int = 0
    memory: int = 0
    cpu_overcommit: Decimal = Decimal(1)
    memory_overcommit: Decimal = Decimal(1)
    cpus_claimed: int = 0
    memory_claimed: int = 0
    neighbours: int = 0
    """Virtual machines of the same namespace on it."""
    pools: tuple[PoolView, ...] = ()
    disks_claimed: tuple[DiskNeed, ...] = ()
    """Disks of other virtual machines on it for which Storage has still to choose one of its pools."""

    @property
    def cpus_offered(self) -> int:
        """Processors to give out, overcommitment included."""
        return int(self.cpus * self.cpu_overcommit)

    @property
    def memory_offered(self) -> int:
        """Bytes to give out, overcommitment included."""
        return int(self.memory * self.memory_overcommit)
