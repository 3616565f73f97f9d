"""The queue: each key once, one worker per key, back-off, and no wake-up lost."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from operators.kernel.queue import BACKOFF_CAP, BACKOFF_FIRST, WorkQueue
from tests.support.virtual_time import virtual


class Middle(random.Random):
    """Jitter of nothing."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


@virtual
async def test_a_key_marked_often_comes_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "a", "a"):
        queue.add(key)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


@virtual
async def test_a_key_marked_while_it_is_worked_on_comes_back_after_that_run() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    assert queue.marked("a")
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert queue.idle


@virtual
async def test_the_earlier_of_two_delays_wins() -> None:
    queue: WorkQueue[str] = WorkQueue()
    loop = asyncio.get_running_loop()
    begin = loop.time()
    queue.add_after("a", 10)
    queue.add_after("a", 3)
    queue.add_after("a", 20)
    await queue.get()
    assert loop.time() - begin == 3
    queue.done("a")
    await asyncio.sleep(60)
    assert queue.idle


@virtual
async def test_a_mark_for_now_overtakes_a_delay() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 10)
    queue.add("a")
    await queue.get()
    queue.done("a")
    await asyncio.sleep(60)
    assert queue.idle
    assert not queue._delayed


@virtual
async def test_backoff_doubles_up_to_a_cap_and_forgets() -> None:
    queue: WorkQueue[str] = WorkQueue(Middle())
    delays = []
    for _ in range(12):
        delays.append(queue.add_backoff("a"))
        await queue.get()
        queue.done("a")
    assert delays[:4] == [BACKOFF_FIRST * 2**step for step in range(4)]
    assert delays[-1] == BACKOFF_CAP
    queue.forget("a")
    assert queue.add_backoff("a") == BACKOFF_FIRST


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=40),
    st.integers(0, 2**20),
)
def test_no_mark_is_lost_and_no_key_runs_twice_at_once(workers: int, marks: list[tuple[str, int]], seed: int) -> None:
    """After the last mark of a key, a run of it begins; at no time do two."""

    @virtual
    async def run() -> None:
        queue: WorkQueue[str] = WorkQueue()
        rng = random.Random(seed)
        newest: dict[str, int] = {}
        handled: dict[str, int] = {}
        working: set[str] = set()

        async def work() -> None:
            while True:
                key = await queue.get()
                assert key not in working
                working.add(key)
                saw = newest[key]
                await asyncio.sleep(rng.choice((0, 0.5, 1.5)))
                handled[key] = saw
                working.discard(key)
                queue.done(key)

        tasks = [asyncio.create_task(work()) for _ in range(workers)]
        for number, (key, wait) in enumerate(marks):
            newest[key] = number
            queue.add(key)
            await asyncio.sleep(wait * 0.5)
        await asyncio.sleep(100)
        assert handled == newest
        assert queue.idle
        for task in tasks:
            task.cancel()
        assert all(isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*tasks, return_exceptions=True))

    run()
