"""Work on the database that is done together."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from operators.data.history.database import Away, Database
from operators.data.history.gathered import MOST, Gathered
from operators.data.history.tables import OBJECTS


def insertion(uid: str) -> sa.Insert:
    return sa.insert(OBJECTS).values(uid=uid, kind="Volume", namespace="a", name=uid, shown=uid)


async def test_what_comes_meanwhile_is_done_together(database: Database) -> None:
    gathered, connections = Gathered(database), list[int]()

    def work(uid: str, connection: sa.Connection) -> None:
        connections.append(id(connection.get_transaction()))
        connection.execute(insertion(uid))

    names = [f"u{number}" for number in range(MOST + 5)]
    await asyncio.gather(*(gathered.run(lambda c, uid=uid: work(uid, c)) for uid in names))  # type: ignore[misc]
    found = await database.run(lambda c: set(c.scalars(sa.select(OBJECTS.c.uid))))
    assert found == set(names)
    assert len(connections) == len(names), "each was done once"


async def test_one_that_is_refused_takes_none_along(database: Database) -> None:
    gathered = Gathered(database)
    uids = ("a", "b", "a", "c")
    done = await asyncio.gather(
        *(gathered.run(lambda c, uid=uid: c.execute(insertion(uid))) for uid in uids),  # type: ignore[misc]
        return_exceptions=True,
    )
    assert [type(each).__name__ for each in done] == ["NoneType", "NoneType", "IntegrityError", "NoneType"]
    found = await database.run(lambda c: set(c.scalars(sa.select(OBJECTS.c.uid))))
    assert found == {"a", "b", "c"}


async def test_all_hear_that_the_database_is_away(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(work: object) -> None:
        raise Away("it is away")

    monkeypatch.setattr(database, "run", away)
    gathered = Gathered(database)
    done = await asyncio.gather(*(gathered.run(lambda c: None) for _ in range(3)), return_exceptions=True)
    assert [str(each) for each in done] == ["it is away"] * 3
