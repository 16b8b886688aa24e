"""Owners in the book that lists read: a customer changes hands, and the counts go along.

Takes a transaction; changes rows of the current generations. Gives a scored book's column of
owners what people said in the place of what the histories say. Knows nothing about who may do it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, update

from serving.book_store import CURRENT, B, C, G
from serving.book_tables import BOOK, OWNED_CELLS
from serving.inserting import insert
from serving.owners import WORDS

AT_ONCE = 500
"""Customers named in one statement."""


def reassign(
    connection: Connection, workspace: int, owners: Mapping[str, str | None],
    problem: str | None = None,
) -> None:  # fmt: skip
    """Give customers to other owners, in every problem's list or in one's.

    Parameters
    ----------
    owners
        The new owner by customer; None is nobody. Customers without a row change nothing.
    """
    current = select(G.problem, G.generation).where(G.workspace == workspace, G.state == CURRENT)
    if problem is not None:
        current = current.where(G.problem == problem)
    for name, generation in connection.execute(current).all():
        mine = (B.workspace == workspace, B.problem == name, B.generation == generation)
        touched = _move(connection, mine, owners)
        key = {"workspace": workspace, "problem": name, "generation": generation}
        _count(connection, mine, key, touched)


def with_owners(table: pa.Table, assigned: Mapping[str, str]) -> pa.Table:
    """A scored book in which the assigned customers are their owners'."""
    if not assigned:
        return table
    names = pa.array(assigned.keys(), pa.string())
    place = pc.index_in(table["customer"], value_set=names).combine_chunks()
    said = table["owner"].cast(pa.string()).combine_chunks()
    here = pa.array(assigned.values(), pa.string()).take(place)
    owner = pc.coalesce(here, said).dictionary_encode().cast(WORDS)
    return table.set_column(table.schema.get_field_index("owner"), "owner", owner)


def changed(
    said: pa.Table, before: Mapping[str, str], now: Mapping[str, str]
) -> dict[str, str | None]:
    """The owners of customers who changed hands while a book was made.

    Parameters
    ----------
    said
        The book as the histories have it.
    before, now
        Who was assigned when the making began, and who is.
    """
    moved = [who for who in {**before, **now} if before.get(who) != now.get(who)]
    mine = said.filter(pc.is_in(said["customer"], value_set=pa.array(moved, pa.string())))
    owners = zip(mine["customer"].to_pylist(), mine["owner"].to_pylist(), strict=True)
    return {who: now.get(who, owner) for who, owner in owners}


def _move(
    connection: Connection, mine: tuple[ColumnElement[bool], ...], owners: Mapping[str, str | None]
) -> set[str]:
    """Change the rows; gives every owner who has more or fewer now."""
    touched: set[str] = set()
    changes = []
    for some in parts(owners):
        query = select(B.customer, B.owner).where(*mine, B.customer.in_(some))
        for customer, before in connection.execute(query):
            after = owners[customer]
            if before != after:
                touched |= {each for each in (before, after) if each is not None}
                changes.append({"who": customer, "whose": after})
    if changes:
        change = update(BOOK).where(*mine, B.customer == bindparam("who"))
        connection.execute(change.values(owner=bindparam("whose")), changes)
    return touched


def _count(
    connection: Connection, mine: tuple[ColumnElement[bool], ...], key: dict[str, Any],
    touched: set[str],
) -> None:  # fmt: skip
    """Count the rows of some owners anew."""
    theirs = [OWNED_CELLS.c[name] == value for name, value in key.items()]
    for some in parts(sorted(touched)):
        keys = (B.owner, B.band, B.stage, B.persona)
        sums = [
            func.coalesce(func.sum(column), 0.0) for column in (B.value_at_stake, B.expected_value)
        ]
        query = select(*keys, func.count(), *sums).where(*mine, B.owner.in_(some)).group_by(*keys)
        counted = connection.execute(query.order_by(*keys)).all()
        connection.execute(delete(OWNED_CELLS).where(*theirs, C.owner.in_(some)))
        last = select(func.coalesce(func.max(C.cell), -1)).where(*theirs)
        first = int(connection.execute(last).scalar_one()) + 1
        names = ("owner", "band", "stage", "persona", "rows", "value_at_stake", "expected_value")
        rows = [
            {**key, "cell": number, **dict(zip(names, row, strict=True))}
            for number, row in enumerate(counted, first)
        ]
        insert(connection, OWNED_CELLS, rows)


def parts(names: Iterable[str]) -> Iterator[list[str]]:
    """Names, some at a time, as one statement takes them."""
    for begin in range(0, len(listed := list(names)), AT_ONCE):
        yield listed[begin : begin + AT_ONCE]
