"""Leader election: never two at once, whatever the clocks and the network do; and soon another when one is gone."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from operators.contract import names
from operators.contract.codec import Json
from operators.contract.core import LEASE
from operators.contract.meta import Key, Kind
from operators.kernel.heartbeat import Heartbeat
from operators.kernel.leader import DURATION, LOOK_EVERY, RENEW_DEADLINE, Elector
from operators.kernel.memory import MemoryServer, MemoryStore
from operators.kernel.store import Unavailable
from tests.support.virtual_time import VirtualClock, virtual

LEASE_KEY = Key("system", "cloudstack-toy")


class Line(MemoryStore):
    """A replica's line to the server, which may be cut: refused at once, silent, or losing only the answers."""

    cut = ""

    async def _through(self) -> None:
        if self.cut == "refused":
            raise Unavailable("connection refused")
        if self.cut == "silent":
            await asyncio.sleep(3600)

    async def _back(self, answer: Any) -> Any:
        if self.cut == "answers":
            raise Unavailable("connection reset")
        return answer

    async def get(self, kind: Kind[Any, Any], key: Key) -> Json | None:
        await self._through()
        answer: Json | None = await self._back(await super().get(kind, key))
        return answer

    async def apply(self, kind: Kind[Any, Any], body: Json) -> Json:
        await self._through()
        answer: Json = await self._back(await super().apply(kind, body))
        return answer

    async def create(self, kind: Kind[Any, Any], body: Json) -> Json:
        await self._through()
        answer: Json = await self._back(await super().create(kind, body))
        return answer


class Replica:
    """One candidate."""

    def __init__(
        self,
        server: MemoryServer,
        name: str,
        skew: timedelta = timedelta(0),
        prepare: float = 0.0,
        predecessors: str = "",
    ) -> None:
        self.line = Line(server, "toy")
        self.begun = 0

        async def prepared() -> None:
            await asyncio.sleep(prepare)

        self.elector = Elector(
            self.line,
            VirtualClock(skew),
            LEASE_KEY,
            name,
            prepare=prepared,
            begun=self._begin,
            predecessors=predecessors,
            rng=random.Random(name),
        )
        self.task: asyncio.Task[None] | None = None

    def _begin(self) -> None:
        assert self.leading
        self.begun += 1

    @property
    def leading(self) -> bool:
        return self.elector.leading()

    def start(self) -> None:
        self.task = asyncio.create_task(self.elector.run())

    async def stop(self, *, release: bool) -> None:
        """End its work; without a release, as SIGKILL does."""
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        if release:
            await self.elector.release()


@contextlib.asynccontextmanager
async def replicas(*all_: Replica) -> AsyncIterator[Sequence[Replica]]:
    """Run them, and look every tenth of a second that never two lead."""

    async def look() -> None:
        while True:
            assert sum(each.leading for each in all_) <= 1, "two leaders"
            await asyncio.sleep(0.1)

    for each in all_:
        each.start()
    looking = asyncio.create_task(look())
    try:
        yield all_
    finally:
        broken = looking.done() and looking.exception()
        looking.cancel()
        for each in all_:
            await each.stop(release=False)
        if broken:
            raise broken


async def until(condition: Any, within: float) -> float:
    """Wait for something; how long it took."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    while not condition():
        assert loop.time() - begin <= within, f"not within {within} s"
        await asyncio.sleep(0.05)
    return loop.time() - begin


def server() -> MemoryServer:
    return MemoryServer(VirtualClock())


@virtual
async def test_one_of_two_leads_and_goes_on_leading() -> None:
    cloud = server()
    async with replicas(Replica(cloud, "a"), Replica(cloud, "b")) as (a, b):
        await until(lambda: a.leading or b.leading, 1)
        leader, standby = (a, b) if a.leading else (b, a)
        await asyncio.sleep(3600)
        assert leader.leading
        assert (leader.begun, standby.begun) == (1, 0)
        body = cloud.read(LEASE, LEASE_KEY)
        assert body is not None
        assert LEASE.parse(body).spec.lease_transitions == 1


@virtual
async def test_after_a_clean_release_the_other_leads_at_once() -> None:
    cloud = server()
    async with replicas(Replica(cloud, "a"), Replica(cloud, "b")) as (a, b):
        await until(lambda: a.leading or b.leading, 1)
        leader, standby = (a, b) if a.leading else (b, a)
        await asyncio.sleep(20)
        await leader.stop(release=True)
        assert not leader.leading
        assert await until(lambda: standby.leading, 60) <= LOOK_EVERY + 0.1


@virtual
async def test_after_a_crash_the_other_leads_once_the_lease_has_run_out() -> None:
    cloud = server()
    async with replicas(Replica(cloud, "a"), Replica(cloud, "b")) as (a, b):
        await until(lambda: a.leading or b.leading, 1)
        leader, standby = (a, b) if a.leading else (b, a)
        await asyncio.sleep(20)
        await leader.stop(release=False)
        took = await until(lambda: standby.leading, 60)
        assert DURATION - 3 <= took <= DURATION + 2 * LOOK_EVERY


@virtual
async def test_a_leader_without_the_api_server_stops_by_itself_before_the_other_starts() -> None:
    for cut in ("refused", "silent", "answers"):
        cloud = server()
        async with replicas(Replica(cloud, "a"), Replica(cloud, "b")) as (a, b):
            await until(lambda a=a, b=b: a.leading or b.leading, 1)
            leader, standby = (a, b) if a.leading else (b, a)
            await asyncio.sleep(20)
            leader.line.cut = cut
            assert await until(lambda leader=leader: not leader.leading, 60) <= RENEW_DEADLINE + 0.1
            if cut != "answers":  # there its renewals still arrive, and the Lease stays its own
                await until(lambda standby=standby: standby.leading, 60)
            leader.line.cut = ""
            await until(lambda a=a, b=b: a.leading or b.leading, 60)


@virtual
async def test_wall_clocks_that_are_hours_off_matter_to_nobody() -> None:
    cloud = server()
    fast, slow = Replica(cloud, "fast", timedelta(hours=3)), Replica(cloud, "slow", timedelta(hours=-3))
    async with replicas(fast, slow):
        await until(lambda: fast.leading or slow.leading, 1)
        for _ in range(3):
            leader, standby = (fast, slow) if fast.leading else (slow, fast)
            await asyncio.sleep(60)
            assert leader.leading
            await leader.stop(release=False)
            await until(lambda standby=standby: standby.leading, 60)
            leader.start()


@virtual
async def test_preparing_longer_than_the_lease_lasts_keeps_it_and_does_not_lead_before() -> None:
    cloud = server()
    async with replicas(Replica(cloud, "a", prepare=40), Replica(cloud, "b", prepare=40)) as (a, b):
        await asyncio.sleep(39)
        assert not a.leading
        assert not b.leading
        await asyncio.sleep(5)
        assert a.leading or b.leading
        assert a.begun + b.begun == 1


@virtual
async def test_a_lease_that_somebody_deleted_is_made_again() -> None:
    cloud = server()
    async with replicas(Replica(cloud, "a"), Replica(cloud, "b")) as (a, b):
        await until(lambda: a.leading or b.leading, 1)
        cloud.delete("user", LEASE, LEASE_KEY)
        await until(lambda: cloud.read(LEASE, LEASE_KEY) is not None, 30)
        await until(lambda: a.leading or b.leading, 30)


@virtual
async def test_a_released_lease_says_so_even_if_the_last_renewals_answer_was_lost() -> None:
    cloud = server()
    async with replicas(Replica(cloud, "a")) as (a,):
        await until(lambda: a.leading, 1)
        a.line.cut = "answers"
        await asyncio.sleep(4)
        a.line.cut = ""
        await a.stop(release=True)
        body = cloud.read(LEASE, LEASE_KEY)
        assert body is not None
        assert LEASE.parse(body).spec.holder_identity == ""


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.1, 25), st.integers(0, 2), st.sampled_from(["refused", "silent", "answers", "", "kill"])),
        max_size=15,
    )
)
def test_never_two_leaders_and_one_again_after_any_trouble(trouble: list[tuple[float, int, str]]) -> None:
    @virtual
    async def run() -> None:
        cloud = server()
        three = [Replica(cloud, name, timedelta(hours=7 * skew)) for skew, name in enumerate("abc")]
        async with replicas(*three):
            for wait, which, what in trouble:
                await asyncio.sleep(wait)
                each = three[which]
                if what == "kill":
                    await each.stop(release=False)
                    each.start()
                else:
                    each.line.cut = what
            for each in three:
                each.line.cut = ""
            await until(lambda: any(each.leading for each in three), 60)

    run()


@virtual
async def test_a_heartbeat_makes_its_lease_renews_it_and_survives_an_outage() -> None:
    cloud = server()
    line = Line(cloud, "agent-storage")
    beating = asyncio.create_task(Heartbeat(line, cloud.clock, "system", "storage", "node-1").run())
    key = Key("system", names.heartbeat("storage", "node-1"))

    def renewed() -> str:
        body = cloud.read(LEASE, key)
        return LEASE.parse(body).spec.renew_time if body else ""

    await asyncio.sleep(1)
    body = cloud.read(LEASE, key)
    assert body is not None
    lease = LEASE.parse(body)
    assert lease.meta.labels == {names.LABEL_NODE: "node-1", names.LABEL_COMPONENT: "storage"}
    assert (lease.spec.lease_duration_seconds, lease.spec.holder_identity) == (40, "node-1")
    first = renewed()
    await asyncio.sleep(11)
    assert (second := renewed()) > first
    line.cut = "refused"
    await asyncio.sleep(300)
    assert renewed() == second
    line.cut = ""
    await asyncio.sleep(11)
    assert renewed() > second
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)


@virtual
async def test_a_container_started_again_need_not_wait_for_its_killed_predecessor() -> None:
    server = MemoryServer(VirtualClock())
    killed = Replica(server, "pod-1_aaaa")
    async with replicas(killed):
        await asyncio.sleep(5)
        assert killed.leading
        await killed.stop(release=False)
    again, other = (
        Replica(server, "pod-1_bbbb", predecessors="pod-1_"),
        Replica(server, "pod-2_cccc", predecessors="pod-2_"),
    )
    async with replicas(other, again):
        await asyncio.sleep(LOOK_EVERY)
        assert again.leading
        assert not other.leading
