"""The database: SQLite in a file by default, PostgreSQL by URL; brought to this release's tables at start.

Its calls block, so they run in one thread of their own. What fails because the database is away is `Away`: the callers
try again by themselves, and lose nothing meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InterfaceError, OperationalError

T = TypeVar("T")

BUSY = 10
"""Seconds that SQLite waits for another writer."""


class Away(Exception):
    """The database cannot be asked now; try again later."""


class Database:
    """One database, asked from an event loop."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database")

    async def migrate(self) -> None:
        """Bring its tables to this release. Raises Away."""

        def work(connection: sa.Connection) -> None:
            config = Config()
            config.set_main_option("script_location", str(resources.files("operators.data.history") / "migrations"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

        await self.run(work)

    async def run(self, work: Callable[[sa.Connection], T]) -> T:
        """Do something in one transaction. Raises Away."""

        def call() -> T:
            try:
                with self._engine.begin() as connection:
                    return work(connection)
            except (OperationalError, InterfaceError) as error:
                self._engine.dispose()
                raise Away(str(error.orig)) from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def insert_new(self, table: sa.Table) -> sa.sql.dml.Insert:
        """The insertion of rows of which some may be there already, which stay as they are.

        The rows are given when it is executed, so that it is compiled once."""
        dialect = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        insert: sa.sql.dml.Insert = dialect.insert(table).on_conflict_do_nothing()
        return insert

    def close(self) -> None:
        """Let go of everything."""
        self._thread.shutdown(wait=True)
        self._engine.dispose()


def _engine(url: str) -> sa.Engine:
    if url.startswith("postgres"):
        # The driver's name is ours to know, not the operator's.
        rest = url.partition("://")[2]
        return sa.create_engine(f"postgresql+psycopg://{rest}", pool_size=1, max_overflow=0, pool_pre_ping=True)
    path = Path(url.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY}, poolclass=sa.StaticPool)

    @sa.event.listens_for(engine, "connect")
    def settings(connection: Any, _: Any) -> None:
        # Readers beside the writer, and a write is on the disk when it is done.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    return engine


def moment(stamp: str) -> datetime:
    """A time of the API server as the database keeps it."""
    return datetime.fromisoformat(stamp.replace("Z", "+00:00"))


def utc(value: datetime) -> datetime:
    """A time from the database; SQLite forgets the zone, which is always UTC."""
    return value if value.tzinfo else value.replace(tzinfo=UTC)
