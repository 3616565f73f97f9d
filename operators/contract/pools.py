"""Which hosts reach a StoragePool, and whether it takes anything new: what every component must judge alike."""

from __future__ import annotations

from operators.contract.fabric import HostSpec, PoolReport, StoragePoolSpec


def reached(pool: StoragePoolSpec, host: str, spec: HostSpec | None) -> bool:
    """Whether a host is within a pool's scope: the one host of a Directory, else those of its group or zone."""
    if pool.host_name:
        return pool.host_name == host
    if spec is None or pool.zone != spec.zone:
        return False
    return pool.group in ("", spec.group)


def closed(pool: StoragePoolSpec, report: PoolReport | None, *, deleting: bool = False) -> str:
    """Why nothing new is placed on a pool, as one of its hosts reports it; empty when it is open."""
    if deleting:
        return "is being deleted"
    if pool.maintenance:
        return "in maintenance"
    if not pool.schedulable:
        return "is not schedulable"
    if report is None:
        return "its host's storage agent has not reported it yet"
    if not report.online:
        return f"offline: {report.message}"
    if report.capacity and (report.capacity - report.free) * 100 > report.capacity * pool.threshold:
        return f"more than {pool.threshold} % full, its spec.threshold"
    return ""
