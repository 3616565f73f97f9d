"""Budget 7: the memory of one component with 10,000 objects, above its base."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from operators.contract.meta import Key
from operators.contract.networking import PORT
from tests.apiserver.client import Client
from tests.apiserver.conftest import admin, control_plane
from tests.apiserver.control_plane import ControlPlane
from tests.support.measure import table
from tests.support.simulated_cloud import SimulatedCloud, slowly

OBJECTS = int(os.environ.get("BENCH_OBJECTS", "10000"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
__all__ = ["admin", "control_plane"]


def test_memory_of_compute_beside_the_number_of_objects(
    control_plane: ControlPlane, admin: Client, tmp_path: Path
) -> None:
    """Ports as Networking leaves them, which Compute only keeps; then the same once more after a restart of its own."""
    cloud = SimulatedCloud(control_plane, admin, tmp_path, 1, {})
    cloud.rights()
    admin.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "memory"}})
    try:
        cloud.run("compute")
        slowly(lambda: cloud.rooms["compute"].leading, 60, "compute leads")
        rows = [["objects", "memory (PSS), MiB", "above base"]]
        base = cloud.memory_mib()["compute"]
        rows.append(["0", f"{base:.0f}", "0"])
        for count in (OBJECTS // 2, OBJECTS):
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda number: port(admin, number), range(count - OBJECTS // 2, count)))
            slowly(lambda count=count: held(cloud) >= count, 300, f"{count} are seen")  # type: ignore[misc]
            now = cloud.memory_mib()["compute"]
            rows.append([str(count), f"{now:.0f}", f"{now - base:.0f}"])
            print(rows[-1], flush=True)
        cloud.rooms.pop("compute").end()
        cloud.run("compute", "again")
        slowly(lambda: cloud.rooms["again"].leading, 120, "it leads again")
        slowly(lambda: held(cloud, "again") >= OBJECTS, 120, "they are listed")
        now = cloud.memory_mib()["again"]
        rows.append([f"{OBJECTS}, after a restart", f"{now:.0f}", f"{now - base:.0f}"])
        table("Memory of Compute", rows)
    finally:
        cloud.end()


def held(cloud: SimulatedCloud, name: str = "compute") -> int:
    """How many Ports it has in its cache, as its metrics say."""
    for line in cloud.rooms[name].page("metrics").text.splitlines():
        if line.startswith("cloudstack_") and 'kind="Port"' in line and "objects" in line:
            return int(float(line.rpartition(" ")[2]))
    return 0


def port(admin: Client, number: int) -> None:
    """A Port with the labels, owner and status that a real one has."""
    name, uid = f"machine-{number:05d}-nic0", f"6f1d0b1a-5c3e-4a57-9d0c-{number:012d}"
    owner = {"apiVersion": "compute.cloudstack.dev/v1alpha1", "kind": "VirtualMachine", "name": name, "uid": uid}
    metadata = {"labels": {"cloudstack.dev/vm-uid": uid, "cloudstack.dev/flow": f"{name}-deploy-1"}}
    metadata |= {"ownerReferences": [owner | {"controller": True}], "finalizers": ["cloudstack.dev/networking"]}
    spec = {"network": "front", "hostname": name}
    body = PORT.body(Key("memory", name), spec=spec, **metadata)
    admin.create(body)
    ready = {"type": "Ready", "status": "True", "reason": "AsSpecified", "lastTransitionTime": "2026-11-21T12:00:00Z"}
    status = {"ip": f"10.1.{number // 250}.{number % 250 + 1}", "mac": "02:00:00:00:00:01", "conditions": [ready]}
    admin.patch(
        PORT, name, {"status": status | {"hostName": f"simulated-{number % 100:03d}"}}, "status", namespace="memory"
    )
