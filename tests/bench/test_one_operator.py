"""Budget 5: how fast one operator reconciles, beside a bare client that does the same writes and nothing else.

On an API server of the test's own, so it needs no cluster. The operator is the toy of the kernel's tests: a finalizer, one
dependent and a status for each Volume. The bare client sends the very same three writes, with as many in flight as the
kernel has, and neither watches, nor decides, nor compares. Nothing fails by the clock; the table is for docs/benchmarks.md.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from operators.contract.codec import Json, to_wire
from operators.contract.meta import Key, Meta
from operators.contract.networking import CLAIM, ClaimSpec
from operators.contract.storage import VOLUME
from operators.kernel import access
from operators.kernel.manager import WRITERS
from operators.kernel.outcome import Done
from operators.kernel.report import Report, status_of
from operators.kernel.rest import RestStore
from tests.apiserver.client import Client
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.kernel.processes import Process, until
from tests.support.measure import percentile, table
from tests.support.toy import FINALIZER, claim_name

OBJECTS = int(os.environ.get("BENCH_OBJECTS", "500"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
WRITES_EACH = 3
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def volumes(admin: Client, namespace: str) -> Sequence[Meta]:
    """Fresh Volumes in a namespace of their own."""
    admin.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    keys = [Key(namespace, f"v{number}") for number in range(OBJECTS)]
    return [VOLUME.parse(admin.create(VOLUME.body(key, spec={"size": "1Gi"}))).meta for key in keys]


async def bare(plane: ControlPlane, metas: Sequence[Meta]) -> float:
    """The writes of the toy for each Volume, without anything around them; objects per second."""
    left = list(metas)

    async def writer(store: RestStore) -> None:
        while left:
            await three_writes(store, left.pop())

    reach = access.from_kubeconfig(plane.kubeconfig)
    async with reach.session("bare") as session:
        store = RestStore(session, reach.server, "toy")
        await store.list(VOLUME)  # what a client needs to know before it writes, and a warm connection
        began = time.perf_counter()
        await asyncio.gather(*(writer(store) for _ in range(WRITERS)))
        return len(metas) / (time.perf_counter() - began)


async def three_writes(store: RestStore, meta: Meta) -> None:
    held: Json = await store.finalize(VOLUME, meta, (FINALIZER,)) or {}
    volume = VOLUME.parse(held)
    claim = CLAIM.body(Key("", claim_name(meta.uid)), spec=to_wire(ClaimSpec("segment", meta.uid[:8], volume.ref)))
    await store.create(CLAIM, claim)
    status = status_of(Report(volume, {"phase": "Claimed"}), Done(), "2026-11-21T10:00:00Z")
    await store.apply_status(VOLUME, volume.key, status, resource_version=volume.meta.resource_version)


def operator(plane: ControlPlane, folder: Path, name: str) -> tuple[float, float]:
    """The toy as a process on Volumes that are there already: objects per second once it leads, CPU ms for each."""
    process = Process(plane.kubeconfig, folder, "default", name)
    try:
        until(lambda: process.leading, 60, "the toy leads")
        before, began, spent = written(process), time.perf_counter(), processor(process)
        until(lambda: written(process) >= WRITES_EACH * OBJECTS, 600, "all is written")
        took, done = time.perf_counter() - began, OBJECTS - before / WRITES_EACH
        return done / took, 1000 * (processor(process) - spent) / done
    finally:
        # Ended in an orderly way, for the next one to lead at once.
        process.child.terminate()
        process.child.wait(20)


def written(process: Process) -> float:
    """Writes that the API server took, its Lease aside."""
    lines = process.page("metrics")[1].splitlines()
    ours = [line for line in lines if line.startswith("cloudstack_api_writes_total{") and 'kind="Lease"' not in line]
    return sum(float(line.rpartition(" ")[2]) for line in ours if 'code="2' in line)


def processor(process: Process) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{process.child.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def test_reconciles_beside_a_bare_client(control_plane: ControlPlane, admin: Client, tmp_path: Path) -> None:
    """Budget 5: at least half of what a bare client does with the same writes."""
    plain, ours, cpu = [], [], []
    for number in range(ROUNDS):
        plain.append(asyncio.run(bare(control_plane, volumes(admin, f"bare{number}"))))
        volumes(admin, f"toy{number}")
        rate, each = operator(control_plane, tmp_path, f"toy{number}")
        ours.append(rate)
        cpu.append(each)
    middle = [percentile(values, 0.5) for values in (plain, ours, cpu)]
    rows: list[list[Any]] = [
        ["", "objects/s", "writes/s"],
        ["bare client", f"{middle[0]:.0f}", f"{WRITES_EACH * middle[0]:.0f}"],
        ["one operator", f"{middle[1]:.0f}", f"{WRITES_EACH * middle[1]:.0f}"],
        ["ratio", f"{percentile([a / b for a, b in zip(ours, plain, strict=True)], 0.5):.2f}", "goal ≥ 0.5"],
    ]
    load = os.getloadavg()[0]
    table(f"One operator, {OBJECTS} objects, {ROUNDS} rounds, {middle[2]:.1f} ms CPU each, load {load:.0f}", rows)
    assert all(rate > 0 for rate in ours)
