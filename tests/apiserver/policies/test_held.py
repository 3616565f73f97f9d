"""Every VirtualMachine is held by Orchestration from its first moment, by a policy and not by a write."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from dev.build import HELM, programs
from operators.contract.names import finalizer
from tests.apiserver.client import Client, Json
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.crds.objects import KINDS, bent, good
from tests.apiserver.policies.conftest import CHART, SYSTEM

MACHINE = KINDS["VirtualMachine"]
HELD = "held"
OURS = finalizer("orchestration")
KIND = "MutatingAdmissionPolicy"


def rendered(*options: str) -> list[Json]:
    """The chart's mutating policies."""
    helm = str(programs(HELM) / "helm")
    argv = [helm, "template", "cloudstack", str(CHART), f"--namespace={SYSTEM}", *options]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return [body for body in yaml.load_all(text, yaml.CSafeLoader) if body and body["kind"].startswith(KIND)]


def here(name: str, **changes: Any) -> Json:
    return bent(good("VirtualMachine", name), {"metadata.namespace": HELD} | changes)


@pytest.fixture(scope="module")
def policy(control_plane: ControlPlane, admin: Client) -> Iterator[None]:
    """The policy in force in one namespace: elsewhere, tests remove machines with nobody to let them go."""
    admin.ask("POST", "/api/v1/namespaces", {"metadata": {"name": HELD}})
    bodies = rendered(f"--api-versions=admissionregistration.k8s.io/v1/{KIND}")
    only = {"matchLabels": {"kubernetes.io/metadata.name": HELD}}
    for body in bodies:
        if body["kind"] == KIND:
            body["spec"]["matchConstraints"]["namespaceSelector"] = only
    kubectl = [str(control_plane.kubectl), f"--kubeconfig={control_plane.kubeconfig}"]
    text = yaml.safe_dump_all(bodies)
    subprocess.run([*kubectl, "apply", "-f", "-"], input=text, text=True, check=True, capture_output=True)
    deadline = time.monotonic() + 30
    while OURS not in admin.create(here("probe"), dryRun="All")["metadata"].get("finalizers", ()):
        assert time.monotonic() < deadline, "the policy does not come into force"
        time.sleep(0.1)
    yield
    subprocess.run([*kubectl, "delete", "-f", "-"], input=text, text=True, check=True, capture_output=True)


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize("others", [[], ["example.com/audit"], [OURS]])
def test_a_new_machine_is_held_and_nobody_owns_that(admin: Client, others: list[str]) -> None:
    body = here(f"m{len(others)}{OURS in others}".lower(), **({"metadata.finalizers": others} if others else {}))
    made = admin.apply(body, "kubectl")
    assert made["metadata"]["finalizers"] == [*(each for each in others if each != OURS), OURS]
    if OURS not in others:
        assert OURS not in str(made["metadata"]["managedFields"])
    again = admin.apply(body, "kubectl")
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


@pytest.mark.usefixtures("policy")
def test_one_that_was_let_go_is_not_held_again(admin: Client) -> None:
    admin.apply(here("free"), "kubectl")
    free = admin.patch(MACHINE, "free", {"metadata": {"finalizers": None}}, namespace=HELD)
    assert not free["metadata"].get("finalizers")
    assert not admin.apply(here("free", **{"spec.runPolicy": "Stopped"}), "kubectl")["metadata"].get("finalizers")


def test_an_api_server_without_such_policies_gets_none() -> None:
    assert rendered() == []
