"""The manager: events, resyncs, standby, and what survives lost events, restarts and a lost leadership."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from operators.contract.codec import Json
from operators.contract.meta import Key, Kind
from operators.contract.networking import CLAIM
from operators.contract.storage import VOLUME
from operators.kernel.manager import LATE, RESYNC, Manager
from operators.kernel.memory import MemoryServer, MemoryStore
from operators.kernel.store import Unavailable
from tests.support import toy
from tests.support.store_expectations import volume
from tests.support.virtual_time import VirtualClock, virtual

KEY = Key("default", "a")


class Cloud:
    """A server in memory, a user and the toy component."""

    def __init__(self) -> None:
        self.server = MemoryServer(VirtualClock())
        self.user = MemoryStore(self.server, "user")
        self.leads = True

    def manager(self) -> Manager:
        store = MemoryStore(self.server, "toy")
        watches = toy.COMPONENT.watches({})
        return Manager(store, self.server.clock, watches, toy.COMPONENT.build, leading=lambda: self.leads)

    @contextlib.asynccontextmanager
    async def running(self, *, watched: bool = True) -> AsyncIterator[Manager]:
        manager = self.manager()
        if watched:
            self.server.feed(manager)
        task = asyncio.create_task(manager.run())
        try:
            yield manager
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def want(self, name: str = "a", size: str = "1Gi") -> Json:
        return await self.user.apply(VOLUME, volume(Key("default", name), size))

    async def unwant(self, name: str = "a") -> None:
        body = self.server.read(VOLUME, Key("default", name))
        assert body is not None
        await self.user.delete(VOLUME, Key("default", name), uid=body["metadata"]["uid"])

    def phase(self, name: str = "a") -> str:
        body = self.server.read(VOLUME, Key("default", name)) or {}
        return str(body.get("status", {}).get("phase", ""))

    @property
    def claims(self) -> int:
        return len(list(self.server.all(CLAIM)))


@virtual
async def test_a_wish_is_fulfilled_and_its_end_leaves_nothing() -> None:
    cloud = Cloud()
    async with cloud.running():
        await cloud.want()
        await asyncio.sleep(1)
        assert (cloud.phase(), cloud.claims) == ("Claimed", 1)
        await cloud.unwant()
        await asyncio.sleep(1)
        assert cloud.server.read(VOLUME, KEY) is None
        assert cloud.claims == 0


@virtual
async def test_an_idle_cloud_is_not_written_to() -> None:
    cloud = Cloud()
    async with cloud.running():
        for number in range(10):
            await cloud.want(f"v{number}")
        await asyncio.sleep(1)
        written = len(cloud.server.log)
        await asyncio.sleep(4 * 3600)
        assert len(cloud.server.log) == written


@virtual
async def test_what_exists_before_the_start_is_seen_without_any_event() -> None:
    cloud = Cloud()
    await cloud.want()
    async with cloud.running(watched=False):
        await asyncio.sleep(1)
        assert cloud.phase() == "Claimed"


@virtual
async def test_a_resync_heals_a_lost_event_and_a_deletion_nobody_told_of() -> None:
    cloud = Cloud()
    async with cloud.running() as manager:
        await cloud.want("known")
        await asyncio.sleep(1)
        cloud.server.unsubscribe_all()
        await cloud.want("late")
        (claim,) = cloud.server.all(CLAIM)
        await cloud.user.delete(CLAIM, Key("", claim["metadata"]["name"]), uid=claim["metadata"]["uid"])
        await asyncio.sleep(60)
        assert (cloud.phase("late"), cloud.claims) == ("", 0)
        await asyncio.sleep(RESYNC * 1.1)
        assert (cloud.phase("late"), cloud.claims) == ("Claimed", 2)
        assert manager.cache.count(CLAIM) == 2


@virtual
async def test_a_dead_watch_is_noticed_and_a_late_one_is_not_taken_for_dead() -> None:
    cloud = Cloud()
    late: list[float] = [0.0]
    cloud.server.later = lambda call: asyncio.get_running_loop().call_later(late[0], call) and None
    async with cloud.running() as manager:
        await asyncio.sleep(1)
        late[0] = LATE / 2

        async def churn() -> None:
            for number in range(100_000):
                await cloud.want(size=f"{number + 1}Gi")
                await asyncio.sleep(5)

        churning = asyncio.create_task(churn())
        await asyncio.sleep(5 * RESYNC)
        assert manager.missed_in_a_row == 0
        cloud.server.unsubscribe_all()
        await asyncio.sleep(2.5 * RESYNC)
        assert manager.missed_in_a_row >= 2
        cloud.server.feed(manager)
        await asyncio.sleep(1.5 * RESYNC)
        assert manager.missed_in_a_row == 0
        churning.cancel()


@virtual
async def test_a_watch_that_begins_anew_brings_a_full_list_at_once() -> None:
    """After 410 Gone it lists what there is, but not what is gone."""
    cloud = Cloud()
    async with cloud.running() as manager:
        await cloud.want()
        await cloud.want("b")
        await asyncio.sleep(RESYNC / 4)
        cloud.server.unsubscribe_all()
        (claim, *_) = cloud.server.all(CLAIM)
        await cloud.user.delete(CLAIM, Key("", claim["metadata"]["name"]), uid=claim["metadata"]["uid"])
        cloud.server.feed(manager)
        for body in cloud.server.all(VOLUME):
            manager.event(VOLUME, None, body)
        await asyncio.sleep(1)
        assert cloud.claims == 2


@virtual
async def test_a_standby_writes_nothing_keeps_its_cache_and_does_all_when_it_leads() -> None:
    cloud = Cloud()
    cloud.leads = False
    async with cloud.running() as manager:
        await cloud.want()
        await asyncio.sleep(1)
        assert (cloud.phase(), cloud.claims) == ("", 0)
        assert manager.cache.get(VOLUME, KEY) is not None
        cloud.leads = True
        await manager.resync()
        manager.mark_all()
        await asyncio.sleep(1)
        assert cloud.phase() == "Claimed"


@virtual
async def test_a_write_after_the_leadership_is_lost_is_refused() -> None:
    """Lost between the plan and its action: the action's write is not sent."""
    cloud = Cloud()

    async def lose(verb: str, kind: Kind[object, object], key: Key) -> None:
        await asyncio.sleep(0)
        if verb == "finalize":
            cloud.leads = False

    cloud.server.hook = lose
    async with cloud.running():
        await cloud.want()
        await asyncio.sleep(1)
    assert [(manager, verb) for manager, verb, *_ in cloud.server.log] == [("user", "apply"), ("toy", "finalize")]


@virtual
async def test_two_managers_that_both_believe_to_lead_still_make_one_claim() -> None:
    """The Lease cannot promise that a stalled process does not write; names and guards do."""
    cloud = Cloud()
    async with cloud.running(), cloud.running():
        for number in range(20):
            await cloud.want(f"v{number}")
        await asyncio.sleep(30)
        assert cloud.claims == 20
        assert {cloud.phase(f"v{number}") for number in range(20)} == {"Claimed"}


class Death:
    """Ends the world at the n-th request of the toy: before its effect, or right after."""

    def __init__(self, requests: int, *, effect: bool) -> None:
        self.left, self.effect = requests, effect
        self.came = asyncio.Event()

    async def __call__(self, verb: str, kind: Kind[object, object], key: Key) -> None:
        await asyncio.sleep(0)
        if key.name != "a" or verb != "apply":
            self.left -= 1
        if self.left == 0:
            self.came.set()
            if not self.effect:
                await asyncio.sleep(3600)

    async def within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.came.wait(), seconds)
        return self.came.is_set()


@pytest.mark.parametrize("effect", [False, True])
@pytest.mark.parametrize("requests", range(1, 10))
def test_a_restart_at_any_request_does_everything_once(requests: int, effect: bool) -> None:
    """The process dies in the middle of its n-th request, having had its effect or not; the next one goes on."""

    @virtual
    async def run() -> None:
        cloud = Cloud()
        usual, cloud.server.hook = cloud.server.hook, (death := Death(requests, effect=effect))
        await cloud.want()
        async with cloud.running():
            if not await death.within(5):
                cloud.server.delete("user", VOLUME, KEY)
                await death.within(5)
        cloud.server.hook = usual
        async with cloud.running():
            await asyncio.sleep(5)
            if (body := cloud.server.read(VOLUME, KEY)) and "deletionTimestamp" not in body["metadata"]:
                assert (cloud.phase(), cloud.claims) == ("Claimed", 1)
                await cloud.unwant()
                await asyncio.sleep(5)
            assert cloud.server.read(VOLUME, KEY) is None
            assert cloud.claims == 0

    run()


@virtual
async def test_an_object_that_is_deleted_and_made_anew_is_served_anew() -> None:
    cloud = Cloud()
    async with cloud.running():
        for _ in range(3):
            uid = (await cloud.want())["metadata"]["uid"]
            await asyncio.sleep(1)
            (claim,) = cloud.server.all(CLAIM)
            assert claim["spec"]["owner"]["uid"] == uid
            await cloud.unwant()
            await asyncio.sleep(1)


@virtual
async def test_the_first_list_waits_for_the_api_server() -> None:
    cloud = Cloud()
    away = True

    async def hook(verb: str, kind: Kind[object, object], key: Key) -> None:
        if away and verb == "list":
            raise Unavailable("connection refused")

    cloud.server.hook = hook
    await cloud.want()
    async with cloud.running() as manager:
        await asyncio.sleep(60)
        assert not manager.synced.is_set()
        away = False
        await asyncio.sleep(5)
        assert cloud.phase() == "Claimed"


@virtual
async def test_a_resync_that_fails_is_tried_again_and_takes_nothing_away() -> None:
    cloud = Cloud()
    async with cloud.running() as manager:
        await cloud.want()
        await asyncio.sleep(1)

        async def hook(verb: str, kind: Kind[object, object], key: Key) -> None:
            if verb == "list":
                raise Unavailable("connection refused")

        cloud.server.hook = hook
        await asyncio.sleep(3 * RESYNC)
        assert manager.cache.count(VOLUME) == 1
        await cloud.want("b")
        await asyncio.sleep(1)
        assert cloud.phase("b") == "Claimed"


@virtual
async def test_gauges_tell_what_waits_and_what_is_held() -> None:
    cloud = Cloud()
    cloud.leads = False
    manager = cloud.manager()
    cloud.server.feed(manager)
    await cloud.want()
    assert REGISTRY.get_sample_value("cloudstack_queue_depth", {"controller": "toy"}) == 1
    assert REGISTRY.get_sample_value("cloudstack_cached_objects", {"kind": "Volume"}) == 1
