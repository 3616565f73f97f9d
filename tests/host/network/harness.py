"""Three hosts on one underlay, a real agent on each, the real operator, an API server in memory, and guests of two devices."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from dev.host import Host
from dev.paths import cache_dir
from images.tiny import packages
from operators.contract import names
from operators.contract.fabric import HOST, HOST_REPORT, IP_RANGE, ZONE
from operators.contract.instances import INSTANCE
from operators.contract.kinds import ALL
from operators.contract.meta import Key, Kind, Obj, holds
from operators.contract.networking import HOST_NETWORK, NETWORK, NETWORK_OFFERING, PORT, PORT_BINDING, ROUTER
from operators.kernel import store as errors
from operators.kernel.clock import SystemClock
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore
from operators.networking.handlers import COMPONENT
from tests.host.lans import lan

REPO = Path(__file__).parents[3]
NS = "team-a"
KINDS = {kind.crd: kind for kind in ALL}
LAN = lan("net")
FINALIZER = names.finalizer("networking")
PATIENCE = 60.0
"""Seconds in which anything that is to happen does, on a busy machine too."""


def busybox() -> Path:
    """A busybox with everything in it: the machine's own may be none, or have no DHCP client."""
    target = cache_dir() / "busybox-static"
    if not target.exists():
        # A folder of this process's: another one may be at the same.
        with tempfile.TemporaryDirectory(dir=cache_dir()) as scratch:
            packages.unpack(packages.fetch(packages.resolve(["busybox-static"]), cache_dir() / "debs"), Path(scratch))
            found = (path for path in Path(scratch).rglob("busybox") if path.is_file())
            next(path for path in found if path.stat().st_size > 1 << 19).rename(target)
    return target


def counter(host: Host, inside: tuple[str, ...], family: str, *match: str) -> Callable[[], int]:
    """Count what comes in and matches."""
    table = f"probe{abs(hash(match)) % 10**6}"
    lines = [
        f"add table {family} {table}",
        f"add chain {family} {table} c {{ type filter hook input priority 0; }}",
        f"add rule {family} {table} c {' '.join(match)} counter",
    ]
    host.exec([*inside, "nft", "-f", "-"], input="\n".join(lines) + "\n")

    def read() -> int:
        listed = json.loads(host.exec([*inside, "nft", "-j", "list", "table", family, table]).stdout)["nftables"]
        (rule,) = (each["rule"] for each in listed if "rule" in each)
        return int(next(each["counter"]["packets"] for each in rule["expr"] if "counter" in each))

    return read


class Agent:
    """The agent's process on a host, and the API server's end of its pipe."""

    def __init__(self, host: Host, server: MemoryServer) -> None:
        self.host = host
        self.server = server
        self.store = MemoryStore(server, "agent-network")
        self.log = host.root / "agent.log"

    async def start(self) -> None:
        env = {"NODE_NAME": self.host.name, "NODE_IP": self.host.address, "PYTHONPATH": str(REPO)}
        words = [f"{name}={value}" for name, value in env.items()]
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.host.enter(["env", *words, sys.executable, Path(__file__).with_name("agent_process.py")]),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=1 << 24,
            )
        assert self.process.stdout
        self.inner_pid = json.loads(await self.process.stdout.readline())["pid"]
        self._serving = asyncio.create_task(self._serve())

    async def kill(self) -> None:
        """As the kernel kills: at once, wherever it is."""
        if self.host.running:
            self.host.exec(["kill", "-9", str(self.inner_pid)], check=False)
        await self.gone()

    async def gone(self) -> None:
        """Wait for its end."""
        await self.process.wait()
        self._serving.cancel()
        await asyncio.wait([self._serving])

    async def _serve(self) -> None:
        assert self.process.stdout
        while line := await self.process.stdout.readline():
            read = json.loads(line)
            if read["verb"] == "list":
                self._tell(read["ask"], await self._list(read))
            else:
                asyncio.get_running_loop().create_task(self._status(read))

    async def _list(self, read: Any) -> Any:
        kind = KINDS[read["kind"]]

        def tell(type_: str, body: Any) -> None:
            self._say({"event": type_, "kind": kind.crd, "body": body})

        self.server.subscribe(kind, tell, read["field_selector"])
        return await self.store.list(kind, field_selector=read["field_selector"])

    async def _status(self, read: Any) -> None:
        key, version = Key(*read["key"]), read["resource_version"]
        try:
            body = await self.store.apply_status(
                KINDS[read["kind"]], key, read["status"], resource_version=version, manager=read["manager"]
            )
        except errors.StoreError as error:
            self._say({"answer": read["ask"], "error": type(error).__name__, "message": str(error)})
        else:
            self._tell(read["ask"], body)

    def _tell(self, number: int, result: Any) -> None:
        self._say({"answer": number, "result": result})

    def _say(self, line: Any) -> None:
        assert self.process.stdin
        if not self.process.stdin.is_closing():
            self.process.stdin.write(orjson.dumps(line) + b"\n")


class Guest:
    """A network namespace on a host, plugged in as libvirt plugs in a virtual machine."""

    def __init__(self, cloud: Cloud, name: str, host: Host, port: str) -> None:
        self.cloud, self.name, self.host, self.port = cloud, name, host, port
        self.netns = f"guest-{name}"

    @property
    def binding(self) -> Any:
        return self.cloud.must(PORT_BINDING, names.port_binding(self.port, self.host.name)).spec

    @property
    def ip(self) -> str:
        return str(self.binding.ip)

    def plug_in(self, mac: str = "") -> None:
        spec = self.binding
        lines = [
            f"netns add {self.netns}",
            f"link add {spec.tap} mtu {spec.mtu} type veth peer name eth0 address {mac or spec.mac} netns {self.netns}",
            f"link set {spec.tap} master {spec.bridge} up",
        ]
        self.host.exec(["ip", "-batch", "-"], input="\n".join(lines) + "\n")
        self.host.exec(["ip", "-n", self.netns, "link", "set", "eth0", "up"])

    def unplug(self) -> None:
        self.host.exec(["ip", "netns", "del", self.netns])

    def run(self, *argv: str, check: bool = True) -> tuple[int, str]:
        done = self.host.exec(["ip", "netns", "exec", self.netns, *argv], check=check, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def busybox(self, *argv: str, check: bool = True) -> tuple[int, str]:
        return self.run(str(busybox()), *argv, check=check)

    def dhcp(self, check: bool = True) -> dict[str, str]:
        """Get a lease and take it; what the server said."""
        script = self.host.root / "udhcpc"
        script.write_text(
            "#!/bin/sh\n[ $1 = bound ] || exit 0\nip addr add $ip/$mask dev eth0\nip link set eth0 mtu $mtu\n"
            '[ -z "$router" ] || ip route add default via $router\n'
            'for each in ip mask router dns mtu domain search lease hostname; do eval echo "GOT $each \\$$each"; done\n'
        )
        script.chmod(0o755)
        words = ("udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "4", "-T", "1", "-O", "search", "-s", str(script))
        _, out = self.busybox(*words, check=check)
        return {words[1]: " ".join(words[2:]) for line in out.splitlines() if (words := line.split())[:1] == ["GOT"]}

    def sends(self, to: Guest, seconds: float = 3.0) -> float:
        """Mbit/s that get from this guest to another by TCP."""
        code = (
            "import socket, sys, threading, time\n"
            "server = socket.create_server((sys.argv[1], 5201)); print('up', flush=True)\n"
            "connection, _ = server.accept(); got = 0; began = time.monotonic()\n"
            "while part := connection.recv(1 << 16): got += len(part)\n"
            "print(got * 8 / 1e6 / (time.monotonic() - began))\n"
        )
        inside = ["ip", "netns", "exec", to.netns, sys.executable, "-c", code, to.ip]
        taking = subprocess.Popen(to.host.enter(inside), stdout=subprocess.PIPE, text=True)
        assert taking.stdout
        assert taking.stdout.readline() == "up\n"
        send = (
            "import socket, sys, time\n"
            "s = socket.create_connection((sys.argv[1], 5201)); end = time.monotonic() + float(sys.argv[2])\n"
            "while time.monotonic() < end: s.sendall(bytes(1 << 14))\n"
        )
        self.run(sys.executable, "-c", send, to.ip, str(seconds))
        said, _ = taking.communicate(timeout=60)
        return float(said)

    def counter(self, family: str, *match: str) -> Callable[[], int]:
        """Count, before any rule of others, what reaches the guest and matches; the number so far."""
        return counter(self.host, ("ip", "netns", "exec", self.netns), family, *match)

    def pings(self, address: str, *, source: str = "", size: int = 56) -> bool:
        words = ["ping", "-c", "1", "-W", "1", "-s", str(size), *(["-I", source] if source else []), address]
        return any(self.busybox(*words, check=False)[0] == 0 for _ in range(2))

    def reads(self, path: str, address: str = "169.254.169.254", **headers: str) -> str:
        """What the metadata service says, or why it does not."""
        ask = (
            "import json, sys, urllib.request as u; print(u.urlopen(u.Request(sys.argv[1], "
            "headers=json.loads(sys.argv[2])), timeout=3).read().decode(), end='')"
        )
        words = (sys.executable, "-c", ask, f"http://{address}/{path}", json.dumps(headers))
        code, out = self.run(*words, check=False)
        return out if code == 0 else f"refused: {out.splitlines()[-1]}"

    def resolves(self, name: str) -> str:
        """What the router's DNS says of a name."""
        _, out = self.busybox("nslookup", name, "10.1.1.1", check=False)
        return out


class Cloud:
    """All of it."""

    def __init__(self, hosts: list[Host]) -> None:
        self.hosts = {host.name: host for host in hosts}
        self.server = MemoryServer()
        self.user = MemoryStore(self.server, "kubectl")
        self.agents = {host.name: Agent(host, self.server) for host in hosts}
        self.guests: list[Guest] = []

    async def start(self) -> None:
        await self.user.apply(ZONE, ZONE.body(Key("", "default"), spec={"dns": []}))
        await self.user.apply(NETWORK_OFFERING, NETWORK_OFFERING.body(Key("", "isolated"), spec={"displayName": "x"}))
        public = ipaddress.ip_interface(LAN.outside_address)
        first = public.network.network_address
        spec = {
            "cidr": f"{public.network}",
            "gateway": f"{public.ip}",
            "start": f"{first + 10}",
            "end": f"{first + 20}",
        }
        await self.user.apply(IP_RANGE, IP_RANGE.body(Key("", "public"), spec=spec | {"bridge": "cloudbr1"}))
        for name in self.hosts:
            await self.user.apply(HOST, HOST.body(Key("", name), spec={"node": name}))
            await self.user.apply(HOST_REPORT, HOST_REPORT.body(Key("", name), spec={"hostName": name}))
            said = {"conditions": [{"type": "Reachable", "status": "True", "reason": "AsSpecified"}]}
            await self.user.apply_status(HOST, Key("", name), said, resource_version="")
        store = MemoryStore(self.server, "networking")
        self.manager = Manager(store, SystemClock(), COMPONENT.watches({}), COMPONENT.build)
        self.server.feed(self.manager)
        self._operator = asyncio.create_task(self.manager.run())
        await asyncio.gather(*(agent.start() for agent in self.agents.values()))
        for name in self.hosts:
            await self.until(lambda name=name: bool(self.must(HOST_REPORT, name).status.network))

    async def close(self) -> None:
        self._operator.cancel()
        await asyncio.wait([self._operator])
        await asyncio.gather(*(agent.kill() for agent in self.agents.values()))

    async def network(self, name: str = "net", cidr: str = "10.1.1.0/24", **spec: Any) -> None:
        await self.user.apply(NETWORK, NETWORK.body(Key(NS, name), spec={"cidr": cidr} | spec))
        await self.until(lambda: self.is_ready(NETWORK, name))

    async def guest(
        self, name: str, host: str, network: str = "net", *, plug: bool = True, user_data: str = "", **spec: Any
    ) -> Guest:
        port = f"{name}-nic0"
        spec = {"network": network, "virtualMachine": name, "hostname": name} | spec
        await self.user.create(PORT, PORT.body(Key(NS, port), spec=spec, finalizers=[FINALIZER]))
        instance = {
            "hostName": host,
            "virtualMachine": {"name": name, "uid": f"uid-{name}"},
            "domain": name,
            "cpus": 1,
            "memory": "128Mi",
            "nics": [{"port": port, "portBinding": names.port_binding(port, host)}],
            "cloudInit": {"instanceId": f"uid-{name}", "hostname": name, "userData": user_data},
            "offering": "Small Instance",
            "zone": "default",
        }
        await self.user.apply(INSTANCE, INSTANCE.body(Key(NS, names.instance(name)), spec=instance))
        await self.until(lambda: self.is_ready(PORT, port))
        guest = Guest(self, name, self.hosts[host], port)
        if plug:
            guest.plug_in()
            self.guests.append(guest)
        return guest

    async def remove(self, guest: Guest) -> None:
        guest.unplug()
        self.server.delete("kubectl", INSTANCE, Key(NS, names.instance(guest.name)))
        self.server.delete("kubectl", PORT, Key(NS, guest.port))
        await self.until(lambda: self.get(PORT, guest.port) is None)

    async def until(self, holds_: Callable[[], bool], seconds: float = PATIENCE) -> float:
        """Wait until something is so; how long that took."""
        began = time.monotonic()
        while not holds_():
            if time.monotonic() - began > seconds:
                raise AssertionError(f"not within {seconds} s; logs: {self.logs()}")
            await asyncio.sleep(0.005)
        return time.monotonic() - began

    def logs(self) -> str:
        return "\n".join(f"--- {name}\n{agent.log.read_text()[-3000:]}" for name, agent in self.agents.items())

    def get(self, kind: Kind[Any, Any], name: str) -> Obj[Any, Any] | None:
        body = self.server.read(kind, Key(NS if kind.namespaced else "", name))
        return kind.parse(body) if body else None

    def must(self, kind: Kind[Any, Any], name: str) -> Obj[Any, Any]:
        found = self.get(kind, name)
        assert found is not None, f"there is no {kind.kind} {name}"
        return found

    def is_ready(self, kind: Kind[Any, Any], name: str) -> bool:
        return holds(self.must(kind, name).status.conditions, "Ready")

    def versions(self) -> dict[str, str]:
        """The state of every host-side object, to tell whether anybody wrote."""
        kinds = (ROUTER, HOST_NETWORK, PORT_BINDING, HOST_REPORT)
        bodies = (body for kind in kinds for body in self.server.all(kind))
        return {f"{body['kind']} {body['metadata']['name']}": body["metadata"]["resourceVersion"] for body in bodies}

    def traces(self, host: str) -> set[str]:
        """Everything on a host that could be ours: devices, namespaces, rules, processes, files."""
        there = self.hosts[host]
        links = json.loads(there.exec(["ip", "-j", "link"]).stdout)
        found = {f"link {each['ifname']}" for each in links}
        found |= {f"netns {each}" for each in there.exec(["ls", "/run/netns"]).stdout.split()}
        state = there.exec(["find", "/var/lib/cloudstack/network", "-mindepth", "1"], check=False)
        found |= {f"file {each}" for each in state.stdout.split()}
        for entry in json.loads(there.exec(["nft", "-j", "list", "ruleset"]).stdout)["nftables"]:
            for element in entry.get("set", {}).get("elem", ()):
                found.add(f"element {json.dumps(element)}")
        commands = there.exec(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"], check=False).stdout
        return found | ({"dnsmasq"} if "dnsmasq" in commands else set())


@asynccontextmanager
async def cloud(folder: Path, count: int = 3) -> AsyncIterator[Cloud]:
    """Boot the hosts and start everything; whatever happens, nothing stays."""
    busybox()
    hosts = [Host(f"n{index}", index, folder, lan=LAN, services=()) for index in range(1, count + 1)]
    LAN.up()
    try:
        for host in hosts:
            host.up()
        made = Cloud(hosts)
        await made.start()
        try:
            yield made
        finally:
            await made.close()
    finally:
        for host in hosts:
            host.down(wipe=True)
        LAN.down()
