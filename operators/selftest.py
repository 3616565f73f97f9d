"""`cloudstack selftest`: deploys a guest as a tenant would, waits until it is Ready, removes it. Run by `helm test`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from operators.contract.codec import Json
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Key, condition
from operators.contract.networking import NETWORK
from operators.contract.reasons import Type
from operators.kernel import access
from operators.kernel.clock import Clock, SystemClock
from operators.kernel.rest import RestStore
from operators.kernel.store import Store, StoreError

log = structlog.get_logger()

NAME = "cloudstack-test"
LOOK_AGAIN = 0.5
"""Seconds between looks: the test's account may read its own objects by name, and watch nothing."""


class Failed(Exception):
    """The cloud did not do what it was asked."""


@dataclass(frozen=True)
class Asked:
    """What the command line says."""

    namespace: str
    image: str
    offering: str
    timeout: float
    """Seconds for the way up, and as many again for the way down."""

    @property
    def key(self) -> Key:
        """Where both the network and the machine are."""
        return Key(self.namespace, NAME)


async def run(asked: Asked, env: Mapping[str, str]) -> int:
    """Run the test against the API server; the exit code."""
    reach = access.find(env)
    async with reach.session("cloudstack-selftest") as session:
        test = SelfTest(asked, RestStore(session, reach.server, "cloudstack-selftest"), SystemClock())
        try:
            await test.run()
        except (Failed, StoreError) as error:
            log.error("failed", error=str(error))
            return 1
    return 0


class SelfTest:
    """The test: what an earlier one left behind goes first, and nothing of this one stays."""

    def __init__(self, asked: Asked, store: Store, clock: Clock) -> None:
        self._asked = asked
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Deploy, wait, remove. Raises Failed with the machine's own words, or StoreError."""
        await self._remove()
        started = self._clock.monotonic()
        try:
            await self._deploy()
            await self._until("Ready", self._ready)
            log.info("ready", seconds=round(self._clock.monotonic() - started, 1))
        finally:
            await self._remove()
        log.info("removed")

    async def _deploy(self) -> None:
        key, asked = self._asked.key, self._asked
        await self._store.apply(NETWORK, NETWORK.body(key, spec={"cidr": "10.1.1.0/24"}))
        spec = {"offering": asked.offering, "image": asked.image, "nics": [{"network": key.name}]}
        await self._store.apply(VIRTUAL_MACHINE, VIRTUAL_MACHINE.body(key, spec=spec))
        log.info("applied", namespace=key.namespace, image=asked.image, offering=asked.offering)

    async def _ready(self) -> str:
        """What is still in the way; nothing when the machine is Ready."""
        body = await self._store.get(VIRTUAL_MACHINE, self._asked.key)
        if body is None:
            raise Failed("somebody deleted the VirtualMachine during the test")
        found = condition(VIRTUAL_MACHINE.parse(body).status.conditions, Type.READY)
        if found is None:
            return "nobody has said anything about it yet: does the component compute run?"
        return "" if found.true else f"{found.reason}: {found.message}"

    async def _remove(self) -> None:
        for kind in (VIRTUAL_MACHINE, NETWORK):
            body: Json | None = await self._store.get(kind, self._asked.key)
            if body is not None:
                await self._store.delete(kind, self._asked.key, uid=body["metadata"]["uid"])
        await self._until("gone", self._left)

    async def _left(self) -> str:
        for kind in (VIRTUAL_MACHINE, NETWORK):
            if await self._store.get(kind, self._asked.key) is not None:
                return f"{kind.kind} {self._asked.key} is still there"
        return ""

    async def _until(self, what: str, obstacle: Callable[[], Awaitable[str]]) -> None:
        deadline = self._clock.monotonic() + self._asked.timeout
        while why := await obstacle():
            if self._clock.monotonic() > deadline:
                raise Failed(f"not {what} after {self._asked.timeout:.0f} s: {why}")
            await self._clock.sleep(LOOK_AGAIN)
