"""Say how a Host is, when there is something to say."""

from __future__ import annotations

from collections.abc import Sequence

from operators.contract.fabric import HostStatus
from operators.fabric_monitoring.hosts.model import Seen, Wanted
from operators.fabric_monitoring.hosts.plan import judge
from operators.kernel.controller import Report


def report(want: Wanted, seen: Seen) -> Sequence[Report]:
    """State, address, `Reachable` and `Ready`; `Accepted` is Fabric Admin's and is left alone."""
    verdict = judge(want, seen)
    if verdict is None:
        return ()
    # An address that is not reported any more was lost with the report, not by the host.
    status = HostStatus(state=verdict.state.value, address=seen.address or want.host.status.address)
    return (Report(want.host, status, conditions=(verdict.reachable,)),)
