"""Many virtual machines on simulated hosts: how fast, at what price, and with how much memory.

Every process is the real one, on an API server and etcd of this run's own; see tests/support/simulated_cloud.py. Nothing here
fails by the clock; the tables are printed, and copied into docs/benchmarks.md by whoever ran them.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Key
from operators.contract.storage import DISK_OFFERING
from tests.apiserver.client import Client
from tests.apiserver.conftest import admin, control_plane
from tests.apiserver.control_plane import ControlPlane
from tests.support.measure import table
from tests.support.simulated_cloud import SimulatedCloud, simulated_cloud

HOSTS = int(os.environ.get("BENCH_HOSTS", "100"))
MACHINES = int(os.environ.get("BENCH_MACHINES", "2000"))
"""2000 machines are 10,000 objects in Compute's cache."""
STEP = 250
pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
__all__ = ["admin", "control_plane"]


def writes(cloud: SimulatedCloud) -> dict[str, int]:
    """Writes of each process so far that the API server took, Leases aside."""
    return {name: sum(room.writes().values()) for name, room in cloud.rooms.items()}


def spent(before: dict[str, float], after: dict[str, float]) -> float:
    return sum(after.values()) - sum(before.values())


def bare(cloud: SimulatedCloud, count: int) -> float:
    """Seconds in which a bare client does so many status writes, eight at a time, of objects that nobody watches."""
    for number in range(8):
        cloud.admin.create(DISK_OFFERING.body(Key("", f"bare{number}"), spec={}))
    began = time.monotonic()

    def write(number: int) -> None:
        status = {"status": {"observedGeneration": number}}
        cloud.admin.patch(DISK_OFFERING, f"bare{number % 8}", status, "status")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(count)))
    return time.monotonic() - began


def test_burst_and_then_many(control_plane: ControlPlane, admin: Client, tmp_path: Path) -> None:
    """Budget 2 (simulated), 5,000 machines (BENCH_MACHINES=5000), and budget 7: memory with 10,000 objects."""
    with simulated_cloud(control_plane, admin, tmp_path, HOSTS) as cloud:
        base = cloud.memory_mib()
        cloud.namespace("burst")
        cloud.deploy("burst", ["first"])
        cloud.settled(1, "burst")
        burst(cloud)
        many(cloud, base)


def burst(cloud: SimulatedCloud) -> None:
    """A hundred machines at once, beside a bare client that does as many writes."""
    before, cpu, began = writes(cloud), cloud.cpu_seconds(), time.monotonic()
    cloud.deploy("burst", [f"vm{number:03d}" for number in range(100)])
    applied = time.monotonic() - began
    cloud.settled(101, "burst")
    took = time.monotonic() - began
    wrote = sum(writes(cloud).values()) - sum(before.values())
    price, alone = spent(cpu, cloud.cpu_seconds()), _without_simulator(cpu, cloud)
    raw = bare(cloud, wrote + 100)
    table(
        f"Burst: 100 machines at once on {HOSTS} simulated hosts",
        [
            ["measure", "value"],
            ["all applied, s", applied],
            ["all Ready, s", took],
            ["machines a second", 100 / took],
            ["writes a machine, beyond the user's own", wrote / 100],
            ["a bare client doing as many writes, s", raw],
            ["ratio", took / raw],
            ["processor time a machine, simulator aside, ms", alone * 10],
            ["the same with the simulator, ms", price * 10],
        ],
    )


def many(cloud: SimulatedCloud, base: dict[str, float]) -> None:
    """More and more machines: whether each costs as much as the first, and what they take of memory."""
    rows: list[list[str]] = []
    made = 101
    while made < MACHINES:
        namespace = f"many-{made}"
        cloud.namespace(namespace)
        count = min(STEP, MACHINES - made)
        cpu, began = cloud.cpu_seconds(), time.monotonic()
        cloud.deploy(namespace, [f"vm{number:03d}" for number in range(count)])
        cloud.settled(count, namespace, 1800)
        took, made = time.monotonic() - began, made + count
        memory = cloud.memory_mib()
        price = 1000 * _without_simulator(cpu, cloud) / count
        rows.append(
            [str(made), f"{count / took:.1f}", f"{price:.0f}", *(f"{memory[name] - base[name]:.0f}" for name in SHOWN)]
        )
        print(rows[-1], flush=True)
    table("Many machines, memory in MiB above the base", [["machines", "a second", "CPU ms each", *SHOWN], *rows])
    idle = writes(cloud)
    time.sleep(30)
    assert sum(writes(cloud).values()) == sum(idle.values()), "idle machines cause no writes"
    assert len(cloud.all(VIRTUAL_MACHINE)) == made


SHOWN = ("compute", "storage", "networking", "orchestration", "simulator")


def _without_simulator(before: dict[str, float], cloud: SimulatedCloud) -> float:
    after = cloud.cpu_seconds()
    return sum(after[name] - before[name] for name in after if name != "simulator")
