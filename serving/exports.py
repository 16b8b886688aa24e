"""The book as other systems take it: CSV, JSON lines, workbooks, Dynamics-style scores.

Takes the book; gives a file some rows at a time, so that memory does not grow with the book. In
CSV no cell of text begins as a formula would. Knows nothing about HTTP.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Select, select

from features.config import Problem
from features.durations import format_moment
from serving.at_risk import BookMissingError, CursorError, Question, conditions
from serving.book_files import guarded
from serving.book_names import score_id
from serving.book_store import B, BookStore, Generation
from serving.book_tables import BOOK
from serving.workbook import as_workbook

CSV, LINES, WORKBOOK = "csv", "jsonl", "xlsx"
ROWS_AT_ONCE = 2_000

GRADES = {"very high": "A", "high": "B", "medium": "C", "low": "D"}
UP, DOWN = "improving", "declining"
STEADY, UNKNOWN = "steady", "not enough information"
MOVED = 0.02
"""A probability that moved by less in a week is steady, and by less than a tenth of itself."""

REASONS = 3
TIMES = ("as_of", "valid_until", "last_event_time", "date_due")
NOT_EXPORTED = ("workspace", "generation", "reasons")


def rows(book: BookStore, question: Question) -> Iterator[Mapping[str, Any]]:
    """All rows of the newest book that a question's filters let through; reasons as a list.

    The highest probability comes first, whatever order the question asks for.

    Raises
    ------
    BookMissingError
        When there is no book of the problem yet; before the first row.
    CursorError
        When the book was removed before its last row was read, because two newer ones were made;
        what came before is then no whole export.
    """
    made = book.current(question.problem)
    if made is None:
        raise BookMissingError(
            f"The book of {question.problem} was not made yet. Try again in a minute."
        )
    query = select(BOOK).where(*conditions(book, made, question)).order_by(B.place)
    return _rows(book, made, query)


def _rows(book: BookStore, made: Generation, query: Select[Any]) -> Iterator[Mapping[str, Any]]:
    """A part at a time: a transaction as long as the slowest reader would hold up the store."""
    after = 0
    while True:
        with book.database.reading() as connection:
            if not book.is_whole(connection, made):
                raise CursorError("The list was made anew twice while it was read. Begin again.")
            some = connection.execute(query.where(B.place > after).limit(ROWS_AT_ONCE)).all()
        for row in some:
            name = score_id(made.made, made.number, made.problem, row.customer)
            yield {**row._mapping, "reasons": json.loads(row.reasons), "score_id": name}
        if len(some) < ROWS_AT_ONCE:
            return
        after = some[-1].place


def book_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the generic export."""
    kept = {name: value for name, value in row.items() if name not in NOT_EXPORTED}
    for name in TIMES:
        kept[name] = None if kept[name] is None else format_moment(kept[name])
    return {**kept, "reasons": row["reasons"]}


def predictive_score(row: Mapping[str, Any], rising: str) -> dict[str, Any]:
    """A row as Dynamics 365 keeps scores; `rising` is what a rising probability means."""
    return {
        "entity_id": row["customer"],
        "score": round(100 * row["probability"]),
        "grade": GRADES[row["band"]],
        "trend": trend(row["probability"], row["week_ago"], rising),
        "reasons": [reason["statement"] for reason in row["reasons"]],
        "scored_on": format_moment(row["as_of"]),
        "score_id": row["score_id"],
    }


def trend(now: float, before: float | None, rising: str) -> str:
    """Where a score went in a week."""
    if before is None:
        return UNKNOWN
    if abs(now - before) < max(MOVED, 0.1 * before):
        return STEADY
    falling = DOWN if rising == UP else UP
    return rising if now > before else falling


def meaning_of_rising(problem: Problem) -> str:
    """Declining where the outcome is that something does not happen, else improving."""
    outcome = problem.outcome
    waits = outcome is not None and (outcome.silence_of or outcome.not_)
    return DOWN if waits else UP


def as_lines(found: Iterator[Mapping[str, Any]]) -> Iterator[str]:
    """JSON lines."""
    for row in found:
        yield json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(found: Iterator[Mapping[str, Any]]) -> Iterator[str]:
    """CSV with a head; a list of reasons becomes numbered columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    for number, row in enumerate(found):
        flat = _flat(row)
        if not number:
            writer.writerow(flat)
        writer.writerow([_cell(value) for value in flat.values()])
        if text.tell() > 32_000:
            yield _taken(text)
    yield _taken(text)


def as_xlsx(found: Iterator[Mapping[str, Any]]) -> Iterator[bytes]:
    """A workbook with the columns of the CSV."""
    return as_workbook(map(_flat, found))


def _taken(text: io.StringIO) -> str:
    said = text.getvalue()
    text.seek(0)
    text.truncate()
    return said


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat = {name: value for name, value in row.items() if name != "reasons"}
    reasons = [*row["reasons"], *[None] * REASONS][:REASONS]
    for rank, reason in enumerate(reasons, 1):
        plain = reason is None or isinstance(reason, str)
        flat[f"reason_{rank}"] = reason if plain else reason["statement"]
        if not plain or (reason is None and "percentile" in row):
            flat[f"reason_{rank}_points"] = None if reason is None else reason["points"]
    return flat


def _cell(value: Any) -> Any:
    return guarded(value) if isinstance(value, str) else value
