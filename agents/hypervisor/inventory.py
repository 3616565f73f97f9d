"""The controller of the host's report: what the host has to give, and what runs on it that nobody asked for.

A domain that nobody asked for is reported and left alone. A NoCloud disk without a domain is a copy of what an Instance
said, which an agent wrote that had not heard yet of that Instance's end: it goes, since it may hold secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from agents.hypervisor.driver import Facts, Hypervisor, HypervisorError
from agents.hypervisor.files import Files
from agents.hypervisor.settings import Settings
from operators.contract.codec import to_wire
from operators.contract.fabric import HOST_REPORT, HostReportSpec, HostReportStatus, HypervisorReport
from operators.contract.instances import INSTANCE
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
    orphans: tuple[str, ...] = ()
    """Uuids for which there is a NoCloud disk, and neither a domain nor an Instance."""


@dataclass(frozen=True, slots=True)
class RemoveSeed:
    """Remove what was written for a guest that never came to be."""

    uuid: str

    def __str__(self) -> str:
        return self.uuid


class Inventory:
    """Keeps the hypervisor's part of HostReport.status."""

    name = "inventory"
    kind = HOST_REPORT
    workers = 1

    def __init__(self, context: Context, hypervisor: Hypervisor, files: Files, settings: Settings) -> None:
        self._context = context
        self._hypervisor = hypervisor
        self._files = files
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
            facts, domains = await self._hypervisor.facts(), await self._hypervisor.domains()
        except HypervisorError:
            return report, Found()
        seeded = await self._files.seeded() - {each.uuid for each in domains}
        known = await self._known({*seeded, *(each.uuid for each in domains)})
        strangers = (each.name for each in domains if each.uuid not in known and not each.name.startswith(PROBES))
        return report, Found(facts, tuple(sorted(strangers)[:MOST_NAMED]), tuple(sorted(seeded - known)))

    async def _known(self, uuids: set[str]) -> frozenset[str]:
        """Those for which there is an Instance: what is not in the cache is asked of the API server."""
        known = frozenset(each for each in uuids if self._context.cache.by(INSTANCE, "vm", each))
        if known == uuids:
            return known
        bodies = await self._context.store.list(INSTANCE, field_selector=f"spec.hostName={self._settings.node}")
        return known | {body["spec"]["virtualMachine"]["uid"] for body in bodies}

    def plan(self, wanted: HostReport, seen: Found) -> tuple[Sequence[RemoveSeed], Outcome]:
        """Nothing is done to what runs: that is only reported."""
        if seen.facts is None:
            return (), Blocked(Reason.HYPERVISOR_ERROR, "the hypervisor does not answer; its last report stands")
        return tuple(map(RemoveSeed, seen.orphans)), Done()

    async def act(self, action: RemoveSeed) -> None:
        """An Instance that comes back has its NoCloud disk written anew."""
        await self._files.remove(action.uuid)

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
