"""What the history is asked: events, and what was used between two moments."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import sqlalchemy as sa

from operators.data.history.database import Database, utc
from operators.data.history.tables import DELIVERIES, EVENTS, USAGE

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as it is told."""

    id: str
    type: str
    level: str
    state: str
    description: str
    created: datetime
    parent: str
    namespace: str
    about_kind: str
    about_id: str
    about_name: str
    archived: bool


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events; what is empty or None lets all in."""

    namespaces: Collection[str] = ()
    ids: Collection[str] = ()
    type: str = ""
    level: str = ""
    about_id: str = ""
    about_kind: str = ""
    search: str = ""
    since: datetime | None = None
    until: datetime | None = None
    archived: bool = False
    offset: int = 0
    limit: int = 500


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One stretch of use, cut to the time that was asked about."""

    uid: str
    type: int
    began: datetime
    ended: datetime
    hours: float
    amount: int
    detail: str
    namespace: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Which use, and between which moments."""

    since: datetime
    until: datetime
    namespaces: Collection[str] = ()
    type: int | None = None
    uid: str = ""
    offset: int = 0
    limit: int = 500


@dataclass(frozen=True, slots=True)
class Found(Generic[RowT]):
    """A page, and how many there are in all."""

    total: int
    items: Sequence[RowT]


async def events(database: Database, query: EventQuery) -> Found[EventRow]:
    """The newest first. Raises Away."""
    where: list[sa.ColumnElement[bool]] = [EVENTS.c.archived == query.archived]
    for column, value in (
        (EVENTS.c.type, query.type),
        (EVENTS.c.level, query.level),
        (EVENTS.c.about_id, query.about_id),
        (EVENTS.c.about_kind, query.about_kind),
    ):
        if value:
            where.append(column == value)
    if query.ids:
        where.append(EVENTS.c.id.in_(query.ids))
    if query.namespaces:
        where.append(EVENTS.c.namespace.in_(query.namespaces))
    if query.search:
        where.append(EVENTS.c.description.icontains(query.search, autoescape=True))
    if query.since is not None:
        where.append(EVENTS.c.created >= query.since)
    if query.until is not None:
        where.append(EVENTS.c.created < query.until)

    def work(connection: sa.Connection) -> Found[EventRow]:
        total = connection.scalar(sa.select(sa.func.count()).select_from(EVENTS).where(*where)) or 0
        order = (EVENTS.c.created.desc(), EVENTS.c.seq.desc())
        page = sa.select(EVENTS).where(*where).order_by(*order).offset(query.offset).limit(query.limit)
        return Found(total, [_event(row) for row in connection.execute(page)])

    return await database.run(work)


def _event(row: sa.Row[tuple[object, ...]]) -> EventRow:
    values = {name: value for name, value in row._mapping.items() if name != "seq"}
    return EventRow(**values | {"created": utc(values["created"])})


async def archive(database: Database, query: EventQuery, *, delete: bool) -> int:
    """Archive or delete the events of a query's namespaces, by id or by time and type; how many. Raises Away."""
    where: list[sa.ColumnElement[bool]] = [EVENTS.c.namespace.in_(query.namespaces)]
    if query.ids:
        where.append(EVENTS.c.id.in_(query.ids))
    if query.type:
        where.append(EVENTS.c.type == query.type)
    if query.since is not None:
        where.append(EVENTS.c.created >= query.since)
    if query.until is not None:
        where.append(EVENTS.c.created < query.until)
    change = sa.delete(EVENTS) if delete else sa.update(EVENTS).values(archived=True)
    return await database.run(lambda connection: connection.execute(change.where(*where)).rowcount)


async def usage(database: Database, query: UsageQuery) -> Found[UsageRow]:
    """What was used in a time, the earliest first; what goes on is counted up to its end. Raises Away."""
    ended = sa.func.coalesce(USAGE.c.ended, query.until)
    where: list[sa.ColumnElement[bool]] = [
        USAGE.c.began < query.until,
        sa.or_(USAGE.c.ended.is_(None), USAGE.c.ended > query.since),
    ]
    if query.namespaces:
        where.append(USAGE.c.namespace.in_(query.namespaces))
    if query.type is not None:
        where.append(USAGE.c.type == query.type)
    if query.uid:
        where.append(USAGE.c.uid == query.uid)

    def work(connection: sa.Connection) -> Found[UsageRow]:
        total = connection.scalar(sa.select(sa.func.count()).select_from(USAGE).where(*where)) or 0
        rows = sa.select(USAGE, ended.label("until")).where(*where).order_by(USAGE.c.began, USAGE.c.seq)
        page = connection.execute(rows.offset(query.offset).limit(query.limit))
        return Found(total, [_cut(row, query) for row in page])

    return await database.run(work)


def _cut(row: sa.Row[tuple[object, ...]], query: UsageQuery) -> UsageRow:
    values = row._mapping
    began = max(utc(values["began"]), query.since)
    ended = min(utc(values["ended"]) if values["ended"] is not None else query.until, query.until)
    return UsageRow(
        uid=values["uid"],
        type=values["type"],
        began=began,
        ended=ended,
        hours=max((ended - began).total_seconds(), 0.0) / 3600,
        amount=values["amount"],
        detail=values["detail"],
        namespace=values["namespace"],
        kind=values["kind"],
        name=values["name"],
    )


async def forget(database: Database, before: datetime) -> int:
    """Take out what ended before a moment; how many rows. What still goes on stays. Raises Away."""

    def work(connection: sa.Connection) -> int:
        gone = connection.execute(sa.delete(EVENTS).where(EVENTS.c.created < before)).rowcount
        gone += connection.execute(sa.delete(USAGE).where(USAGE.c.ended < before)).rowcount
        gone += connection.execute(
            sa.delete(DELIVERIES).where((DELIVERIES.c.due < before) & (DELIVERIES.c.state != "pending"))
        ).rowcount
        return gone

    return await database.run(work)
