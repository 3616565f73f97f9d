"""What an agent's real token may do: report for its own host, and nothing else. Tried kind by kind and verb by verb."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from dev.guest import in_agent
from dev.target import SYSTEM
from operators.contract.kinds import ALL, HOST_SIDE
from operators.contract.meta import Kind
from tests.support import leftovers
from tests.support.cluster import Cloud, network, vm, volume

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STATUSES = [kind for kind in HOST_SIDE if kind.kind != "StoragePool"]
USER_SIDE = [kind for kind in ALL if not kind.host_side]


@dataclass
class Agent:
    """The API as the token of one host's agents sees it."""

    host: str
    server: str
    session: requests.Session

    def ask(
        self, method: str, kind: Kind[Any, Any], namespace: str, name: str = "", *, sub: str = "", **request: Any
    ) -> requests.Response:
        """One request; the answer, whatever it is."""
        where = f"/namespaces/{namespace}" if kind.namespaced else ""
        tail = f"/{name}" if name else ""
        return self.raw(method, f"/apis/{kind.api_version}{where}/{kind.plural}{tail}{sub}", **request)

    def raw(self, method: str, path: str, **request: Any) -> requests.Response:
        """One request to a path."""
        return self.session.request(method, self.server + path, timeout=20, **request)

    def patch_status(
        self, kind: Kind[Any, Any], namespace: str, name: str, status: Mapping[str, Any]
    ) -> requests.Response:
        """A merge patch of a status."""
        headers = {"Content-Type": MERGE}
        return self.ask(
            "PATCH", kind, namespace, name, sub="/status", data=json.dumps({"status": status}), headers=headers
        )


@pytest.fixture
def agent(cloud: Cloud) -> Iterator[Agent]:
    """The agents of the first host, by the token in their pod."""
    host = leftovers.hosts(cloud)[0]
    token = in_agent(cloud.where, host, "storage", ["cat", TOKEN])
    with requests.Session() as session:
        session.trust_env = False  # or requests would take the certificates of the environment instead
        session.headers["Authorization"] = f"Bearer {token}"
        session.verify = cloud.api.config.cluster["certificate-authority"].filename()
        yield Agent(host, cloud.api.url, session)


@pytest.fixture
def there(cloud: Cloud, agent: Agent) -> dict[str, dict[str, str]]:
    """By host, `mine` and `theirs`: the name of one host-side object of each kind."""
    other = next(host for host in leftovers.hosts(cloud) if host != agent.host)
    cloud.apply(
        network(),
        volume("mine"),
        volume("theirs"),
        vm("mine", volumes=["mine"], placement={"host": agent.host}),
        vm("theirs", volumes=["theirs"], placement={"host": other}),
    )
    cloud.ready("vm/mine", "vm/theirs")
    found: dict[str, dict[str, str]] = {"mine": {}, "theirs": {}}
    for kind in HOST_SIDE:
        for body in cloud.list(kind.kind, everywhere=not kind.namespaced or kind.kind == "ImageCopy"):
            if host := body["spec"].get("hostName"):
                whose = "mine" if host == agent.host else "theirs"
                found[whose].setdefault(
                    kind.kind, f"{body['metadata'].get('namespace', '')}/{body['metadata']['name']}"
                )
    return found


def test_an_agent_reports_for_its_own_host_only(cloud: Cloud, agent: Agent, there: dict[str, dict[str, str]]) -> None:
    """The same write is done for one's own host and refused for another's."""
    tried = set()
    for kind in STATUSES:
        for whose, ok in (("mine", True), ("theirs", False)):
            if kind.kind not in there[whose]:
                continue
            namespace, name = there[whose][kind.kind].split("/")
            answer = agent.patch_status(kind, namespace, name, {})
            assert answer.ok is ok, f"{kind.kind} {whose}: {answer.status_code} {answer.text}"
            if not ok:
                assert "may not report for" in answer.text
                tried.add(kind.kind)
    assert tried >= {"Instance", "Disk", "PortBinding", "HostNetwork", "HostReport"}


def test_an_agent_writes_no_spec(agent: Agent, there: dict[str, dict[str, str]]) -> None:
    """Neither its own host's objects nor another's: not by patch, update, create or delete."""
    for whose in ("mine", "theirs"):
        for kind in STATUSES:
            if kind.kind not in there[whose]:
                continue
            namespace, name = there[whose][kind.kind].split("/")
            body = agent.ask("GET", kind, namespace, name).json()
            patch = {"metadata": {"labels": {"a": "b"}}}
            forged = body | {"metadata": {"name": "forged", "namespace": namespace}}
            answers = [
                agent.ask("PATCH", kind, namespace, name, json=patch, headers={"Content-Type": MERGE}),
                agent.ask("PUT", kind, namespace, name, json=body),
                agent.ask("PUT", kind, namespace, name, sub="/status", json=body),
                agent.ask("POST", kind, namespace, json=forged),
                agent.ask("DELETE", kind, namespace, name),
                agent.ask("DELETE", kind, namespace),
            ]
            assert [answer.status_code for answer in answers] == [403] * len(answers), f"{kind.kind} {whose}"


def test_an_agent_writes_nothing_of_a_user(agent: Agent) -> None:
    """Objects that people state are out of its reach; RBAC refuses before it looks whether they exist."""
    merge = {"Content-Type": MERGE}
    for kind in USER_SIDE:
        answers = [
            agent.ask("POST", kind, "default", json={}),
            agent.ask("PATCH", kind, "default", "any", json={}, headers=merge),
            agent.ask("PATCH", kind, "default", "any", sub="/status", json={}, headers=merge),
            agent.ask("PUT", kind, "default", "any", json={}),
            agent.ask("DELETE", kind, "default", "any"),
        ]
        assert [answer.status_code for answer in answers] == [403] * len(answers), kind.kind


def test_an_agent_reads_no_secret(agent: Agent) -> None:
    """No Secret anywhere, its own namespace included; and it gets no token of another account."""
    for path in ("/api/v1/secrets", f"/api/v1/namespaces/{SYSTEM}/secrets", "/api/v1/namespaces/default/secrets/any"):
        assert agent.raw("GET", path).status_code == 403
    account = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/cloudstack-compute/token"
    assert agent.raw("POST", account, json={}).status_code == 403


def test_an_agent_beats_for_its_own_host_only(cloud: Cloud, agent: Agent) -> None:
    """Its own heartbeats, and neither another host's nor the Leases by which operators elect their leaders."""
    other = next(host for host in leftovers.hosts(cloud) if host != agent.host)
    apply = {"Content-Type": APPLY}
    for name, ok in (
        (f"agent-storage-{agent.host}", True),
        (f"agent-storage-{other}", False),
        ("cloudstack-compute", False),
        ("anything", False),
    ):
        metadata = {"name": name, "labels": {"cloudstack.dev/node": name.rpartition("-")[2]}}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
        path = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{name}?fieldManager=test&dryRun=All"
        answer = agent.raw("PATCH", path, data=json.dumps(lease), headers=apply)
        assert answer.ok is ok, f"{name}: {answer.status_code} {answer.text}"
