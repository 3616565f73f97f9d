"""The API on a real socket over an API server in memory, with the real engine and puppets for everybody else."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from operators.api import handlers, passwords, signing
from operators.api.cloud import VM
from operators.api.server import application, integration
from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE
from operators.contract.core import SECRET
from operators.contract.fabric import HOST, HOST_GROUP, RACK, STORAGE_POOL, ZONE
from operators.contract.identity import ACCOUNT, DOMAIN, PASSWORD, PROJECT, USER
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind
from operators.contract.networking import NETWORK, NETWORK_OFFERING, PORT
from operators.contract.storage import DISK_OFFERING, IMAGE, VOLUME
from operators.kernel import health
from operators.kernel.component import Component
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore
from operators.kernel.store import StoreError
from operators.orchestration.handlers import COMPONENT as ENGINE

SYSTEM, CATALOGUE, IDENTITY = "cloudstack-system", "cloudstack-catalog", "cloudstack-identity"
ENV = {"POD_NAMESPACE": SYSTEM, "CATALOG_NAMESPACE": CATALOGUE, "IDENTITY_NAMESPACE": IDENTITY}
ENV |= {"CONSOLE_URL": "wss://consoles.example.org", "UPLOAD_URL": "https://uploads.example.org/up/"}
CHECKSUM = "sha256:" + "0" * 64
PASSWORD_OF = {"admin": "correct horse", "alice": "battery staple"}
HASHES = {name: passwords.hashed(word) for name, word in PASSWORD_OF.items()}

PEOPLE = {
    # user: its account, domain and role
    "admin": ("admin", "root", "Admin"),
    "carol": ("carol", "sales", "DomainAdmin"),
    "alice": ("alice", "east", "User"),
    "bob": ("bob", "root", "User"),
    "eve": ("eve", "west", "DomainAdmin"),
}
DOMAINS = {"root": {}, "sales": {"parent": "root"}, "east": {"parent": "sales"}, "west": {"parent": "root"}}
THINGS: tuple[tuple[Kind[Any, Any], str, str, Json], ...] = (
    (ZONE, "", "default", {"dns": ["10.9.9.9"]}),
    (RACK, "", "default", {}),
    (HOST_GROUP, "", "default", {}),
    (HOST, "", "node1", {"node": "node1"}),
    (STORAGE_POOL, "", "local-node1", {"hostName": "node1", "path": "local"}),
    (COMPUTE_OFFERING, "", "tiny", {"cpus": 1, "memory": "128Mi", "displayName": "Tiny Instance"}),
    (COMPUTE_OFFERING, "", "small", {"cpus": 1, "memory": "512Mi", "displayName": "Small Instance"}),
    (DISK_OFFERING, "", "standard", {"displayName": "Standard"}),
    (NETWORK_OFFERING, "", "isolated", {"displayName": "DefaultIsolatedNetworkOfferingWithSourceNatService"}),
    (IMAGE, CATALOGUE, "tiny", {"url": "http://example.org/tiny.qcow2", "checksum": CHECKSUM}),
)


def api_key(user: str) -> str:
    return f"{user}-0123456789abcdef"


def secret_key(user: str) -> str:
    return f"secret of {user}"


@dataclass
class World:
    """One cloud and its API."""

    server: MemoryServer
    url: str
    session: aiohttp.ClientSession
    manager: Manager
    integration: str
    """Address of the integration port."""
    hold: bool = False
    """Whether the puppets leave everything as it is."""
    told: list[Told] = field(default_factory=list)
    """What answers in place of the Data service; the last one does."""
    moving: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the puppets are at it."""

    def uid(self, kind: Kind[Any, Any], name: str, namespace: str = "") -> str:
        body = self.server.read(kind, Key(namespace, name))
        assert body is not None, name
        return str(body["metadata"]["uid"])

    async def call(self, user: str, command: str, **params: str) -> Json:
        """Call as a user; the content of a good answer."""
        status, body = await self.ask(user, command, **params)
        assert status == 200, body
        (content,) = body.values()
        return dict(content)

    async def ask(self, user: str, command: str, **params: str) -> tuple[int, Json]:
        """Call as a user; the status and all of the answer."""
        query = {"command": command, "apiKey": api_key(user), "response": "json", **params}
        query["signature"] = signing.sign(query, secret_key(user))
        async with self.session.get(self.url, params=query) as answer:
            return answer.status, await answer.json()

    async def text(self, user: str, command: str, **params: str) -> str:
        """Call as a user; the answer in XML."""
        query = {"command": command, "apiKey": api_key(user), **params}
        query["signature"] = signing.sign(query, secret_key(user))
        async with self.session.get(self.url, params=query) as answer:
            assert answer.status == 200
            return await answer.text()

    async def job(self, user: str, jobid: str) -> Json:
        """Poll a job to its end."""
        for _ in range(300):
            told = await self.call(user, "queryAsyncJobResult", jobid=jobid)
            if told["jobstatus"]:
                return told
            await asyncio.sleep(0.01)
        raise AssertionError(told)

    async def still(self) -> None:
        """Have the puppets leave everything as it is, once they are through with what they are at."""
        self.hold = True
        async with self.moving:
            pass

    async def settled(self) -> None:
        """Wait until the engine and the puppets have nothing more to write."""
        seen = -1
        while len(self.server.log) != seen:
            seen = len(self.server.log)
            await asyncio.sleep(0.1)

    async def ids(self, user: str) -> dict[str, str]:
        """What a deployment needs, as that user finds it."""
        zone = (await self.call(user, "listZones"))["zone"][0]["id"]
        offering = (await self.call(user, "listServiceOfferings", name="Tiny Instance"))["serviceoffering"][0]["id"]
        template = (await self.call(user, "listTemplates", templatefilter="featured"))["template"][0]["id"]
        return {"zoneid": zone, "serviceofferingid": offering, "templateid": template}

    async def network(self, user: str, name: str = "front") -> str:
        """A network of the user's."""
        zone = (await self.call(user, "listZones"))["zone"][0]["id"]
        offering = (await self.call(user, "listNetworkOfferings"))["networkoffering"][0]["id"]
        made = await self.call(user, "createNetwork", name=name, zoneid=zone, networkofferingid=offering)
        return str(made["network"]["id"])

    async def _puppets(self) -> None:
        """Compute, storage, networking and the Data service: whatever is asked for is so a moment later."""
        changed = asyncio.Event()
        for kind in (VIRTUAL_MACHINE, PORT, VOLUME, ACCOUNT, PROJECT):
            self.server.subscribe(kind, lambda type_, body: changed.set())
        store = MemoryStore(self.server, "puppets")
        while True:
            await changed.wait()
            changed.clear()
            await asyncio.sleep(0.005)
            if self.hold:
                continue
            async with self.moving:
                try:
                    for kind in (ACCOUNT, PROJECT, PORT, VOLUME, VIRTUAL_MACHINE):
                        for body in list(self.server.all(kind)):
                            await _settle(store, kind, body)
                except StoreError:
                    changed.set()


async def _settle(store: MemoryStore, kind: Kind[Any, Any], body: Json) -> None:
    obj = kind.parse(body)
    if obj.meta.deleting:
        if kind is VIRTUAL_MACHINE:
            await _unmake(store, obj)
        else:
            await store.finalize(kind, obj.meta, [])
        return
    ready = {"type": "Ready", "status": "True", "reason": "AsSpecified", "observedGeneration": obj.meta.generation}
    status: Json = {"observedGeneration": obj.meta.generation, "conditions": [ready]}
    if kind is VIRTUAL_MACHINE:
        await _make(store, obj)
        ports = [each for each in store.server.all(PORT) if each["spec"].get("virtualMachine") == obj.meta.name]
        if len([each for each in ports if each.get("status")]) < len(obj.spec.nics):
            return
        status |= {"hostName": "node1", "rebootObserved": obj.spec.reboot_request}
        status |= {"reinstallObserved": obj.spec.reinstall_request}
    if kind in (ACCOUNT, PROJECT):
        if (body.get("status") or {}).get("namespace"):
            return  # the rest of its status is the API's own
        status |= {"namespace": obj.meta.name}
    if kind is PORT:
        status |= {"ip": "10.1.1.5", "mac": "02:00:0a:01:01:05", "gateway": "10.1.1.1"}
    await store.apply_status(kind, obj.key, status, resource_version="")


async def _make(store: MemoryStore, vm: VM) -> None:
    """Its Instance, with the power that is asked for."""
    key = Key(vm.meta.namespace, names.instance(vm.meta.name))
    power = vm.spec.wanted.value
    ref = {"name": vm.meta.name, "uid": vm.meta.uid}
    spec = {"hostName": "node1", "domain": "d", "cpus": 1, "memory": "128Mi", "power": power, "virtualMachine": ref}
    made = await store.apply(INSTANCE, INSTANCE.body(key, spec=spec, ownerReferences=[to_wire(vm.owner)]))
    told = {"power": power, "observedGeneration": made["metadata"]["generation"]}
    await store.apply_status(INSTANCE, key, told, resource_version="")


async def _unmake(store: MemoryStore, vm: VM) -> None:
    key = Key(vm.meta.namespace, names.instance(vm.meta.name))
    if (body := await store.get(INSTANCE, key)) is not None:
        await store.delete(INSTANCE, key, uid=body["metadata"]["uid"])


class Told:
    """The Data service's part: whatever is asked for, nothing has happened yet, unless a test puts another there."""

    def __init__(self, instead: list[Told] | None = None) -> None:
        self.instead = instead if instead is not None else []

    async def ask(self, what: str, **params: Any) -> dict[str, Any]:
        if self.instead:
            return await self.instead[-1].ask(what, **params)
        return {"zones": {}} if what == "capacity" else {"total": 0, "items": []}

    async def change(self, what: str, **params: Any) -> dict[str, Any]:
        if self.instead:
            return await self.instead[-1].change(what, **params)
        return {"changed": 0}


async def furnish(server: MemoryServer) -> None:
    """Put the people and the things there."""
    store = MemoryStore(server, "operator")
    for name, spec in DOMAINS.items():
        await store.create(DOMAIN, DOMAIN.body(Key("", name), spec=dict(spec)))
    for user, (account, domain, role) in PEOPLE.items():
        await store.create(ACCOUNT, ACCOUNT.body(Key("", account), spec={"domain": domain, "role": role}))
        await store.create(USER, USER.body(Key("", user), spec={"account": account, "apiKeys": [api_key(user)]}))
        kept = {api_key(user): secret_key(user)} | ({PASSWORD: HASHES[user]} if user in HASHES else {})
        data = {key: base64.b64encode(value.encode()).decode() for key, value in kept.items()}
        await store.create(SECRET, SECRET.body(Key(IDENTITY, names.user_secret(user))) | {"data": data})
    for kind, namespace, name, spec in THINGS:
        await store.create(kind, kind.body(Key(namespace, name), spec=dict(spec)))


def _manager(server: MemoryServer, component: Component, env: Mapping[str, str]) -> Manager:
    store = MemoryStore(server, component.name)
    manager = Manager(store, server.clock, component.watches(env), component.build, env=env)
    server.feed(manager)
    return manager


@asynccontextmanager
async def running(**env: str) -> AsyncIterator[World]:
    """A furnished cloud with the API and the engine at work."""
    server = MemoryServer()
    await furnish(server)
    api, engine = _manager(server, handlers.COMPONENT, ENV | env), _manager(server, ENGINE, {})
    tasks = [asyncio.create_task(each.run()) for each in (api, engine)]
    await api.synced.wait()
    told = Told()
    behind = await handlers.behind(api.context, told)
    async with (
        health.served(application(*behind), 0, "127.0.0.1") as port,
        health.served(integration(*behind), 0, "127.0.0.1") as trusted,
        aiohttp.ClientSession() as session,
    ):
        world = World(server, f"http://127.0.0.1:{port}/client/api", session, api, f"http://127.0.0.1:{trusted}")
        world.told = told.instead
        tasks.append(asyncio.create_task(world._puppets()))
        try:
            yield world
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await behind[0].peers.close()


__all__ = ["NETWORK", "PORT", "VOLUME", "World", "running"]
