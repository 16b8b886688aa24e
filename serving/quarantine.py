"""Rows that were set aside: listing them, and trying them again.

Takes a workspace's store; gives pages of rows and what became of those that were replayed. A
replay checks a row as it came and as of when it came; one that is kept now is marked, and stays
listed only when asked for. Of a row that was too long the beginning is kept: it is listed, and
never replayed. Knows nothing about HTTP.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec
from sqlalchemy import ColumnElement, and_, or_, select, update

from features.durations import this_moment
from serving.event_store import ACCEPTED, DUPLICATE, TenantStore
from serving.intake import CUT, Intake
from serving.tables import QUARANTINE

MOST_AT_ONCE = 1_000
MOST_BYTES = 8_000_000
"""Of the rows of a page; one that is larger by itself is a page of its own."""
IMPORTED = "import"
"""The form of rows that an import set aside; they are mended in their source."""
FOR_GOOD = (IMPORTED, CUT)
"""Forms of rows that can't be replayed."""

_COLUMNS = [
    QUARANTINE.c[name]
    for name in ("row", "arrived", "source", "form", "reason", "detail", "body", "replayed")
]


class Kept(msgspec.Struct):
    """A row in the quarantine."""

    row: str
    arrived: int
    source: str
    form: str
    reason: str
    detail: str
    body: str
    replayed: int | None


def page(
    store: TenantStore, limit: int, after: tuple[int, str] | None = None, replayed: bool = False
) -> tuple[list[Kept], bool]:
    """Rows by arrival, oldest first, after a place; those replayed only if asked for.

    Returns
    -------
    rows : list of Kept
        At most `limit`, and of `MOST_BYTES` together.
    more : bool
        Whether others may follow.
    """
    asked = select(*_COLUMNS).where(QUARANTINE.c.workspace == store.workspace)
    if not replayed:
        asked = asked.where(QUARANTINE.c.replayed.is_(None))
    if after is not None:
        asked = asked.where(_beyond(*after))
    asked = asked.order_by(QUARANTINE.c.arrived, QUARANTINE.c.row).limit(limit)
    rows: list[Kept] = []
    size = 0
    with store.database.reading() as connection:
        # A few rows at a time: what lies beyond the page is not brought into memory.
        for found in connection.execute(asked, execution_options={"yield_per": 8}):
            row = Kept(*found)
            size += len(row.body.encode())
            if rows and size > MOST_BYTES:
                return rows, True
            rows.append(row)
    return rows, len(rows) == limit


def replay(
    store: TenantStore, intake: Intake, rows: Sequence[str] | None,
    after: tuple[int, str] | None = None,
) -> tuple[Counter[str], str | None]:  # fmt: skip
    """Try rows again: those named, or all that were not replayed yet, oldest first.

    Returns
    -------
    counts : Counter
        What became of at most `MOST_AT_ONCE` rows.
    following : str or None
        The place after which to go on, where others may follow; rows that don't fit yet stay
        before it and are not tried twice.
    """
    waiting = _waiting(store, rows, after)
    if not waiting:
        return Counter(), None
    bodies = [msgspec.json.decode(row.body) for row in waiting]
    forms, arrivals = [row.form for row in waiting], [row.arrived for row in waiting]
    results = intake.take(store, bodies, forms, arrivals=arrivals).result().results
    kept = [
        row.row
        for row, result in zip(waiting, results, strict=True)
        if result.status in (ACCEPTED, DUPLICATE)
    ]
    if kept:
        mine = (QUARANTINE.c.workspace == store.workspace, QUARANTINE.c.row.in_(kept))
        with store.database.writing() as connection:
            done = update(QUARANTINE).where(*mine).values(replayed=this_moment())
            connection.execute(done)
    more = rows is None and len(waiting) == MOST_AT_ONCE
    return Counter(result.status for result in results), place_of(waiting[-1]) if more else None


def place_of(row: Kept) -> str:
    """Where a row stands, as `read_place` reads it."""
    return f"{row.arrived}-{row.row}"


def read_place(said: str) -> tuple[int, str]:
    """The place after which to go on."""
    arrived, _, row = said.partition("-")
    return min(int(arrived), 2**62), row


def _waiting(
    store: TenantStore, rows: Sequence[str] | None, after: tuple[int, str] | None
) -> list[Kept]:
    """The rows that are meant and can be tried again."""
    table = QUARANTINE.c
    asked = select(*_COLUMNS).where(
        table.workspace == store.workspace,
        table.form.not_in(FOR_GOOD),
        table.replayed.is_(None) if rows is None else table.row.in_(list(rows)[:MOST_AT_ONCE]),
    )
    if after is not None:
        asked = asked.where(_beyond(*after))
    with store.database.reading() as connection:
        found = connection.execute(asked.order_by(table.arrived, table.row).limit(MOST_AT_ONCE))
        return [Kept(*row) for row in found]


def _beyond(arrived: int, row: str) -> ColumnElement[bool]:
    table = QUARANTINE.c
    return or_(table.arrived > arrived, and_(table.arrived == arrived, table.row > row))
