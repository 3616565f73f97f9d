"""Fabric Admin and Fabric Monitoring as processes, with their rights and no more, writing one status side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.core import LEASE, LeaseSpec
from operators.contract.fabric import HOST, HOST_GROUP, HOST_REPORT, RACK, STORAGE_POOL, ZONE
from operators.contract.meta import Key, Kind, condition
from operators.kernel.leader import micro_time
from tests.apiserver.client import Client, Refused, path
from tests.apiserver.kernel.processes import until
from tests.apiserver.policies.conftest import SYSTEM
from tests.apiserver.rooms.conftest import Start

NODE = "room-node"


class Fabric:
    """A node, as Kubernetes and the agents on it would make it look."""

    def __init__(self, admin: Client) -> None:
        self.admin = admin

    def apply(self, kind: Kind[Any, Any], key: Key, spec: dict[str, Any], **metadata: Any) -> None:
        where = path(kind, key.name, key.namespace)
        body = kind.body(key, spec=spec, **metadata)
        self.admin.ask("PATCH", where, body, "application/apply-patch+yaml", fieldManager="node", force="true")

    def beat(self) -> None:
        for agent in names.AGENTS:
            spec = LeaseSpec("x", 40, renew_time=micro_time(datetime.now(UTC)))
            labels = {names.LABEL_NODE: NODE, names.LABEL_COMPONENT: f"agent-{agent}"}
            self.apply(LEASE, Key(SYSTEM, names.heartbeat(agent, NODE)), to_wire(spec), labels=labels)

    def report(self) -> None:
        pools = [{"pool": names.local_pool(NODE), "online": True, "capacity": "10Gi", "free": "5Gi"}]
        body = HOST_REPORT.body(Key("", NODE))
        body["status"] = {
            "hypervisor": {"cpus": 2},
            "storage": {"pools": pools},
            "network": {"underlayAddress": "10.9.0.1"},
        }
        self.admin.apply(body, "agents", "status")

    def get(self, kind: Kind[Any, Any], name: str) -> Any:
        try:
            return kind.parse(self.admin.get(kind, name))
        except Refused:
            return None

    def true(self, kind: Kind[Any, Any], name: str, type_: str) -> bool:
        obj = self.get(kind, name)
        found = condition(obj.status.conditions, type_) if obj else None
        return found is not None and found.true


@pytest.fixture
def fabric(admin: Client, rights: None) -> Iterator[Fabric]:
    made = Fabric(admin)
    for kind in (ZONE, RACK, HOST_GROUP):
        made.apply(kind, Key("", "default"), {})
    admin.ask("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})
    pod = {"name": f"agent-{NODE}", "labels": {"app.kubernetes.io/component": "agent"}}
    spec = {
        "nodeName": NODE,
        "containers": [{"name": "hypervisor", "image": "none"}],
        "serviceAccountName": "cloudstack-agent",
    }
    admin.ask("POST", f"/api/v1/namespaces/{SYSTEM}/pods", {"metadata": pod, "spec": spec})
    yield made
    for where in (f"/api/v1/namespaces/{SYSTEM}/pods/agent-{NODE}", f"/api/v1/nodes/{NODE}"):
        try:
            admin.ask("DELETE", where, {"gracePeriodSeconds": 0})
        except Refused as error:
            assert error.code == 404


def test_a_node_becomes_a_host_that_is_accepted_reachable_and_ready_and_then_all_is_quiet(
    fabric: Fabric, start: Start
) -> None:
    pool = names.local_pool(NODE)
    rooms = start("fabric-admin", POOL_ROOT="/pools"), start("fabric-monitoring")
    until(lambda: fabric.get(HOST_REPORT, NODE) and fabric.get(STORAGE_POOL, pool))
    fabric.beat()
    fabric.report()
    for kind, name, types in (
        (HOST, NODE, ("Accepted", "Reachable", "Ready")),
        (STORAGE_POOL, pool, ("Accepted", "Ready")),
    ):
        for type_ in types:
            until(lambda kind=kind, name=name, type_=type_: fabric.true(kind, name, type_), what=f"{name} {type_}")  # type: ignore[misc]
    host = fabric.get(HOST, NODE)
    assert (host.status.state, host.status.address, host.status.observed_generation) == ("Up", "10.9.0.1", 1)
    assert str(fabric.get(STORAGE_POOL, pool).status.free) == "5Gi"
    before = [room.writes() for room in rooms]
    for _ in range(3):
        time.sleep(2)
        fabric.beat()
    assert [room.writes() for room in rooms] == before
    # The node goes for good: nothing is lost but what an operator deletes.
    fabric.admin.ask("DELETE", f"/api/v1/namespaces/{SYSTEM}/pods/agent-{NODE}", {"gracePeriodSeconds": 0})
    fabric.admin.ask("DELETE", f"/api/v1/nodes/{NODE}")
    until(lambda: not fabric.true(HOST, NODE, "Accepted"))
    assert fabric.true(HOST, NODE, "Reachable")
    fabric.admin.delete(HOST, NODE)
    for kind, name in ((HOST, NODE), (HOST_REPORT, NODE), (STORAGE_POOL, pool)):
        until(lambda kind=kind, name=name: fabric.get(kind, name) is None, what=f"{name} is gone")  # type: ignore[misc]
