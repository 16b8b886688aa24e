"""Who asked what: a line of log for every request, and a row of the audit for those with a key.

Takes what was asked; writes it in batches from a thread of its own, never on a request's path.
Nothing of a body, a query or a secret is kept. Knows nothing about HTTP.
"""

import sys
from collections import deque
from contextlib import suppress
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from features.durations import format_moment
from features.errors import MilepostError
from serving.database import Database
from serving.inserting import add_rows
from serving.tables import AUDIT

MOST = 100_000
"""Requests that may wait to be written; older ones are dropped while a database is away."""


class Asked(NamedTuple):
    """One request; `at` is microseconds UTC."""

    at: int
    request: str
    method: str
    route: str
    """The template of the route, which holds no customer's name."""
    status: int
    milliseconds: float
    key: str
    workspace: str


class Log:
    """What was asked and is not written yet."""

    def __init__(self, database: Database, shown: bool) -> None:
        self.database, self.shown = database, shown
        self._lines: deque[Asked] = deque(maxlen=MOST)
        self._rows: deque[Asked] = deque(maxlen=MOST)

    def add(self, asked: Asked) -> None:
        """Keep a request to be written soon."""
        if self.shown:
            self._lines.append(asked)
        if asked.key:
            self._rows.append(asked)

    def show(self) -> None:
        """Write the lines that wait; where nobody reads them any more they are lost."""
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if lines:
            with suppress(OSError, ValueError):
                sys.stderr.write("".join(map(_line, lines)))
                sys.stderr.flush()

    def keep(self) -> None:
        """Write the rows that wait; what a database refuses waits for the next time."""
        rows = [self._rows.popleft() for _ in range(len(self._rows))]
        if rows:
            try:
                with self.database.writing() as connection:
                    add_rows(connection, AUDIT, rows)
            except Exception as error:
                self._rows.extendleft(reversed(rows))
                if not isinstance(error, MilepostError):
                    raise


def asked_of(database: Database, workspace: str, limit: int) -> list[Asked]:
    """The latest requests of a workspace, the newest first."""
    columns = [AUDIT.c[name] for name in Asked._fields]
    query = sa.select(*columns).where(AUDIT.c.workspace == workspace)
    with database.reading() as connection:
        rows = connection.execute(query.order_by(AUDIT.c.at.desc()).limit(limit))
        return [Asked(*row) for row in rows]


def _line(asked: Asked) -> str:
    told = {"time": format_moment(asked.at), "level": "info", **asked._asdict()}
    del told["at"]
    return msgspec.json.encode(told).decode() + "\n"
