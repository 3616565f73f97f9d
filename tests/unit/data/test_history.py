"""What is written down, once, on either database; what vanished while nobody looked; what is kept."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from operators.contract.codec import Json
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.fabric import HOST
from operators.contract.meta import Key, Kind
from operators.contract.orchestration import FLOW
from operators.contract.storage import VOLUME
from operators.data.history import facts, queries
from operators.data.history.database import Away, Database
from operators.data.history.facts import facts_of
from operators.data.history.recorder import Recorder, Seen
from operators.data.history.tables import METADATA
from tests.unit.data import postgres

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
GIB = 2**30


@dataclass
class Hands:
    """What tests turn."""

    now: datetime = NOON

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def recorder(database: Database, hands: Hands) -> Recorder:
    return Recorder(database, lambda namespace, type_: (), lambda: hands.now)


def body(kind: Kind[Any, Any], name: str, spec: Json, status: Json | None = None, uid: str = "u1") -> Json:
    metadata = {
        "name": name,
        "namespace": "team-a",
        "uid": uid,
        "creationTimestamp": "2026-11-21T11:00:00Z",
        "generation": 1,
    }
    return {"metadata": metadata, "spec": spec, "status": status or {}}


def seen(kind: Kind[Any, Any], made: Json) -> Seen:
    obj = kind.parse(made)
    return Seen(facts_of(obj), facts.shown(obj))


def machine(running: bool, uid: str = "u1", offering: str = "tiny") -> Seen:
    ready = {"type": "Ready", "status": "True", "reason": "Running", "observedGeneration": 1}
    policy = "Running" if running else "Stopped"
    spec = {"offering": offering, "image": "tiny", "runPolicy": policy}
    return seen(VIRTUAL_MACHINE, body(VIRTUAL_MACHINE, "web", spec, {"conditions": [ready]}, uid))


def volume(size: str, uid: str = "v1") -> Seen:
    return seen(VOLUME, body(VOLUME, "ledger", {"size": size}, uid=uid))


WEB, LEDGER = Key("team-a", "web"), Key("team-a", "ledger")


async def told(database: Database, **query: Any) -> list[tuple[str, str]]:
    found = await queries.events(database, queries.EventQuery(**query))
    assert found.total == len(found.items)
    return [(event.type, event.state) for event in found.items]


async def hours(database: Database, since: datetime, until: datetime, **query: Any) -> list[tuple[int, float, int]]:
    found = await queries.usage(database, queries.UsageQuery(since, until, **query))
    return [(row.type, round(row.hours, 3), row.amount) for row in found.items]


async def test_the_migrations_make_the_tables(database: Database) -> None:
    def compare(connection: sa.Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), METADATA))

    assert await database.run(compare) == []
    await database.migrate()


async def test_an_object_comes_and_goes_once(database: Database, recorder: Recorder, hands: Hands) -> None:
    for _ in range(3):
        await recorder.write(VOLUME, LEDGER, volume("2Gi"))
    assert await told(database) == [("VOLUME.CREATE", "Completed")]
    hands.later(hours=3)
    for _ in range(3):
        await recorder.write(VOLUME, LEDGER, Seen(None))
    assert await told(database) == [("VOLUME.DELETE", "Completed"), ("VOLUME.CREATE", "Completed")]
    assert await hours(database, NOON - timedelta(days=1), NOON + timedelta(days=1)) == [(6, 4.0, 2 * GIB)]


async def test_another_object_of_the_name_is_another(database: Database, recorder: Recorder, hands: Hands) -> None:
    await recorder.write(VOLUME, LEDGER, volume("2Gi"))
    hands.later(hours=1)
    await recorder.write(VOLUME, LEDGER, volume("1Gi", uid="v2"))
    assert len(await told(database, about_id="v1")) == 2
    assert len(await told(database, about_id="v2")) == 1


async def test_use_is_cut_where_its_amount_changes(database: Database, recorder: Recorder, hands: Hands) -> None:
    await recorder.write(VIRTUAL_MACHINE, WEB, machine(True))
    hands.later(hours=1)
    await recorder.write(VIRTUAL_MACHINE, WEB, machine(False))
    hands.later(hours=2)
    await recorder.write(VIRTUAL_MACHINE, WEB, machine(True, offering="small"))
    hands.later(hours=1)
    everything = await hours(database, NOON - timedelta(hours=1), hands.now, type=facts.RUNNING_VM)
    assert everything == [(1, 2.0, 1), (1, 1.0, 1)]
    part = await hours(database, NOON + timedelta(minutes=30), NOON + timedelta(minutes=45), namespaces=("team-a",))
    assert part == [(1, 0.25, 1), (2, 0.25, 1)]
    assert await hours(database, NOON, hands.now, namespaces=("team-b",)) == []


async def test_flows_tell_of_their_start_and_end(database: Database, recorder: Recorder) -> None:
    spec = {"operation": "Deploy", "target": {"name": "web", "uid": "u1", "kind": "VirtualMachine"}}
    running = body(FLOW, "web-deploy", spec, {"state": "Running"}, "f1")
    failed = body(
        FLOW,
        "web-deploy",
        spec,
        {"state": "Failed", "finishedAt": "2026-11-21T11:00:09Z", "error": {"code": 533, "text": "no host fits"}},
        "f1",
    )
    for each in (running, running, failed, failed):
        await recorder.write(FLOW, Key("team-a", "web-deploy"), seen(FLOW, each))
    found = await queries.events(database, queries.EventQuery(about_id="u1"))
    last, first = found.items
    assert (first.type, first.state, first.level) == ("VM.CREATE", "Started", "INFO")
    assert (last.state, last.level, last.parent) == ("Completed", "ERROR", first.id)
    assert "no host fits" in last.description
    assert await told(database, level="ERROR", search="NO HOST") == [("VM.CREATE", "Completed")]


async def test_a_host_tells_of_each_turn(database: Database, recorder: Recorder) -> None:
    for status, at in (("True", "11:00"), ("False", "11:30"), ("True", "11:40"), ("True", "11:40")):
        condition = {"type": "Reachable", "status": status, "reason": "X", "lastTransitionTime": f"2026-11-21T{at}:00Z"}
        made = body(HOST, "node1", {"node": "node1"}, {"conditions": [condition]}, "h1")
        await recorder.write(HOST, Key("", "node1"), seen(HOST, made))
    turns = [type_ for type_, _ in await told(database)]
    assert turns == ["HOST.UP", "HOST.DOWN", "HOST.UP", "HOST.CREATE"]


async def test_what_vanished_while_nobody_looked(url: str, hands: Hands) -> None:
    """Another process finds what the first one took to be there."""
    first = Database(url)
    await first.migrate()
    await Recorder(first, lambda namespace, type_: (), lambda: hands.now).write(VOLUME, LEDGER, volume("2Gi"))
    first.close()
    second = Database(url)
    await second.migrate()
    recorder = Recorder(second, lambda namespace, type_: (), lambda: hands.now)
    assert list(await recorder.alive()) == [("Volume", LEDGER)]
    await recorder.write(VOLUME, LEDGER, Seen(None))
    assert list(await recorder.alive()) == []
    assert len(await told(second)) == 2
    second.close()


async def test_only_what_is_new_is_written(recorder: Recorder) -> None:
    state = volume("2Gi")
    assert not recorder.known(VOLUME, LEDGER, state)
    await recorder.write(VOLUME, LEDGER, state)
    assert recorder.known(VOLUME, LEDGER, state)
    assert not recorder.known(VOLUME, LEDGER, volume("3Gi"))
    assert not recorder.known(VOLUME, LEDGER, Seen(None))


async def test_two_that_write_the_same_write_it_once(url: str, hands: Hands) -> None:
    """As when a deposed leader's last write meets its successor's first."""
    both = [Database(url), Database(url)]
    await both[0].migrate()
    recorders = [Recorder(each, lambda namespace, type_: (), lambda: hands.now) for each in both]
    await asyncio.gather(*(each.write(VOLUME, LEDGER, volume("2Gi")) for each in recorders * 5))
    assert await told(both[0]) == [("VOLUME.CREATE", "Completed")]
    assert len(await hours(both[0], NOON - timedelta(hours=2), NOON)) == 1
    for each in both:
        each.close()


async def test_what_is_old_is_forgotten_and_what_goes_on_stays(
    database: Database, recorder: Recorder, hands: Hands
) -> None:
    await recorder.write(VOLUME, LEDGER, volume("2Gi"))
    await recorder.write(VIRTUAL_MACHINE, WEB, machine(True))
    hands.later(hours=1)
    await recorder.write(VOLUME, LEDGER, Seen(None))
    hands.later(days=400)
    assert await queries.forget(database, hands.now - timedelta(days=365)) == 3
    assert await told(database) == []
    assert len(await hours(database, NOON, hands.now)) == 2, "the machine still runs"


async def test_archiving(database: Database, recorder: Recorder) -> None:
    await recorder.write(VOLUME, LEDGER, volume("2Gi"))
    nobody = queries.EventQuery(namespaces=("team-b",))
    assert await queries.archive(database, nobody, delete=True) == 0
    mine = queries.EventQuery(namespaces=("team-a",), type="VOLUME.CREATE")
    assert await queries.archive(database, mine, delete=False) == 1
    assert await told(database) == []
    assert await told(database, archived=True) == [("VOLUME.CREATE", "Completed")]


async def test_a_database_that_is_away(server: postgres.Server, hands: Hands) -> None:
    """What could not be written is written later, by whoever tries again; nothing is there twice."""
    database = Database(server.url)
    await database.migrate()
    recorder = Recorder(database, lambda namespace, type_: (), lambda: hands.now)
    server.stop()
    with pytest.raises(Away):
        await recorder.write(VOLUME, LEDGER, volume("2Gi", uid="away"))
    assert not recorder.known(VOLUME, LEDGER, volume("2Gi", uid="away"))
    server.start()
    await recorder.write(VOLUME, LEDGER, volume("2Gi", uid="away"))
    assert await told(database, about_id="away") == [("VOLUME.CREATE", "Completed")]
    database.close()


def test_facts_are_equal_when_nothing_happened() -> None:
    one = machine(True)
    assert one == machine(True)
    assert replace(one, shown="x") != one
