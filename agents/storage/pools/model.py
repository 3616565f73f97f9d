"""What the report about pools is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from agents.storage.folders import PoolFolder
from operators.contract.fabric import HostReportSpec, HostReportStatus
from operators.contract.formats import FormatReport
from operators.contract.meta import Obj

HostReportObj: TypeAlias = Obj[HostReportSpec, HostReportStatus]


@dataclass(frozen=True, slots=True)
class Probe:
    """What one look at a pool found."""

    pool: str
    problem: str = ""
    """Why it is offline."""
    unmarked: bool = False
    """Whether that is because nothing says yet that the folder is the pool's."""
    capacity: int = 0
    free: int = 0
    formats: tuple[FormatReport, ...] = ()
    files: tuple[str, ...] = ()
    """`folder/file` of everything in its folders."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file in the making whose object is gone: a killed agent's, by its name."""

    pool: PoolFolder
    path: str
    """`folder/file`."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there of all pools."""

    probes: tuple[Probe, ...] = ()
    unknown: tuple[str, ...] = ()
    """`pool/folder/file` of what no object stands for."""
    leftovers: tuple[Leftover, ...] = ()


@dataclass(frozen=True, slots=True)
class Sweep:
    """Remove a leftover."""

    leftover: Leftover
