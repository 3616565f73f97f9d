"""What the agent tells of its host."""

from __future__ import annotations

from dataclasses import dataclass

from operators.contract.fabric import HostReportSpec, HostReportStatus, NetworkReport
from operators.contract.meta import Obj


@dataclass(frozen=True, slots=True)
class Wanted:
    """The HostReport, and the names of devices and namespaces that objects of this host stand for."""

    host_report: Obj[HostReportSpec, HostReportStatus]
    known: frozenset[str]


@dataclass(frozen=True, slots=True)
class Seen:
    """The host."""

    underlay_address: str
    bridges: tuple[str, ...]
    ours: frozenset[str]
    """Devices and namespaces whose names are ours to give."""


def told(want: Wanted, seen: Seen) -> NetworkReport:
    """The agent's part of the status."""
    unknown = tuple(sorted(seen.ours - want.known))
    return NetworkReport(seen.underlay_address, seen.bridges, unknown)
