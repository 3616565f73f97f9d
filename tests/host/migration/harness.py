"""Two hosts with real libvirt and QEMU, their agents, the real Compute, and a hand that does the others' work."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.hypervisor.handlers import Agent, agent_of
from agents.hypervisor.handlers import watches as agent_watches
from agents.hypervisor.settings import Settings
from dev.host import LOCAL_POOL, SHARED_POOL, Host
from images.tiny.build import build
from operators.compute.handlers import COMPONENT
from operators.compute.migrations.model import Migration
from operators.compute.model import Instance
from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE
from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL, ZONE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind, condition
from operators.contract.migrations import MIGRATION
from operators.contract.networking import PORT, PORT_BINDING
from operators.contract.storage import DISK, DISK_OFFERING, VOLUME
from operators.kernel.clock import SystemClock
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore

SPACE = "team-a"
VM = Key(SPACE, "web")
BRIDGE, VXLAN, SEGMENT = "csbr901", "csvx901", 901
GUEST, GATEWAY, MAC = "10.1.1.10", "10.1.1.1", "02:00:00:00:09:01"
TICKS = "#!/bin/sh\n(n=0; while :; do n=$((n+1)); echo $n > /data/next; mv /data/next /data/ticks; sleep 0.2; done) &\n"
LIFE = "cat /proc/sys/kernel/random/boot_id; cat /data/ticks; sync"
READY = [{"type": "Ready", "status": "True", "reason": "AsSpecified"}]
MIB = 1 << 20


@dataclass
class Two:
    """What a test holds in its hands."""

    hosts: dict[str, Host]
    shared: bool
    image: bool = True
    """Whether the disk is made from an image that both hosts have."""
    server: MemoryServer = field(default_factory=MemoryServer)
    agents: dict[str, Agent] = field(default_factory=dict)
    parts: dict[str, list[asyncio.Task[Any]]] = field(default_factory=dict)

    @property
    def admin(self) -> MemoryStore:
        return MemoryStore(self.server, "admin")

    async def start(self) -> None:
        await self.put(COMPUTE_OFFERING, "tiny", {"cpus": 1, "memory": "128Mi"})
        await self.put(DISK_OFFERING, "standard", {})
        await self.put(ZONE, "default", {"enabled": True})
        beats = [{"type": "Reachable", "status": "True", "reason": "AgentsBeating"}]
        for name in self.hosts:
            pool = {"hostName": name, "path": "local"}
            await self.put(STORAGE_POOL, names.local_pool(name), pool)
            await self.put(HOST, name, {"node": name})
            monitoring = self.admin.as_manager("fabric-monitoring")
            await monitoring.apply_status(HOST, Key("", name), {"conditions": beats}, resource_version="")
            await self.put(HOST_REPORT, name, {"hostName": name})
            seen = [names.local_pool(name), "shared"]
            pools = [{"pool": each, "online": True, "capacity": "100Gi", "free": "90Gi"} for each in seen]
            storage = self.admin.as_manager("agent-storage")
            told = {"storage": {"pools": pools}}
            await storage.apply_status(HOST_REPORT, Key("", name), told, resource_version="")
            await self.start_agent(name)
        await self.put(STORAGE_POOL, "shared", {"type": "SharedDirectory", "path": "shared"})
        await self.start_compute()
        self.parts["others"] = [asyncio.create_task(self._others())]

    async def put(self, kind: Kind[Any, Any], name: str, spec: Json, namespace: str = "", **metadata: Any) -> None:
        await self.admin.apply(kind, kind.body(Key(namespace, name), spec=spec, **metadata))

    async def start_compute(self) -> None:
        store = MemoryStore(self.server, "compute")
        manager = Manager(store, SystemClock(), COMPONENT.watches({}), COMPONENT.build, env={})
        self.server.feed(manager)
        self.parts["compute"] = [asyncio.ensure_future(manager.run())]
        await manager.synced.wait()

    async def start_agent(self, name: str) -> None:
        host, env = self.hosts[name], {"NODE_NAME": name}
        settings = Settings(
            node=name,
            accelerator="qemu",
            libvirt_uri=host.libvirt_uri,
            address=host.address,
            migration_uri="qemu+tcp://{address}/system",
            seed_dir=host.root / "cloudstack/seeds",
            console_dir=host.root / "console",
            run_dir=host.root / "run/cloudstack",
        )
        settings.run_dir.mkdir(exist_ok=True)

        def build_agent(context: Any) -> Any:
            self.agents[name] = agent_of(context, settings)
            return self.agents[name].controllers

        store = MemoryStore(self.server, "agent-hypervisor")
        manager = Manager(store, SystemClock(), agent_watches(env), build_agent, env=env)
        self.server.feed(manager)
        running: list[Awaitable[Any]] = [manager.run(), *self.agents[name].background()]
        self.parts[name] = [asyncio.ensure_future(part) for part in running]
        await manager.synced.wait()

    async def kill(self, part: str) -> None:
        tasks = self.parts.pop(part)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        for part in tuple(self.parts):
            await self.kill(part)
        for host in self.hosts.values():
            for name in self.virsh(host, "list", "--all", "--name").split():
                self.virsh(host, "destroy", name)
                self.virsh(host, "undefine", name)

    # The user.

    async def ask(self, **spec: Any) -> None:
        """State the virtual machine."""
        body = {"offering": "tiny", "image": "tiny", "nics": [{"network": "front"}], "userData": {"inline": TICKS}}
        await self.put(VIRTUAL_MACHINE, VM.name, body | spec, SPACE, finalizers=["cloudstack.dev/orchestration"])

    async def deploy(self, **spec: Any) -> None:
        await self.ask(**spec)
        await self.until(lambda: self.ready(), 60)
        await self.until(lambda: "TINY READY" in self.console(self.where), 120)
        while len((await self.sh(self.where, LIFE)).split()) < 2:
            await asyncio.sleep(0.2)  # its script runs once it is ready

    async def migrate(self, name: str = "move", **spec: Any) -> None:
        await self.put(MIGRATION, name, {"virtualMachine": VM.name, "storage": "Auto"} | spec, SPACE)

    # What is.

    def vm(self) -> Any:
        body = self.server.read(VIRTUAL_MACHINE, VM)
        assert body is not None
        return VIRTUAL_MACHINE.parse(body)

    def ready(self) -> bool:
        found = condition(self.vm().status.conditions, "Ready")
        return found is not None and found.true

    @property
    def where(self) -> str:
        return str(self.vm().status.host_name)

    @property
    def elsewhere(self) -> str:
        return next(name for name in self.hosts if name != self.where)

    def instances(self) -> list[Instance]:
        return [INSTANCE.parse(body) for body in self.server.all(INSTANCE)]

    def migration(self, name: str = "move") -> Migration:
        body = self.server.read(MIGRATION, Key(SPACE, name))
        assert body is not None
        return MIGRATION.parse(body)

    def over(self, name: str = "move") -> bool:
        return bool(self.migration(name).status.finished_at) and len(self.instances()) == 1

    def verdict(self, name: str = "move") -> tuple[str, str]:
        found = condition(self.migration(name).status.conditions, "Succeeded")
        return (found.status, found.reason) if found else ("", "")

    def console(self, name: str) -> str:
        path = self.hosts[name].root / "console" / f"{self.vm().meta.uid}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    async def sh(self, name: str, script: str) -> str:
        """Run something in the guest on a host, through its agent."""
        run = {"path": "/bin/sh", "arg": ["-c", script], "capture-output": True}
        pid = (await self._agent(name, {"execute": "guest-exec", "arguments": run}))["pid"]
        while not (said := await self._agent(name, {"execute": "guest-exec-status", "arguments": {"pid": pid}}))[
            "exited"
        ]:
            await asyncio.sleep(0.05)
        return base64.b64decode(said.get("out-data", "")).decode().strip()

    async def _agent(self, name: str, question: Json) -> Json:
        host, uid = self.hosts[name], self.vm().meta.uid
        for _ in range(60):
            out = await asyncio.to_thread(self.virsh, host, "qemu-agent-command", uid, json.dumps(question))
            if out:
                return dict(json.loads(out)["return"])
            await asyncio.sleep(0.5)
        raise AssertionError(f"the agent in the guest on {name} does not answer")

    def states(self) -> dict[str, str]:
        """Of each host that knows the guest, what libvirt says of it."""
        uid = self.vm().meta.uid
        states = {name: self.virsh(host, "domstate", uid) for name, host in self.hosts.items()}
        return {name: state for name, state in states.items() if state}

    def running(self) -> list[str]:
        return [name for name, state in self.states().items() if state == "running"]

    def qemu(self, name: str) -> int | None:
        """The guest's process on a host."""
        word, root = self.vm().meta.uid.encode(), self.hosts[name].pid
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    mine = (entry / "ns/net").readlink() == Path(f"/proc/{root}/ns/net").readlink()
                    if mine and word in (entry / "cmdline").read_bytes() and b"qemu" in (entry / "comm").read_bytes():
                        return int(entry.name)
                except OSError:
                    continue
        return None

    def kill_qemu(self, name: str) -> None:
        process = self.qemu(name)
        if process is not None:
            os.kill(process, signal.SIGKILL)

    def slow(self, name: str) -> None:
        """Let a guest leave its host at 16 MiB/s only, so that there is a while in which it is on its way."""
        host = self.hosts[name]
        for domain in self.virsh(host, "list", "--name").split():
            self.virsh(host, "migrate-setspeed", domain, "16")

    def virsh(self, host: Host, *args: str) -> str:
        command = ["virsh", "-q", "-c", host.libvirt_uri, *args]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=30).stdout.strip()

    async def until(self, what: Callable[[], object], timeout: float = 120.0) -> float:
        started = time.monotonic()
        while not what():
            assert time.monotonic() - started < timeout, f"not within {timeout} s: {self.describe()}"
            await asyncio.sleep(0.02)
        return time.monotonic() - started

    def describe(self) -> str:
        said = [(each.meta.name, each.spec.incoming, each.spec.outgoing, each.status) for each in self.instances()]
        moves = [MIGRATION.parse(body).status for body in self.server.all(MIGRATION)]
        return "\n".join(map(str, (*said, *moves, self.vm().status, self.states())))

    # Orchestration, Storage, Networking and their agents.

    async def _others(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            body = self.server.read(VIRTUAL_MACHINE, VM)
            if body is None:
                continue
            vm = VIRTUAL_MACHINE.parse(body)
            users = self.instances()
            if vm.meta.deleting and not users:
                await self.admin.finalize(VIRTUAL_MACHINE, vm.meta, [])
                continue
            owner = [to_wire(vm.owner)]
            port, root = names.port(VM.name, "nic0"), names.root_volume(VM.name)
            await self.put(PORT, port, {"network": "front", "virtualMachine": VM.name}, SPACE, ownerReferences=owner)
            await self.put(VOLUME, root, {"source": {"image": "tiny"}}, SPACE, ownerReferences=owner)
            if users:
                await self._port(port, users)
                await self._volume(root, users)

    async def _port(self, port: str, users: list[Instance]) -> None:
        store, uid = self.admin.as_manager("networking"), self.vm().meta.uid
        done = {"conditions": [{"type": "Programmed", "status": "True", "reason": "AsSpecified"}]}
        for each in users:
            ref = {"name": port, "uid": "port"}
            spec = {"hostName": each.spec.host_name, "port": ref, "network": ref, "hostNetwork": "h", "bridge": BRIDGE}
            spec |= {"tap": names.tap(uid), "mac": MAC, "ip": GUEST}
            key = Key(SPACE, names.port_binding(port, each.spec.host_name))
            await store.apply(PORT_BINDING, PORT_BINDING.body(key, spec=spec))
            await store.apply_status(PORT_BINDING, key, done, resource_version="")
        status = {"ip": GUEST, "mac": MAC, "conditions": READY}
        await store.apply_status(PORT, Key(SPACE, port), status, resource_version="")

    async def _volume(self, name: str, users: list[Instance]) -> None:
        store, key = self.admin.as_manager("storage"), Key(SPACE, name)
        body = self.server.read(VOLUME, key)
        assert body is not None
        before = VOLUME.parse(body).status
        home = before.disk_host or users[0].spec.host_name
        came = [
            e.spec.host_name for e in users if e.spec.incoming and e.spec.incoming.committed and not e.spec.outgoing
        ]
        for each in users:
            await self._disk(name, each, home, str(body["metadata"]["uid"]))
        host = came[0] if came else home
        disk = names.disk_on(name, host) if came else before.disk or names.disk(name)
        status = {"disk": disk, "diskHost": host, "conditions": READY, "size": "96Mi"}
        status |= {"pool": "shared"} if self.shared else {"pool": names.local_pool(host), "hostName": host}
        await store.apply_status(VOLUME, key, status, resource_version="")

    async def _disk(self, volume: str, user: Instance, home: str, uid: str) -> None:
        """The Disk that an Instance names, and its file: blank for a copy, on the image, or the shared one."""
        (listed,) = [disk for disk in user.spec.disks if disk.volume == volume]
        key, host = Key(SPACE, listed.disk), self.hosts[user.spec.host_name]
        if self.server.read(DISK, key) is not None:
            return
        copied = user.spec.host_name != home and not self.shared
        whole = copied and not self.image
        pool = SHARED_POOL if self.shared else LOCAL_POOL
        path = f"{pool}/volumes/{listed.disk if not self.shared else 'one'}.qcow2"
        host.exec(["mkdir", "-p", f"{pool}/volumes"])
        if not host.outside_path(path).exists():
            backed = [] if whole else ["-F", "qcow2", "-b", f"{LOCAL_POOL}/tiny.qcow2"]
            host.exec(["qemu-img", "create", "-q", "-f", "qcow2", *backed, path, "96M"])
        spec: Json = {"hostName": user.spec.host_name, "pool": "p", "path": "x", "size": "96Mi"}
        spec |= {"volume": {"name": volume, "uid": uid}}
        if copied:
            spec |= {"copyOf": names.disk(volume), "copyWhole": whole}
        store = self.admin.as_manager("storage")
        await store.apply(DISK, DISK.body(key, spec=spec))
        made = {"path": path, "conditions": [{"type": "Provisioned", "status": "True", "reason": "AsSpecified"}]}
        await store.apply_status(DISK, key, made, resource_version="")


def wire(hosts: dict[str, Host]) -> None:
    """A guests' network over both hosts, whose gateway with DHCP is on the first, and the image on both."""
    for host in hosts.values():
        folder = host.root / "cloudstack/pools/local"
        subprocess.run(["cp", str(build()), str(folder / "tiny.qcow2")], check=True, timeout=60)
        peer = next(each.address for each in hosts.values() if each is not host)
        for command in (
            f"ip link add {BRIDGE} type bridge forward_delay 0",
            f"ip link set {BRIDGE} mtu 1450 up",
            f"ip link add {VXLAN} type vxlan id {SEGMENT} dstport 4789 local {host.address} dev eth0",
            f"bridge fdb append 00:00:00:00:00:00 dev {VXLAN} dst {peer}",
            f"ip link set {VXLAN} mtu 1450 master {BRIDGE} up",
        ):
            host.exec(command.split())
    first = next(iter(hosts.values()))
    first.exec(["ip", "addr", "add", f"{GATEWAY}/24", "dev", BRIDGE])
    first.exec(
        f"dnsmasq --port=0 --interface={BRIDGE} --bind-interfaces --leasefile-ro --pid-file=/run/dnsmasq.pid "
        f"--conf-file=/dev/null --dhcp-range={GUEST},{GUEST},255.255.255.0".split()
    )


PING = """
import os, select, socket, struct, sys, time
def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
    sent, got, last, gap, me, seq = 0, set(), None, 0.0, os.getpid() & 0xffff, 0
    begun = time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        seq += 1
        head = struct.pack('!BBHHH', 8, 0, 0, me, seq & 0xffff)
        head = struct.pack('!BBHHH', 8, 0, checksum(head), me, seq & 0xffff)
        try:
            sock.sendto(head, (sys.argv[1], 0)); sent += 1
        except OSError:
            pass
        until = time.monotonic() + 0.05
        while (left := until - time.monotonic()) > 0:
            if select.select([sock], [], [], left)[0]:
                data = sock.recv(2048)[20:]
                kind, _, _, ident, number = struct.unpack('!BBHHH', data[:8])
                if (kind, ident) == (0, me):
                    now = time.monotonic()
                    gap = max(gap, now - (last or now)); last = now; got.add(number)
print(sent, len(got), round(gap, 3))
"""


class Pinging:
    """The gateway asks the guest twenty times a second."""

    def __init__(self, host: Host) -> None:
        command = host.enter(["/usr/bin/python3", "-c", PING, GUEST])
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self) -> tuple[int, int, float]:
        """How many were sent and answered, and the longest silence in seconds."""
        out, _ = self._process.communicate("stop\n", timeout=20)
        sent, got, gap = out.split()
        return int(sent), int(got), float(gap)
