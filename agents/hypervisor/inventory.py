"""The controller of the host's report: what the host has to give, and what runs on it that nobody asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from agents.hypervisor.driver import Facts, Hypervisor, HypervisorError
from agents.hypervisor.settings import Settings
from operators.contract.codec import to_wire
from operators.contract.compute import INSTANCE
from operators.contract.fabric import HOST_REPORT, HostReportSpec, HostReportStatus, HypervisorReport
from operators.contract.meta import Key, Kind, Obj
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Blocked, Done, Outcome

HostReport: TypeAlias = Obj[HostReportSpec, HostReportStatus]
PROBES = "cloudstack-probe-"
MOST_NAMED = 50


@dataclass(frozen=True, slots=True)
class Found:
    """What the hypervisor says of itself; nothing while it does not answer."""

    facts: Facts | None = None
    unknown: tuple[str, ...] = ()


class Inventory:
    """Keeps the hypervisor's part of HostReport.status."""

    name = "inventory"
    kind = HOST_REPORT
    workers = 1

    def __init__(self, context: Context, hypervisor: Hypervisor, settings: Settings) -> None:
        self._context = context
        self._hypervisor = hypervisor
        self._settings = settings

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A HostReport concerns itself."""
        return {HOST_REPORT: lambda report: (report.key,)}

    def look(self) -> None:
        """Something on the host changed."""
        for report in self._context.cache.all(HOST_REPORT):
            self._context.poke(self.name, report.key)

    def changed(self, uuid: str) -> None:
        """A domain changed; one that an Instance stands for is not news here."""
        if not self._context.cache.by(INSTANCE, "vm", uuid):
            self.look()

    async def observe(self, key: Key) -> tuple[HostReport, Found] | None:
        """Ask the hypervisor."""
        report = self._context.cache.get(HOST_REPORT, key)
        if report is None or report.spec.host_name != self._settings.node:
            return None
        try:
            return report, Found(await self._hypervisor.facts(), await self._unknown())
        except HypervisorError:
            return report, Found()

    async def _unknown(self) -> tuple[str, ...]:
        """Names of the domains that no Instance stands for: not in the cache, and then not in the API server either."""
        cache = self._context.cache
        domains = [each for each in await self._hypervisor.domains() if not each.name.startswith(PROBES)]
        strangers = [each for each in domains if not cache.by(INSTANCE, "vm", each.uuid)]
        if strangers:
            bodies = await self._context.store.list(INSTANCE, field_selector=f"spec.hostName={self._settings.node}")
            known = {body["spec"]["virtualMachine"]["uid"] for body in bodies}
            strangers = [each for each in strangers if each.uuid not in known]
        return tuple(sorted(each.name for each in strangers)[:MOST_NAMED])

    def plan(self, wanted: HostReport, seen: Found) -> tuple[Sequence[None], Outcome]:
        """There is nothing to do but to report."""
        if seen.facts is None:
            return (), Blocked(Reason.HYPERVISOR_ERROR, "the hypervisor does not answer; its last report stands")
        return (), Done()

    async def act(self, action: None) -> None:
        """Nothing is ever done to what is unknown."""

    def report(self, wanted: HostReport, seen: Found, outcome: Outcome) -> Sequence[Report]:
        """The hypervisor's part of the report."""
        if seen.facts is None:
            return ()
        facts = seen.facts
        part = HypervisorReport(
            cpus=facts.cpus,
            memory=Quantity(max(0, facts.memory - self._settings.reserved_memory)),
            cpu_model=facts.cpu_model,
            driver=facts.driver,
            libvirt=facts.libvirt,
            qemu=facts.qemu,
            unknown_domains=seen.unknown,
        )
        return (Report(wanted, {"hypervisor": to_wire(part)}, verdict="", observed_generation=False),)
