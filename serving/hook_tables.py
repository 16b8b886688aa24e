"""The tables of webhooks: who is told, what happened, and what became of each delivery.

The same on SQLite and PostgreSQL. Knows nothing about how rows come and go.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, SmallInteger, Table, Text

from serving.tables import METADATA, NAME

SUBSCRIPTIONS = Table(
    "subscriptions",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("subscription", NAME, primary_key=True),
    Column("url", Text, nullable=False),
    Column("types", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
)
"""Who wants to be told. `types` are the wanted types of events, as JSON; `secret` signs, so it
can't be hashed, but it is shown once only."""

HOOK_EVENTS = Table(
    "hook_events",
    METADATA,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("workspace", Integer, nullable=False),
    Column("event", NAME, nullable=False, unique=True),
    Column("type", NAME, nullable=False),
    Column("subject", NAME, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)
"""What happened, as the CloudEvent that is sent, byte for byte at every try. `event` is its id,
which follows from what happened: an event that is written again is kept once."""

DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("subscription", NAME, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("subject", NAME, nullable=False),
    Column("state", NAME, nullable=False),
    Column("tries", SmallInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("status", SmallInteger),
    Column("error", Text),
    sqlite_with_rowid=False,
)
"""What is to be told to whom: `state` is waiting, delivered or dead. `due` is when it may be tried
next; while a courier is at it, that lies ahead, so that no other one takes it."""

WAITING_BY_SUBJECT = Index(
    "ix_deliveries_subject",
    DELIVERIES.c.workspace,
    DELIVERIES.c.subscription,
    DELIVERIES.c.state,
    DELIVERIES.c.subject,
    DELIVERIES.c.sequence,
)
WAITING_BY_TIME = Index("ix_deliveries_due", DELIVERIES.c.state, DELIVERIES.c.due)
