"""Sessions of browsers: who signed in keeps a signed cookie for a working day.

Takes a living key or a person; gives the cookie's text, and back who asks. A session ends with
its key, with its person's password, or when its person says so. Links sign in once. Knows
nothing about HTTP.
"""

import hashlib
import hmac
import secrets
from dataclasses import replace
from time import time

from features.durations import MINUTE, SECOND, this_moment
from features.errors import MilepostError
from serving.database import Database
from serving.keys import Caller, Key, Ring
from serving.people import Roster, User
from serving.people_tables import ENDED
from serving.tables import LINKS

COOKIE, FORM_COOKIE = "milepost", "milepost-form"
"""The session; and what a browser has that is about to sign in."""
LASTS = 12 * 3600
"""Seconds that a session lasts."""
LINK_LASTS = 15 * MINUTE
"""How long a link may wait to be opened."""
OF_KEY, OF_PERSON = "k", "p"
"""What a session's text begins with."""


class Sessions:
    """Cookies signed with a secret of the service and the hash of the key or the password."""

    def __init__(self, secret: str, ring: Ring, roster: Roster) -> None:
        self.secret, self.ring, self.roster = secret.encode(), ring, roster
        self._ended: frozenset[str] = frozenset()

    def begin(self, who: Key | User) -> str:
        """The cookie's text of a new session."""
        kind = OF_KEY if isinstance(who, Key) else OF_PERSON
        said = f"{kind}.{who.id}.{int(time()) + LASTS}.{secrets.token_urlsafe(12)}"
        return f"{said}.{self._sign(said, who)}"

    def is_strange(self, text: str) -> bool:
        """Whether a text may be of a session that began a moment ago, in another worker."""
        kind, _, until = _parts(text)
        return kind in (OF_KEY, OF_PERSON) and _is_ahead(until) and self._holder(text) is None

    def check(self, text: str) -> Caller | None:
        """Who a living session is of, None when none is known; reads no database."""
        found = self._holder(text)
        if found is None or _hash(text) in self._ended:
            return None
        if isinstance(found, User):
            return replace(self.roster.caller(found), token=self.token(text))
        called = found.name or f"key {found.id}"
        return Caller(found.id, found.workspace, found.scopes, name=called, token=self.token(text))

    def token(self, text: str) -> str:
        """What the forms of a session carry; "" of no session."""
        if not text:
            return ""
        said = f"form\0{text}".encode(errors="replace")
        return hmac.new(self.secret, said, "sha256").hexdigest()

    def end(self, text: str) -> None:
        """End a session in all workers.

        Raises
        ------
        StoreUnavailableError
            When only this worker could be told.
        """
        self._ended |= {_hash(text)}
        row = {"hash": _hash(text), "until": int(time() + LASTS) * SECOND}
        with self.ring.keys.database.writing() as connection:
            connection.execute(ENDED.delete().where(ENDED.c.until <= this_moment()))
            connection.execute(ENDED.delete().where(ENDED.c.hash == row["hash"]))
            connection.execute(ENDED.insert().values(**row))

    def refresh(self) -> None:
        """Learn what other workers have ended; a database that is away changes nothing."""
        try:
            with self.ring.keys.database.reading() as connection:
                self._ended = frozenset(connection.execute(ENDED.select()).scalars())
        except MilepostError:
            return

    def _holder(self, text: str) -> Key | User | None:
        """Whose session it is, if it is signed and not over."""
        said, _, signature = text.rpartition(".")
        kind, number, until = _parts(said)
        who: Key | User | None = None
        if kind == OF_KEY:
            who = self.ring.find(number)
        elif kind == OF_PERSON:
            who = self.roster.find(number)
        given = signature.encode(errors="replace")  # texts that are not ASCII can't be compared
        if who is None or not hmac.compare_digest(self._sign(said, who).encode(), given):
            return None
        return who if _is_ahead(until) else None

    def _sign(self, said: str, who: Key | User) -> str:
        hash_ = who.hash if isinstance(who, Key) else who.hash.encode()
        return hmac.new(self.secret + hash_, said.encode(errors="replace"), "sha256").hexdigest()


class Links:
    """Links that sign in once, for a key that exists."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def make(self, key: str) -> str:
        """The secret of a new link for the key of this id."""
        secret = secrets.token_urlsafe(32)
        until = this_moment() + LINK_LASTS
        with self.database.writing() as connection:
            connection.execute(LINKS.insert().values(hash=_hash(secret), key=key, until=until))
        return secret

    def use(self, secret: str) -> str | None:
        """The id of a link's key, None when there is no such link, or it was used, or is old."""
        where = LINKS.c.hash == _hash(secret)
        with self.database.writing() as connection:
            row = connection.execute(LINKS.select().where(where)).first()
            connection.execute(LINKS.delete().where(where))
        return str(row.key) if row is not None and row.until > this_moment() else None


def _parts(text: str) -> tuple[str, str, str]:
    """What kind of session a text is of, whose, and until when; "" of what it lacks."""
    kind, number, until, *_ = [*text.split(".", 3), "", "", ""]
    return kind, number, until


def _is_ahead(until: str) -> bool:
    """Whether a moment in seconds is still to come."""
    return until.isdecimal() and len(until) < 20 and time() < int(until)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
