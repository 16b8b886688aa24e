"""The table of past scores whose outcome is known: what became of customers like one of now.

The same on SQLite and PostgreSQL. Knows nothing about how rows come and go.
"""

from sqlalchemy import BigInteger, Column, Float, Integer, SmallInteger, Table

from serving.tables import METADATA, NAME

PAST = Table(
    "past_scores",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("problem", NAME, primary_key=True),
    Column("customer", NAME, primary_key=True),
    Column("cutoff", BigInteger, nullable=False),
    Column("probability", Float(53), nullable=False),
    Column("persona", NAME),
    Column("came", SmallInteger, nullable=False),
    Column("version", NAME, nullable=False),
    sqlite_with_rowid=False,
)
"""A sample of customers as they stood when an outcome window began that is over by now: their
score by the model of now, their persona, and whether the outcome came (1) or not (0)."""
