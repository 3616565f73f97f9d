"""One run: how each outcome is reported, when its key comes back, and which writes are saved."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from operators.contract.codec import ContractError
from operators.contract.meta import Condition, Key, Kind, Obj
from operators.contract.quantity import Duration
from operators.contract.storage import VOLUME, VolumeStatus
from operators.kernel.cache import Cache
from operators.kernel.controller import Report, Runner
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore
from operators.kernel.outcome import Blocked, Done, Outcome, Problem, Rejected, Retry
from operators.kernel.report import Voice, status_of, unchanged
from operators.kernel.store import Conflict, Invalid, StoreError, Unavailable
from operators.kernel.trouble import outcome_of
from tests.support.store_expectations import volume
from tests.support.virtual_time import VirtualClock, virtual

KEY = Key("default", "a")


@dataclass
class Scripted:
    """A controller that does as it is told."""

    outcome: Outcome = field(default_factory=Done)
    error: Exception | None = None
    fields: object = None
    conditions: tuple[Condition, ...] = ()
    verdict: str = "Ready"
    runs: int = 0
    name: str = "scripted"
    kind: Kind[Any, Any] = VOLUME
    workers: int = 1
    cache: Cache | None = None
    blind: Exception | None = None
    """What observing ends in."""
    mad: Exception | None = None
    """What planning ends in."""

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        return {VOLUME: lambda each: [each.key]}

    async def observe(self, key: Key) -> tuple[Any, None] | None:
        assert self.cache is not None
        self.runs += 1
        if self.blind:
            raise self.blind
        seen = self.cache.get(VOLUME, key)
        return (seen, None) if seen else None

    def plan(self, wanted: Any, seen: None) -> tuple[Sequence[str], Outcome]:
        if self.mad:
            raise self.mad
        return ["act"], self.outcome

    async def act(self, action: str) -> None:
        if self.error:
            raise self.error

    def report(self, wanted: Any, seen: None, outcome: Outcome) -> Sequence[Report]:
        return [Report(wanted, self.fields, self.conditions, self.verdict)]


@dataclass
class Speaking(Scripted):
    """A controller whose objects' status is its own."""

    voice: Voice = field(default_factory=Voice)


class Bench:
    """One Volume, one scripted controller, a store in memory."""

    def __init__(self, scripted: Scripted) -> None:
        self.store = MemoryStore(MemoryServer(VirtualClock()), "toy")
        self.controller = scripted
        self.manager = Manager(self.store, self.store.server.clock, [], lambda context: [])
        self.cache = Cache([VOLUME])
        scripted.cache = self.cache
        self.runner = Runner(scripted, self.store, self.cache, self.store.server.clock)
        self.store.server.subscribe(VOLUME, lambda type_, body: self.cache.put(VOLUME, body))

    async def run(self) -> dict[str, dict[str, Any]]:
        """Make the Volume if need be, run its key once; its conditions by type."""
        if self.store.server.read(VOLUME, KEY) is None:
            await self.store.as_manager("user").apply(VOLUME, volume(KEY))
        await self.runner.run(KEY)
        return self.conditions()

    def conditions(self) -> dict[str, dict[str, Any]]:
        body = self.store.server.read(VOLUME, KEY) or {}
        return {each["type"]: each for each in body.get("status", {}).get("conditions", ())}

    @property
    def writes(self) -> int:
        return sum(1 for manager, verb, *_ in self.store.server.log if verb == "apply_status")

    @property
    def delay(self) -> float | None:
        """In how many seconds the key comes back by itself."""
        handle = self.runner.queue._delayed.get(KEY)
        return handle.when() - self.store.server.clock.monotonic() if handle else None


@pytest.mark.parametrize(
    ("outcome", "conditions", "comes_back"),
    [
        (Done("Bound", "all well"), {"Ready": ("True", "Bound", "all well")}, None),
        (
            Blocked("NoPoolFits", "add a pool"),
            {"Ready": ("False", "NoPoolFits", "add a pool"), "Reconciling": ("True", "NoPoolFits", "add a pool")},
            None,
        ),
        (
            Rejected("Invalid", "mend it"),
            {"Ready": ("False", "Invalid", "mend it"), "Stalled": ("True", "Invalid", "mend it")},
            None,
        ),
        (
            Retry("PoolFull", "wait", 7),
            {"Ready": ("False", "PoolFull", "wait"), "Reconciling": ("True", "PoolFull", "wait")},
            (7, 7),
        ),
        (
            Retry("PoolFull", "wait"),
            {"Ready": ("False", "PoolFull", "wait"), "Reconciling": ("True", "PoolFull", "wait")},
            (0.15, 0.25),
        ),
    ],
)
def test_outcomes_become_conditions_and_say_when_to_look_again(
    outcome: Outcome, conditions: dict[str, tuple[str, str, str]], comes_back: tuple[float, float] | None
) -> None:
    @virtual
    async def run() -> None:
        bench = Bench(Scripted(outcome))
        found = await bench.run()
        assert {
            type_: (each["status"], each["reason"], each.get("message", "")) for type_, each in found.items()
        } == conditions
        assert all(each["observedGeneration"] == 1 for each in found.values())
        if comes_back is None:
            assert bench.delay is None
        else:
            assert bench.delay is not None
            assert comes_back[0] <= bench.delay <= comes_back[1]

    run()


@virtual
async def test_a_problem_of_an_action_is_the_outcome() -> None:
    bench = Bench(Scripted(Done(), Problem(Rejected("Invalid", "no such thing"))))
    assert (await bench.run())["Stalled"]["message"] == "no such thing"


@virtual
async def test_what_the_server_refuses_is_reported_and_tried_again() -> None:
    bench = Bench(Scripted(Done(), Invalid("spec.size: too odd")))
    found = await bench.run()
    assert found["Ready"]["reason"] == "InternalError"
    assert "spec.size: too odd" in found["Ready"]["message"]
    assert bench.delay == 30


@pytest.mark.parametrize("error", [Conflict("newer"), Unavailable("away"), StoreError("odd"), RuntimeError("a bug")])
def test_any_error_brings_the_key_back_later_and_later_and_writes_nothing(error: Exception) -> None:
    @virtual
    async def run() -> None:
        bench = Bench(Scripted(Done(), error))
        delays = []
        for _ in range(6):
            await bench.run()
            delays.append(bench.delay or 0)
            bench.runner.queue._cancel(KEY)
        assert bench.writes == 0
        assert all(later > 1.1 * earlier for earlier, later in itertools.pairwise(delays))
        bench.controller.error = None
        await bench.run()
        assert bench.delay is None
        bench.controller.error = error
        await bench.run()
        assert bench.delay is not None
        assert bench.delay <= 0.25

    run()


@virtual
async def test_a_status_that_says_nothing_new_is_not_written() -> None:
    bench = Bench(Scripted(Blocked("NoPoolFits", "add a pool"), fields={"phase": "Waiting"}))
    first = await bench.run()
    for _ in range(3):
        assert await bench.run() == first
    assert bench.writes == 1
    bench.controller.outcome = Blocked("NoPoolFits", "add two pools")
    await bench.run()
    assert bench.writes == 2


@virtual
async def test_a_condition_keeps_the_time_since_when_it_holds() -> None:
    bench = Bench(Scripted(Blocked("NoPoolFits", "add a pool")))
    since = (await bench.run())["Ready"]["lastTransitionTime"]
    await bench.store.server.clock.sleep(60)
    bench.controller.outcome = Blocked("PoolFull", "another reason")
    assert (await bench.run())["Ready"]["lastTransitionTime"] == since
    await bench.store.server.clock.sleep(60)
    bench.controller.outcome = Done()
    found = await bench.run()
    assert found["Ready"]["lastTransitionTime"] > since
    assert "Reconciling" not in found


@virtual
async def test_a_report_about_an_outdated_state_is_not_sent() -> None:
    """The cache knows a newer state: the server would only answer with a Conflict."""
    bench = Bench(Scripted(Done()))
    await bench.store.as_manager("user").apply(VOLUME, volume(KEY))

    class Changing(Scripted):
        async def act(self, action: str) -> None:
            await bench.store.as_manager("user").apply(VOLUME, volume(KEY, "2Gi"))

    bench.runner.controller = Changing(Done(), cache=bench.cache)
    await bench.runner.run(KEY)
    assert bench.writes == 0


@virtual
async def test_a_status_written_by_somebody_else_meanwhile_is_a_conflict_and_comes_back() -> None:
    """The cache does not know of it yet: the guard does."""
    bench = Bench(Scripted(Done()))
    await bench.store.as_manager("user").apply(VOLUME, volume(KEY))
    bench.store.server.unsubscribe_all()
    await bench.store.as_manager("user").apply(VOLUME, volume(KEY, "2Gi"))
    await bench.run()
    assert bench.writes == 0
    assert bench.delay is not None


@virtual
async def test_a_run_whose_key_is_marked_meanwhile_leaves_the_report_to_the_next_but_not_for_ever() -> None:
    bench = Bench(Scripted(Done()))
    queue = bench.runner.queue

    class Marking(Scripted):
        async def act(self, action: str) -> None:
            queue.add(KEY)

    await bench.store.as_manager("user").apply(VOLUME, volume(KEY))
    bench.runner.controller = Marking(Done(), cache=bench.cache)
    queue.add(KEY)
    written = []
    for _ in range(5):
        key = await queue.get()
        await bench.runner.run(key)
        queue.done(key)
        written.append(bench.writes)
    assert written == [0, 0, 0, 1, 1]


@virtual
async def test_a_key_that_nothing_stands_for_is_done() -> None:
    bench = Bench(Scripted(Retry("PoolFull", "wait")))
    await bench.runner.run(Key("default", "nobody"))
    assert bench.runner.queue.idle
    assert not bench.runner.queue._delayed


def seen(status: VolumeStatus) -> Obj[Any, Any]:
    obj = VOLUME.parse(volume(KEY, uid="u", resourceVersion="1", generation=3))
    return replace(obj, status=status)


NOW = "2026-11-21T12:00:00Z"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"pool": "p"}, False),
        ({"phase": ""}, False),
        ({"observed_generation": 2}, False),
        ({"conditions": ()}, False),
    ],
)
def test_a_status_dataclass_speaks_for_all_of_its_fields(change: dict[str, Any], same: bool) -> None:
    status = VolumeStatus(phase="x", pool="q")
    report = Report(seen(status), status)
    written = VOLUME.parse(volume(KEY) | {"status": status_of(report, Done(), NOW)}).status
    assert unchanged(status_of(report, Done(), NOW), replace(report, about=seen(replace(written, **change)))) is same


def test_a_status_mapping_speaks_for_the_fields_it_names_and_conditions_of_others_do_not_matter() -> None:
    other = Condition("Attached", "True", "InUse", "", NOW, 3)
    report = Report(seen(VolumeStatus(pool="q", conditions=(other,))), {"phase": "x"})
    written = VOLUME.parse(volume(KEY) | {"status": status_of(report, Done(), NOW)}).status
    now = replace(written, pool="q", conditions=(*written.conditions, other))
    assert unchanged(status_of(report, Done(), NOW), replace(report, about=seen(now)))


def test_a_condition_of_the_verdicts_family_that_should_be_gone_is_a_change() -> None:
    blocked = status_of(Report(seen(VolumeStatus()), None), Blocked("PoolFull", "x"), NOW)
    was = VOLUME.parse(volume(KEY) | {"status": blocked}).status
    report = Report(seen(was), None)
    assert not unchanged(status_of(report, Done(), NOW), report)


SECRET = "key:hunter2"


@pytest.mark.parametrize("where", ["blind", "mad", "error"])
def test_an_error_that_nobody_foresaw_is_said_if_it_lasts_and_then_not_written_again(where: str) -> None:
    @virtual
    async def run() -> None:
        bench = Bench(Speaking(Blocked("NoPoolFits", "add a pool"), fields={"phase": "Waiting"}))
        await bench.run()
        setattr(bench.controller, where, KeyError(SECRET))
        assert (await bench.run())["Ready"]["reason"] == "NoPoolFits"
        assert bench.writes == 1
        delays = []
        for _ in range(5):
            found = await bench.run()
            delays.append(bench.delay or 0)
            bench.runner.queue._cancel(KEY)
        assert {each["reason"] for each in found.values()} == {"InternalError"}
        assert found.keys() == {"Ready", "Reconciling"}
        assert "KeyError" in found["Ready"]["message"]
        assert bench.writes == 2
        assert all(later > 1.1 * earlier for earlier, later in itertools.pairwise(delays))
        body = bench.store.server.read(VOLUME, KEY) or {}
        assert body["status"]["phase"] == "Waiting"
        assert SECRET not in str(body)
        setattr(bench.controller, where, None)
        assert (await bench.run())["Ready"]["reason"] == "NoPoolFits"
        setattr(bench.controller, where, KeyError(SECRET))
        assert (await bench.run())["Ready"]["reason"] == "NoPoolFits"

    run()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Problem(Retry("NetworkError", "ip on the host failed")), ("NetworkError", "ip on the host failed")),
        (StoreError("volumes is forbidden"), ("InternalError", "the API server refused: volumes is forbidden")),
        (ContractError("Disk a/b: required"), ("InternalError", "as this release knows its kind: Disk a/b: required")),
    ],
)
def test_what_is_known_of_a_failure_is_said(error: Exception, said: tuple[str, str]) -> None:
    @virtual
    async def run() -> None:
        bench = Bench(Speaking(blind=error))
        await bench.run()
        found = await bench.run()
        assert found["Ready"]["reason"] == said[0]
        assert found["Ready"]["message"].endswith(said[1])

    run()


@pytest.mark.parametrize("error", [Unavailable("away"), Conflict("newer")])
def test_what_time_heals_is_not_said(error: Exception) -> None:
    @virtual
    async def run() -> None:
        bench = Bench(Speaking(blind=error))
        for _ in range(4):
            assert await bench.run() == {}

    run()


@virtual
async def test_a_voice_says_no_more_than_is_its_own() -> None:
    bench = Bench(Speaking(blind=KeyError("x"), voice=Voice("Accepted", fields=False)))
    status = {"phase": "Ready", "conditions": [{"type": "Ready", "status": "True", "reason": "Fine"}]}
    for _ in range(2):
        await bench.run()
        body = bench.store.server.read(VOLUME, KEY) or {}
        version = body["metadata"]["resourceVersion"]
        if "status" not in body:
            await bench.store.as_manager("other").apply_status(VOLUME, KEY, status, resource_version=version)
    found = bench.conditions()
    assert (found["Ready"]["reason"], found["Accepted"]["reason"]) == ("Fine", "InternalError")
    whole = Voice(others=frozenset({"Accepted"}))
    about = bench.cache.get(VOLUME, KEY)
    assert about is not None
    report = whole.again(about)
    assert report is not None
    assert report.conditions == ()
    assert Voice(silent=lambda each: True).again(about) is None


def test_the_place_of_an_error_is_the_last_line_of_ours() -> None:
    try:
        Duration.parse("soon")
    except ValueError as error:
        said = outcome_of(error).message
    assert "ValueError at operators.contract.quantity:" in said
    assert "soon" not in said
