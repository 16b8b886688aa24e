"""Sessions of browsers: who signed in with a key keeps a signed cookie for a working day.

Takes a living key; gives the cookie's text, and back. A session ends with its key. Links sign in
once. Knows nothing about HTTP.
"""

import hashlib
import hmac
import secrets
from time import time

from features.durations import MINUTE, SECOND
from serving.database import Database
from serving.keys import Key, Ring
from serving.tables import LINKS

COOKIE = "milepost"
LASTS = 12 * 3600
"""Seconds that a session lasts."""
LINK_LASTS = 15 * MINUTE
"""How long a link may wait to be opened."""


class Sessions:
    """Cookies signed with a secret of the service and the hash of the key."""

    def __init__(self, secret: str, ring: Ring) -> None:
        self.secret, self.ring = secret.encode(), ring

    def begin(self, key: Key) -> str:
        """The cookie's text for a key."""
        said = f"{key.id}.{int(time()) + LASTS}"
        return f"{said}.{self._sign(said, key)}"

    def check(self, text: str) -> Key | None:
        """The living key of a session, None when there is none."""
        said, _, signature = text.rpartition(".")
        number, _, until = said.partition(".")
        key = self.ring.find(number)
        right = self._sign(said, key).encode() if key is not None else b""
        if key is None or not hmac.compare_digest(right, signature.encode(errors="replace")):
            return None  # as bytes: texts that are not ASCII can't be compared
        return key if until.isdigit() and time() < int(until) else None

    def _sign(self, said: str, key: Key) -> str:
        return hmac.new(self.secret + key.hash, said.encode(errors="replace"), "sha256").hexdigest()


class Links:
    """Links that sign in once, for a key that exists."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def make(self, key: str) -> str:
        """The secret of a new link for the key of this id."""
        secret = secrets.token_urlsafe(32)
        until = int(time() * SECOND) + LINK_LASTS
        with self.database.writing() as connection:
            connection.execute(LINKS.insert().values(hash=_hash(secret), key=key, until=until))
        return secret

    def use(self, secret: str) -> str | None:
        """The id of a link's key, None when there is no such link, or it was used, or is old."""
        where = LINKS.c.hash == _hash(secret)
        with self.database.writing() as connection:
            row = connection.execute(LINKS.select().where(where)).first()
            connection.execute(LINKS.delete().where(where))
        return str(row.key) if row is not None and row.until > int(time() * SECOND) else None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
