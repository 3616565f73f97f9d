"""Hosts of nodes, pools of hosts: what is made, what is accepted, what may go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from operators.contract.codec import Json
from operators.contract.core import NODE, POD
from operators.contract.fabric import HOST, HOST_GROUP, HOST_REPORT, RACK, STORAGE_POOL, ZONE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Condition, Key, Kind, condition
from operators.contract.storage import DISK
from operators.fabric_admin.handlers import COMPONENT
from operators.fabric_admin.shared import listed
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore
from tests.support.virtual_time import VirtualClock, virtual

ENV = {"POD_NAMESPACE": "cloudstack-system", "POOL_ROOT": "/pools"}
GUEST: Json = {
    "hostName": "n1",
    "virtualMachine": {"name": "web", "uid": "u"},
    "domain": "d",
    "cpus": 1,
    "memory": "1Mi",
}


class Fabric:
    """A cluster and our component."""

    def __init__(self, **env: str) -> None:
        clock = VirtualClock()
        self.server = MemoryServer(clock=clock)
        self.user = MemoryStore(self.server, "kubectl")
        own = MemoryStore(self.server, COMPONENT.name)
        env = ENV | env
        self.manager = Manager(own, clock, COMPONENT.watches(env), COMPONENT.build, env=env)
        self.server.feed(self.manager)

    async def put(
        self, kind: Kind[Any, Any], name: str, spec: Json | None = None, namespace: str = "", **meta: Any
    ) -> None:
        await self.user.apply(kind, kind.body(Key(namespace, name), spec=spec or {}, **meta))

    async def defaults(self) -> None:
        for kind in (ZONE, RACK, HOST_GROUP):
            await self.put(kind, "default")

    async def node(self, name: str, **labels: str) -> None:
        await self.put(NODE, name, labels={f"cloudstack.dev/{key}": value for key, value in labels.items()})

    async def agent(self, node: str, namespace: str = "cloudstack-system", component: str = "agent") -> None:
        labels = {"app.kubernetes.io/component": component}
        await self.put(POD, f"agent-{node}-{namespace}", {"nodeName": node}, namespace, labels=labels)

    def remove(self, kind: Kind[Any, Any], name: str, namespace: str = "") -> None:
        self.server.delete("kubectl", kind, Key(namespace, name))

    def read(self, kind: Kind[Any, Any], name: str) -> Any:
        body = self.server.read(kind, Key("", name))
        return kind.parse(body) if body else None

    def accepted(self, kind: Kind[Any, Any], name: str) -> Condition:
        found = condition(self.read(kind, name).status.conditions, "Accepted")
        assert found is not None
        return found

    def names(self, kind: Kind[Any, Any]) -> list[str]:
        return [body["metadata"]["name"] for body in self.server.all(kind)]


@asynccontextmanager
async def fabric(**env: str) -> AsyncIterator[Fabric]:
    made = Fabric(**env)
    task = asyncio.create_task(made.manager.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait([task])


async def settle() -> None:
    await asyncio.sleep(5)


@virtual
async def test_each_node_with_agents_gets_a_host_a_report_and_a_pool() -> None:
    async with fabric() as cloud:
        await cloud.defaults()
        for node in ("n1", "n2", "plain"):
            await cloud.node(node)
        await cloud.agent("n1")
        await cloud.agent("n2")
        await cloud.agent("plain", namespace="elsewhere")
        await cloud.agent("plain", component="something-else")
        await settle()
        assert cloud.names(HOST) == cloud.names(HOST_REPORT) == ["n1", "n2"]
        assert cloud.names(STORAGE_POOL) == ["local-n1", "local-n2"]
        assert cloud.read(HOST_REPORT, "n1").spec.host_name == "n1"
        pool = cloud.read(STORAGE_POOL, "local-n1")
        assert (pool.spec.type, pool.spec.path, pool.spec.host_name) == ("Directory", "/pools/local", "n1")
        assert [owner.uid for owner in pool.meta.owner_references] == [cloud.read(HOST, "n1").meta.uid]
        assert cloud.accepted(HOST, "n1").true
        assert cloud.accepted(STORAGE_POOL, "local-n1").true
        # Fabric Monitoring's part of the status is left alone.
        assert cloud.server.read(HOST, Key("", "n1"))["status"].keys() == {"conditions"}  # type: ignore[index]


@virtual
async def test_labels_of_the_node_place_the_host_once_and_its_spec_is_never_written_again() -> None:
    async with fabric() as cloud:
        await cloud.defaults()
        await cloud.node("n1", zone="east", rack="r7", **{"host-group": "gpu"})
        await cloud.agent("n1")
        await settle()
        spec = cloud.read(HOST, "n1").spec
        assert (spec.zone, spec.rack, spec.group) == ("east", "r7", "gpu")
        assert cloud.accepted(HOST, "n1").reason == "ZoneNotFound"
        for kind, name, reason in ((ZONE, "east", "RackNotFound"), (RACK, "r7", "HostGroupNotFound")):
            await cloud.put(kind, name)
            await settle()
            assert cloud.accepted(HOST, "n1").reason == reason
        await cloud.put(HOST_GROUP, "gpu")
        await settle()
        assert cloud.accepted(HOST, "n1").true
        await cloud.node("n1", zone="west")
        await settle()
        assert cloud.read(HOST, "n1").spec == spec


@virtual
async def test_nothing_is_written_while_nothing_changes_and_agents_are_replaced() -> None:
    async with fabric() as cloud:
        await cloud.defaults()
        await cloud.node("n1")
        await cloud.agent("n1")
        await settle()
        before = [entry for entry in cloud.server.log if entry[0] == COMPONENT.name]
        cloud.remove(POD, "agent-n1-cloudstack-system", "cloudstack-system")
        await settle()
        await cloud.agent("n1")
        await asyncio.sleep(3600)
        assert [entry for entry in cloud.server.log if entry[0] == COMPONENT.name] == before


@virtual
async def test_a_report_or_pool_that_was_deleted_is_made_again() -> None:
    async with fabric() as cloud:
        await cloud.defaults()
        await cloud.node("n1")
        await cloud.agent("n1")
        await settle()
        cloud.remove(HOST_REPORT, "n1")
        cloud.remove(STORAGE_POOL, "local-n1")
        await settle()
        assert cloud.names(HOST_REPORT) == ["n1"]
        assert cloud.names(STORAGE_POOL) == ["local-n1"]


@virtual
async def test_a_host_whose_node_is_gone_says_so_and_goes_when_it_is_empty() -> None:
    async with fabric() as cloud:
        await cloud.defaults()
        await cloud.node("n1")
        await cloud.agent("n1")
        await settle()
        await cloud.put(INSTANCE, "web", GUEST, "team-a")
        disk = {"hostName": "n1", "pool": "local-n1", "path": "p", "volume": {"name": "v", "uid": "u"}, "size": "1Mi"}
        await cloud.put(DISK, "web-root", disk, "team-a")
        cloud.remove(POD, "agent-n1-cloudstack-system", "cloudstack-system")
        cloud.remove(NODE, "n1")
        await settle()
        assert cloud.accepted(HOST, "n1").reason == "NodeGone"
        cloud.remove(HOST, "n1")
        await settle()
        told = cloud.accepted(HOST, "n1")
        assert told.reason == "StillInUse"
        assert "Instance team-a/web, Disk team-a/web-root" in told.message
        assert cloud.names(STORAGE_POOL) == ["local-n1"]
        cloud.remove(INSTANCE, "web", "team-a")
        await settle()
        assert cloud.names(HOST) == ["n1"]
        cloud.remove(DISK, "web-root", "team-a")
        await settle()
        for kind in (HOST, HOST_REPORT, STORAGE_POOL):
            assert cloud.names(kind) == []


@virtual
async def test_a_pool_stays_while_disks_lie_on_it() -> None:
    async with fabric() as cloud:
        await cloud.defaults()
        await cloud.put(STORAGE_POOL, "fast", {"path": "/fast", "hostName": "n1"})
        disk = {"hostName": "n1", "pool": "fast", "path": "p", "volume": {"name": "v", "uid": "u"}, "size": "1Mi"}
        await cloud.put(DISK, "d", disk, "team-a")
        await settle()
        cloud.remove(STORAGE_POOL, "fast")
        await settle()
        assert cloud.accepted(STORAGE_POOL, "fast").reason == "StillInUse"
        cloud.remove(DISK, "d", "team-a")
        await settle()
        assert cloud.names(STORAGE_POOL) == []


@virtual
async def test_the_pool_that_all_hosts_share_is_made_once() -> None:
    async with fabric(SHARED_POOL_PATH="nfs") as cloud:
        await cloud.defaults()
        await cloud.node("n1")
        await cloud.agent("n1")
        await settle()
        pool = cloud.read(STORAGE_POOL, "shared")
        assert (pool.spec.type, pool.spec.path, pool.spec.host_name) == ("SharedDirectory", "/pools/nfs", "")
        assert pool.meta.owner_references == ()


@virtual
async def test_a_host_made_by_hand_is_taken_as_it_is() -> None:
    async with fabric() as cloud:
        await cloud.defaults()
        await cloud.put(HOST, "n1", {"node": "n1", "tags": ["ssd"], "schedulable": False})
        await cloud.node("n1")
        await cloud.agent("n1")
        await settle()
        host = cloud.read(HOST, "n1")
        assert host.spec.tags == {"ssd"}
        assert not host.spec.schedulable
        assert host.meta.finalizers == ("cloudstack.dev/fabric-admin",)
        assert cloud.names(HOST_REPORT) == ["n1"]


def test_a_long_list_is_cut_short() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
