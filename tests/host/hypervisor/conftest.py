"""A host with a real libvirtd, an agent on it, and an API server in memory between the test and the agent."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("libvirt")
if os.geteuid() or not all(map(shutil.which, ("libvirtd", "qemu-system-x86_64", "qemu-img"))):
    pytest.skip("needs root, libvirtd and QEMU", allow_module_level=True)

from agents.hypervisor.handlers import Agent, agent_of, watches
from agents.hypervisor.settings import Settings
from dev.host import Host
from images.tiny.build import build
from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.compute import Power
from operators.contract.fabric import HOST_REPORT, HypervisorReport
from operators.contract.instances import INSTANCE, CloudInit, InstanceDisk, InstanceNic, InstanceSpec, InstanceStatus
from operators.contract.meta import Key, Obj, ObjectRef, condition
from operators.contract.networking import PORT_BINDING, PortBindingSpec
from operators.contract.quantity import Quantity
from operators.contract.storage import DISK, DiskSpec
from operators.kernel.clock import SystemClock
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore
from tests.host.lans import lan

NODE = "hyp1"
SPACE = "team-a"
BRIDGE = "csbr900"
BOOT = 120.0
MIB = 1 << 20


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host that runs libvirtd and nothing else."""
    between = lan("hyp")
    between.up()
    machine = Host(NODE, 1, tmp_path_factory.mktemp("hosts"), lan=between)
    try:
        machine.up()
        yield machine
    finally:
        machine.down(wipe=True)
        between.down()


@pytest.fixture
def network(host: Host) -> str:
    """A bridge of the host, as the network agent would have made it."""
    if host.exec(["ip", "link", "show", BRIDGE], check=False).returncode:
        host.exec(["ip", "link", "add", BRIDGE, "type", "bridge"])
        host.exec(["ip", "link", "set", BRIDGE, "up"])
    return BRIDGE


@dataclass
class World:
    """What a test holds in its hands: the API server, the host, and an agent that it may kill."""

    host: Host
    server: MemoryServer
    settings: Settings
    disks: Path
    agent: Agent | None = None
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    count: int = 0

    @property
    def user(self) -> MemoryStore:
        return MemoryStore(self.server, "compute")

    async def start_agent(self) -> None:
        env = {"NODE_NAME": NODE}

        def build_agent(context: Any) -> Any:
            self.agent = agent_of(context, self.settings)
            return self.agent.controllers

        manager = Manager(
            MemoryStore(self.server, "agent-hypervisor"), SystemClock(), watches(env), build_agent, env=env
        )
        self.server.feed(manager)
        assert self.agent
        self.tasks = [asyncio.ensure_future(part) for part in (manager.run(), *self.agent.background())]
        await manager.synced.wait()

    async def kill_agent(self) -> None:
        self.server.unsubscribe_all()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def instance(self, *, nics: int = 0, ready: bool = True, user_data: str = "", memory: int = 128) -> Key:
        """An Instance as Compute makes it, with its Disk and PortBindings as the other components make them."""
        self.count += 1
        name = f"vm{self.count}"
        uid = f"5a5a0000-0000-4000-8000-{os.getpid() % 65536:04x}{int(time.time()) % 65536:04x}{self.count:04x}"
        spec = InstanceSpec(
            host_name=NODE,
            virtual_machine=ObjectRef(name, uid, SPACE, "VirtualMachine"),
            domain=names.domain(SPACE, name, uid),
            cpus=1,
            memory=Quantity(memory * MIB),
            disks=(InstanceDisk(names.disk(f"{name}-root"), f"{name}-root", f"{name}-root"),),
            nics=tuple(
                InstanceNic(port, names.port_binding(port, NODE))
                for port in (names.port(name, f"nic{each}") for each in range(nics))
            ),
            cloud_init=CloudInit(uid, name, user_data=user_data),
        )
        key = Key(SPACE, names.instance(name))
        body = INSTANCE.body(key, spec=to_wire(spec), finalizers=["cloudstack.dev/compute"])
        await self.user.apply(INSTANCE, body)
        if ready:
            await self.disk(name)
            for each in range(nics):
                await self.binding(name, each)
        return key

    async def disk(self, name: str, image: Path | None = None, size: str = "96M") -> None:
        path = self.disks / f"{name}.qcow2"
        backed = ["-F", "qcow2", "-b", str(image or build())]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backed, str(path), size], check=True, timeout=30)
        key = Key(SPACE, names.disk(f"{name}-root"))
        bytes_ = Quantity.parse(f"{size}i")
        spec = DiskSpec(NODE, "local", f"{name}.qcow2", ObjectRef(f"{name}-root", "u"), bytes_)
        store = self.user.as_manager("storage")
        await store.apply(DISK, DISK.body(key, spec=to_wire(spec)))
        ready = {"path": str(path), "conditions": [{"type": "Provisioned", "status": "True", "reason": "AsSpecified"}]}
        await store.apply_status(DISK, key, ready, resource_version="")

    async def binding(self, name: str, nic: int) -> None:
        port = names.port(name, f"nic{nic}")
        key = Key(SPACE, names.port_binding(port, NODE))
        uid = f"{name}-{nic}"
        spec = PortBindingSpec(
            host_name=NODE,
            port=ObjectRef(port, uid),
            network=ObjectRef("net", "n"),
            host_network="net-h",
            bridge=BRIDGE,
            tap=names.tap(uid),
            mac=f"02:00:00:00:{self.count:02x}:{nic:02x}",
            ip="10.1.1.10",
        )
        store = self.user.as_manager("networking")
        await store.apply(PORT_BINDING, PORT_BINDING.body(key, spec=to_wire(spec)))
        ready = {"conditions": [{"type": "Programmed", "status": "True", "reason": "AsSpecified"}]}
        await store.apply_status(PORT_BINDING, key, ready, resource_version="")

    def read(self, key: Key) -> Obj[InstanceSpec, InstanceStatus] | None:
        body = self.server.read(INSTANCE, key)
        return INSTANCE.parse(body) if body else None

    def status(self, key: Key) -> InstanceStatus:
        instance = self.read(key)
        assert instance
        return instance.status

    async def change(self, key: Key, **fields: Any) -> None:
        """Change an Instance's spec as Compute would."""
        instance = self.read(key)
        assert instance
        body = INSTANCE.body(key, spec=to_wire(replace(instance.spec, **fields)), finalizers=["cloudstack.dev/compute"])
        await self.user.apply(INSTANCE, body)

    async def until(self, what: Callable[[], object], timeout: float = 120.0) -> float:
        """Wait for something to become true; the seconds it took."""
        started = time.monotonic()
        while not what():
            assert time.monotonic() - started < timeout, f"not within {timeout} s: {self.describe()}"
            await asyncio.sleep(0.01)
        return time.monotonic() - started

    async def running(self, key: Key, timeout: float = 120.0) -> float:
        return await self.until(lambda: self.status(key).power == Power.RUNNING, timeout)

    async def booted(self, key: Key) -> str:
        """Wait until the guest says that it is ready; what it said."""
        log = Path(self.settings.console_dir, f"{self.uuid(key)}.log")
        await self.until(lambda: log.exists() and "TINY READY" in log.read_text(errors="replace"), BOOT)
        return log.read_text(errors="replace")

    async def delete(self, key: Key) -> None:
        """Delete as Compute does: ask, wait for the agent's word, take the finalizer off."""
        instance = self.read(key)
        assert instance
        await self.user.delete(INSTANCE, key, uid=instance.meta.uid)
        await self.until(lambda: self.holds(key, "Released"), 30)
        instance = self.read(key)
        assert instance
        await self.user.finalize(INSTANCE, instance.meta, [])

    def holds(self, key: Key, type_: str) -> bool:
        found = condition(self.status(key).conditions, type_)
        return found is not None and found.true

    def uuid(self, key: Key) -> str:
        instance = self.read(key)
        assert instance
        return instance.spec.virtual_machine.uid

    def virsh(self, *args: str, check: bool = True) -> str:
        command = ["virsh", "-q", "-c", self.host.libvirt_uri, *args]
        return subprocess.run(command, check=check, capture_output=True, text=True, timeout=30).stdout.strip()

    def qemu(self, key: Key) -> int | None:
        """The process of a guest, numbered as out here. By its uid: another process that runs tests has guests of that name."""
        uid = self.read(key).spec.virtual_machine.uid  # type: ignore[union-attr]
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                    if "qemu" in words[0] and uid in words:
                        return int(entry.name)
                except OSError:
                    continue
        return None

    def writes(self, key: Key) -> int:
        """Status writes of the agent about one Instance."""
        return sum(each == ("agent-hypervisor", "apply_status", INSTANCE, key) for each in self.server.log)

    def report(self) -> HypervisorReport | None:
        body = self.server.read(HOST_REPORT, Key("", NODE))
        return HOST_REPORT.parse(body).status.hypervisor if body else None

    def describe(self) -> str:
        instances = [INSTANCE.parse(body).status for body in self.server.all(INSTANCE)]
        return f"{instances}\n{self.virsh('list', '--all', check=False)}"


Make = Callable[..., Awaitable[World]]


@asynccontextmanager
async def world_on(host: Host, folder: Path) -> AsyncIterator[World]:
    settings = Settings(
        node=NODE,
        accelerator="qemu",
        libvirt_uri=host.libvirt_uri,
        seed_dir=host.root / "cloudstack/seeds",
        console_dir=host.root / "console",
        run_dir=host.root / "run/cloudstack",
        stop_deadline=20.0,
    )
    settings.run_dir.mkdir(exist_ok=True)
    world = World(host, MemoryServer(), settings, folder)
    spec = {"hostName": NODE}
    await world.user.as_manager("fabric-admin").apply(HOST_REPORT, HOST_REPORT.body(Key("", NODE), spec=spec))
    await world.start_agent()
    try:
        yield world
    finally:
        await world.kill_agent()
        for name in world.virsh("list", "--all", "--name", check=False).split():
            world.virsh("destroy", name, check=False)
            world.virsh("undefine", name, check=False)


@pytest.fixture
async def world(host: Host, tmp_path: Path) -> AsyncIterator[World]:
    """The host with an agent that has just started; no domain is left behind."""
    async with world_on(host, tmp_path) as made:
        yield made
