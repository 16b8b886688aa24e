"""Digests in the store: claimed once, sent until they arrived, remembered for the week after.

Takes a database and a workspace. Many processes on many hosts may ask; each row is one's at a
time, by a lease that ends with its process. Knows nothing about what a digest says, or networks.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.dialects import postgresql, sqlite

from features.durations import SECOND
from serving.database import Database
from serving.digest_tables import DIGESTS
from serving.hook_store import Hooks
from serving.webhooks import HookEvent

MAKING, WAITING, SENT, DEAD = "making", "waiting", "sent", "dead"
LEASE = 600 * SECOND
"""Microseconds after which a row that was taken and not settled may be taken again."""
MOST = 20
"""Rows that are taken at a time."""

D = DIGESTS.c


@dataclass(frozen=True)
class Named:
    """A customer of whom a digest spoke, and the window of what was predicted."""

    problem: str
    customer: str
    cutoff: int
    opens: int
    closes: int
    probability: float
    band: str
    new: bool = True
    """Whether this week's digest named it first; else it is carried on until its window is over."""


@dataclass(frozen=True)
class Taken:
    """A digest that waits to be sent."""

    person: str
    week: str
    made: int
    tries: int
    message: str


class Digests:
    """One workspace's digests."""

    def __init__(self, database: Database, workspace: int) -> None:
        self.database, self.workspace = database, workspace

    def claim(self, person: str, week: str, now: int) -> bool:
        """Whether the caller alone shall make this digest: nobody else has, or died at it."""
        row = {
            "workspace": self.workspace, "person": person, "week": week, "state": MAKING,
            "made": now, "due": now + LEASE, "tries": 0, "message": "", "named": "[]", "error": "",
        }  # fmt: skip
        with self.database.writing() as connection:
            made = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
            new = made(DIGESTS).values(row).on_conflict_do_nothing().returning(D.week)
            if connection.execute(new).first() is not None:
                return True
            left = (*self._of(person, week), D.state == MAKING, D.due < now)
            again = update(DIGESTS).where(*left).values(due=now + LEASE)
            return connection.execute(again).rowcount == 1

    def keep(
        self, person: str, week: str, now: int, message: str, named: Sequence[Named],
        event: HookEvent,
    ) -> None:  # fmt: skip
        """Let a digest that was made wait to be sent, and tell subscribers of it."""
        told = json.dumps([asdict(each) for each in named])
        with self.database.writing() as connection:
            connection.execute(
                update(DIGESTS)
                .where(*self._of(person, week), D.state == MAKING)
                .values(state=WAITING, due=now, message=message, named=told)
            )
            Hooks(self.database, self.workspace).publish(connection, [event])

    def take(self, now: int) -> list[Taken]:
        """Digests that are to be sent now; nobody else takes them until the lease ends."""
        due = (D.workspace == self.workspace, D.state == WAITING, D.due <= now)
        with self.database.reading() as connection:
            rows = connection.execute(select(DIGESTS).where(*due).limit(MOST)).all()
        found = []
        for row in rows:
            mine = (*self._of(row.person, row.week), D.state == WAITING, D.due == row.due)
            with self.database.writing() as connection:
                taken = connection.execute(update(DIGESTS).where(*mine).values(due=now + LEASE))
            if taken.rowcount == 1:
                found.append(Taken(row.person, row.week, row.made, row.tries, row.message))
        return found

    def settle(self, taken: Taken, state: str, due: int, error: str) -> None:
        """Write down what came of a try."""
        values = {"state": state, "due": due, "tries": taken.tries + 1, "error": error[:500]}
        with self.database.writing() as connection:
            connection.execute(
                update(DIGESTS).where(*self._of(taken.person, taken.week)).values(**values)
            )

    def last_named(self, person: str, week: str) -> list[Named]:
        """The customers that the person's digest before this week's spoke of."""
        query = (
            select(D.named)
            .where(D.workspace == self.workspace, D.person == person, D.week < week)
            .order_by(D.week.desc()).limit(1)
        )  # fmt: skip
        with self.database.reading() as connection:
            found = connection.execute(query).scalar()
        return [Named(**each) for each in json.loads(found or "[]")]

    def state(self, person: str, week: str) -> tuple[str, str] | None:
        """How a digest stands, and what the last try said; None where there is none."""
        query = select(D.state, D.error).where(*self._of(person, week))
        with self.database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else (str(row.state), str(row.error))

    def _of(self, person: str, week: str) -> tuple[ColumnElement[bool], ...]:
        return D.workspace == self.workspace, D.person == person, D.week == week
