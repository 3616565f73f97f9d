"""The documented component of one's own runs, with the kernel and without, from the manifest in examples/component."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from dev.paths import REPO
from dev.target import SYSTEM, Target
from tests.support.cluster import PATIENCE, Body, Cloud, vm

FOLDER = REPO / "examples" / "component"
OWNER = "example.org/owner"


@pytest.fixture(params=["labeller.py", "plain.py"])
def component(where: Target, request: pytest.FixtureRequest) -> Iterator[str]:
    """The component, deployed as its manifest's first lines say."""
    config = ("-n", SYSTEM, "create", "configmap", "labeller", f"--from-file={FOLDER / request.param}")
    where.kubectl("apply", "-f", "-", input=where.kubectl(*config, "--dry-run=client", "-o", "yaml"))
    manifest = yaml.safe_dump_all(variant(request.param, where.image))
    where.kubectl("apply", "-f", "-", input=manifest)
    where.kubectl("-n", SYSTEM, "rollout", "status", "deployment/labeller", f"--timeout={PATIENCE}s")
    yield request.param
    where.kubectl("delete", "-f", "-", "--ignore-not-found", input=manifest)
    where.kubectl("-n", SYSTEM, "delete", "configmap", "labeller")


def variant(file: str, image: str) -> list[Body]:
    """The manifest, changed for plain kopf as its comment says, and for where this cluster has the image."""
    bodies = list(yaml.safe_load_all((FOLDER / "labeller.yaml").read_text()))
    container = bodies[-1]["spec"]["template"]["spec"]["containers"][0]
    container["image"] = image
    if file == "plain.py":
        container["args"] = ["-m", "kopf", "run", "--standalone", "-A", "/component/plain.py"]
        del container["readinessProbe"]
    return bodies


def test_component_labels_machines(component: str, cloud: Cloud) -> None:
    """A machine without an owner gets one, one with an owner keeps it, and no spec was written."""
    owned = vm("owned", nets=(), runPolicy="Stopped")
    owned["metadata"]["labels"] = {OWNER: "somebody"}
    cloud.apply(vm("free", nets=(), runPolicy="Stopped"), owned)

    def owner(body: Body | None) -> str:
        return str((body or {}).get("metadata", {}).get("labels", {}).get(OWNER, ""))

    found = cloud.wait("VirtualMachine", "free", "labelled", lambda body: owner(body) == cloud.namespace)
    assert found is not None
    assert found["metadata"]["generation"] == 1
    assert owner(cloud.need("VirtualMachine", "owned")) == "somebody"
