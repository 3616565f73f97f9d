"""A cloud in memory around the real engine: the other components in thirty lines, and an axe for the engine."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Condition, Key, Kind, condition
from operators.contract.networking import PORT
from operators.contract.orchestration import FLOW, FlowState, OnFailure, Operation
from operators.contract.storage import VOLUME
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore
from operators.kernel.store import StoreError
from operators.orchestration.handlers import COMPONENT
from operators.orchestration.record import VM, Flow
from tests.support.axe import NEVER, Axe
from tests.support.virtual_time import VirtualClock

NS = "team-a"
WEB = Key(NS, "web")
SPEC: Json = {"offering": "tiny", "image": "tiny", "nics": [{"network": "front"}, {"network": "back"}]}
AT_EASE = 200.0
"""Virtual seconds after which everything has settled that ever will."""


class World:
    """The API server, the engine, and everybody else."""

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self.clock = VirtualClock()
        self.server = MemoryServer(clock=self.clock)
        self.user = MemoryStore(self.server, "kubectl")
        self.env = env or {}
        self.blocked: dict[str, Condition] = {}
        """What `Kind/name` says in place of becoming ready."""
        self.lazy = False
        """Whether compute does nothing at all."""
        self.axe = Axe(self.server, "orchestration")
        self._engine: asyncio.Task[None] | None = None
        self._rest = asyncio.create_task(self._others())

    async def start(self, axe: int = NEVER, *, fatal: bool = True) -> None:
        """Start an engine with an empty memory."""
        self.axe = Axe(self.server, "orchestration", axe, fatal)
        self._engine = self._run(self.axe)

    def _run(self, store: Axe) -> asyncio.Task[None]:
        manager = Manager(store, self.clock, COMPONENT.watches(self.env), COMPONENT.build, env=self.env)
        self.server.feed(manager)
        return asyncio.create_task(manager.run())

    @asynccontextmanager
    async def rival(self) -> AsyncIterator[None]:
        """A second engine beside the first, as when a leader does not know yet that it leads no more."""
        rival = self._run(Axe(self.server, "orchestration"))
        try:
            yield
        finally:
            rival.cancel()
            await asyncio.wait([rival])

    async def kill(self) -> None:
        """End the engine wherever it is."""
        if self._engine is not None:
            self._engine.cancel()
            await asyncio.wait([self._engine])
            self._engine = None

    async def close(self) -> None:
        await self.kill()
        if self._rest.done():
            self._rest.result()
        self._rest.cancel()
        await asyncio.wait([self._rest])

    async def settle(self, seconds: float = AT_EASE) -> None:
        """Let time pass; an engine that fell under the axe is started anew at once."""
        waiting = asyncio.create_task(asyncio.sleep(seconds))
        falling = asyncio.create_task(self.axe.fell.wait())
        await asyncio.wait([waiting, falling], return_when=asyncio.FIRST_COMPLETED)
        falling.cancel()
        if self.axe.fell.is_set() and self._engine is not None:
            await self.kill()
            await self.start()
        await waiting
        if self._engine is not None and self._engine.done():
            self._engine.result()

    # What a user does.

    async def apply(self, spec: Mapping[str, Any] = SPEC, name: str = "web", **metadata: Any) -> None:
        await self.user.apply(VIRTUAL_MACHINE, VIRTUAL_MACHINE.body(Key(NS, name), spec=dict(spec), **metadata))

    async def delete(self, name: str = "web") -> None:
        self.server.delete("kubectl", VIRTUAL_MACHINE, Key(NS, name))

    async def patch_flow(self, name: str, **spec: Any) -> None:
        body = self.server.read(FLOW, Key(NS, name))
        assert body is not None
        await self.user.apply(FLOW, FLOW.body(Key(NS, name), spec=spec))

    # What there is.

    def vm(self, name: str = "web") -> VM | None:
        body = self.server.read(VIRTUAL_MACHINE, Key(NS, name))
        return VIRTUAL_MACHINE.parse(body) if body else None

    def flows(self, operation: str = "") -> list[Flow]:
        flows = [FLOW.parse(body) for body in self.server.all(FLOW)]
        flows.sort(key=lambda flow: int(flow.meta.uid[:8], 16))
        return [flow for flow in flows if operation in ("", flow.spec.operation)]

    def flow(self, operation: str) -> Flow:
        (flow,) = self.flows(operation)
        return flow

    def names_of(self, kind: Kind[Any, Any]) -> list[str]:
        return [body["metadata"]["name"] for body in self.server.all(kind)]

    def writes(self, verb: str = "") -> Counter[str]:
        """The engine's writes that changed something, as `verb Kind/name`."""
        return Counter(
            f"{done} {kind.kind}/{key.name}"
            for manager, done, kind, key in self.server.log
            if manager == "orchestration" and verb in ("", done)
        )

    # Everybody else.

    async def _others(self) -> None:
        changed = asyncio.Event()
        for kind in (VIRTUAL_MACHINE, FLOW, PORT, VOLUME, INSTANCE):
            self.server.subscribe(kind, lambda type_, body: changed.set())
        store = MemoryStore(self.server, "others")
        while True:
            await changed.wait()
            changed.clear()
            await asyncio.sleep(0.01)
            try:
                await self._look(store)
            except StoreError:
                changed.set()

    async def _look(self, store: MemoryStore) -> None:
        for body in list(self.server.all(INSTANCE)):
            vm = self.vm(body["spec"]["virtualMachine"]["name"])
            if vm is None or vm.meta.uid != body["spec"]["virtualMachine"]["uid"]:
                # Made a moment too late; its owner is gone, so Kubernetes deletes it.
                self.server.delete("others", INSTANCE, INSTANCE.parse(body).key)
                left = self.server.read(INSTANCE, INSTANCE.parse(body).key)
                if left is not None:
                    await store.finalize(INSTANCE, INSTANCE.parse(left).meta, [])
        for body in list(self.server.all(VIRTUAL_MACHINE)):
            if not self.lazy:
                await self._compute(store, VIRTUAL_MACHINE.parse(body))
        for kind, finalizer in ((PORT, "networking"), (VOLUME, "storage")):
            for body in list(self.server.all(kind)):
                await self._resource(store, kind, body, names.finalizer(finalizer))

    def wake(self) -> None:
        """Let the others look again after a knob was turned."""
        self.server._tell(VIRTUAL_MACHINE, None, self.server.read(VIRTUAL_MACHINE, WEB))

    def _given_up(self, vm: VM) -> bool:
        deploys = [flow for flow in self.flows(Operation.DEPLOY) if flow.spec.target.uid == vm.meta.uid]
        if not deploys:
            return False
        flow = max(deploys, key=lambda each: each.spec.target_generation)
        compensates = flow.spec.on_failure is OnFailure.COMPENSATE
        return flow.status.state == FlowState.CANCELLED or (flow.status.state == FlowState.FAILED and compensates)

    async def _compute(self, store: MemoryStore, vm: VM) -> None:
        key = Key(NS, names.instance(vm.meta.name))
        body = self.server.read(INSTANCE, key)
        gone = vm.meta.deleting or self._given_up(vm)
        if body is not None and gone:
            self.server.delete("others", INSTANCE, key)
            body = self.server.read(INSTANCE, key)
            if body is not None:
                await store.finalize(INSTANCE, INSTANCE.parse(body).meta, [])
            return
        if not gone and (body is not None or vm.spec.wanted == "Running"):
            spec = {
                "hostName": "h1",
                "domain": "d",
                "cpus": 1,
                "memory": "128Mi",
                "power": vm.spec.wanted.value,
                "virtualMachine": {"name": vm.meta.name, "uid": vm.meta.uid},
            }
            finalizers = [names.finalizer("compute")]
            owners = [to_wire(vm.owner)]
            made = INSTANCE.body(key, spec=spec, finalizers=finalizers, ownerReferences=owners)
            body = await store.apply(INSTANCE, made)
        await self._sum_up(store, vm, body)

    async def _sum_up(self, store: MemoryStore, vm: VM, body: Json | None) -> None:
        told = self.blocked.get(f"VirtualMachine/{vm.meta.name}")
        power = ""
        if body is not None:
            instance = INSTANCE.parse(body)
            parts = [*self.server.all(PORT), *self.server.all(VOLUME)]
            fit = len(parts) >= 3 and all(_ready(part) for part in parts)
            power = instance.spec.power.value if fit or instance.spec.power == "Stopped" else ""
            status = {"power": power, "observedGeneration": instance.meta.generation}
            await store.apply_status(INSTANCE, instance.key, status, resource_version="")
        running = power == "Running"
        right = power == vm.spec.wanted.value or (body is None and vm.spec.run_policy == "Stopped")
        told = told or _condition("True" if right else "False", "AsSpecified" if right else "WaitingForVolumes")
        status = {
            "observedGeneration": vm.meta.generation,
            "hostName": "h1" if body else "",
            "addresses": ["10.1.1.5"] if running else [],
            "rebootObserved": vm.spec.reboot_request if running else vm.status.reboot_observed,
            "reinstallObserved": vm.spec.reinstall_request if self._has_root(vm) else vm.status.reinstall_observed,
            "conditions": [_wire(told, vm.meta.generation)],
        }
        await store.apply_status(VIRTUAL_MACHINE, vm.key, status, resource_version="")

    def _has_root(self, vm: VM) -> bool:
        root = self.server.read(VOLUME, Key(NS, vm.spec.root_of(vm.meta.name)))
        return root is not None and _ready(root)

    def _boots_from(self, volume: str) -> bool:
        return any(
            vm.spec.root_of(vm.meta.name) == volume
            for vm in map(VIRTUAL_MACHINE.parse, self.server.all(VIRTUAL_MACHINE))
        )

    async def _resource(self, store: MemoryStore, kind: Kind[Any, Any], body: Json, finalizer: str) -> None:
        obj = kind.parse(body)
        guests = list(self.server.all(INSTANCE))
        if obj.meta.deleting:
            former = kind is VOLUME and not self._boots_from(obj.meta.name)
            if (former or not guests) and finalizer in obj.meta.finalizers:
                await store.finalize(kind, obj.meta, obj.meta.finalizers_without(finalizer))
            return
        ready = _condition("True", "AsSpecified") if guests else _condition("False", "WaitingForHost")
        told = self.blocked.get(f"{kind.kind}/{obj.meta.name}") or ready
        status = {"conditions": [_wire(told, obj.meta.generation)]}
        await store.apply_status(kind, obj.key, status, resource_version="")


def _condition(status: str, reason: str, message: str = "") -> Condition:
    return Condition("Ready", status, reason, message)


def blocked(reason: str, message: str) -> Condition:
    """What an object says of itself that cannot become ready."""
    return _condition("False", reason, message)


def _wire(told: Condition, generation: int) -> Json:
    return {
        "type": "Ready",
        "status": told.status,
        "reason": told.reason,
        "message": told.message,
        "lastTransitionTime": "2026-11-21T12:00:05Z",
        "observedGeneration": generation,
    }


def _ready(body: Json) -> bool:
    told = condition(
        PORT.parse(body).status.conditions if body["kind"] == "Port" else VOLUME.parse(body).status.conditions, "Ready"
    )
    return told is not None and told.true
