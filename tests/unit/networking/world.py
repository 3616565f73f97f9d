"""A cloud in memory around the real networking operator: hosts with obedient agents, Instances, and an axe."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from operators.contract import names
from operators.contract.codec import Json
from operators.contract.fabric import HOST, HOST_REPORT, IP_RANGE, ZONE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Condition, Key, Kind, Obj, condition
from operators.contract.networking import (
    CLAIM,
    HOST_NETWORK,
    NETWORK,
    NETWORK_OFFERING,
    PORT,
    PORT_BINDING,
    ROUTER,
)
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore
from operators.networking.handlers import COMPONENT
from tests.support.axe import NEVER, Axe
from tests.support.virtual_time import VirtualClock

NS = "team-a"
AT_EASE = 5.0
"""Virtual seconds after which everything has settled that does not wait for a back-off."""
FINALIZER = names.finalizer("networking")
HOST_SIDE = (ROUTER, HOST_NETWORK, PORT_BINDING)


class World:
    """The API server, the operator, and everybody else."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.server = MemoryServer(clock=self.clock)
        self.user = MemoryStore(self.server, "kubectl")
        self.agent = MemoryStore(self.server, "agent-network")
        self.deaf: set[str] = set()
        """Hosts whose agents do nothing."""
        self.broken: dict[str, Condition] = {}
        """What `Kind/name` says in place of being programmed."""
        self.axe = Axe(self.server, "networking")
        self._operator: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._seen = asyncio.Event()
        for kind in HOST_SIDE:
            self.server.subscribe(kind, lambda type_, body: self._seen.set())
        self._agents = asyncio.create_task(self._obey())

    async def start(self, axe: int = NEVER) -> None:
        """Start an operator with an empty memory."""
        self.axe = Axe(self.server, "networking", axe)
        self.manager = Manager(self.axe, self.clock, COMPONENT.watches({}), COMPONENT.build)
        self.server.feed(self.manager)
        self._operator = asyncio.create_task(self.manager.run())
        self._tasks = [asyncio.ensure_future(each) for each in COMPONENT.background(self.manager.context)]

    async def kill(self) -> None:
        """End the operator wherever it is."""
        tasks = [*self._tasks, *([self._operator] if self._operator else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._operator, self._tasks = None, []

    async def close(self) -> None:
        await self.kill()
        self._agents.cancel()
        await asyncio.wait([self._agents])

    async def settle(self, seconds: float = AT_EASE) -> None:
        """Let time pass; an operator that fell under the axe is started anew at once."""
        waiting = asyncio.create_task(asyncio.sleep(seconds))
        falling = asyncio.create_task(self.axe.fell.wait())
        await asyncio.wait([waiting, falling], return_when=asyncio.FIRST_COMPLETED)
        falling.cancel()
        if self.axe.fell.is_set() and self._operator is not None:
            await self.kill()
            await self.start()
            await asyncio.sleep(seconds)
        await waiting
        if self._operator is not None and self._operator.done():
            self._operator.result()

    # What there is.

    async def fabric(self, hosts: int = 3, *, ranges: bool = True, **report: Any) -> None:
        await self.user.apply(ZONE, ZONE.body(Key("", "default"), spec={"dns": ["10.0.0.53"]}))
        await self.user.apply(NETWORK_OFFERING, NETWORK_OFFERING.body(Key("", "isolated"), spec={"displayName": "x"}))
        if ranges:
            await self.range()
        for index in range(1, hosts + 1):
            await self.host(f"h{index}", f"172.30.0.{10 + index}", **report)

    async def range(self, start: str = "10.98.0.9", end: str = "10.98.0.12", gateway: str = "10.98.0.10") -> None:
        spec = {"cidr": "10.98.0.0/24", "gateway": gateway, "start": start, "end": end, "bridge": "cloudbr1"}
        await self.user.apply(IP_RANGE, IP_RANGE.body(Key("", "public"), spec=spec))

    async def host(
        self, name: str, underlay: str, *, bridges: tuple[str, ...] = ("cloudbr1",), reachable: str = "True"
    ) -> None:
        await self.user.apply(HOST, HOST.body(Key("", name), spec={"node": name}))
        await self.user.apply(HOST_REPORT, HOST_REPORT.body(Key("", name), spec={"hostName": name}))
        await self.reachable(name, reachable)
        if underlay:
            status = {"network": {"underlayAddress": underlay, "bridges": list(bridges)}}
            await self.agent.apply_status(HOST_REPORT, Key("", name), status, resource_version="")

    async def reachable(self, name: str, status: str) -> None:
        said = {"conditions": [{"type": "Reachable", "status": status, "reason": "AsSpecified"}]}
        await self.user.apply_status(HOST, Key("", name), said, resource_version="")

    async def network(self, name: str = "net", cidr: str = "10.1.1.0/24", **spec: Any) -> None:
        await self.user.apply(NETWORK, NETWORK.body(Key(NS, name), spec={"cidr": cidr} | spec))

    async def port(self, name: str, *, vm: str = "", network: str = "net", **spec: Any) -> None:
        spec = {"network": network} | ({"virtualMachine": vm, "hostname": vm} if vm else {}) | spec
        meta = {"finalizers": [FINALIZER]} if vm else {}
        await self.user.create(PORT, PORT.body(Key(NS, name), spec=spec, **meta))

    async def instance(self, vm: str, host: str, *ports: str) -> None:
        nics = [{"port": each, "portBinding": names.port_binding(each, host)} for each in ports]
        spec = {
            "hostName": host,
            "virtualMachine": {"name": vm, "uid": f"uid-{vm}"},
            "domain": vm,
            "cpus": 1,
            "memory": "128Mi",
            "nics": nics,
        }
        await self.user.apply(INSTANCE, INSTANCE.body(Key(NS, names.instance(vm)), spec=spec))

    async def guest(self, vm: str, host: str, **spec: Any) -> None:
        """What orchestration and compute make for a virtual machine with one NIC."""
        await self.port(f"{vm}-nic0", vm=vm, **spec)
        await self.instance(vm, host, f"{vm}-nic0")

    def delete(self, kind: Kind[Any, Any], name: str) -> None:
        self.server.delete("kubectl", kind, Key(NS if kind.namespaced else "", name))

    # What came of it.

    def get(self, kind: Kind[Any, Any], name: str) -> Obj[Any, Any] | None:
        body = self.server.read(kind, Key(NS if kind.namespaced else "", name))
        return kind.parse(body) if body else None

    def must(self, kind: Kind[Any, Any], name: str) -> Obj[Any, Any]:
        found = self.get(kind, name)
        assert found is not None, f"there is no {kind.kind} {name}"
        return found

    def all(self, kind: Kind[Any, Any]) -> list[Obj[Any, Any]]:
        return [kind.parse(body) for body in self.server.all(kind)]

    def ready(self, kind: Kind[Any, Any], name: str) -> tuple[str, str, str]:
        """Status, reason and message of `Ready`."""
        found = condition(self.must(kind, name).status.conditions, "Ready")
        return (found.status, found.reason, found.message) if found else ("", "", "")

    def says(self, kind: Kind[Any, Any], name: str, type_: str) -> tuple[str, str]:
        found = condition(self.must(kind, name).status.conditions, type_)
        return (found.status, found.reason) if found else ("", "")

    def writes(self) -> Counter[str]:
        """The operator's writes so far."""
        return Counter(
            f"{verb} {kind.kind}/{key.name}"
            for manager, verb, kind, key in self.server.log
            if manager.startswith("networking")
        )

    def leftovers(self) -> list[str]:
        return [f"{kind.kind}/{obj.meta.name}" for kind in (*HOST_SIDE, CLAIM) for obj in self.all(kind)]

    async def _obey(self) -> None:
        """Every host's agent: what is asked for is there at once, what is deleted is gone at once."""
        while True:
            await self._seen.wait()
            self._seen.clear()
            for kind in HOST_SIDE:
                for body in list(self.server.all(kind)):
                    await self._one(kind, body)

    async def _one(self, kind: Kind[Any, Any], body: Json) -> None:
        name, host = body["metadata"]["name"], body["spec"]["hostName"]
        if host in self.deaf:
            return
        deleting = "deletionTimestamp" in body["metadata"]
        said = {"type": "Released" if deleting else "Programmed", "status": "True", "reason": "AsSpecified"}
        if broken := self.broken.get(f"{kind.kind}/{name}"):
            said = {"type": "Programmed", "status": "False", "reason": broken.reason, "message": broken.message}
        status: Mapping[str, Any] = {"conditions": [said]}
        if body.get("status") != status:
            await self.agent.apply_status(kind, Key(NS, name), status, resource_version="")


@asynccontextmanager
async def world(hosts: int = 3, **options: Any) -> AsyncIterator[World]:
    made = World()
    await made.fabric(hosts, **options)
    await made.start()
    try:
        yield made
    finally:
        await made.close()
