"""The tables of people: who signs in with a password, how often that was tried, what has ended.

The same on SQLite and PostgreSQL. Knows nothing about how rows come and go.
"""

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from serving.tables import METADATA, NAME

USERS = Table(
    "users",
    METADATA,
    Column("id", NAME, primary_key=True),
    Column("workspace", NAME, nullable=False),
    Column("name", NAME, nullable=False, unique=True),
    Column("role", NAME, nullable=False),
    Column("owner", NAME),
    Column("team", NAME),
    Column("email", NAME),
    Column("hash", Text, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("disabled", BigInteger),
)
"""People. `name` is what they sign in with, unique over all workspaces; `owner` is what the
histories call them, `team` whom a lead sees; `email` where
the weekly digest goes; `hash` is argon2id's, with its parameters. Times are
microseconds UTC."""

TRIES = Table(
    "sign_in_tries",
    METADATA,
    Column("what", NAME, primary_key=True),
    Column("began", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
)
"""Sign-ins that were tried since `began`, by what is counted. `what` is a keyed hash of a name
or an address: a password typed into the wrong field must not stand here."""

ENDED = Table(
    "ended_sessions",
    METADATA,
    Column("hash", NAME, primary_key=True),
    Column("until", BigInteger, nullable=False),
)
"""Sessions that their person ended: SHA-256 of the cookie, kept until it would end by itself."""
