"""An agent reports for its own host and writes nothing else: every kind and verb, by real tokens and beyond roles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from operators.contract import names
from operators.contract.kinds import ALL, HOST_SIDE
from tests.apiserver.client import Client, Json, Refused, path
from tests.apiserver.crds.objects import KINDS, bent, good
from tests.apiserver.policies.conftest import SYSTEM, AnyKind, Token, agent_of

pytestmark = pytest.mark.usefixtures("chart")
each_kind = pytest.mark.parametrize("kind", HOST_SIDE, ids=repr)
Make = Callable[[Json], Json]

NOTHING_ELSE = "an agent writes nothing but the status of host-side objects and its heartbeat"
MERGE = "application/merge-patch+json"


def report(kind: AnyKind) -> Json:
    """A status that an agent could write."""
    return {"storage": {"unknownFiles": ["x"]}} if kind.kind == "HostReport" else {"observedGeneration": 1}


def of_host(kind: AnyKind, host: str) -> Json:
    """A good object for the agents of a host."""
    return bent(good(kind.kind, f"on-{host}"), {"spec.hostName": host})


def refused(sentence: str, ask: Callable[[], Any]) -> None:
    """What is asked must be refused as forbidden, with the sentence."""
    with pytest.raises(Refused) as refusal:
        ask()

    assert refusal.value.code == 403, refusal.value
    assert sentence in refusal.value.message


# By the token of a pod on node1, with the chart's roles.


@each_kind
def test_reports_for_its_own_host(with_token: Token, make: Make, kind: AnyKind) -> None:
    body = make(of_host(kind, "node1"))
    head = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "on-node1"}}

    merged = with_token("node1").patch(kind, "on-node1", {"status": report(kind)}, "status")
    applied = with_token("node1").apply(head | {"status": report(kind)}, "agent-hypervisor", "status")

    assert merged["status"] == applied["status"] == report(kind)
    assert applied["spec"] == body["spec"]


@each_kind
def test_does_not_report_for_another_host(with_token: Token, make: Make, kind: AnyKind) -> None:
    make(of_host(kind, "node2"))
    head = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "on-node2"}}
    sentence = "the agent of node1 may not report for node2"

    refused(sentence, lambda: with_token("node1").patch(kind, "on-node2", {"status": report(kind)}, "status"))
    refused(sentence, lambda: with_token("node1").apply(head | {"status": report(kind)}, "agent-storage", "status"))
    with_token("node2").patch(kind, "on-node2", {"status": report(kind)}, "status")


@each_kind
def test_a_token_of_no_node_reports_nothing(with_token: Token, make: Make, kind: AnyKind) -> None:
    make(of_host(kind, "node1"))

    refused(
        "this token says nothing of a node",
        lambda: with_token("").patch(kind, "on-node1", {"status": report(kind)}, "status"),
    )


@each_kind
def test_roles_let_it_read_and_report_only(with_token: Token, make: Make, kind: AnyKind) -> None:
    body = make(of_host(kind, "node1"))
    agent, where = with_token("node1"), path(kind, "on-node1")

    agent.get(kind, "on-node1")
    agent.get(kind, fieldSelector="spec.hostName=node1")
    for verb, ask in {
        "create": lambda: agent.create(of_host(kind, "node1") | {"metadata": {"name": "another"}}),
        "update": lambda: agent.ask("PUT", where, body),
        "patch": lambda: agent.patch(kind, "on-node1", {"spec": {"hostName": "node2"}}),
        "delete": lambda: agent.delete(kind, "on-node1"),
        "deletecollection": lambda: agent.ask("DELETE", path(kind)),
    }.items():
        refused(f"cannot {verb} resource", ask)
    refused("cannot update resource", lambda: agent.ask("PUT", f"{where}/status", body | {"status": report(kind)}))


@pytest.mark.parametrize("kind", [kind for kind in ALL if not kind.host_side], ids=repr)
def test_roles_give_it_no_write_to_what_people_state(with_token: Token, kind: AnyKind) -> None:
    agent, body = with_token("node1"), good(kind.kind, "theirs")

    refused("cannot create resource", lambda: agent.create(body))
    refused("cannot update resource", lambda: agent.ask("PUT", path(kind, "theirs"), body))
    refused("cannot patch resource", lambda: agent.patch(kind, "theirs", {"spec": {}}))
    refused("cannot patch resource", lambda: agent.patch(kind, "theirs", {"status": {}}, "status"))
    refused("cannot delete resource", lambda: agent.delete(kind, "theirs"))


@pytest.mark.parametrize(
    "where",
    [
        "/api/v1/secrets",
        f"/api/v1/namespaces/{SYSTEM}/secrets",
        "/api/v1/namespaces/team-a/secrets",
        "/api/v1/namespaces/team-a/secrets/keys",
        "/api/v1/configmaps",
        "/api/v1/pods",
        "/api/v1/nodes",
        "/api/v1/serviceaccounts",
        path(KINDS["VirtualMachine"], namespace="team-a"),
        path(KINDS["Flow"], namespace="team-a"),
        "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases",
    ],
)
def test_roles_hide_what_it_need_not_see(with_token: Token, where: str) -> None:
    refused("cannot", lambda: with_token("node1").ask("GET", where))
    refused("cannot", lambda: with_token("node1").ask("GET", where, watch="true", timeoutSeconds="1"))


# With every right there is: what the policy alone holds.


@each_kind
def test_policy_refuses_every_other_verb(admin: Client, make: Make, kind: AnyKind) -> None:
    body = make(of_host(kind, "node1"))
    agent, where = agent_of(admin, "node1"), path(kind, "on-node1")

    for ask in (
        lambda: agent.create(of_host(kind, "node1") | {"metadata": {"name": "another"}}),
        lambda: agent.ask("PUT", where, body),
        lambda: agent.patch(kind, "on-node1", {"metadata": {"finalizers": ["cloudstack.dev/mine"]}}),
        lambda: agent.patch(kind, "on-node1", {"metadata": {"labels": {"a": "b"}}}),
        lambda: agent.delete(kind, "on-node1"),
        lambda: agent.ask("DELETE", path(kind)),
    ):
        refused(NOTHING_ELSE, ask)
    assert admin.get(kind, "on-node1")["metadata"]["resourceVersion"] == body["metadata"]["resourceVersion"]


@each_kind
def test_policy_refuses_another_hosts_status_by_update(admin: Client, make: Make, kind: AnyKind) -> None:
    theirs, ours = make(of_host(kind, "node2")), make(of_host(kind, "node1"))
    agent = agent_of(admin, "node1")

    refused(
        "the agent of node1 may not report for node2",
        lambda: agent.ask("PUT", path(kind, "on-node2", sub="status"), theirs | {"status": report(kind)}),
    )
    # The old object decides, not what the agent says of it.
    lie = bent(theirs, {"spec.hostName": "node1"}) | {"status": report(kind)}
    refused("may not report for node2", lambda: agent.ask("PUT", path(kind, "on-node2", sub="status"), lie))
    agent.ask("PUT", path(kind, "on-node1", sub="status"), ours | {"status": report(kind)})


@pytest.mark.parametrize("kind", [kind for kind in ALL if not kind.host_side], ids=repr)
def test_policy_refuses_all_writes_to_what_people_state(admin: Client, make: Make, kind: AnyKind) -> None:
    name = make(good(kind.kind, "theirs"))["metadata"]["name"]
    agent = agent_of(admin, "node1")

    refused(NOTHING_ELSE, lambda: agent.create(good(kind.kind, "more")))
    refused(NOTHING_ELSE, lambda: agent.patch(kind, name, {"metadata": {"labels": {"a": "b"}}}))
    refused(NOTHING_ELSE, lambda: agent.patch(kind, name, {"status": {"observedGeneration": 1}}, "status"))
    refused(NOTHING_ELSE, lambda: agent.delete(kind, name))


@pytest.mark.parametrize(
    ("method", "where", "body"),
    [
        ("POST", "/api/v1/namespaces/team-a/secrets", {"metadata": {"name": "x"}}),
        ("POST", "/api/v1/namespaces/team-a/configmaps", {"metadata": {"name": "x"}}),
        ("POST", f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/cloudstack-compute/token", {"spec": {"audiences": []}}),
        ("PATCH", "/api/v1/nodes/node2", {"metadata": {"labels": {"a": "b"}}}),
        ("POST", f"/api/v1/namespaces/{SYSTEM}/pods/agent-node2/exec?command=id", None),
        ("POST", f"/api/v1/namespaces/{SYSTEM}/pods/agent-node2/eviction", {"metadata": {"name": "agent-node2"}}),
        ("DELETE", f"/api/v1/namespaces/{SYSTEM}/pods/agent-node2", None),
        (
            "POST",
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            {
                "metadata": {"name": "x"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            },
        ),
    ],
)
def test_policy_refuses_everything_else(
    admin: Client, with_token: Token, method: str, where: str, body: Json | None
) -> None:
    with_token("node2")  # so that its pod is there

    refused(
        NOTHING_ELSE,
        lambda: agent_of(admin, "node1").ask(method, where, body, MERGE if method == "PATCH" else "application/json"),
    )


def test_policy_holds_nobody_else(admin: Client) -> None:
    somebody = admin.impersonating(f"system:serviceaccount:{SYSTEM}:somebody", ["system:masters"])

    somebody.ask("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "x"}}, dryRun="All")


def test_an_agent_may_ask_about_itself(with_token: Token) -> None:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    seen = with_token("node1").ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)

    assert seen["status"]["userInfo"]["extra"]["authentication.kubernetes.io/node-name"] == ["node1"]


# Heartbeats.

LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases"
BEAT = "may beat only in a Lease agent-AGENT-node1 that is labelled cloudstack.dev/node=node1"


def lease(name: str, node: str | None) -> Json:
    """A heartbeat as the kernel writes it."""
    labels = {} if node is None else {names.LABEL_NODE: node}
    head = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    return head | {"metadata": {"name": name, "labels": labels}, "spec": {"holderIdentity": node or "x"}}


def beat(client: Client, body: Json) -> Any:
    """Server-side apply of a Lease, as the kernel does it."""
    where = f"{LEASES}/{body['metadata']['name']}"
    return client.ask("PATCH", where, body, "application/apply-patch+yaml", fieldManager="agent", force="true")


@pytest.mark.parametrize("agent", names.AGENTS)
def test_beats_for_its_own_host(with_token: Token, agent: str) -> None:
    for _ in range(2):
        beat(with_token("node1"), lease(names.heartbeat(agent, "node1"), "node1"))


@pytest.mark.parametrize(
    "body",
    [
        lease(names.heartbeat("storage", "node2"), "node2"),
        lease(names.heartbeat("storage", "node2"), "node1"),
        lease(names.heartbeat("storage", "node1"), "node2"),
        lease(names.heartbeat("storage", "node1"), None),
        lease("cloudstack-compute", "node1"),
        lease("anything", "node1"),
    ],
    ids=lambda body: f"{body['metadata']['name']}-of-{body['metadata']['labels'].get(names.LABEL_NODE)}",
)
def test_makes_no_other_lease(with_token: Token, body: Json) -> None:
    refused(BEAT, lambda: with_token("node1").ask("POST", LEASES, body))


def test_takes_no_lease_over_and_gives_none_away(admin: Client, with_token: Token) -> None:
    theirs, leader = lease(names.heartbeat("network", "node2"), "node2"), lease("cloudstack-storage", None)
    ours = lease(names.heartbeat("network", "node1"), "node1")
    for body in (theirs, leader, ours):
        beat(admin, body)
    agent = with_token("node1")

    refused(BEAT, lambda: beat(agent, lease(theirs["metadata"]["name"], "node1")))
    refused(BEAT, lambda: agent.ask("PATCH", f"{LEASES}/cloudstack-storage", {"spec": {"holderIdentity": "me"}}, MERGE))
    relabel = {"metadata": {"labels": {names.LABEL_NODE: "node2"}}}
    refused(BEAT, lambda: agent.ask("PATCH", f"{LEASES}/{ours['metadata']['name']}", relabel, MERGE))
    refused("cannot delete resource", lambda: agent.ask("DELETE", f"{LEASES}/{theirs['metadata']['name']}"))
    refused(BEAT, lambda: agent_of(admin, "node1").ask("DELETE", f"{LEASES}/{theirs['metadata']['name']}"))
    elsewhere = LEASES.replace(SYSTEM, "team-a")
    refused("cannot create resource", lambda: agent.ask("POST", elsewhere, ours))
    refused(NOTHING_ELSE, lambda: agent_of(admin, "node1").ask("POST", elsewhere, ours))
    refused("this token says nothing of a node", lambda: beat(with_token(""), ours))
