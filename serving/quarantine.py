"""Rows that were set aside: listing them, and trying them again.

Takes a workspace's store; gives pages of rows and what became of those that were replayed. A
replay checks a row as it came; one that is kept now is marked, and stays listed only when asked
for. Knows nothing about HTTP.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec
from sqlalchemy import ColumnElement, and_, or_, select, update

from features.durations import this_moment
from serving.event_store import ACCEPTED, DUPLICATE, TenantStore
from serving.intake import Intake
from serving.tables import QUARANTINE

MOST_AT_ONCE = 1_000


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
) -> list[Kept]:
    """Rows by arrival, oldest first, after a place; those replayed only if asked for."""
    table = QUARANTINE.c
    columns = (
        table.row, table.arrived, table.source, table.form, table.reason, table.detail, table.body,
        table.replayed,
    )  # fmt: skip
    asked = select(*columns).where(table.workspace == store.workspace)
    if not replayed:
        asked = asked.where(table.replayed.is_(None))
    if after is not None:
        asked = asked.where(_beyond(*after))
    with store.database.reading() as connection:
        found = connection.execute(asked.order_by(table.arrived, table.row).limit(limit))
        return [Kept(*row) for row in found]


def replay(store: TenantStore, intake: Intake, rows: Sequence[str] | None) -> Counter[str]:
    """Try rows again: those named, or all that were not replayed yet (at most `MOST_AT_ONCE`)."""
    waiting = _named(store, rows) if rows is not None else page(store, MOST_AT_ONCE)
    waiting = [row for row in waiting if row.form != IMPORTED]
    if not waiting:
        return Counter()
    bodies = [msgspec.json.decode(row.body) for row in waiting]
    results = intake.take(store, bodies, [row.form for row in waiting]).result().results
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
    return Counter(result.status for result in results)


IMPORTED = "import"
"""The form of rows that an import set aside; they are mended in their source."""


def _named(store: TenantStore, rows: Sequence[str]) -> list[Kept]:
    table = QUARANTINE.c
    with store.database.reading() as connection:
        found = connection.execute(
            select(
                table.row, table.arrived, table.source, table.form, table.reason, table.detail,
                table.body, table.replayed,
            ).where(table.workspace == store.workspace, table.row.in_(list(rows)[:MOST_AT_ONCE]))
        )  # fmt: skip
        return [Kept(*row) for row in found]


def _beyond(arrived: int, row: str) -> ColumnElement[bool]:
    table = QUARANTINE.c
    return or_(table.arrived > arrived, and_(table.arrived == arrived, table.row > row))
