"""One control plane for all tests against a real API server, with the CRDs in place."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from operators.contract import names
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.kinds import ALL
from operators.contract.meta import Kind
from tests.apiserver.client import Client, Gone, Json, Refused, path
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.kernel.processes import until

ROOT = Path(__file__).resolve().parents[2]
OURS = [kind for kind in ALL if kind.group.endswith(names.DOMAIN)]


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


@pytest.fixture(scope="module", autouse=True)
def empty(admin: Client) -> None:
    """Each module begins with none of our objects, whatever those before it left: the toy and the components see every namespace."""
    clear(admin)


def clear(admin: Client) -> None:
    """Take away all objects of our kinds."""
    until(lambda: served(admin), 60, "all our kinds are served")
    for kind in OURS:
        for body in every(admin, kind):
            let_go(admin, kind, body["metadata"])


def served(admin: Client) -> bool:
    """Whether a fresh API server serves all of our kinds already: it takes them up one by one."""
    try:
        return all(every(admin, kind) is not None for kind in OURS)
    except Refused as error:
        assert error.code in (404, 429, 503)
        return False


def every(admin: Client, kind: Kind[Any, Any]) -> list[Json]:
    """All objects of a kind, in whatever namespace."""
    found: list[Json] = admin.ask("GET", f"/apis/{kind.api_version}/{kind.plural}")["items"]
    return found


def let_go(admin: Client, kind: Kind[Any, Any], meta: Json) -> None:
    """Delete an object whose components are no more, protected or not."""
    where = path(kind, meta["name"], meta.get("namespace", ""))
    change: Json = {"metadata": {"finalizers": None}} | (
        {"spec": {"deleteProtection": False}} if kind is VIRTUAL_MACHINE else {}
    )
    for method, body in (("PATCH", change), ("DELETE", None)):
        with contextlib.suppress(Gone):
            admin.ask(method, where, body, "application/merge-patch+json")


def install_crds(plane: ControlPlane) -> None:
    """Apply `crds/` and wait until they are served."""
    kubectl = [str(plane.kubectl), f"--kubeconfig={plane.kubeconfig}"]
    subprocess.run([*kubectl, "apply", "--server-side", "-f", str(ROOT / "crds")], check=True, capture_output=True)
    wait = [*kubectl, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]
    subprocess.run(wait, check=True, capture_output=True)
