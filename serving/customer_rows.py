"""The rows of one customer, the newest first and a page at a time.

Takes a workspace of the store; reads of its events, statements and recorded scores the range of an
index that is asked for, and no row beside it. Knows nothing about HTTP or what rows say.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from features.errors import MilepostError
from serving.database import Database
from serving.tables import EVENTS, STATEMENTS

Row = tuple[int, int, str, str, str]
"""Event time, recorded time, event, id, properties as JSON."""

MOST_COUNTED = 10_000
"""Events of a customer are counted so far: a count reads what it counts."""
LONGEST, LARGEST = 2**63, 2**31
"""Beyond what a moment and a source's number may be."""


class CursorError(MilepostError):
    """A cursor that no page gave."""

    code = "request_invalid"


@dataclass(frozen=True)
class Page:
    """Some rows, newest first."""

    rows: Sequence[Row]
    next: str | None
    """The cursor of the next page; None on the last one."""


class CustomerRows:
    """What the store has of one customer of a workspace."""

    def __init__(self, database: Database, workspace: int, customer: str) -> None:
        self.database = database
        self._mine = (workspace, customer)

    def events(self, limit: int, cursor: str | None = None) -> Page:
        """So many events, those after a cursor where there is one.

        Raises
        ------
        CursorError, StoreUnavailableError
        """
        return self._page(EVENTS, limit, cursor)

    def statements(self, limit: int, cursor: str | None = None) -> Page:
        """So many statements of attributes, those after a cursor where there is one.

        Raises
        ------
        CursorError, StoreUnavailableError
        """
        return self._page(STATEMENTS, limit, cursor)

    def count(self) -> int:
        """How many events there are, or one more than `MOST_COUNTED` where there are more."""
        mark = self.database.mark
        asked = (
            f"select count(*) from (select 1 from events where workspace = {mark} "
            f"and customer = {mark} limit {MOST_COUNTED + 1}) as found"
        )
        with self.database.cursor() as cursor:
            return int(cursor.execute(asked, self._mine).fetchone()[0])

    def exist(self) -> bool:
        """Whether anything is stored of the customer."""
        return bool(self._page(EVENTS, 1, None).rows or self._page(STATEMENTS, 1, None).rows)

    def _page(self, table: Table, limit: int, after: str | None) -> Page:
        place = () if after is None else _read(after)
        asked = page_statement(table, self.database.mark, bool(place))
        with self.database.cursor() as cursor:
            rows = cursor.execute(asked, (*self._mine, *place, limit + 1)).fetchall()
        shown = rows[:limit]
        following = _write(shown[-1]) if len(rows) > limit else None
        return Page([tuple(row[:5]) for row in shown], following)


def page_statement(table: Table, mark: str, after: bool) -> str:
    """The query of a page: a range of the table's key, from its newest end or from a place."""
    place = f"and (event_time, source, event_id) < ({mark}, {mark}, {mark}) " if after else ""
    return (
        f"select event_time, recorded_time, event, event_id, properties, source from {table.name} "
        f"where workspace = {mark} and customer = {mark} {place}"
        f"order by event_time desc, source desc, event_id desc limit {mark}"
    )


def _write(row: Any) -> str:
    """The cursor of what follows a row."""
    return base64.urlsafe_b64encode(f"{row[0]} {row[5]} {row[3]}".encode()).decode()


def _read(cursor: str) -> tuple[int, int, str]:
    """The place in the key that a cursor names: time, source and id."""
    try:
        said = base64.urlsafe_b64decode(cursor.encode()).decode()
        moment, source, event_id = said.split(" ", 2)
        place = int(moment), int(source), event_id
    except (ValueError, binascii.Error):
        place = LONGEST, 0, ""
    if not (-LONGEST < place[0] < LONGEST and 0 <= place[1] < LARGEST) or "\0" in place[2]:
        raise CursorError("cursor: give what `next` of the page before said.")
    return place
