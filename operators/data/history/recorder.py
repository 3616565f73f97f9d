"""Writes down what objects mean, once: an object's entries in one transaction, safe to repeat.

The controller below looks at an object whenever it changes, at start, and with every resync; what the database has
already costs nothing. So nothing is lost while this process or the database is away, but that something was so and was
so no more in between, which only Flows tell of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from operators.contract.meta import Key, Kind
from operators.contract.reasons import Reason
from operators.data.history.database import Away, Database, moment
from operators.data.history.deliveries import PENDING
from operators.data.history.facts import Event, Facts, Meter, facts_of, shown, went
from operators.data.history.gathered import Gathered
from operators.data.history.tables import DELIVERIES, EVENTS, OBJECTS, USAGE
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Done, Outcome, Problem, Retry


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there under a key now, if anything, and what people call it."""

    facts: Facts | None
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Write:
    """Write it down."""

    key: Key
    seen: Seen


Subscribers = Callable[[str, str], Sequence[str]]
"""The uids of the webhooks that want events of a namespace and type."""


class Recorder:
    """Writes into one database, and remembers what it wrote last, so as not to ask for it again."""

    def __init__(self, database: Database, subscribers: Subscribers, now: Callable[[], datetime]) -> None:
        self._database = database
        self._gathered = Gathered(database)
        self._subscribers = subscribers
        self._now = now
        self._last: dict[tuple[str, Key], Facts] = {}

    def known(self, kind: Kind[Any, Any], key: Key, seen: Seen) -> bool:
        """Whether that was written already."""
        return seen.facts is not None and self._last.get((kind.kind, key)) == seen.facts

    async def write(self, kind: Kind[Any, Any], key: Key, seen: Seen) -> None:
        """Write it in one transaction, with others that come meanwhile. Raises Away."""
        now, facts = self._now(), seen.facts
        last = self._last.get((kind.kind, key))
        if last is not None and (facts is None or last.uid != facts.uid):
            last = None

        def work(connection: sa.Connection) -> None:
            if last is None:
                self._ended(connection, kind, key, facts.uid if facts else "", now)
            if facts is not None:
                self._alive(connection, facts, seen.shown, last, now)

        await self._gathered.run(work)
        if seen.facts is None:
            self._last.pop((kind.kind, key), None)
        else:
            self._last[kind.kind, key] = seen.facts

    async def alive(self) -> Sequence[tuple[str, Key]]:
        """What the database takes to be there: kinds and keys. Raises Away."""

        def work(connection: sa.Connection) -> list[tuple[str, Key]]:
            rows = connection.execute(sa.select(OBJECTS).where(OBJECTS.c.gone_at.is_(None)))
            return [(row.kind, Key(row.namespace, row.name)) for row in rows]

        return await self._database.run(work)

    def _ended(self, connection: sa.Connection, kind: Kind[Any, Any], key: Key, uid: str, now: datetime) -> None:
        """Whatever else had the name is gone: its last event, and the end of what it used."""
        same = (OBJECTS.c.kind == kind.kind) & (OBJECTS.c.namespace == key.namespace) & (OBJECTS.c.name == key.name)
        where = same & OBJECTS.c.gone_at.is_(None) & (OBJECTS.c.uid != uid)
        for row in connection.execute(sa.select(OBJECTS).where(where)).all():
            stamp = now.isoformat()
            self._tell(connection, went(kind, row.uid, row.shown, stamp), row.namespace, now)
            connection.execute(_open(row.uid).values(ended=now))
            connection.execute(sa.update(OBJECTS).where(OBJECTS.c.uid == row.uid).values(gone_at=now))

    def _alive(self, connection: sa.Connection, facts: Facts, name: str, last: Facts | None, now: datetime) -> None:
        """What this process wrote of the same object last need not be asked for again."""
        if last is None:
            about = {"kind": facts.kind, "namespace": facts.namespace, "name": facts.name, "shown": name[:255]}
            connection.execute(self._database.insert_new(OBJECTS), [{"uid": facts.uid, **about, "gone_at": None}])
        told = set(last.events) if last else ()
        self._tell(connection, [event for event in facts.events if event not in told], facts.namespace, now)
        if last is None or last.meters != facts.meters:
            self._meter(connection, facts, name, now)

    def _tell(self, connection: sa.Connection, events: Sequence[Event], namespace: str, now: datetime) -> None:
        """Events that are not there yet, and that webhooks are owed them: both or neither."""
        if not events:
            return
        ids = [event.id for event in events]
        old = set(connection.scalars(sa.select(EVENTS.c.id).where(EVENTS.c.id.in_(ids))))
        new = [event for event in events if event.id not in old]
        if new:
            connection.execute(self._database.insert_new(EVENTS), [_row(event, namespace) for event in new])
        owed = [
            {"webhook": webhook, "event": event.id, "state": PENDING, "attempts": 0, "due": now, "said": ""}
            for event in new
            for webhook in self._subscribers(namespace, event.type)
        ]
        if owed:
            connection.execute(self._database.insert_new(DELIVERIES), owed)

    def _meter(self, connection: sa.Connection, facts: Facts, name: str, now: datetime) -> None:
        """End what is used no more, and begin what is used now. The first stretch begins with the object itself."""
        open_ = {
            Meter(row.type, row.amount, row.detail)
            for row in connection.execute(sa.select(USAGE).where((USAGE.c.uid == facts.uid) & USAGE.c.ended.is_(None)))
        }
        for meter in open_ - set(facts.meters):
            connection.execute(_open(facts.uid).where(USAGE.c.type == meter.type).values(ended=now))
        before = set(connection.scalars(sa.select(USAGE.c.type).where(USAGE.c.uid == facts.uid)))
        for meter in sorted(set(facts.meters) - open_, key=lambda each: each.type):
            began = now if meter.type in before else moment(facts.created)
            row = {"uid": facts.uid, "type": meter.type, "began": began, "ended": None, "amount": meter.amount}
            about = {"detail": meter.detail, "namespace": facts.namespace, "kind": facts.kind, "name": name[:255]}
            connection.execute(self._database.insert_new(USAGE), [row | about])


def _open(uid: str) -> sa.Update:
    return sa.update(USAGE).where((USAGE.c.uid == uid) & USAGE.c.ended.is_(None))


def _row(event: Event, namespace: str) -> dict[str, Any]:
    return {
        "id": event.id,
        "type": event.type,
        "level": event.level,
        "state": event.state,
        "description": event.description,
        "created": moment(event.created),
        "parent": event.parent,
        "namespace": namespace,
        "about_kind": event.about_kind,
        "about_id": event.about_id,
        "about_name": event.about_name[:255],
        "archived": False,
    }


class History:
    """The controller of one kind: what its objects mean is written down."""

    workers = 2

    def __init__(self, context: Context, recorder: Recorder, kind: Kind[Any, Any], ready: asyncio.Event) -> None:
        self.name = f"history-{kind.plural}"
        self.kind = kind
        self._context = context
        self._recorder = recorder
        self._ready = ready
        """Set once the database has this release's tables."""

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        return {self.kind: lambda obj: (obj.key,)}

    async def observe(self, key: Key) -> tuple[Key, Seen] | None:
        await self._ready.wait()
        obj = self._context.cache.get(self.kind, key)
        seen = Seen(None) if obj is None else Seen(facts_of(obj), shown(obj))
        return None if self._recorder.known(self.kind, key, seen) else (key, seen)

    def plan(self, wanted: Key, seen: Seen) -> tuple[Sequence[Write], Outcome]:
        return [Write(wanted, seen)], Done()

    async def act(self, action: Write) -> None:
        try:
            await self._recorder.write(self.kind, action.key, action.seen)
        except Away as away:
            raise Problem(Retry(Reason.RETRYING, f"the database cannot be asked: {away}")) from away

    def report(self, wanted: Key, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """History says nothing in anybody's status."""
        return ()
