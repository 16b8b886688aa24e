"""API keys: `mp_<id>_<secret>`, kept as a hash, shown once.

Takes a database; makes, lists, revokes and checks keys. A key belongs to one workspace and
has scopes. Knows nothing about HTTP.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from time import time

import sqlalchemy as sa

from features.durations import DAY, SECOND
from features.errors import MilepostError

SCOPES = ("score", "ingest", "read", "admin")
PREFIX = "mp"
ID_BYTES, SECRET_BYTES = 6, 32

METADATA = sa.MetaData()
KEYS = sa.Table(
    "keys",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("workspace", sa.String(200), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),
    sa.Column("scopes", sa.String(100), nullable=False),
    sa.Column("made", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger),
    sa.Column("revoked", sa.BigInteger),
)


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


class Keys:
    """The keys of a database."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    @classmethod
    def of(cls, url: str) -> "Keys":
        """The keys of the database at a URL."""
        return cls(sa.create_engine(url))

    def create(self, workspace: str, name: str, scopes: tuple[str, ...], days: float | None) -> str:
        """Make a key and give its text, which is kept nowhere."""
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown or not scopes:
            raise KeyInvalidError(f"A key has one or more of the scopes {', '.join(SCOPES)}.")
        number, secret = secrets.token_hex(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
        now = _now()
        expires = None if days is None else now + int(days * DAY)
        row = Key(number, workspace, name, _hash(secret), tuple(scopes), now, expires)
        METADATA.create_all(self.engine)
        with self.engine.begin() as connection:
            connection.execute(KEYS.insert().values(**_values(row)))
        return f"{PREFIX}_{number}_{secret}"

    def all(self) -> list[Key]:
        """Every key, revoked ones too, the oldest first."""
        METADATA.create_all(self.engine)
        with self.engine.connect() as connection:
            rows = connection.execute(KEYS.select().order_by(KEYS.c.made, KEYS.c.id)).mappings()
            return [Key(**{**row, "scopes": tuple(row["scopes"].split())}) for row in rows]

    def revoke(self, number: str) -> bool:
        """End a key; False when there is none of that id that still works."""
        where = (KEYS.c.id == number) & KEYS.c.revoked.is_(None)
        with self.engine.begin() as connection:
            return bool(
                connection.execute(KEYS.update().where(where).values(revoked=_now())).rowcount
            )

    def check(self, text: str) -> Key | None:
        """The living key of a text, None when there is none."""
        number, _, secret = text.removeprefix(f"{PREFIX}_").partition("_")
        found = {key.id: key for key in self.all()}.get(number)
        if found is None or not found.alive(_now()):
            return None
        return found if hmac.compare_digest(found.hash, _hash(secret)) else None


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _values(key: Key) -> dict[str, object]:
    return {**key.__dict__, "scopes": " ".join(key.scopes)}


def _now() -> int:
    return int(time() * SECOND)
