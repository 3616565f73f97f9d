"""The chart's accounts, roles and policies in the control plane, and agents' tokens as Kubernetes makes them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from dev.build import HELM, programs
from operators.contract.meta import Kind
from tests.apiserver.client import Client, Json, Refused
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.crds.objects import KINDS, bent, good

AnyKind: TypeAlias = Kind[Any, Any]
CHART = Path(__file__).resolve().parents[3] / "charts" / "cloudstack"
SYSTEM = "cloudstack-system"
SECRETS = "cloudstack-identity"
"""Where the API's users have their keys."""
AGENT = "cloudstack-agent"
AGENT_USER = f"system:serviceaccount:{SYSTEM}:{AGENT}"
SECURITY = {
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}


@cache
def rendered(*options: str) -> tuple[Json, ...]:
    """What the chart makes for security's sake, its hooks aside."""
    helm = str(programs(HELM) / "helm")
    argv = [helm, "template", "cloudstack", str(CHART), f"--namespace={SYSTEM}", *options]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    bodies = [body for body in yaml.load_all(text, yaml.CSafeLoader) if body]
    return tuple(
        body
        for body in bodies
        if body["kind"] in SECURITY and "helm.sh/hook" not in body["metadata"].get("annotations", {})
    )


@pytest.fixture(scope="session")
def chart(control_plane: ControlPlane, admin: Client) -> None:
    """The chart's security in force: the API server takes up policies a moment after they are made."""
    admin.namespaces(SYSTEM, SECRETS, "team-a")
    kubectl = [
        str(control_plane.kubectl),
        f"--kubeconfig={control_plane.kubeconfig}",
        "apply",
        "--server-side",
        "-f",
        "-",
    ]
    subprocess.run(kubectl, input=yaml.safe_dump_all(rendered()), text=True, check=True, capture_output=True)
    compute = admin.impersonating(f"system:serviceaccount:{SYSTEM}:cloudstack-compute", ["system:masters"])
    machine = admin.create(bent(good("VirtualMachine", "guarded"), {"spec.deleteProtection": True}))
    name = machine["metadata"]["name"]
    probes: list[Callable[[], Any]] = [
        lambda: admin.delete(KINDS["VirtualMachine"], name, dryRun="All"),
        lambda: compute.patch(KINDS["VirtualMachine"], name, {"spec": {"haEnabled": True}}, dryRun="All"),
        lambda: agent_of(admin, "node1").ask(
            "POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "x"}}, dryRun="All"
        ),
    ]
    for probe in probes:
        wait_refused(probe)
    admin.patch(KINDS["VirtualMachine"], name, {"spec": {"deleteProtection": False}})
    admin.delete(KINDS["VirtualMachine"], name)


def wait_refused(probe: Callable[[], Any], timeout: float = 30) -> None:
    """Wait until a policy refuses what the roles allow."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            probe()
        except Refused as refusal:
            if "ValidatingAdmissionPolicy" in refusal.message and "denied request" in refusal.message:
                return
            raise
        time.sleep(0.1)
    raise AssertionError("the policy does not come into force")


def agent_of(admin: Client, node: str) -> Client:
    """The agents of a node with every right there is, so that nothing but a policy can hold them."""
    extra = {"authentication.kubernetes.io%2Fnode-name": node} if node else {}
    return admin.impersonating(AGENT_USER, ["system:masters"], **extra)


Token: TypeAlias = Callable[[str], Client]


@pytest.fixture(scope="session")
def with_token(admin: Client, chart: None) -> Token:
    """The agents of a node by the token that Kubernetes makes for their pod there; of no node, one bound to no pod."""
    made: dict[str, Client] = {}

    def get(node: str) -> Client:
        if node not in made:
            made[node] = admin.with_token(token(admin, node))
        return made[node]

    return get


def token(admin: Client, node: str) -> str:
    """Ask for a token of the agents' account as a kubelet would."""
    bound = {}
    if node:
        admin.ask("POST", "/api/v1/nodes", {"metadata": {"name": node}})
        container = {"name": "hypervisor", "image": "none"}
        pod = admin.ask(
            "POST",
            f"/api/v1/namespaces/{SYSTEM}/pods",
            {
                "metadata": {"name": f"agent-{node}"},
                "spec": {"serviceAccountName": AGENT, "nodeName": node, "containers": [container]},
            },
        )
        reference = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        bound = {"boundObjectRef": reference}
    where = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{AGENT}/token"
    answer = admin.ask("POST", where, {"spec": {"audiences": [], **bound}})
    return str(answer["status"]["token"])


@pytest.fixture
def make(admin: Client) -> Iterator[Callable[[Json], Json]]:
    """Creates objects that are gone after the test."""
    made: list[Json] = []

    def create(body: Json) -> Json:
        made.append(admin.create(body))
        return made[-1]

    yield create
    for body in made:
        kind, name = KINDS[body["kind"]], body["metadata"]["name"]
        admin.delete(kind, name)
