"""The tables of what people write down: actions and what came of them, notes, opinions.

The same on SQLite and PostgreSQL. Rows are added and not changed, but for `outcome` of an action,
which repeats the newest of `action_outcomes`, and for what became of an opinion. Times are
microseconds UTC. Knows nothing about how rows come and go.
"""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, SmallInteger, Table, Text

from serving.tables import METADATA, NAME

ACTIONS = Table(
    "actions",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("action", NAME, primary_key=True),
    Column("customer", NAME, nullable=False),
    Column("kind", NAME, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("recorded", BigInteger, nullable=False),
    Column("who", NAME, nullable=False),
    Column("cost", Float(53)),
    Column("first_outcome", NAME, nullable=False),
    Column("outcome", NAME, nullable=False),
    Column("note", Text, nullable=False),
    Index("ix_actions_customer", "workspace", "customer", "at"),
    Index("ix_actions_at", "workspace", "at", "action"),
    sqlite_with_rowid=False,
)
"""What was done about a customer: when (`at`), by whom, what was said to have come of it when it
was written down (`first_outcome`), and what is said of it by now."""

ACTION_OUTCOMES = Table(
    "action_outcomes",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("action", NAME, primary_key=True),
    Column("entry", NAME, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("who", NAME, nullable=False),
    Column("outcome", NAME, nullable=False),
    Column("note", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""What was said to have come of an action after it was written down, each time."""

NOTES = Table(
    "notes",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("customer", NAME, primary_key=True),
    Column("note", NAME, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("who", NAME, nullable=False),
    Column("text", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""What people wrote about a customer."""

OPINIONS = Table(
    "opinions",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("opinion", NAME, primary_key=True),
    Column("customer", NAME, nullable=False),
    Column("problem", NAME, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("who", NAME, nullable=False),
    Column("says", SmallInteger, nullable=False),
    Column("because", Text, nullable=False),
    Column("cutoff", BigInteger, nullable=False),
    Column("opens", BigInteger),
    Column("closes", BigInteger),
    Column("probability", Float(53)),
    Column("band", NAME),
    Column("stake", Float(53)),
    Column("model", NAME, nullable=False),
    Column("version", NAME, nullable=False),
    Column("score_id", NAME, nullable=False),
    Column("truth", SmallInteger),
    Column("why_unknown", NAME),
    Column("settled", BigInteger),
    Index("ix_opinions_customer", "workspace", "customer", "problem", "at"),
    Index("ix_opinions_problem", "workspace", "problem", "at"),
    sqlite_with_rowid=False,
)
"""What a person thinks will become of a customer (`says`: 1 the outcome of the problem, 0 not),
beside the score of the same moment. The outcome window is `(opens, closes]`, null where the
business brings labels of its own. `truth` is what became of the customer, as the histories told it
at the commit `settled`; null then where `why_unknown` says why nobody can know."""
