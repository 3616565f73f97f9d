"""A cloud in memory around the real Compute and real hypervisor agents on simulated hosts; the rest in a few lines."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from agents.hypervisor.driver import Facts
from agents.hypervisor.handlers import Agent
from agents.hypervisor.handlers import watches as agent_watches
from agents.hypervisor.settings import Settings
from agents.hypervisor.simulated import SimulatedFiles, SimulatedHost, SimulatedHypervisor
from operators.compute.handlers import COMPONENT
from operators.compute.migrations.model import Migration
from operators.compute.model import VM, Instance
from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE
from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL, ZONE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Condition, Key, Kind, condition
from operators.contract.migrations import MIGRATION
from operators.contract.networking import PORT, PORT_BINDING
from operators.contract.storage import DISK, DISK_OFFERING, VOLUME
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore
from tests.support.axe import NEVER, Axe
from tests.support.virtual_time import VirtualClock

NS = "team-a"
WEB = Key(NS, "web")
SPEC: Json = {"offering": "tiny", "image": "tiny", "nics": [{"network": "front"}]}
GIB = 1024**3
READY = [{"type": "Ready", "status": "True", "reason": "AsSpecified"}]


class World:
    """The API server, Compute, hypervisor agents, and everybody else."""

    def __init__(self, hosts: Sequence[str] = ("a", "b"), *, latency: float = 0.005) -> None:
        self.clock = VirtualClock()

        async def hook(verb: str, kind: Any, key: Key) -> None:
            await asyncio.sleep(latency)

        self.server = MemoryServer(clock=self.clock, hook=hook)
        self.admin = MemoryStore(self.server, "admin")
        self.hosts = {
            name: SimulatedHost(Facts(8, 5 * GIB, "sim", "simulated"), rng=random.Random(name)) for name in hosts
        }
        for host in self.hosts.values():
            host.peers = self.hosts
        self.volumes: dict[str, Condition] = {}
        """What a Volume says in place of becoming ready."""
        self.tells_of_waiting = False
        """Whether Volumes that no Instance lists say that they wait for one."""
        self.orchestrates = True
        self.parts: dict[str, list[asyncio.Task[Any]]] = {}
        self.agents: dict[str, Agent] = {}
        self.store = Axe(self.server, "compute")

    async def start(self) -> None:
        self.server.hook = _no_wait
        await self.put(COMPUTE_OFFERING, "tiny", {"cpus": 1, "memory": "128Mi"})
        await self.put(COMPUTE_OFFERING, "big", {"cpus": 2, "memory": "3Gi"})
        await self.put(DISK_OFFERING, "standard", {})
        await self.put(ZONE, "default", {"enabled": True})
        for name in self.hosts:
            await self.put(HOST, name, {"node": name})
            await self.reachable(name, "True")
            await self.put(HOST_REPORT, name, {"hostName": name})
            await self.put(STORAGE_POOL, names.local_pool(name), {"hostName": name, "path": "local"})
            pools = [{"pool": names.local_pool(name), "online": True, "capacity": "100Gi", "free": "90Gi"}]
            store = self.admin.as_manager("agent-storage")
            await store.apply_status(HOST_REPORT, Key("", name), {"storage": {"pools": pools}}, resource_version="")
        for name in self.hosts:
            self.start_agent(name)
        self.start_compute()
        self.parts["rest"] = [asyncio.create_task(self._others())]

    def start_compute(self, after: int = NEVER, *, fatal: bool = True, **env: str) -> None:
        self.store = Axe(self.server, "compute", after, fatal)
        manager = Manager(self.store, self.clock, COMPONENT.watches(env), COMPONENT.build, env=env)
        self.server.feed(manager)
        self.parts["compute"] = [asyncio.create_task(manager.run())]

    def start_agent(self, name: str) -> None:
        def build(context: Any) -> Any:
            host = self.hosts[name]
            self.agents[name] = Agent(
                context, Settings(node=name, address=name), SimulatedHypervisor(host, self.clock), SimulatedFiles(host)
            )
            return self.agents[name].controllers

        env = {"NODE_NAME": name}
        store = MemoryStore(self.server, "agent-hypervisor")
        manager = Manager(store, self.clock, agent_watches(env), build, env=env)
        self.server.feed(manager)
        parts: list[Awaitable[Any]] = [manager.run(), *self.agents[name].background()]
        self.parts[name] = [asyncio.ensure_future(part) for part in parts]

    async def kill(self, part: str) -> None:
        tasks = self.parts.pop(part)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def close(self) -> None:
        for part, tasks in tuple(self.parts.items()):
            for task in tasks:
                if task.done() and not task.cancelled():
                    task.result()
            await self.kill(part)

    # What users and operators of the cloud do.

    async def put(self, kind: Kind[Any, Any], name: str, spec: Json, namespace: str = "", **metadata: Any) -> None:
        await self.admin.apply(kind, kind.body(Key(namespace, name), spec=spec, **metadata))

    async def reachable(self, host: str, status: str, message: str = "") -> None:
        told = [{"type": "Reachable", "status": status, "reason": "AgentsBeating", "message": message}]
        monitoring = self.admin.as_manager("fabric-monitoring")
        await monitoring.apply_status(HOST, Key("", host), {"conditions": told}, resource_version="")

    async def apply(self, name: str = "web", **spec: Any) -> None:
        user = self.admin.as_manager("kubectl")
        body = VIRTUAL_MACHINE.body(Key(NS, name), spec=SPEC | spec, finalizers=["cloudstack.dev/orchestration"])
        await user.apply(VIRTUAL_MACHINE, body)

    async def delete(self, name: str = "web") -> None:
        self.server.delete("kubectl", VIRTUAL_MACHINE, Key(NS, name))

    async def migrate(self, name: str = "move", vm: str = "web", **spec: Any) -> None:
        user = self.admin.as_manager("kubectl")
        await user.apply(
            MIGRATION, MIGRATION.body(Key(NS, name), spec={"virtualMachine": vm, "storage": "Auto"} | spec)
        )

    # What tests ask.

    def migration(self, name: str = "move") -> Migration:
        body = self.server.read(MIGRATION, Key(NS, name))
        assert body is not None, f"no Migration {name}"
        return MIGRATION.parse(body)

    def running(self, uuid: str) -> list[str]:
        """The hosts on which a guest runs."""
        return [name for name, host in self.hosts.items() if (at := host.domains.get(uuid)) and at.power == "Running"]

    def vm(self, name: str = "web") -> VM:
        body = self.server.read(VIRTUAL_MACHINE, Key(NS, name))
        assert body is not None, f"no VirtualMachine {name}"
        return VIRTUAL_MACHINE.parse(body)

    def ready(self, name: str = "web") -> Condition:
        found = condition(self.vm(name).status.conditions, "Ready")
        return found or Condition("Ready", "Unknown", "")

    def instances(self, name: str = "") -> list[Instance]:
        every = [INSTANCE.parse(body) for body in self.server.all(INSTANCE)]
        return [each for each in every if name in ("", each.spec.virtual_machine.name)]

    def instance(self, name: str = "web") -> Instance:
        (found,) = self.instances(name)
        return found

    def sim(self, name: str = "web") -> tuple[SimulatedHost, str]:
        """The simulated host of a virtual machine, and its domain's uuid."""
        instance = self.instance(name)
        return self.hosts[instance.spec.host_name], instance.spec.virtual_machine.uid

    def starts(self) -> Counter[str]:
        return Counter(uuid for host in self.hosts.values() for uuid in host.starts)

    def writes(self, *managers: str) -> int:
        return sum(each[0] in managers for each in self.server.log)

    async def settle(self, seconds: float = 30.0) -> None:
        """Let time pass; a Compute that fell is started anew at once."""
        waiting = asyncio.create_task(asyncio.sleep(seconds))
        while not waiting.done():
            falling = asyncio.create_task(self.store.fell.wait())
            await asyncio.wait([waiting, falling], return_when=asyncio.FIRST_COMPLETED)
            falling.cancel()
            if self.store.fell.is_set():
                await self.kill("compute")
                self.start_compute()
        for tasks in self.parts.values():
            for task in tasks:
                if task.done():
                    task.result()

    # Everybody else: Orchestration, Storage, Networking and their agents.

    async def _others(self) -> None:
        changed = asyncio.Event()
        for kind in (VIRTUAL_MACHINE, INSTANCE, VOLUME, PORT, ZONE):
            self.server.subscribe(kind, lambda type_, body: changed.set())
        while True:
            await asyncio.sleep(0.1)
            changed.clear()
            if self.orchestrates:
                await self._orchestrate()
            for body in tuple(self.server.all(VOLUME)):
                await self._volume(VOLUME.parse(body))
            for body in tuple(self.server.all(PORT)):
                await self._port(PORT.parse(body))
            await changed.wait()

    async def _orchestrate(self) -> None:
        store = self.admin.as_manager("orchestration")
        for body in tuple(self.server.all(VIRTUAL_MACHINE)):
            vm = VIRTUAL_MACHINE.parse(body)
            if vm.meta.deleting:
                if not self.instances(vm.meta.name):
                    await store.finalize(VIRTUAL_MACHINE, vm.meta, [])
                continue
            owner = [to_wire(vm.owner)]
            if vm.spec.image:
                key = Key(NS, vm.spec.root_of(vm.meta.name))
                size = {"size": str(vm.spec.root_disk_size)} if vm.spec.root_disk_size else {}
                spec = {"source": {"image": vm.spec.image}, "diskOffering": "standard"} | size
                await store.apply(VOLUME, VOLUME.body(key, spec=spec, ownerReferences=owner))
            ports = {names.port(vm.meta.name, nic.name): nic for nic in vm.spec.interfaces}
            for name, nic in ports.items():
                spec = {"network": nic.network, "virtualMachine": vm.meta.name}
                await store.apply(PORT, PORT.body(Key(NS, name), spec=spec, ownerReferences=owner))
            used = {nic.port for each in self.instances() for nic in (*each.spec.nics, *each.status.nics)}
            for port in map(PORT.parse, tuple(self.server.all(PORT))):
                ours = any(each.uid == vm.meta.uid for each in port.meta.owner_references)
                if ours and port.meta.name not in ports.keys() | used:
                    await store.delete(PORT, port.key, uid=port.meta.uid)

    async def _volume(self, volume: Any) -> None:
        store, name = self.admin.as_manager("storage"), volume.meta.name
        if name in self.volumes:
            told: Json = {"conditions": [to_wire(self.volumes[name])]}
            await store.apply_status(VOLUME, volume.key, told, resource_version="")
            return
        users = [each for each in self.instances() if name in {disk.volume for disk in each.spec.disks}]
        if not users and self.tells_of_waiting and not volume.status.conditions:
            waits = Condition("Ready", "False", "WaitingForFirstConsumer", "it is placed once one lists it")
            told = {"conditions": [to_wire(waits)]}
            await store.apply_status(VOLUME, volume.key, told, resource_version="")
        if not users:
            return
        home = volume.status.disk_host or users[0].spec.host_name
        for each in users:
            if each.spec.host_name != home:
                await self._disk(volume, names.disk_on(name, each.spec.host_name), each.spec.host_name, home)
        came = [e for e in users if e.spec.incoming and e.spec.incoming.committed and not e.spec.outgoing]
        host = came[0].spec.host_name if came else home
        disk = names.disk_on(name, host) if came else volume.status.disk or names.disk(name)
        await self._disk(volume, disk, host)
        status = {"pool": names.local_pool(host), "hostName": host, "disk": disk, "diskHost": host, "conditions": READY}
        await store.apply_status(VOLUME, volume.key, status, resource_version="")

    async def _disk(self, volume: Any, name: str, host: str, home: str = "") -> None:
        store, key = self.admin.as_manager("storage"), Key(NS, name)
        spec = {
            "hostName": host,
            "pool": names.local_pool(host),
            "path": volume.meta.name,
            "volume": {"name": volume.meta.name, "uid": volume.meta.uid},
            "size": "1Gi",
        }
        await store.apply(DISK, DISK.body(key, spec=spec | ({"copyOf": "there"} if home else {})))
        made = [{"type": "Provisioned", "status": "True", "reason": "AsSpecified"}]
        path = f"/{host}/{volume.meta.name}"
        await store.apply_status(DISK, key, {"path": path, "conditions": made}, resource_version="")

    async def _port(self, port: Any) -> None:
        store = self.admin.as_manager("networking")
        users = [each for each in self.instances() if port.meta.name in {nic.port for nic in each.spec.nics}]
        if not users:
            return
        ref = {"name": port.meta.name, "uid": port.meta.uid}
        done = {"conditions": [{"type": "Programmed", "status": "True", "reason": "AsSpecified"}]}
        mac = f"02:00:00:00:00:{names.digest(port.meta.uid, length=2)}"
        for host in {each.spec.host_name for each in users}:
            key = Key(NS, names.port_binding(port.meta.name, host))
            spec = {"hostName": host, "port": ref, "network": ref, "hostNetwork": "h", "bridge": "br"}
            spec |= {"mac": mac, "ip": "10.1.1.10", "tap": names.tap(port.meta.uid)}
            await store.apply(PORT_BINDING, PORT_BINDING.body(key, spec=spec))
            await store.apply_status(PORT_BINDING, key, done, resource_version="")
        status = {"ip": "10.1.1.10", "mac": mac, "conditions": READY}
        await store.apply_status(PORT, port.key, status, resource_version="")


async def _no_wait(verb: str, kind: Any, key: Key) -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def world(hosts: Sequence[str] = ("a", "b"), **kwargs: Any) -> AsyncIterator[World]:
    made = World(hosts, **kwargs)
    hook = made.server.hook
    await made.start()
    made.server.hook = hook
    await asyncio.sleep(1.0)
    try:
        yield made
    finally:
        await made.close()
