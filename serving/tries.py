"""How often a sign-in may be tried: counts that all workers share.

Takes a name and the address that tries it; says whether it may try now. Of a name that nobody has
it says the same. Knows nothing about passwords.
"""

import hmac
from ipaddress import IPv6Address, ip_address

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from features.durations import MINUTE, this_moment
from serving.database import Database
from serving.people_tables import TRIES
from serving.refusals import RateLimitedError

WINDOW = 15 * MINUTE
MOST_TOGETHER, MOST_NAME, MOST_ADDRESS = 10, 50, 100
"""Failed sign-ins of a name from one address, of a name from anywhere, and of an address, within
`WINDOW`. So whoever guesses at a name locks it for their own address long before its person is
kept out."""


class Tries:
    """Counts failed sign-ins."""

    def __init__(self, database: Database, secret: str) -> None:
        self.database, self.secret = database, secret.encode()

    def take(self, name: str, address: str) -> None:
        """Count a try, before its password is looked at: many at once are still counted.

        Raises
        ------
        RateLimitedError
            When there were too many.
        """
        now = this_moment()
        with self.database.writing() as connection:
            connection.execute(TRIES.delete().where(TRIES.c.began <= now - WINDOW))
            over = [
                self._count(connection, what, now) > most
                for what, most in self._counted(name, address)
            ]
        if any(over):
            raise RateLimitedError("Too many sign-ins failed. Try again in a quarter of an hour.")

    def succeeded(self, name: str, address: str) -> None:
        """Count a try no more: it was the person."""
        (together, _), *others = self._counted(name, address)
        with self.database.writing() as connection:
            connection.execute(TRIES.delete().where(TRIES.c.what == together))
            for what, _ in others:
                mine = (TRIES.c.what == what) & (TRIES.c.tries > 0)
                connection.execute(TRIES.update().where(mine).values(tries=TRIES.c.tries - 1))

    def _count(self, connection: sa.Connection, what: str, now: int) -> int:
        made = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        counted = (
            made(TRIES)
            .values(what=what, began=now, tries=1)
            .on_conflict_do_update(index_elements=["what"], set_={"tries": TRIES.c.tries + 1})
            .returning(TRIES.c.tries)
        )
        return int(connection.execute(counted).scalar_one())

    def _counted(self, name: str, address: str) -> list[tuple[str, int]]:
        """What a try counts for, and how often it may."""
        place = network(address)
        return [
            (self._hash("both", name, place), MOST_TOGETHER),
            (self._hash("name", name), MOST_NAME),
            (self._hash("address", place), MOST_ADDRESS),
        ]

    def _hash(self, *parts: str) -> str:
        said = "\0".join(parts).encode(errors="replace")
        return hmac.new(self.secret, said, "sha256").hexdigest()


def network(address: str) -> str:
    """The address itself, or the network that one person has of the newer kind."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return found.exploded[:19]  # the first 64 bits
    return str(found)
