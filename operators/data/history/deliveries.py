"""Questions about what webhooks are owed, and what may be asked of that: to try again, and to forget."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from operators.data.history.database import Database, utc
from operators.data.history.queries import Found
from operators.data.history.tables import DELIVERIES, EVENTS

PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery as it is told."""

    id: int
    receiver: str
    event: str
    type: str
    """Of the event."""
    state: str
    attempts: int
    began: datetime
    """When it happened."""
    due: datetime
    """When it is tried next; of one that is over, when that was."""
    said: str
    """What went wrong last."""


@dataclass(frozen=True, slots=True)
class DeliveryQuery:
    """Which deliveries; what is empty or None lets all in."""

    state: str = ""
    receivers: Collection[str] = ()
    id: int | None = None
    type: str = ""
    since: datetime | None = None
    until: datetime | None = None
    offset: int = 0
    limit: int = 500

    @property
    def where(self) -> list[sa.ColumnElement[bool]]:
        """As the database asks it, of deliveries joined with their events."""
        found: list[sa.ColumnElement[bool]] = []
        for column, value in ((DELIVERIES.c.state, self.state), (EVENTS.c.type, self.type)):
            if value:
                found.append(column == value)
        if self.receivers:
            found.append(DELIVERIES.c.webhook.in_(self.receivers))
        if self.id is not None:
            found.append(DELIVERIES.c.seq == self.id)
        if self.since is not None:
            found.append(EVENTS.c.created >= self.since)
        if self.until is not None:
            found.append(EVENTS.c.created < self.until)
        return found


_JOINED = sa.join(DELIVERIES, EVENTS, DELIVERIES.c.event == EVENTS.c.id)


async def deliveries(database: Database, query: DeliveryQuery) -> Found[DeliveryRow]:
    """A page of them, the oldest first. Raises Away."""

    def work(connection: sa.Connection) -> Found[DeliveryRow]:
        where = query.where
        total = connection.scalar(sa.select(sa.func.count()).select_from(_JOINED).where(*where)) or 0
        page = (
            sa.select(DELIVERIES, EVENTS.c.type.label("kind"), EVENTS.c.created.label("began"))
            .select_from(_JOINED)
            .where(*where)
            .order_by(DELIVERIES.c.seq)
            .offset(query.offset)
            .limit(query.limit)
        )
        return Found(total, [_row(row) for row in connection.execute(page)])

    return await database.run(work)


def _row(row: sa.Row[tuple[object, ...]]) -> DeliveryRow:
    values = row._mapping
    return DeliveryRow(
        values["seq"],
        values["webhook"],
        values["event"],
        values["kind"],
        values["state"],
        values["attempts"],
        utc(values["began"]),
        utc(values["due"]),
        values["said"],
    )


async def again(database: Database, query: DeliveryQuery, now: datetime) -> int:
    """Have deliveries tried once more, and at once; how many. Raises Away."""
    change = sa.update(DELIVERIES).where(DELIVERIES.c.seq.in_(_which(query)))
    change = change.values(state=PENDING, attempts=0, due=now, said="")
    return await database.run(lambda connection: connection.execute(change).rowcount)


async def drop(database: Database, query: DeliveryQuery) -> int:
    """Forget deliveries; what was still to come never does. How many. Raises Away."""
    gone = sa.delete(DELIVERIES).where(DELIVERIES.c.seq.in_(_which(query)))
    return await database.run(lambda connection: connection.execute(gone).rowcount)


def _which(query: DeliveryQuery) -> sa.Select[tuple[int]]:
    return sa.select(DELIVERIES.c.seq).select_from(_JOINED).where(*query.where)


async def dead(database: Database, webhook: str) -> int:
    """How many deliveries of a webhook were given up. Raises Away."""
    where = (DELIVERIES.c.webhook == webhook) & (DELIVERIES.c.state == DEAD)

    def work(connection: sa.Connection) -> int:
        return connection.scalar(sa.select(sa.func.count()).select_from(DELIVERIES).where(where)) or 0

    return await database.run(work)
