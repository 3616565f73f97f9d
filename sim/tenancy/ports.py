"""Where the API and Data components are cut off from sockets, files and chance.

A server is its application, called in process (`Served`). The database stands outside of every process: SQLite itself,
in memory and asked synchronously, with the real tables and constraints; its schema is made at once, not by Alembic.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy as sa
from aiohttp import web

from operators.api import handlers as api_handlers
from operators.api import limits
from operators.data.handlers import Service
from operators.data.history import database as history_database
from operators.data.history.database import Away, Database
from operators.data.history.tables import METADATA
from operators.kernel import health
from sim.loop import ACTOR, Actor

T = TypeVar("T")


@dataclass(eq=False)
class Records:
    """The database of a world."""

    engine: sa.Engine = field(
        default_factory=lambda: sa.create_engine(
            "sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False}
        )
    )
    away: bool = False
    """Whether it cannot be asked now."""

    def close(self) -> None:
        """Forget everything."""
        self.engine.dispose()


def install() -> None:
    """Once per Python process; which world is meant follows from the process that asks."""
    setattr(health, "served", _served)  # noqa: B010
    setattr(api_handlers, "_token", lambda env: lambda: "")  # noqa: B010 - no kubeconfig of ours is anybody's
    setattr(limits, "_TURNS", Turns())  # noqa: B010
    setattr(history_database, "_engine", lambda url: _records().engine)  # noqa: B010
    setattr(Database, "migrate", _migrate)  # noqa: B010
    setattr(Database, "run", _run)  # noqa: B010
    setattr(Service, "deliver", _deliver)  # noqa: B010


def _records() -> Records:
    found: Records = ACTOR.get().records  # type: ignore[attr-defined]
    return found


@contextlib.asynccontextmanager
async def _served(app: web.Application, port: int, *_: Any, **__: Any) -> AsyncIterator[int]:
    """Stands in for `health.served`: whoever finds the process can call what it serves."""
    served: dict[int, web.Application] = ACTOR.get().__dict__.setdefault("served", {})
    served[port] = app
    try:
        yield port
    finally:
        served.pop(port, None)


class Turns(MutableMapping[str, asyncio.Lock]):
    """Locks by name, of each process its own, as if each had memory of its own."""

    def _own(self) -> dict[str, asyncio.Lock]:
        own: dict[str, asyncio.Lock] = ACTOR.get().__dict__.setdefault("turns", {})
        return own

    def __getitem__(self, key: str) -> asyncio.Lock:
        return self._own()[key]

    def __setitem__(self, key: str, lock: asyncio.Lock) -> None:
        self._own()[key] = lock

    def __delitem__(self, key: str) -> None:
        del self._own()[key]

    def __iter__(self) -> Any:
        return iter(self._own())

    def __len__(self) -> int:
        return len(self._own())


async def _migrate(self: Database) -> None:
    await self.run(METADATA.create_all)


async def _run(self: Database, work: Callable[[sa.Connection], T]) -> T:
    """A transaction that was begun is carried out whether or not its asker lives to hear of it; or it never begins."""
    records, loop = _records(), asyncio.get_running_loop()
    me: Actor = ACTOR.get()

    def call() -> T:
        if records.away:
            raise Away("connection refused")
        with records.engine.begin() as connection:
            return work(connection)

    if not me.alive:
        raise asyncio.CancelledError
    return await loop.run_in_executor(None, call)


async def _deliver(self: Service) -> None:
    """No webhook is called: nobody is there to receive it."""
    await asyncio.Event().wait()
