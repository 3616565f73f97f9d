"""The simulator speaks for simulated hosts and nothing else: every kind, with every right there is besides the policy."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from operators.contract import names
from operators.contract.kinds import ALL, HOST_SIDE
from operators.contract.meta import Key
from tests.apiserver.client import Client, Json, Refused
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.crds.objects import KINDS, bent, good
from tests.apiserver.policies.conftest import SYSTEM, AnyKind, rendered, wait_refused
from tests.apiserver.policies.test_agents import of_host, refused, report

ACCOUNT = f"system:serviceaccount:{SYSTEM}:cloudstack-simulator"
SIMULATED = "simulated-001"
SENTENCE = "the simulator speaks for simulated hosts only"
each_kind = pytest.mark.parametrize("kind", HOST_SIDE, ids=repr)
Make = Callable[[Json], Json]


@pytest.fixture(scope="module")
def simulator(control_plane: ControlPlane, admin: Client, chart: None) -> Client:
    """Its account with all rights, so that nothing but its policy holds it."""
    kubectl = [
        str(control_plane.kubectl),
        f"--kubeconfig={control_plane.kubeconfig}",
        "apply",
        "--server-side",
        "-f",
        "-",
    ]
    text = yaml.safe_dump_all(rendered("--set=simulator.hosts=1"))
    subprocess.run(kubectl, input=text, text=True, check=True, capture_output=True)
    client = admin.impersonating(ACCOUNT, ["system:masters"])
    wait_refused(
        lambda: client.ask("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "x"}}, dryRun="All")
    )
    return client


def test_it_is_there_only_when_asked_for() -> None:
    assert not [body for body in rendered() if "simulator" in body["metadata"]["name"]]
    kinds = {body["kind"] for body in rendered("--set=simulator.hosts=1") if "simulator" in body["metadata"]["name"]}
    assert {"ServiceAccount", "ClusterRole", "ValidatingAdmissionPolicy"} <= kinds


@each_kind
def test_reports_for_simulated_hosts_only(simulator: Client, make: Make, kind: AnyKind) -> None:
    make(of_host(kind, SIMULATED))
    make(of_host(kind, "node1"))

    simulator.patch(kind, f"on-{SIMULATED}", {"status": report(kind)}, "status")
    refused(SENTENCE, lambda: simulator.patch(kind, "on-node1", {"status": report(kind)}, "status"))
    refused(SENTENCE, lambda: simulator.patch(kind, f"on-{SIMULATED}", {"metadata": {"labels": {"a": "b"}}}))
    refused(SENTENCE, lambda: simulator.delete(kind, f"on-{SIMULATED}"))


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind.kind != "Host"], ids=repr)
def test_makes_nothing_but_hosts(simulator: Client, kind: AnyKind) -> None:
    refused(SENTENCE, lambda: simulator.create(bent(good(kind.kind, "theirs"), {})))


def test_makes_simulated_hosts_only(simulator: Client, make: Make, admin: Client) -> None:
    host = KINDS["Host"]
    body = host.body(Key("", SIMULATED), spec={"node": SIMULATED, "zone": "simulated", "simulated": True})
    simulator.create(body, dryRun="All")
    refused(SENTENCE, lambda: simulator.create(good("Host", "node7")))
    make(good("Host", "node7"))
    refused(SENTENCE, lambda: simulator.patch(host, "node7", {"spec": {"schedulable": False}}))
    refused(SENTENCE, lambda: simulator.patch(host, "node7", {"status": {"state": "Up"}}, "status"))
    for name, simulated in (("node8", True), (SIMULATED, False)):
        with pytest.raises(Refused, match="names that begin with simulated- are those of simulated hosts"):
            admin.create(host.body(Key("", name), spec={"node": name, "simulated": simulated}))


def lease(name: str, node: str = "") -> dict[str, Any]:
    labels = {names.LABEL_NODE: node, names.LABEL_COMPONENT: "hypervisor"} if node else {}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "labels": labels}}


@pytest.mark.parametrize(
    ("name", "node", "may"),
    [
        (f"agent-hypervisor-{SIMULATED}", SIMULATED, True),
        ("cloudstack-simulator", "", True),
        ("cloudstack-compute", "", False),
        ("agent-hypervisor-node1", "node1", False),
        (f"agent-hypervisor-{SIMULATED}", "node1", False),
        (f"agent-hypervisor-{SIMULATED}", "", False),
    ],
)
def test_beats_for_simulated_hosts_only(simulator: Client, name: str, node: str, may: bool) -> None:
    where = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases"
    if may:
        simulator.ask("POST", where, lease(name, node), dryRun="All")
    else:
        refused(SENTENCE, lambda: simulator.ask("POST", where, lease(name, node), dryRun="All"))


def test_its_role_reads_no_secret_and_no_spec(admin: Client) -> None:
    (role,) = [
        body
        for body in rendered("--set=simulator.hosts=1")
        if body["kind"] == "ClusterRole" and body["metadata"]["name"] == "cloudstack-simulator"
    ]
    resources = {name for rule in role["rules"] for name in rule["resources"]}
    assert not resources & {"secrets", "virtualmachines", "volumes", "networks"}
