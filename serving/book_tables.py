"""The tables of the book: everybody's newest score, by workspace and problem.

The same on SQLite and PostgreSQL. A book is made as a new generation beside the one that lists
are read from, and becomes the current one in a single step. Knows nothing about how rows come
and go.
"""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, Table, Text

from serving.tables import METADATA, NAME

GENERATIONS = Table(
    "book_generations",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("problem", NAME, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("state", NAME, nullable=False),
    Column("model", NAME, nullable=False),
    Column("version", NAME, nullable=False),
    Column("digest", NAME, nullable=False),
    Column("as_of", BigInteger, nullable=False),
    Column("known_time", BigInteger, nullable=False),
    Column("arrival", BigInteger, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("unscored", Text, nullable=False),
    Column("cells", Text, nullable=False),
    Column("owned_by", NAME),
)
"""One making of a problem's book. `state` is making, current, old, or going while its rows are
removed; `arrival` is the commit of the store up to which it reads; `unscored` counts customers
without a score by reason, `cells` counts and sums the rows by band, stage and persona, both as
JSON; `owned_by` is the attribute that named the rows' owners."""

BOOK = Table(
    "book",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("problem", NAME, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("customer", NAME, primary_key=True),
    Column("place", Integer, nullable=False),
    Column("worth_place", Integer, nullable=False),
    Column("as_of", BigInteger, nullable=False),
    Column("valid_until", BigInteger),
    Column("probability", Float(53), nullable=False),
    Column("interval_low", Float(53)),
    Column("interval_high", Float(53)),
    Column("percentile", Float(53), nullable=False),
    Column("band", NAME, nullable=False),
    Column("band_before", NAME),
    Column("week_ago", Float(53)),
    Column("value_at_stake", Float(53)),
    Column("expected_value", Float(53)),
    Column("stage", NAME),
    Column("persona", NAME),
    Column("owner", NAME),
    Column("last_event", NAME),
    Column("last_event_time", BigInteger),
    Column("date_due", BigInteger),
    Column("days_to_date", Float(53)),
    Column("base_points", Float(53), nullable=False),
    Column("vector_hash", NAME),
    Column("reasons", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""A row a scored customer; columns as in `serving.book`. `place` and `worth_place` rank by
probability and by expected value, 1 the first; `band_before` is the band in the newest
generation before in which the customer stood; `reasons` is JSON."""


def _by(rank: str) -> Index:
    """The list in its order, with what it is filtered by."""
    keys = ("workspace", "problem", "generation", rank, "band", "stage", "persona")
    return Index(f"ix_book_{rank}", *(BOOK.c[key] for key in keys))


BY_PLACE, BY_WORTH = _by("place"), _by("worth_place")

_OWNED = BOOK.c.owner.is_not(None)
BY_OWNER = Index(
    "ix_book_owner",
    *(BOOK.c[key] for key in ("workspace", "problem", "generation", "owner", "place")),
    sqlite_where=_OWNED,
    postgresql_where=_OWNED,
)
"""One person's customers, who are few among many."""

LEFT = Table(
    "book_left",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("problem", NAME, primary_key=True),
    Column("customer", NAME, primary_key=True),
    Column("band", NAME, nullable=False),
    sqlite_with_rowid=False,
)
"""The last band of every customer who stood in a generation and not in the current one."""

OWNED_CELLS = Table(
    "book_cells",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("problem", NAME, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("owner", NAME, primary_key=True),
    Column("cell", Integer, primary_key=True, autoincrement=False),
    Column("band", NAME, nullable=False),
    Column("stage", NAME),
    Column("persona", NAME),
    Column("rows", BigInteger, nullable=False),
    Column("value_at_stake", Float(53), nullable=False),
    Column("expected_value", Float(53), nullable=False),
    sqlite_with_rowid=False,
)
"""Counts and sums of each owner's rows by band, stage and persona; `cell` numbers them."""
