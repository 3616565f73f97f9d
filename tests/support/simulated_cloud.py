"""A whole cloud on simulated hosts: every operator and the simulator as processes on a test's own API server.

Easy to start from any test that has a control plane: each process has the rights that the chart gives it, and no more.
There is no kubelet, no node and no guest; nothing waits but what waits on a real cloud.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE
from operators.contract.fabric import HOST, ZONE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind
from operators.contract.networking import NETWORK, NETWORK_OFFERING
from operators.contract.storage import DISK_OFFERING, IMAGE
from tests.apiserver.client import Client, Json
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.kernel.processes import until
from tests.apiserver.policies.conftest import SYSTEM, rendered
from tests.apiserver.rooms.conftest import Room, as_account

OPERATORS = ("orchestration", "compute", "storage", "networking", "fabric-admin", "fabric-monitoring")
ZONE_NAME, CATALOG = "simulated", "cloudstack-catalog"
CHECKSUM = "sha256:" + "0" * 64


class SimulatedCloud:
    """The processes and what tests ask of them."""

    def __init__(self, plane: ControlPlane, admin: Client, folder: Path, hosts: int, env: dict[str, str]) -> None:
        self.plane = plane
        self.admin = admin
        self.folder = folder
        self.hosts = hosts
        self.env = {"CATALOG_NAMESPACE": CATALOG, "LOG_LEVEL": "warning"}
        self.simulated = {"SIMULATED_HOSTS": str(hosts), "SIMULATED_ZONE": ZONE_NAME} | env
        self.rooms: dict[str, Room] = {}

    # Its life.

    def start(self, components: Sequence[str] = OPERATORS) -> None:
        """Set up what a chart brings along, start every process, and wait until each host is reachable."""
        self.rights()
        for kind, name, spec in _CATALOGUE:
            self.put(kind, name, spec)
        self.put(IMAGE, "tiny", {"url": "http://images.example/tiny.qcow2", "checksum": CHECKSUM}, CATALOG)
        for name in (*components, "simulator"):
            self.run(name)
        for name in (*components, "simulator"):
            room = self.rooms[name]
            until(lambda room=room: room.leading, 60, f"{name} leads")  # type: ignore[misc]
        until(lambda: self.reachable() == self.hosts, 60 + self.hosts, "every simulated host is reachable")

    def run(self, name: str, key: str = "", **env: str) -> Room:
        """Start one process; `key` tells several of one component apart."""
        config = self.folder / f"{name}.kubeconfig"
        config.write_text(json.dumps(as_account(self.plane.kubeconfig, self.admin, f"cloudstack-{name}")))
        log = self.folder / f"{key or name}.log"
        settings = self.env | (self.simulated if name == "simulator" else {}) | env
        self.rooms[key or name] = room = Room(name, config, log, settings)
        return room

    def end(self) -> None:
        """Kill every process."""
        for room in self.rooms.values():
            room.end()

    def forbidden(self) -> list[str]:
        """What any of them wanted and has no right to."""
        return [line for room in self.rooms.values() for line in room.forbidden()]

    def rights(self) -> None:
        """The chart's accounts, roles and policies."""
        bodies = rendered(f"--set=simulator.hosts={self.hosts}")
        spaces = {SYSTEM, CATALOG} | {body["metadata"].get("namespace", SYSTEM) for body in bodies}
        namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(spaces)]
        kubectl = [
            str(self.plane.kubectl),
            f"--kubeconfig={self.plane.kubeconfig}",
            "apply",
            "--server-side",
            "-f",
            "-",
        ]
        for each in (namespaces, bodies):
            text = yaml.safe_dump_all(each)
            done = subprocess.run(kubectl, input=text, text=True, check=False, capture_output=True)
            assert done.returncode == 0, done.stderr

    # What users do.

    def put(self, kind: Kind[Any, Any], name: str, spec: Json, namespace: str = "") -> None:
        """Apply one object."""
        self.admin.apply(kind.body(Key(namespace, name), spec=spec))

    def namespace(self, name: str) -> None:
        """Make a namespace with a network `front`."""
        self.admin.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        self.put(NETWORK, "front", {"offering": "isolated", "cidr": "10.1.0.0/16", "zone": ZONE_NAME}, name)

    def deploy(self, namespace: str, names: Sequence[str], parallel: int = 16, **spec: Any) -> None:
        """Create virtual machines, several at a time."""
        with ThreadPoolExecutor(parallel) as pool:
            for done in [pool.submit(self._create, namespace, name, spec) for name in names]:
                done.result()

    def _create(self, namespace: str, name: str, spec: dict[str, Any]) -> None:
        whole = {"offering": "tiny", "image": "tiny", "nics": [{"network": "front"}], "placement": {"zone": ZONE_NAME}}
        self.admin.create(VIRTUAL_MACHINE.body(Key(namespace, name), spec=whole | spec))

    # What tests look at.

    def all(self, kind: Kind[Any, Any], namespace: str = "") -> list[Json]:
        """Every object of a kind."""
        where = f"/namespaces/{namespace}" if namespace else ""
        items = self.admin.ask("GET", f"/apis/{kind.group}/{kind.version}{where}/{kind.plural}")["items"]
        return list(items)

    def reachable(self) -> int:
        """How many simulated hosts are."""
        hosts = [HOST.parse(body) for body in self.all(HOST)]
        return sum(host.spec.simulated and _true(host.status.conditions, "Reachable") for host in hosts)

    def running(self, namespace: str = "") -> int:
        """How many virtual machines say that they are Ready and run."""
        machines = self.all(VIRTUAL_MACHINE, namespace)
        return sum(_reason(body) == "Running" for body in machines)

    def settled(self, count: int, namespace: str = "", within: float = 300.0) -> float:
        """Wait until so many run; how long it took."""
        return slowly(lambda: self.running(namespace) >= count, within, f"{count} run")

    def claimed(self) -> dict[str, tuple[int, int]]:
        """Processors and bytes that each host's Instances hold."""
        sums: dict[str, tuple[int, int]] = {}
        for body in self.all(INSTANCE):
            spec = INSTANCE.parse(body).spec
            cpus, memory = sums.get(spec.host_name, (0, 0))
            sums[spec.host_name] = cpus + spec.cpus, memory + int(spec.memory)
        return sums

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time that each process has used."""
        tick = os.sysconf("SC_CLK_TCK")
        out = {}
        for name, room in self.rooms.items():
            fields = Path(f"/proc/{room.child.pid}/stat").read_text().rpartition(")")[2].split()
            out[name] = (int(fields[11]) + int(fields[12])) / tick
        return out

    def memory_mib(self) -> dict[str, float]:
        """Memory of each process that is its own (PSS)."""
        out = {}
        for name, room in self.rooms.items():
            lines = Path(f"/proc/{room.child.pid}/smaps_rollup").read_text().splitlines()
            out[name] = int(next(line.split()[1] for line in lines if line.startswith("Pss:"))) / 1024
        return out


_CATALOGUE: tuple[tuple[Kind[Any, Any], str, Json], ...] = (
    (ZONE, ZONE_NAME, {}),
    (COMPUTE_OFFERING, "tiny", {"cpus": 1, "memory": "128Mi"}),
    (COMPUTE_OFFERING, "small", {"cpus": 1, "memory": "512Mi"}),
    (DISK_OFFERING, "standard", {}),
    (NETWORK_OFFERING, "isolated", {"guestType": "isolated"}),
)


@contextmanager
def simulated_cloud(
    plane: ControlPlane, admin: Client, folder: Path, hosts: int, **env: str
) -> Iterator[SimulatedCloud]:
    """A cloud of so many simulated hosts, ended with the block. `env` is the simulator's: SIMULATED_MEMORY and others."""
    cloud = SimulatedCloud(plane, admin, folder, hosts, env)
    try:
        cloud.start()
        yield cloud
    finally:
        cloud.end()
        if sys.exc_info()[0] is not None:
            for log in sorted(folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text()[-3000:]}")
    assert cloud.forbidden() == []


def slowly(condition: Callable[[], object], within: float, what: str) -> float:
    """As `until`, for what costs the API server something to look at."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > within:
            raise AssertionError(f"not within {within} s: {what}")
        time.sleep(0.5)
    return time.monotonic() - began


def _true(conditions: Sequence[Any], type_: str) -> bool:
    return any(each.type == type_ and each.status == "True" for each in conditions)


def _reason(body: Json) -> str:
    conditions = body.get("status", {}).get("conditions", ())
    return str(
        next((each["reason"] for each in conditions if each["type"] == "Ready" and each["status"] == "True"), "")
    )
