"""The controller of the HostReport."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from agents.network import namespaces, tools
from agents.network.links import OUR_NETNS, OURS, TAPS, links
from agents.network.metadata import place
from agents.network.report.model import Seen, Wanted, told
from operators.contract.codec import to_wire
from operators.contract.fabric import HOST_REPORT
from operators.contract.meta import Key, Kind
from operators.contract.networking import HOST_NETWORK, PORT_BINDING, ROUTER
from operators.kernel.cache import AnyObj
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Done, Outcome


class HostReports:
    """Keyed by HostReport; there is one that concerns this host."""

    name = "report"
    kind = HOST_REPORT
    workers = 1

    def __init__(self, context: Context) -> None:
        self._context = context

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        return {HOST_REPORT: lambda report: [report.key], HOST_NETWORK: self._new_or_going, ROUTER: self._new_or_going}

    async def observe(self, key: Key) -> tuple[Wanted, Seen] | None:
        host_report = self._context.cache.get(HOST_REPORT, key)
        if host_report is None:
            return None
        devices = await links()
        bridges = sorted(
            link.name for link in devices.values() if link.kind == "bridge" and not OURS.fullmatch(link.name)
        )
        ours = [name for name in devices if OURS.fullmatch(name) or TAPS.fullmatch(name)]
        ours += [name for name in namespaces.names() if OUR_NETNS.fullmatch(name)]
        address = self._context.env.get("NODE_IP") or await default_address()
        return Wanted(host_report, frozenset(self._known())), Seen(address, tuple(bridges), frozenset(ours))

    def plan(self, wanted: Wanted, seen: Seen) -> tuple[Sequence[None], Outcome]:
        return [], Done()

    async def act(self, action: None) -> None:
        """Nothing is ever changed for a report."""

    def report(self, wanted: Wanted, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        fields = {"network": to_wire(told(wanted, seen))}
        return [Report(wanted.host_report, fields, verdict="", observed_generation=False)]

    def _new_or_going(self, obj: AnyObj) -> list[Key]:
        """Devices come and go with these, and what they leave behind is to be seen."""
        if obj.status.applied and not obj.meta.deleting:
            return []
        return [report.key for report in self._context.cache.all(HOST_REPORT)]

    def _known(self) -> Iterator[str]:
        for host_network in self._context.cache.all(HOST_NETWORK):
            segment = host_network.spec.segment_id
            yield from (host_network.spec.bridge, host_network.spec.vxlan, place.netns(segment), place.cable(segment))
        for binding in self._context.cache.all(PORT_BINDING):
            yield binding.spec.tap
        for router in self._context.cache.all(ROUTER):
            yield from (router.spec.netns, f"csri{router.spec.segment_id}", f"csrp{router.spec.segment_id}")


async def default_address() -> str:
    """The address from which this host speaks to the world; empty when it has no way there."""
    routes = await tools.ip_json("-4", "route", "show", "default")
    for route in routes:
        if "prefsrc" in route:
            return str(route["prefsrc"])
        entries = await tools.ip_json("-4", "addr", "show", "dev", route["dev"], "scope", "global")
        for address in (each["local"] for entry in entries for each in entry.get("addr_info", ())):
            return str(address)
    return ""
