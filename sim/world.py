"""The whole simulated cloud of one run: API server, collector, hosts, every component and agent, and their seeds."""

from __future__ import annotations

import asyncio
import importlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Any

import structlog

from operators.contract import names
from operators.contract.meta import Kind
from operators.kernel.component import Component
from sim.hosts import ports
from sim.hosts.filesystem import Remote
from sim.hosts.host import POOL_ROOT, SHARED_PATH, Host
from sim.hosts.vault import Vault
from sim.loop import ACTOR, Actor, VirtualLoop
from sim.network import Wire
from sim.process import EPOCH, Process
from sim.store.collector import Collector, NamespaceController
from sim.store.resources import Resource
from sim.store.schema import Json
from sim.store.server import APPLY, MERGE, ApiServer, Event, Request, Table
from sim.tenancy import people
from sim.tenancy import ports as tenancy_ports
from sim.tenancy.client import Client
from sim.tenancy.ports import Records
from sim.trace import Trace

SYSTEM, CATALOG = "cloudstack-system", "cloudstack-catalog"
OPERATORS = ("orchestration", "compute", "storage", "networking", "fabric_admin", "fabric_monitoring")
AGENTS = ("hypervisor", "storage", "network")
BAD_LOGS = frozenset({"reconcile_failed", "import_broke", "refused_by_api_server", "object_not_understood",
                      "command_failed"})  # fmt: skip
"""Lines that no run may log: an exception that nobody expected, a write that the API server had to refuse."""


@dataclass(frozen=True)
class Shape:
    """What a run's world is made of."""

    hosts: int = 2
    replicas: int = 1
    elects: bool = True
    namespaces: tuple[str, ...] = ("team-a", "team-b")
    memory_gib: int = 8
    shared: bool = False
    """Whether the hosts share a folder for a pool."""
    tenants: bool = False
    """Whether the API and Data are there too, and people who call them."""


@dataclass
class World:
    """Everything of one run."""

    seed: int
    shape: Shape = field(default_factory=Shape)
    keep_trace: bool = False
    logs: bool = False
    """Whether the processes' own log lines go into the trace."""

    def __post_init__(self) -> None:
        self.loop = VirtualLoop(random.Random(f"{self.seed}/turns"))
        self.trace = Trace(self.keep_trace)
        self.server = ApiServer(random.Random(f"{self.seed}/uids"), self.stamp)
        self.server.listeners.append(self._written)
        self.wire = Wire(self.loop, self.server, random.Random(f"{self.seed}/wire"))
        self.collector = Collector(self.loop, self.server, random.Random(f"{self.seed}/collector"))
        self.namespaces = NamespaceController(self.loop, self.server, random.Random(f"{self.seed}/namespaces"))
        self.user = Actor("user")
        self.vault = Vault()
        self.client: Client | None = None
        self.records: Records | None = None
        self.hosts: dict[str, Host] = {}
        self.processes: dict[str, Process] = {}
        self.bad_logs: list[str] = []
        self.on_restore: Callable[[], None] = lambda: None
        self._rng = random.Random(f"{self.seed}/world")

    # Time.

    def stamp(self) -> str:
        """The API server's time."""
        return _stamp(int(self.loop.now))

    def run_until(self, when: float, each: Callable[[], None] | None = None) -> None:
        """Let everything happen up to a virtual time; `each` is called after every step."""
        loop = self.loop
        asyncio.events._set_running_loop(loop)
        try:
            while loop.now <= when:
                if not loop._runnable and (timer := loop.next_timer()) is not None and timer > when:
                    loop.now = when
                    break
                if not loop.step():
                    break
                if each is not None:
                    each()
        finally:
            asyncio.events._set_running_loop(None)

    def end(self) -> None:
        """End every process, so that nothing of this run is left to unwind during another."""
        asyncio.events._set_running_loop(self.loop)
        try:
            for process in self.processes.values():
                if process.alive and process.actor is not None:
                    self.loop.kill(process.actor)
        finally:
            asyncio.events._set_running_loop(None)
            self.loop.close()
            if self.records is not None:
                self.records.close()

    # Setting up.

    def build(self) -> None:
        """Make the hosts and processes, and what an installation finds in its cluster."""
        ports.install()
        _configure_logs(self)
        _share_parsed()
        self._objects()
        shared = Remote() if self.shape.shared else None
        for number in range(1, self.shape.hosts + 1):
            name = f"host{number}"
            host = self.hosts[name] = Host(
                name,
                self.loop,
                self.trace,
                random.Random(f"{self.seed}/{name}"),
                f"10.99.0.{number}",
                memory=self.shape.memory_gib << 30,
                vault=self.vault,
            )
            if shared is not None:
                host.files.mount(SHARED_PATH, shared)
            self._node(name, host.address)
            for agent in AGENTS:
                process = self._process(
                    f"{agent}@{name}", _component(f"agents.{agent}"), {"NODE_NAME": name, "NODE_IP": host.address}, host
                )
                host.processes.append(process)
        for host in self.hosts.values():
            host.peers = {each.address: each for each in self.hosts.values() if each is not host}
        for operator in OPERATORS:
            component = _component(f"operators.{operator}")
            for replica in range(self.shape.replicas):
                suffix = f"#{replica + 1}" if self.shape.replicas > 1 else ""
                self._process(f"{component.name}{suffix}", component, {}, None)

        if self.shape.tenants:
            self._tenancy()

    def _tenancy(self) -> None:
        """The API in two replicas, Data with its database, and their people."""
        tenancy_ports.install()
        people.found(self, SYSTEM)
        env = {"DEPLOY_DEADLINE": "90s"}
        api = [self._process(f"api#{n}", _component("operators.api"), env, None) for n in (1, 2)]
        self.records = self._process("data", _component("operators.data"), {}, None).belongings["records"] = Records()
        rng = random.Random(f"{self.seed}/client")
        say = lambda verb, text: self.trace.add(self.loop.now, "client", verb, text)  # noqa: E731
        self.client = Client(self.loop, api, rng, say, lossy=rng.choice((0.0, 0.1, 0.3)))
        self.callers = people.Callers(self, self.client)

    def _process(self, name: str, component: Component, env: dict[str, str], host: Host | None) -> Process:
        env = {"POD_NAMESPACE": SYSTEM, "POD_NAME": name, "CATALOG_NAMESPACE": CATALOG, "POOL_ROOT": POOL_ROOT} | env
        env |= {"SHARED_POOL_PATH": SHARED_PATH} if self.shape.shared else {}
        rng = random.Random(f"{self.seed}/{name}")
        process = Process(name, component, env, self.wire, self.trace, rng, host=host, elects=self.shape.elects)
        self.processes[name] = process
        return process

    def start(self) -> None:
        """Start every process, at moments of its own."""
        for process in self.processes.values():
            self.loop.at(self.loop.now + self._rng.uniform(0.0, 2.0), self.loop.world, process.start)

    def _objects(self) -> None:
        for name in (SYSTEM, CATALOG, "default", *self.shape.namespaces):
            self.create("", "namespaces", name)
        for group in ("zones", "racks", "hostgroups"):
            self.create(names.FABRIC, group, "default")
        self.create(names.COMPUTE, "computeofferings", "tiny", spec={"cpus": 1, "memory": "128Mi"})
        self.create(names.COMPUTE, "computeofferings", "small", spec={"cpus": 1, "memory": "512Mi"})
        self.create(names.COMPUTE, "computeofferings", "huge", spec={"cpus": 64, "memory": "512Gi"})
        self.create(names.STORAGE, "diskofferings", "standard", spec={})
        self.create(names.NETWORKING, "networkofferings", "isolated", spec={})
        self.create(
            names.FABRIC, "ipranges", "public",
            spec={"cidr": "10.98.0.0/24", "gateway": "10.98.0.1", "start": "10.98.0.10", "end": "10.98.0.60",
                  "bridge": "br-public"},
        )  # fmt: skip
        for name, kind in (("tiny", "good"), ("lost", "broken"), ("evil", "evil")):
            url = f"https://images.example/{name}.qcow2"
            ports.SOURCES[url] = kind
            self.create(
                names.STORAGE, "images", name, CATALOG, spec={"url": url, "checksum": f"sha256:{ports.checksum(url)}"}
            )
        disc = "https://images.example/disc.iso"
        ports.SOURCES[disc] = "cd"
        cd = {"url": disc, "checksum": f"sha256:{ports.checksum(disc)}", "format": "iso"}
        self.create(names.STORAGE, "images", "cd", CATALOG, spec=cd)
        store = {"type": "S3", "endpoint": "https://store.example", "bucket": "backups"}
        self.create(names.FABRIC, "imagestores", "vault", spec=store)
        wrong = {"url": "https://images.example/tiny.qcow2", "checksum": f"sha256:{'0' * 64}"}
        self.create(names.STORAGE, "images", "wrong", CATALOG, spec=wrong)

    def _node(self, name: str, address: str) -> None:
        self.create("", "nodes", name, spec={})
        self.request("PATCH", "", "nodes", name, {"status": {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": "True"}]}}, subresource="status", content=MERGE)  # fmt: skip
        label, value = names.AGENT_PODS.split("=")
        body = {"metadata": {"name": f"agent-{name}", "labels": {label: value}}, "spec": {"nodeName": name}}
        self.request("POST", "", "pods", "", body, namespace=SYSTEM)

    # Requests of people and of the test itself.

    def resource(self, group: str, plural: str) -> Resource:
        """One served resource."""
        return self.server.tables[group, plural].resource

    def request(
        self,
        method: str,
        group: str,
        plural: str,
        name: str,
        body: Any = None,
        *,
        namespace: str = "",
        subresource: str = "",
        content: str = "application/json",
        user: str = "user",
    ) -> tuple[int, Json]:
        """Ask the API server at once, without a network in between."""
        query = (("fieldManager", user), ("force", "true"))
        key = (namespace, name)
        return self.server.answer(
            Request(method, self.resource(group, plural), key, subresource, body, content, query, user)
        )

    def create(self, group: str, plural: str, name: str, namespace: str = "", spec: Json | None = None) -> Json:
        """Create an object that must be accepted."""
        body: Json = {"metadata": {"name": name}} | ({"spec": spec} if spec is not None else {})
        code, answer = self.request("POST", group, plural, "", body, namespace=namespace)
        assert code == 201, answer
        return answer

    def apply(
        self, group: str, plural: str, name: str, namespace: str, spec: Json, **metadata: Any
    ) -> tuple[int, Json]:
        """`kubectl apply --server-side`."""
        resource = self.resource(group, plural)
        meta = {"name": name, "namespace": namespace} | metadata
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, "spec": spec}
        return self.request("PATCH", group, plural, name, body, namespace=namespace, content=APPLY)

    def objects(self, group: str, plural: str) -> dict[tuple[str, str], Json]:
        """All objects of a resource, by key."""
        records = self.server.tables[group, plural].records
        return {key: records[key].obj for key in sorted(records)}

    # What happened.

    def _written(self, table: Table, event: Event, author: str) -> None:
        if self.trace.keep or table.resource.plural != "leases":
            meta = event.obj["metadata"]
            where = f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else meta["name"]
            verb = _VERBS[event.type] if not _just_deleting(event) else "deletes"
            change = _difference(event) if self.trace.keep else ""
            text = f"{table.resource.kind} {where} @{event.version} {change}"
            self.trace.add(self.loop.now, author, verb, text if self.trace.keep else f"{event.version}{where}")


@lru_cache(100)
def _stamp(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


_VERBS = {"ADDED": "creates", "MODIFIED": "writes", "DELETED": "ends"}


def _just_deleting(event: Event) -> bool:
    return bool(
        event.type == "MODIFIED"
        and event.obj["metadata"].get("deletionTimestamp")
        and event.before
        and not event.before["metadata"].get("deletionTimestamp")
    )


def _difference(event: Event) -> str:
    """What a write changed, in a few words."""
    if event.before is None or event.type == "DELETED":
        return ""
    parts = []
    for name in ("metadata", "spec", "status"):
        old, new = event.before.get(name) or {}, event.obj.get(name) or {}
        for field_ in sorted(old.keys() | new.keys()):
            if old.get(field_) != new.get(field_) and field_ not in ("resourceVersion", "generation"):
                parts.append(f"{name}.{field_}={_short(new.get(field_))}")
    return " ".join(parts)[:400]


def _short(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict) and "type" in value[0] and "status" in value[0]:
        return "[" + " ".join(f"{each['type']}:{each['status']}({each.get('reason', '')})" for each in value) + "]"
    return str(value)[:120]


def _component(package: str) -> Component:
    component: Component = importlib.import_module(f"{package}.handlers").COMPONENT
    return component


_PARSE = Kind.parse
_PARSED: dict[tuple[str, str, str], Any] = {}


def _share_parsed() -> None:
    """Parse each state of each object once for all processes: what comes of it is immutable."""
    _PARSED.clear()

    def parse(self: Any, body: Json) -> Any:
        meta = body["metadata"]
        key = self.plural, meta.get("uid", ""), meta.get("resourceVersion", "")
        if not key[1]:
            return _PARSE(self, body)
        if (found := _PARSED.get(key)) is None:
            if len(_PARSED) > 20_000:
                _PARSED.clear()
            found = _PARSED[key] = _PARSE(self, body)
        return found

    Kind.parse = parse  # type: ignore[method-assign,assignment]


def _configure_logs(world: World) -> None:
    """The processes' log lines: bad ones are findings, the others go into the trace if they are asked for."""

    def capture(logger: Any, method: str, event: Any) -> Any:
        actor = ACTOR.get(None)
        name = str(event.pop("event", ""))
        if actor is not None and actor.alive:
            if name in BAD_LOGS and "because it is being terminated" not in str(event.get("error", "")):
                error = event.get("exc_info")
                if error is True:
                    import sys
                    import traceback

                    event["exc_info"] = "".join(traceback.format_exception(*sys.exc_info())[-6:])
                world.bad_logs.append(f"{world.loop.now:.3f} {actor.name}: {name} {event}")
            if world.logs:
                text = " ".join(f"{key}={value}" for key, value in event.items())
                world.trace.add(world.loop.now, actor.name, "logs", f"{name} {text}"[:600])
        raise structlog.DropEvent

    level = 20 if world.logs else 40
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, capture],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
