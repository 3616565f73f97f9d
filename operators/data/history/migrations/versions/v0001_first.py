"""Objects, events, usage and deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "objects",
        sa.Column("uid", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("namespace", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("shown", sa.String(255), nullable=False),
        sa.Column("gone_at", MOMENT),
    )
    op.create_index("objects_alive", "objects", ["kind", "namespace", "name", "gone_at"])
    op.create_table(
        "events",
        sa.Column("seq", SERIAL, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(36), nullable=False, unique=True),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("level", sa.String(8), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("parent", sa.String(36), nullable=False),
        sa.Column("namespace", sa.String(64), nullable=False),
        sa.Column("about_kind", sa.String(64), nullable=False),
        sa.Column("about_id", sa.String(64), nullable=False),
        sa.Column("about_name", sa.String(255), nullable=False),
        sa.Column("archived", sa.Boolean, nullable=False),
    )
    op.create_index("events_by_namespace", "events", ["namespace", "created"])
    op.create_index("events_by_time", "events", ["created"])
    op.create_index("events_by_object", "events", ["about_id"])
    op.create_table(
        "usage",
        sa.Column("seq", SERIAL, primary_key=True, autoincrement=True),
        sa.Column("uid", sa.String(64), nullable=False),
        sa.Column("type", sa.Integer, nullable=False),
        sa.Column("began", MOMENT, nullable=False),
        sa.Column("ended", MOMENT),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("detail", sa.String(255), nullable=False),
        sa.Column("namespace", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
    )
    op.create_index("usage_once", "usage", ["uid", "type", "began"], unique=True)
    op.create_index("usage_by_namespace", "usage", ["namespace", "began"])
    op.create_index("usage_open", "usage", ["uid", "ended"])
    op.create_table(
        "deliveries",
        sa.Column("seq", SERIAL, primary_key=True, autoincrement=True),
        sa.Column("webhook", sa.String(64), nullable=False),
        sa.Column("event", sa.String(36), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due", MOMENT, nullable=False),
        sa.Column("said", sa.Text, nullable=False),
    )
    op.create_index("deliveries_once", "deliveries", ["webhook", "event"], unique=True)
    op.create_index("deliveries_due", "deliveries", ["state", "due"])
