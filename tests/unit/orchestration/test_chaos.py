"""Users who change their mind at the worst moment, a slow network, and an engine that dies in between: by seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind
from operators.contract.networking import PORT
from operators.contract.orchestration import FlowState
from operators.contract.storage import VOLUME
from operators.orchestration.record import ended
from tests.support.virtual_time import virtual
from tests.unit.orchestration.world import SPEC, World


class Slow:
    """Requests take a while, and watches tell later, in order."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._told = 0.0

    async def hook(self, verb: str, kind: Kind[object, object], key: Key) -> None:
        await asyncio.sleep(self.rng.choice((0.0, 0.01, 0.1, 0.5)))

    def later(self, call: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._told = max(self._told, loop.time() + self.rng.choice((0.0, 0.01, 0.1, 0.5)))
        loop.call_at(self._told, call)


class User:
    """Somebody who does not wait for anything."""

    def __init__(self, cloud: World, rng: random.Random) -> None:
        self.cloud, self.rng = cloud, rng
        self.spec = dict(SPEC)

    async def act(self) -> None:
        vm = self.cloud.vm()
        if vm is None or vm.meta.deleting:
            self.spec = dict(SPEC)
        what = self.rng.choice((self.power, self.power, self.reboot, self.edit, self.cancel, self.kill, self.delete))
        await what()

    async def power(self) -> None:
        self.spec["runPolicy"] = self.rng.choice(("Running", "Stopped"))
        await self.apply()

    async def reboot(self) -> None:
        self.spec["rebootRequest"] = self.spec.get("rebootRequest", 0) + 1
        await self.apply()

    async def edit(self) -> None:
        self.spec["offering"] = self.rng.choice(("tiny", "small"))
        await self.apply()

    async def apply(self) -> None:
        await self.cloud.apply(self.spec)

    async def cancel(self) -> None:
        running = [flow for flow in self.cloud.flows() if not ended(flow)]
        if running:
            await self.cloud.patch_flow(running[-1].meta.name, cancel=True)

    async def kill(self) -> None:
        await self.cloud.kill()
        await self.cloud.start()

    async def delete(self) -> None:
        if self.rng.random() < 0.5 and self.cloud.vm() is not None:
            await self.cloud.delete()


@pytest.mark.parametrize("seed", range(15))
def test_whatever_happens_it_ends_well(seed: int) -> None:
    @virtual
    async def play() -> None:
        rng = random.Random(seed)
        cloud = World()
        slow = Slow(rng)
        cloud.server.hook, cloud.server.later = slow.hook, slow.later
        await cloud.start()
        user = User(cloud, rng)
        try:
            await user.apply()
            for _ in range(rng.randrange(3, 15)):
                await asyncio.sleep(rng.choice((0.0, 0.05, 0.3, 1.0, 10.0)))
                await user.act()
            await cloud.settle(300.0)
            ends_well(cloud)
            if cloud.vm() is not None:
                await cloud.delete()
                await cloud.settle(300.0)
            assert left(cloud) == (0, 0, 0)
        finally:
            await cloud.close()

    play()


def ends_well(cloud: World) -> None:
    """Every Flow has ended, and what there is fits to what the last one says."""
    assert [flow.meta.name for flow in cloud.flows() if not ended(flow)] == []
    vm = cloud.vm()
    if vm is None:
        assert left(cloud) == (0, 0, 0)
        return
    deploys = [flow for flow in cloud.flows("Deploy") if flow.spec.target.uid == vm.meta.uid]
    if deploys[-1].status.state == FlowState.CANCELLED:
        assert left(cloud) == (0, 0, 0)
        return
    ports, volumes, instances = left(cloud)
    assert (ports, volumes) == (2, 1)
    assert instances == 1 or vm.spec.run_policy == "Stopped"
    made = cloud.writes("create")
    lives = len({flow.spec.target.uid for flow in cloud.flows()}) + len(cloud.flows("Deploy"))
    assert all(times <= lives for times in made.values())


def left(cloud: World) -> tuple[int, int, int]:
    return len(cloud.names_of(PORT)), len(cloud.names_of(VOLUME)), len(cloud.names_of(INSTANCE))
