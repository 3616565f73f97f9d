"""What another replica has just made is waited for, a moment, where a caller names it."""

from __future__ import annotations

import asyncio

from operators.api import cloud
from operators.api.cloud import Cloud
from operators.contract.meta import Key
from operators.contract.orchestration import FLOW
from operators.contract.storage import VOLUME
from operators.kernel.cache import Cache
from tests.unit.api.world import World


def blank() -> Cloud:
    cache = Cache(cloud.KINDS)
    cloud.index(cache)
    return Cloud(cache, "catalogue")


async def test_what_comes_is_seen() -> None:
    it = blank()
    waiting = asyncio.create_task(it.appearing((FLOW, VOLUME), "wanted", 30))
    for version, uid in ((1, "another"), (2, "wanted")):
        await asyncio.sleep(0)
        assert not waiting.done()
        it.cache.put(VOLUME, VOLUME.body(Key("a", uid), spec={}, uid=uid, resourceVersion=str(version)))
    assert await waiting is True
    assert await it.appearing((VOLUME,), "wanted", 0) is True


async def test_what_does_not_come_is_not_waited_for_long() -> None:
    it = blank()
    assert await it.appearing((VOLUME,), "wanted", 0.01) is False
    again = it.cache.coming((VOLUME,))
    assert len(it.cache._waiting[VOLUME]) == 1
    again.cancel()


async def test_a_job_that_nobody_began(world: World) -> None:
    status, _ = await world.ask("alice", "queryAsyncJobResult", jobid="6f1d0b1a-5c3e-4a57-9d0c-0a1b2c3d4e5f")
    assert status == 431
