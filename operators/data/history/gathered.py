"""Work on the database that is done together: what comes while a transaction is under way makes up the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import sqlalchemy as sa

from operators.data.history.database import Away, Database

Work: TypeAlias = Callable[[sa.Connection], None]
MOST = 100
"""Pieces of work in one transaction."""


class Gathered:
    """Runs each piece of work once, in the order it came; a transaction's cost is shared by all that wait for it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Work, asyncio.Future[None]]] = []
        self._running: asyncio.Task[None] | None = None

    async def run(self, work: Work) -> None:
        """Have it done. Raises Away, and what it raises itself."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, done))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._all())
        await done

    async def _all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            batch = [each for each in batch if not each[1].done()]  # whoever was cancelled wants it no more
            try:
                await self._database.run(lambda connection, batch=batch: _each(connection, batch))  # type: ignore[misc]
            except Away as away:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(Away(str(away)))
            except sa.exc.SQLAlchemyError as error:
                await self._one_by_one(batch, error)
            else:
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)

    async def _one_by_one(self, batch: list[tuple[Work, asyncio.Future[None]]], error: sa.exc.SQLAlchemyError) -> None:
        """One of them was refused, and takes none of the others along."""
        for work, done in batch:
            if len(batch) == 1:
                failed: Exception | None = error
            else:
                failed = await self._alone(work)
            if not done.done():
                done.set_exception(failed) if failed else done.set_result(None)

    async def _alone(self, work: Work) -> Exception | None:
        try:
            await self._database.run(work)
        except (Away, sa.exc.SQLAlchemyError) as error:
            return error
        return None


def _each(connection: sa.Connection, batch: list[tuple[Work, asyncio.Future[None]]]) -> None:
    for work, _ in batch:
        work(connection)
