"""The tables of the store, as SQLAlchemy Core describes them.

The same on SQLite and PostgreSQL; every row carries its workspace. Knows nothing about how
rows come and go.

To add a table: write a `Table` below (or in a section of your own at the end). The first
migration makes whatever stands here, and nothing was released yet, so that is all. Use `NAME`
for text that is compared or ordered, so that both stores order it as Python does.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA = MetaData()

NAME = Text().with_variant(Text(collation="C"), "postgresql")
"""Text ordered by its bytes, which is the order of Python's strings."""

NAMED = "~"
"""What the id of an event begins with that came without one: the store named it by its content."""

WORKSPACES = Table(
    "workspaces",
    METADATA,
    Column("workspace", Integer, primary_key=True),
    Column("name", NAME, nullable=False, unique=True),
    Column("arrival", BigInteger, nullable=False, server_default="0"),
    Column("until", BigInteger),
    Column("known", BigInteger),
    Column("claimed", BigInteger),
    Column("groups", Text, nullable=False, server_default="[]"),
)
"""`arrival` counts the commits that changed the workspace's histories; `until` is the moment up
to which they reach, microseconds UTC: what an import said, or what the flow of events has shown
since (`serving.reach`); `known` is the newest arrival that changed them, never before `until`;
`claimed` is where they would end by an arrival that was not believed; `groups` names the properties
whose members are kept, as JSON."""

EVENT_DAYS = Table(
    "event_days",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("events", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""How many events happened on each day, counted from 1970-01-01 UTC, without what people did."""

FEEDS = Table(
    "feeds",
    METADATA,
    Column("workspace", Integer, primary_key=True),
    Column("source", Integer, primary_key=True, autoincrement=False),
    Column("name", NAME, nullable=False),
    Column("rows", BigInteger, nullable=False, server_default="0"),
    Column("first_event", BigInteger),
    Column("last_event", BigInteger),
    Column("last_arrival", BigInteger),
    UniqueConstraint("workspace", "name", name="uq_feeds_name"),
)
"""The sources of events and statements, by the small number that their rows carry."""


def _history(name: str) -> Table:
    """A table of dated rows about customers: one customer's are one range of its key."""
    return Table(
        name,
        METADATA,
        Column("workspace", Integer, primary_key=True, autoincrement=False),
        Column("customer", NAME, primary_key=True),
        Column("event_time", BigInteger, primary_key=True, autoincrement=False),
        Column("source", Integer, primary_key=True, autoincrement=False),
        Column("event_id", NAME, primary_key=True),
        Column("event", NAME, nullable=False),
        Column("recorded_time", BigInteger, nullable=False),
        Column("properties", Text, nullable=False),
        sqlite_with_rowid=False,
    )


EVENTS = _history("events")
"""Events. `properties` is a JSON object of numbers and text, a time being ISO 8601 text."""

STATEMENTS = _history("statements")
"""Attributes: each row says what holds of a customer from `event_time` on."""

SIDES = (EVENTS, STATEMENTS)


def _ids(table: Table) -> Index:
    """An id belongs to one row of its source, whatever customer and time it comes with."""
    given = text(f"substr(event_id, 1, 1) <> '{NAMED}'")
    return Index(
        f"uq_{table.name}_id",
        table.c.workspace,
        table.c.source,
        table.c.event_id,
        unique=True,
        sqlite_where=given,
        postgresql_where=given,
    )


EVENT_IDS, STATEMENT_IDS = _ids(EVENTS), _ids(STATEMENTS)

TOUCHED = Table(
    "touched",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("arrival", BigInteger, primary_key=True, autoincrement=False),
    Column("customer", NAME, primary_key=True),
    sqlite_with_rowid=False,
)
"""Whose history each commit changed: what a copy of the store has to read again."""

MEMBERS = Table(
    "members",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("property", NAME, primary_key=True),
    Column("member_of", NAME, primary_key=True),
    Column("customer", NAME, primary_key=True),
    Index("ix_members_customer", "workspace", "customer"),
    sqlite_with_rowid=False,
)
"""The customers who have an event in a group, by the property that names groups."""

PROPERTIES = Table(
    "properties",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("side", SmallInteger, primary_key=True, autoincrement=False),
    Column("name", NAME, primary_key=True),
    Column("kind", NAME, primary_key=True),
    Column("declared", Boolean, nullable=False),
)
"""The kinds of values that each property of events (side 0) or statements (side 1) has had;
`declared` where an import said so."""

QUARANTINE = Table(
    "quarantine",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("row", NAME, primary_key=True),
    Column("arrived", BigInteger, nullable=False),
    Column("source", NAME, nullable=False),
    Column("form", NAME, nullable=False),
    Column("reason", NAME, nullable=False),
    Column("detail", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("replayed", BigInteger),
    sqlite_with_rowid=False,
)
"""Rows that were set aside: the row as it came (`body`, JSON), why, and when it was replayed with
success. `row` is a hash of source, reason and body, so that a row sent again is kept once."""

KEYS = Table(
    "keys",
    METADATA,
    Column("id", NAME, primary_key=True),
    Column("workspace", NAME, nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
)
"""API keys: SHA-256 of the secret, scopes with blanks between; times are microseconds UTC."""

LINKS = Table(
    "links",
    METADATA,
    Column("hash", NAME, primary_key=True),
    Column("key", NAME, nullable=False),
    Column("until", BigInteger, nullable=False),
)
"""Links that sign in once: SHA-256 of the secret, the id of the key, and until when."""

AUDIT = Table(
    "audit",
    METADATA,
    Column("row", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("request", NAME, nullable=False),
    Column("method", NAME, nullable=False),
    Column("route", NAME, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("milliseconds", Float, nullable=False),
    Column("key", NAME, nullable=False),
    Column("workspace", NAME, nullable=False),
    Index("ix_audit_at", "workspace", "at"),
)
"""Who asked what, without anything of bodies or queries."""

SCORES = Table(
    "scores",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("score_id", NAME, primary_key=True),
    Column("customer", NAME),
    Column("problem", NAME, nullable=False),
    Column("as_of", BigInteger, nullable=False),
    Column("known_time", BigInteger, nullable=False),
    Column("model", NAME, nullable=False),
    Column("version", NAME, nullable=False),
    Column("digest", NAME, nullable=False),
    Column("probability", Float(53)),
    Column("percentile", Float(53)),
    Column("band", NAME),
    Column("no_score", NAME),
    Column("vector_hash", NAME),
    Column("contributions_hash", NAME),
    Column("vector", LargeBinary),
    Column("answer", LargeBinary, nullable=False),
    Index("ix_scores_customer", "workspace", "customer", "problem", "score_id"),
    sqlite_with_rowid=False,
)
"""The ledger: every score that was given. `score_id` begins with the moment, so ids ascend;
`digest` names the model's files; the hashes are SHA-256 of the vector (float32) and of the
contributions (float64) as they lie in memory; `vector` holds the numbers themselves where no store
could give them again; `answer` is the JSON that was sent, its length (4 bytes, little-endian) and
then LZ4."""
