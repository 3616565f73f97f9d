"""Decides what the report says of pools: rounded, and steady, so that an idle host writes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from agents.storage.pools.model import HostReportObj, Probe, Seen, Sweep
from operators.contract.fabric import Mark, PoolReport, StorageReport
from operators.contract.quantity import Quantity, readable
from operators.kernel.outcome import Done, Outcome

GIB = 1 << 30
MOST = 100
"""Unknown files that are named."""


def plan(about: HostReportObj, seen: Seen) -> tuple[Sequence[Sweep], Outcome]:
    """Sweep what is surely ours and left over; the rest is only reported."""
    return tuple(Sweep(leftover) for leftover in seen.leftovers), Done()


def storage_report(about: HostReportObj, seen: Seen) -> StorageReport:
    """What to say of pools, given what was said before."""
    said = {pool.pool: pool for pool in (about.status.storage.pools if about.status.storage else ())}
    pools = tuple(_pool(probe, said.get(probe.pool)) for probe in sorted(seen.probes, key=lambda each: each.pool))
    unknown = tuple(sorted(seen.unknown))
    if len(unknown) > MOST:
        unknown = (*unknown[:MOST], f"and {len(unknown) - MOST} more")
    return StorageReport(pools, unknown)


def step_of(capacity: int) -> int:
    """The steps in which free space is told: whole GiB, about a hundredth of the pool."""
    return max(1, capacity // 100 // GIB) * GIB


def _pool(probe: Probe, said: PoolReport | None) -> PoolReport:
    if probe.problem:
        return PoolReport(
            probe.pool, online=False, mark=Mark.ABSENT if probe.unmarked else "", message=probe.problem[:1024]
        )
    step = step_of(probe.capacity)
    free = probe.free // step * step
    if said is not None and said.online and said.free <= probe.free < said.free + 2 * step:
        # Still true and hardly lower: near a step's edge it would go up and down with every log line written.
        free = said.free
    return PoolReport(
        probe.pool,
        online=True,
        capacity=readable(probe.capacity),
        free=Quantity(free),
        mark=Mark.PRESENT,
        formats=probe.formats,
    )
