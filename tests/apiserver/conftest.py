"""One control plane for all tests against a real API server, with the CRDs in place."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apiserver.client import Client
from tests.apiserver.control_plane import ControlPlane

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane of this test run's own, with our CRDs established."""
    plane = ControlPlane(tmp_path_factory.mktemp("control-plane"))
    try:
        plane.up()
        install_crds(plane)
        yield plane
    finally:
        plane.down()


@pytest.fixture(scope="session")
def admin(control_plane: ControlPlane) -> Client:
    """The administrator of that control plane."""
    return Client.of(control_plane.kubeconfig)


def install_crds(plane: ControlPlane) -> None:
    """Apply `crds/` and wait until they are served."""
    kubectl = [str(plane.kubectl), f"--kubeconfig={plane.kubeconfig}"]
    subprocess.run([*kubectl, "apply", "--server-side", "-f", str(ROOT / "crds")], check=True, capture_output=True)
    wait = [*kubectl, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]
    subprocess.run(wait, check=True, capture_output=True)
