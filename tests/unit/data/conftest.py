"""The same suite on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from operators.data.history.database import Database
from operators.data.history.tables import METADATA
from tests.unit.data import postgres
from tests.unit.data.world import World, running


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    if not postgres.PROGRAMS:
        pytest.skip("PostgreSQL's packages are not installed")
    with postgres.running() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/history.db"
    found: postgres.Server = request.getfixturevalue("server")
    engine = sa.create_engine(found.url.replace("postgresql:", "postgresql+psycopg:"))
    METADATA.drop_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
    engine.dispose()
    return found.url


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    made = Database(url)
    await made.migrate()
    yield made
    made.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as made:
        yield made
