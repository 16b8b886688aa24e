"""The table of weekly digests: a row a person and week, so that each is made and sent once.

The same on SQLite and PostgreSQL. Knows nothing about what a digest says.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, SmallInteger, Table, Text

from serving.tables import METADATA, NAME

DIGESTS = Table(
    "digests",
    METADATA,
    Column("workspace", Integer, primary_key=True, autoincrement=False),
    Column("person", NAME, primary_key=True),
    Column("week", NAME, primary_key=True),
    Column("state", NAME, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("tries", SmallInteger, nullable=False),
    Column("message", Text, nullable=False),
    Column("named", Text, nullable=False),
    Column("error", Text, nullable=False),
    Index("ix_digests_due", "state", "due"),
    sqlite_with_rowid=False,
)
"""`person` is the user's id, `week` the day on which the digest was due; whoever inserts the row
has claimed it. `state` is making, waiting, sent or dead; `due` is when it may be taken next.
`message` is the whole e-mail, the same at every try; `named` are the customers it spoke of, as
JSON."""
