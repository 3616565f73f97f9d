"""The database's tables. `migrations` makes them; a test holds both equal."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Index, Integer, MetaData, String, Table, Text

METADATA = MetaData()
SERIAL = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts only plain integers up by itself."""

OBJECTS = Table(
    "objects",
    METADATA,
    Column("uid", String(64), primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("namespace", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("shown", String(255), nullable=False),
    Column("gone_at", DateTime(timezone=True)),
    Index("objects_alive", "kind", "namespace", "name", "gone_at"),
)
"""What was there, so that what vanished while nobody looked is noticed."""

EVENTS = Table(
    "events",
    METADATA,
    Column("seq", SERIAL, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("type", String(64), nullable=False),
    Column("level", String(8), nullable=False),
    Column("state", String(16), nullable=False),
    Column("description", Text, nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
    Column("parent", String(36), nullable=False),
    Column("namespace", String(64), nullable=False),
    Column("about_kind", String(64), nullable=False),
    Column("about_id", String(64), nullable=False),
    Column("about_name", String(255), nullable=False),
    Column("archived", Boolean, nullable=False),
    Index("events_by_namespace", "namespace", "created"),
    Index("events_by_time", "created"),
    Index("events_by_object", "about_id"),
)

USAGE = Table(
    "usage",
    METADATA,
    Column("seq", SERIAL, primary_key=True, autoincrement=True),
    Column("uid", String(64), nullable=False),
    Column("type", Integer, nullable=False),
    Column("began", DateTime(timezone=True), nullable=False),
    Column("ended", DateTime(timezone=True)),
    Column("amount", BigInteger, nullable=False),
    Column("detail", String(255), nullable=False),
    Column("namespace", String(64), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Index("usage_once", "uid", "type", "began", unique=True),
    Index("usage_by_namespace", "namespace", "began"),
    Index("usage_open", "uid", "ended"),
)
"""A row for each stretch of time in which something was used by the same amount."""

DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("seq", SERIAL, primary_key=True, autoincrement=True),
    Column("webhook", String(64), nullable=False),
    Column("event", String(36), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due", DateTime(timezone=True), nullable=False),
    Column("said", Text, nullable=False),
    Index("deliveries_once", "webhook", "event", unique=True),
    Index("deliveries_due", "state", "due"),
)
"""What webhooks are still owed, and what they never took."""
