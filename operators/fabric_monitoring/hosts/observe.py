"""Read what is heard and reported of a Host."""

from __future__ import annotations

from operators.contract.fabric import HOST, HOST_REPORT, HostReportStatus
from operators.contract.meta import Key
from operators.fabric_monitoring.heartbeats import Heartbeats
from operators.fabric_monitoring.hosts.model import Seen, Wanted
from operators.kernel.cache import Cache


def observe(cache: Cache, beats: Heartbeats, key: Key) -> tuple[Wanted, Seen] | None:
    """The Host, its heartbeats and report; None for a Host that is gone."""
    host = cache.get(HOST, key)
    if host is None:
        beats.forget(key.name)
        return None
    report = cache.get(HOST_REPORT, key)
    status = report.status if report else HostReportStatus()
    parts = {"hypervisor": status.hypervisor, "storage": status.storage, "network": status.network}
    seen = Seen(
        beats.pulses(key.name),
        status.network.underlay_address if status.network else "",
        frozenset(name for name, part in parts.items() if part is not None),
    )
    return Wanted(host), seen
