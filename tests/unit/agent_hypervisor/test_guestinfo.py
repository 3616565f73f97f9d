"""What a guest says of itself is cut to size, and told when it is news; statistics as Prometheus reads them."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from agents.hypervisor.driver import Facts
from agents.hypervisor.guestinfo import MIB, Sample, guest_info, told, usage
from agents.hypervisor.guests import Guests
from agents.hypervisor.simulated import SimulatedHost, SimulatedHypervisor
from agents.hypervisor.statistics import Published, Statistics
from operators.contract.codec import from_wire, to_wire
from operators.contract.compute import FilesystemInfo, GuestInfo, Usage
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key
from operators.contract.quantity import Quantity
from operators.kernel import Cache
from operators.kernel.manager import Context
from operators.kernel.memory import MemoryServer, MemoryStore
from tests.support.virtual_time import VirtualClock, virtual

LIBVIRT = {
    "os.pretty-name": "Debian GNU/Linux 12 (bookworm)",
    "os.kernel-release": "6.1.0-18-amd64",
    "hostname": "web",
    "if.count": 2,
    "if.0.addr.count": 1,
    "if.0.addr.0.addr": "127.0.0.1",
    "if.1.addr.count": 3,
    "if.1.addr.0.addr": "10.1.1.5",
    "if.1.addr.1.addr": "fe80::1",
    "if.1.addr.2.addr": "2001:db8::5",
    "fs.count": 2,
    "fs.0.mountpoint": "/",
    "fs.0.fstype": "ext4",
    "fs.0.total-bytes": 1000 * MIB,
    "fs.0.used-bytes": 400 * MIB,
    "fs.1.mountpoint": "/proc",
}
INFO = GuestInfo(
    "Debian GNU/Linux 12 (bookworm)",
    "6.1.0-18-amd64",
    "web",
    ("10.1.1.5", "2001:db8::5"),
    (FilesystemInfo("/", "ext4", Quantity(1000 * MIB), Quantity(400 * MIB)),),
)


def test_libvirts_words_in_ours() -> None:
    assert guest_info(LIBVIRT) == INFO


def test_a_guest_that_claims_to_have_any_number_is_not_counted_through() -> None:
    assert guest_info({**LIBVIRT, "if.1.addr.count": 10**18, "fs.count": 10**18}) == INFO


@given(st.dictionaries(st.sampled_from([*LIBVIRT, "if.0.addr.7.addr"]), st.text() | st.integers() | st.none()))
def test_whatever_a_guest_says_fits_into_the_status(said: dict[str, object]) -> None:
    info = guest_info({**said, "if.count": min(int(said.get("if.count") or 0), 40) if isinstance(said.get("if.count"), int) else 0,
                       "fs.count": 40, "if.0.addr.count": 40})  # fmt: skip
    assert max(map(len, (info.os, info.kernel, info.hostname))) <= 128
    assert len(info.addresses) <= 16
    assert len(info.filesystems) <= 16
    assert from_wire(GuestInfo, to_wire(info)) == info


def used(mib: int) -> GuestInfo:
    return replace(INFO, filesystems=(replace(INFO.filesystems[0], used=Quantity(mib * MIB)),))


BUSY = replace(INFO, usage=Usage(50, Quantity(500 * MIB)))


@pytest.mark.parametrize(
    ("before", "now", "news"),
    [
        (None, INFO, True),
        (INFO, None, True),
        (INFO, INFO, False),
        (INFO, replace(INFO, hostname="db"), True),
        (INFO, replace(INFO, addresses=("10.1.1.6",)), True),
        (INFO, used(499), False),
        (INFO, used(501), True),
        (INFO, replace(INFO, filesystems=()), True),
        (INFO, BUSY, True),
        (BUSY, INFO, False),
        (BUSY, replace(INFO, usage=Usage(74, Quantity(560 * MIB))), False),
        (BUSY, replace(INFO, usage=Usage(75, Quantity(500 * MIB))), True),
        (BUSY, replace(INFO, usage=Usage(50, Quantity(565 * MIB))), True),
    ],
)
def test_what_is_news(before: GuestInfo | None, now: GuestInfo | None, news: bool) -> None:
    assert (told(before, now) != before) is news


def test_how_busy_it_was_between_two_samples() -> None:
    first = Sample(at=10.0, cpu_seconds=1.0, cpus=2, memory_used=MIB)
    assert usage(None, first) is None
    assert usage(first, replace(first, at=20.0, cpu_seconds=6.0)) == Usage(25, Quantity(MIB))
    assert usage(first, replace(first, at=20.0, cpu_seconds=0.5)) is None, "it was started anew"
    assert usage(first, replace(first, at=10.1, cpu_seconds=9.0)) == Usage(100, Quantity(MIB))


class Sampled(SimulatedHypervisor):
    async def samples(self, at: float) -> dict[str, Sample]:
        disk, nic = ("vda", 1, 2, 3, 4), ("eth0", 5, 6, 7, 8)
        return {uid: Sample(at, at, 1, 128 * MIB, 64 * MIB, (disk,), (nic,)) for uid in ("ours", "strange")}


@virtual
async def test_metrics_are_of_our_guests_only() -> None:
    clock = VirtualClock()
    hypervisor = Sampled(SimulatedHost(Facts(1, 1, "", "")), clock)
    published, registry, agents = Published(), CollectorRegistry(), []
    for name in ("web", "db"):  # two agents in one process, as simulated hosts are
        statistics = Statistics(hypervisor, clock, lambda uid, vm=name: ("team-a", vm) if uid == "ours" else None)
        await statistics.sample()
        published.all.add(statistics)
        agents.append(statistics)
    registry.register(published)
    text = generate_latest(registry).decode()
    own = 'namespace="team-a",vm="web"'
    assert f"cloudstack_vm_memory_used_bytes{{{own}}} 6.7108864e+07" in text
    assert f'cloudstack_vm_disk_bytes_total{{device="vda",{own},way="write"}} 3.0' in text
    assert f'cloudstack_vm_network_packets_total{{device="eth0",{own},way="receive"}} 6.0' in text
    assert text.count("cloudstack_vm_cpu_seconds_total{") == 2


@virtual
async def test_a_guest_that_runs_before_it_is_known_since_when_is_looked_at() -> None:
    """Seed 252 of the simulation: its status said Running, and nothing of a start."""
    spec = {"hostName": "a", "virtualMachine": {"name": "web", "uid": "u"}, "domain": "web", "cpus": 1, "memory": "1Gi"}
    body = INSTANCE.body(Key("team", "web"), spec=spec, uid="i") | {"status": {"power": "Running"}}
    clock = VirtualClock()
    context = Context(MemoryStore(MemoryServer(), "test"), Cache([INSTANCE]), clock, random.Random(1), {})
    context.cache.put(INSTANCE, body)
    hypervisor = Sampled(SimulatedHost(Facts(1, 1, "", "")), clock)
    guests = Guests(context, hypervisor, Statistics(hypervisor, clock, lambda uid: None))
    seen = await guests.observe(Key("team", "web"))
    assert seen is not None and seen[1].runs
