"""Statistics of guests as Prometheus metrics, from samples that are taken at a steady pace and not at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from weakref import WeakSet

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agents.hypervisor.driver import Hypervisor, HypervisorError
from agents.hypervisor.guestinfo import Sample, usage
from operators.contract.compute import Usage
from operators.kernel.clock import Clock

PACE = 30.0
"""Seconds between samples: thirty guests cost libvirtd a third of a second each time."""
LABELS = ("namespace", "vm")


class Statistics:
    """The last two samples of each running guest."""

    def __init__(self, hypervisor: Hypervisor, clock: Clock, named: Callable[[str], tuple[str, str] | None]) -> None:
        self._hypervisor = hypervisor
        self._clock = clock
        self._named = named
        """Namespace and name of the VirtualMachine with a uid, if it is one of ours."""
        self._now: Mapping[str, Sample] = {}
        self._before: Mapping[str, Sample] = {}

    async def run(self) -> None:
        """Sample for ever."""
        while True:
            await self.sample()
            await self._clock.sleep(PACE)

    async def sample(self) -> None:
        """Take one sample of every guest; none while the hypervisor does not answer."""
        try:
            now = await self._hypervisor.samples(self._clock.monotonic())
        except HypervisorError:
            now = {}
        self._before, self._now = self._now, now

    def usage(self, uuid: str) -> Usage | None:
        """How busy a guest was between the last two samples."""
        sample = self._now.get(uuid)
        return usage(self._before.get(uuid), sample) if sample else None

    def rows(self) -> Iterator[tuple[tuple[str, str], Sample]]:
        """The last sample of each guest of ours, with namespace and name of its virtual machine."""
        for uuid, sample in self._now.items():
            if (named := self._named(uuid)) is not None:
                yield named, sample


class Published(Collector):
    """The metrics of all agents of a process; simulated hosts come by the hundred."""

    def __init__(self) -> None:
        self.all: WeakSet[Statistics] = WeakSet()

    def collect(self) -> Iterator[Metric]:
        """What Prometheus asks for."""
        cpu = CounterMetricFamily("cloudstack_vm_cpu_seconds", "Processor time of a guest.", labels=LABELS)
        memory = GaugeMetricFamily("cloudstack_vm_memory_bytes", "Memory that a guest has.", labels=LABELS)
        used = GaugeMetricFamily("cloudstack_vm_memory_used_bytes", "Memory that a guest uses.", labels=LABELS)
        both = (*LABELS, "device", "way")
        disk = CounterMetricFamily("cloudstack_vm_disk_bytes", "Bytes of a disk.", labels=both)
        requests = CounterMetricFamily("cloudstack_vm_disk_requests", "Requests to a disk.", labels=both)
        net = CounterMetricFamily("cloudstack_vm_network_bytes", "Bytes of a NIC.", labels=both)
        packets = CounterMetricFamily("cloudstack_vm_network_packets", "Packets of a NIC.", labels=both)
        for named, sample in (row for each in tuple(self.all) for row in each.rows()):
            cpu.add_metric(named, sample.cpu_seconds)
            memory.add_metric(named, sample.memory)
            used.add_metric(named, sample.memory_used)
            for device, *numbers in sample.disks:
                _four(named, device, ("read", "write"), disk, requests, numbers)
            for device, *numbers in sample.nics:
                _four(named, device, ("receive", "transmit"), net, packets, numbers)
        yield from (cpu, memory, used, disk, requests, net, packets)


_PUBLISHED = Published()
REGISTRY.register(_PUBLISHED)


def publish(statistics: Statistics) -> None:
    """Have Prometheus see the statistics of an agent for as long as it lives."""
    _PUBLISHED.all.add(statistics)


def _four(
    named: tuple[str, str],
    device: str,
    ways: tuple[str, str],
    sizes: CounterMetricFamily,
    counts: CounterMetricFamily,
    numbers: list[int],
) -> None:
    """Bytes and counts of one device, in and out."""
    for way, size, count in zip(ways, numbers[::2], numbers[1::2], strict=True):
        sizes.add_metric((*named, device, way), size)
        counts.add_metric((*named, device, way), count)
