"""Putting rows into tables: at once, and told which of them were new.

The same on SQLite and PostgreSQL. Knows nothing about what the rows mean.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Row = tuple[Any, ...]


def insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows that are known to be new."""
    if rows:
        connection.execute(table.insert(), list(rows))


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; those whose key is there already change nothing."""
    if not rows:
        return
    made = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(made(table).on_conflict_do_nothing(), list(rows))


def add_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert many rows that are known to be new.

    Rows are the table's columns in order, but for a number that the database gives them. Goes to
    the driver itself, because SQLAlchemy's own way takes longer than the insert.
    """
    if not rows:
        return
    names = [column.name for column in table.columns][-len(rows[0]) :]
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    marks = ", ".join([mark] * len(names))
    _each(connection, f"insert into {table.name} ({', '.join(names)}) values ({marks})", rows)


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> list[bool]:
    """Insert many whole rows that differ in key; say of each whether it was new.

    Rows are the table's columns in order. Goes to the driver itself, because SQLAlchemy's own
    way costs more than the insert.
    """
    if not rows:
        return []
    cursor = connection.connection.cursor()
    try:
        if connection.dialect.name == "sqlite":
            return _by_row(cursor, table, rows)
        return _by_column(cursor, table, rows)
    finally:
        cursor.close()


def add_counts(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Add to counts; rows differ in key and are the table's columns in order, the count last."""
    if not rows:
        return
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    *key, count = table.columns.keys()
    _each(
        connection,
        f"insert into {table.name} values ({', '.join([mark] * len(rows[0]))}) "
        f"on conflict ({', '.join(key)}) "
        f"do update set {count} = {table.name}.{count} + excluded.{count}",
        rows,
    )


def _each(connection: Connection, statement: str, rows: Sequence[Row]) -> None:
    """Have the driver itself do a statement for every row."""
    cursor = connection.connection.cursor()
    try:
        cursor.executemany(statement, rows)
    finally:
        cursor.close()


def _by_row(cursor: Any, table: Table, rows: Sequence[Row]) -> list[bool]:
    marks = ", ".join("?" * len(table.columns))
    statement = f"insert into {table.name} values ({marks}) on conflict do nothing"
    new = []
    for row in rows:
        cursor.execute(statement, row)
        new.append(cursor.rowcount == 1)
    return new


def _by_column(cursor: Any, table: Table, rows: Sequence[Row]) -> list[bool]:
    kinds = [
        str(column.type.compile(dialect=postgresql.dialect())).split()[0].lower()  # type: ignore[no-untyped-call]
        for column in table.columns
    ]
    arrays = ", ".join(f"%s::{kind}[]" for kind in kinds)
    key = [column.name for column in table.primary_key.columns]
    places = [list(table.columns.keys()).index(name) for name in key]
    cursor.execute(
        f"insert into {table.name} select * from unnest({arrays}) on conflict do nothing "
        f"returning {', '.join(key)}",
        [list(column) for column in zip(*rows, strict=True)],
    )
    new = set(cursor.fetchall())
    return [tuple(row[i] for i in places) in new for row in rows]
