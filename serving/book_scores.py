"""Scores of a book, one at a time, by the names that lists, exports and webhooks give them.

Takes the book; gives a row as the ledger gives a score, with its answer. A row can be read while
its book is kept: the current one and the one before. Those that a webhook tells of are copied to
the ledger before anybody is told. Knows nothing about HTTP.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from features.durations import format_moment
from serving.book_names import place_of, score_id
from serving.book_store import B, BookStore, Generation
from serving.book_tables import BOOK
from serving.ledger import Recorded, keep

AT_ONCE = 500
"""Customers of one look-up."""


def find(book: BookStore, name: str) -> tuple[Recorded, bytes] | None:
    """The score of that name and its answer; None where no kept book has it."""
    place = place_of(name)
    made = place and book.generation(place.problem, place.generation)
    if not place or not made or made.made != place.made:
        return None
    query = _rows(book, made).where(B.customer == place.customer)
    with book.database.reading() as connection:
        row = connection.execute(query).first()
    return None if row is None else _recorded(row, made)


def record(
    connection: Connection, book: BookStore, made: Generation, customers: Sequence[str]
) -> None:
    """Copy the scores of some customers to the ledger, in a transaction of the caller's."""
    for begin in range(0, len(customers), AT_ONCE):
        some = customers[begin : begin + AT_ONCE]
        rows = connection.execute(_rows(book, made).where(B.customer.in_(some)))
        keep(connection, book.workspace, [_recorded(row, made) for row in rows])


def record_named(book: BookStore, names: Iterable[str]) -> None:
    """The same for scores of these names, of whatever books."""
    found = [score for score in (find(book, name) for name in names) if score is not None]
    with book.database.writing() as connection:
        keep(connection, book.workspace, found)


def _rows(book: BookStore, made: Generation) -> Any:
    mine = (B.workspace == book.workspace, B.problem == made.problem)
    return select(BOOK).where(*mine, B.generation == made.number)


def _recorded(row: Any, made: Generation) -> tuple[Recorded, bytes]:
    """A row as the ledger has a score, and the answer that reads it."""
    name = score_id(made.made, made.number, made.problem, row.customer)
    interval = None
    if row.interval_low is not None:
        interval = {"low": row.interval_low, "high": row.interval_high}
    answer = {
        "score_id": name, "problem": made.problem, "customer": row.customer, "status": "scored",
        "probability": row.probability, "interval": interval, "percentile": row.percentile,
        "band": row.band, "base_points": row.base_points, "reasons": json.loads(row.reasons),
        "value_at_stake": row.value_at_stake, "stage": row.stage, "persona": row.persona,
        "as_of": format_moment(row.as_of), "known_time": format_moment(made.known_time),
        "valid_until": None if row.valid_until is None else format_moment(row.valid_until),
        "model": made.model, "model_version": made.version, "vector_hash": row.vector_hash,
    }  # fmt: skip
    recorded = Recorded(
        name, row.customer, made.problem, row.as_of, made.known_time, made.model, made.version,
        made.digest, row.probability, row.percentile, row.band, None, row.vector_hash, None,
    )  # fmt: skip
    return recorded, msgspec.json.encode(answer)
