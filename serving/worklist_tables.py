"""The tables of people's work with the list: who looks after whom, what waits, what comes next.

The same on SQLite and PostgreSQL. Knows nothing about how rows come and go.
"""

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from serving.tables import METADATA, NAME

ASSIGNED = Table(
    "assigned",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("customer", NAME, primary_key=True),
    Column("owner", NAME, nullable=False),
    Column("done_by", NAME, nullable=False),
    Column("done_at", BigInteger, nullable=False),
)
"""Who looks after a customer, where that was said here: it goes before what the histories say."""

PLANNED = Table(
    "planned",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("problem", NAME, primary_key=True),
    Column("customer", NAME, primary_key=True),
    Column("snoozed_until", BigInteger),
    Column("next_kind", NAME),
    Column("next_due", BigInteger),
    Column("done_by", NAME, nullable=False),
    Column("done_at", BigInteger, nullable=False),
)
"""Until when a customer is left out of the list, and what is to be done next by when, both
microseconds UTC."""

PICKED = Table(
    "picked",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("problem", NAME, primary_key=True),
    Column("person", NAME, primary_key=True),
    Column("week", BigInteger, primary_key=True, autoincrement=False),
    Column("customer", NAME, primary_key=True),
    Column("place", Integer, nullable=False),
)
"""Whom a person took for a week, which begins at that Monday, and in which order."""

VIEWS = Table(
    "views",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("person", NAME, primary_key=True),
    Column("name", NAME, primary_key=True),
    Column("query", Text, nullable=False),
)
"""Filters of the list that a person keeps under a name; `query` is that of the page's address."""
