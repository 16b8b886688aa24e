"""API keys: `mp_<id>_<secret>`, kept as a hash, shown once.

Takes a database; makes, lists, revokes and checks keys. A key belongs to one workspace and
has scopes. Knows nothing about HTTP.
"""

import hashlib
import hmac
import math
import re
import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass

from features.durations import DAY, this_moment
from features.errors import MilepostError
from serving.database import Database
from serving.tables import KEYS

SCOPES = ("score", "ingest", "read", "admin")
PREFIX = "mp"
ID_BYTES, SECRET_BYTES = 6, 32
MOST_DAYS = 3650
ID = re.compile(rf"[0-9a-f]{{{2 * ID_BYTES}}}")
"""What the id of a key that was ever made looks like."""


class KeyInvalidError(MilepostError):
    """A key that can't be made or found."""

    code = "key_invalid"


@dataclass(frozen=True)
class Key:
    """What is kept of a key; times are microseconds UTC."""

    id: str
    workspace: str
    name: str
    hash: bytes
    """SHA-256 of the secret: 32 random bytes need no slow hash."""
    scopes: tuple[str, ...]
    made: int
    expires: int | None = None
    revoked: int | None = None

    def alive(self, now: int) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)


@dataclass(frozen=True)
class Caller:
    """Who asks: a key, a signed token, a person, or a session of a key."""

    id: str
    workspace: str
    scopes: tuple[str, ...]
    """What a key may; a person may what their role may."""
    role: str = ""
    """A person's; empty for whatever else asks."""
    name: str = ""
    """What pages call whoever is signed in."""
    sees: frozenset[str] | None = None
    """Whose customers a person sees, by what the histories call owners; None is everybody's."""
    token: str = ""
    """What the forms of the session carry; empty where there is no session."""


class Keys:
    """The keys of a database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def create(self, workspace: str, name: str, scopes: tuple[str, ...], days: float | None) -> str:
        """Make a key and give its text, which is kept nowhere."""
        if not scopes or set(scopes) - set(SCOPES):
            raise KeyInvalidError(f"A key has one or more of the scopes {', '.join(SCOPES)}.")
        if days is not None and not (math.isfinite(days) and 0 < days <= MOST_DAYS):
            raise KeyInvalidError(f"A key works for more than 0 and at most {MOST_DAYS} days.")
        number, secret = secrets.token_hex(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
        now = this_moment()
        expires = None if days is None else now + int(days * DAY)
        row = Key(number, workspace, name, _hash(secret), tuple(scopes), now, expires)
        with self.database.writing() as connection:
            connection.execute(KEYS.insert().values(**_values(row)))
        return f"{PREFIX}_{number}_{secret}"

    def all(self) -> list[Key]:
        """Every key, revoked ones too, the oldest first."""
        with self.database.reading() as connection:
            rows = connection.execute(KEYS.select().order_by(KEYS.c.made, KEYS.c.id)).mappings()
            return [Key(**{**row, "scopes": tuple(row["scopes"].split())}) for row in rows]

    def revoke(self, number: str) -> bool:
        """End a key; False when there is none of that id that still works."""
        where = (KEYS.c.id == number) & KEYS.c.revoked.is_(None)
        with self.database.writing() as connection:
            ended = connection.execute(KEYS.update().where(where).values(revoked=this_moment()))
            return bool(ended.rowcount)


class Ring:
    """The keys as a worker holds them in memory; `refresh` is called twice a second.

    So a request reads no database for its key, and a revoked key ends within a second. While the
    database is away nobody can revoke, and the keys as last read stay.
    """

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self._held: dict[str, Key] = {}
        self._turn = threading.Lock()

    def read(self) -> None:
        """Read all keys again.

        Raises
        ------
        StoreUnavailableError
            When they can't be read; then they stay as they were.
        """
        with self._turn:  # what was read first must not be put in place last
            self._held = {key.id: key for key in self.keys.all()}

    def refresh(self) -> None:
        """Read all keys again; a database that is away leaves them as they were."""
        with suppress(MilepostError):
            self.read()

    def find(self, number: str) -> Key | None:
        """The living key of an id, None when there is none."""
        found = self._held.get(number)
        return found if found is not None and found.alive(this_moment()) else None

    def is_strange(self, text: str) -> bool:
        """Whether a text may be of a key that was made since the keys were read."""
        number = _parts(text)[0]
        return number not in self._held and ID.fullmatch(number) is not None

    def check(self, text: str) -> Key | None:
        """The living key of a text, None when none is known; reads no database."""
        number, secret = _parts(text)
        found = self._held.get(number)
        right = hmac.compare_digest(_NOBODY if found is None else found.hash, _hash(secret))
        return found if right and found is not None and found.alive(this_moment()) else None


_NOBODY = bytes(32)


def _parts(text: str) -> tuple[str, str]:
    """The id and the secret of a key's text."""
    number, _, secret = text.removeprefix(f"{PREFIX}_").partition("_")
    return number, secret


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def _values(key: Key) -> dict[str, object]:
    return {**key.__dict__, "scopes": " ".join(key.scopes)}
