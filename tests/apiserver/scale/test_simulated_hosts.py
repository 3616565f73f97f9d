"""A whole cloud on simulated hosts and a real API server: deployments in a burst, and never more than there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.fabric import HOST_REPORT
from operators.contract.instances import INSTANCE
from operators.contract.networking import PORT_BINDING
from operators.contract.storage import DISK
from tests.apiserver.client import Client
from tests.apiserver.control_plane import ControlPlane
from tests.support.simulated_cloud import simulated_cloud, slowly

GIB = 1 << 30
pytestmark = pytest.mark.timeout(400)


def test_a_burst_fills_the_hosts_and_no_more_even_when_its_leader_dies(
    control_plane: ControlPlane, admin: Client, tmp_path: Path
) -> None:
    """A hundred at once of which eighty fit: eighty run, twenty wait, and no host gives out more than it has."""
    with simulated_cloud(control_plane, admin, tmp_path, 4, SIMULATED_MEMORY="10Gi", SIMULATED_CPUS="8") as cloud:
        cloud.run("compute", "compute-2")
        cloud.namespace("burst")
        names = [f"vm{number:03d}" for number in range(100)]
        cloud.deploy("burst", names[:60], offering="small")
        cloud.rooms.pop("compute").kill()
        cloud.deploy("burst", names[60:], offering="small")
        cloud.settled(80, "burst", 200)
        assert cloud.running("burst") == 80
        for host, (cpus, memory) in cloud.claimed().items():
            assert memory <= 10 * GIB, host
            assert cpus <= 8 * 4, host
        machines = [VIRTUAL_MACHINE.parse(body) for body in cloud.all(VIRTUAL_MACHINE, "burst")]
        waiting = [vm for vm in machines if not vm.status.host_name]
        assert len(waiting) == 20
        slowly(
            lambda: all("NoHostFits" in str(body) for body in cloud.all(VIRTUAL_MACHINE, "burst") if _placeless(body)),
            30,
            "who waits says so",
        )
        reports = [HOST_REPORT.parse(body) for body in cloud.all(HOST_REPORT)]
        assert {report.status.hypervisor.driver for report in reports if report.status.hypervisor} == {"simulated"}
        # Five of those that run go, and five that wait come in.
        for name in [vm.meta.name for vm in machines if vm.status.host_name][:5]:
            cloud.admin.delete(VIRTUAL_MACHINE, name, namespace="burst")
        slowly(lambda: len(cloud.all(VIRTUAL_MACHINE, "burst")) == 95, 60, "five are gone")
        cloud.settled(80, "burst", 60)
        assert all(memory <= 10 * GIB for _, memory in cloud.claimed().values())
        for kind in (INSTANCE, DISK, PORT_BINDING):
            assert len(cloud.all(kind, "burst")) == 80, kind


def _placeless(body: dict[str, object]) -> bool:
    return not VIRTUAL_MACHINE.parse(body).status.host_name
