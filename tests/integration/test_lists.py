"""The book in the store: lists, exports, and what becomes of them when it is made anew."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from math import fsum, isclose
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import uvicorn
from books import AS_OF, MANY, PROBLEM, put, scored, walked
from conftest import ROOT, free_port
from fastapi import FastAPI, Response

from serving.at_risk import BookMissingError, CursorError, Question, page
from serving.book_rows import Place, band_changes, moved, ranks, rows
from serving.book_store import MAKING, BookLostError, BookStore, Generation
from serving.book_tables import BOOK
from serving.database import Database
from serving.export_routes import _stream as streamed
from serving.exports import (
    ROWS_AT_ONCE,
    as_csv,
    as_lines,
    as_xlsx,
    book_row,
    predictive_score,
    trend,
)
from serving.exports import rows as exported


def all_of(book: BookStore) -> Iterator[Mapping[str, Any]]:
    """The export of everybody."""
    return exported(book, Question(PROBLEM))


@pytest.mark.parametrize("by", ["probability", "expected_value"])
@pytest.mark.parametrize(
    "asked",
    [{}, {"bands": ("high", "very high")}, {"stages": ("usage",)}, {"prefix": "c05"},
     {"prefix": "c0", "bands": ("low",), "stages": ("support", "renewal")}, {"prefix": "nobody"},
     {"owners": ("Anna", "Cora")}, {"sees": frozenset(("Bert",))}, {"sees": frozenset()},
     {"sees": frozenset(("Anna", "Bert")), "owners": ("Bert", "Cora"), "prefix": "c0"}],
)  # fmt: skip
def test_pages_give_every_row_once_in_order_and_add_up_to_the_totals(
    book: BookStore, by: str, asked: dict[str, object]
) -> None:
    """Whatever is filtered, the pages together are the list, and totals are those of its rows."""
    put(book, MANY)
    pages = walked(book, by=by, limit=7, **asked)
    found = [row for one in pages for row in one.rows]
    assert len({row.customer for row in found}) == len(found)
    values = [row._mapping[by] for row in found]
    assert sorted(values, reverse=True) == values
    for one in pages:
        assert len(found) == one.totals.customers
        assert isclose(fsum(r.value_at_stake for r in found), one.totals.value_at_stake)
        assert isclose(fsum(r.expected_value for r in found), one.totals.expected_value)
        for total in (one.totals.value_at_stake, one.totals.expected_value):
            assert total == float(f"{total:.12g}")  # no noise of floats
    wanted = [
        name for name in MANY
        if name.startswith(str(asked.get("prefix", "")))
    ]  # fmt: skip
    assert {row.customer for row in found} <= set(wanted)
    if asked.keys() <= {"prefix"}:
        assert len(wanted) == len(found)


def test_a_list_holds_no_customer_of_anybody_else(book: BookStore) -> None:
    """Whatever is asked for, rows, totals, choices, and the export are of owners who are seen."""
    put(book, MANY)
    owner = {n: ("Anna", "Bert", "Cora")[i % 4 - 1] for i, n in enumerate(sorted(MANY)) if i % 4}
    whole = page(book, Question(PROBLEM, limit=200))
    assert 101 == whole.rows_seen
    assert [(o, list(owner.values()).count(o)) for o in ("Anna", "Bert", "Cora")] == (
        whole.choices["owner"]
    )
    sees = frozenset(("Anna", "Bert"))
    mine = {name for name, whose in owner.items() if whose in sees}
    for asked in ({}, {"bands": ("low",)}, {"prefix": "c0"}, {"by": "probability"}):
        found = page(book, Question(PROBLEM, limit=200, sees=sees, **asked))  # type: ignore[arg-type]
        assert {row.customer for row in found.rows} <= mine
        assert found.totals.customers == len(found.rows)
        assert (len(mine), ["Anna", "Bert"]) == (
            found.rows_seen, [name for name, _ in found.choices["owner"]]
        )  # fmt: skip
        assert len(mine) == sum(count for _, count in found.choices["band"])
    cursor = page(book, Question(PROBLEM, by="probability", limit=5)).next
    later = page(book, Question(PROBLEM, by="probability", limit=200, cursor=cursor, sees=sees))
    assert {row.customer for row in later.rows} <= mine
    assert mine == {row["customer"] for row in exported(book, Question(PROBLEM, sees=sees))}
    assert [] == list(exported(book, Question(PROBLEM, sees=frozenset())))


def test_a_cursor_goes_on_in_its_own_list_until_that_is_gone(book: BookStore) -> None:
    """After one new book the old list is still there to the end; after two it is refused."""
    put(book, MANY)
    first = page(book, Question(PROBLEM, by="probability", limit=5))
    put(book, {name: 1 - p for name, p in MANY.items()}, "2")
    second = page(book, Question(PROBLEM, by="probability", limit=5, cursor=first.next))
    assert ("1", "1") == (first.generation.version, second.generation.version)
    assert max(r.probability for r in second.rows) <= min(r.probability for r in first.rows)
    put(book, MANY, "3")
    with pytest.raises(CursorError):
        page(book, Question(PROBLEM, by="probability", cursor=first.next))
    numerals = ("²·1", "².1", "٣.1", "9" * 19 + ".1")
    for nonsense in ("x", "1", "1.", "1.2.3", "-1.2", "9" * 40, *numerals):
        with pytest.raises(CursorError):
            page(book, Question(PROBLEM, cursor=nonsense))


def test_an_unfinished_book_is_never_read_and_is_cleared_away(book: BookStore) -> None:
    """A keeper that died half-way leaves the old list whole; the next one removes its rows."""
    with pytest.raises(BookMissingError):
        page(book, Question(PROBLEM))
    put(book, MANY)
    table = scored(dict.fromkeys(MANY, 0.5))
    half = Generation(PROBLEM, 0, MAKING, "shop-churn", "2", "2", AS_OF, AS_OF, 1, 2, 0, {}, ())
    number = book.begin(half)
    book.add(PROBLEM, number, list(rows(table, *ranks(table), {}))[:40])
    found = page(book, Question(PROBLEM, limit=200))
    assert ("1", 101) == (found.generation.version, len(found.rows))
    put(book, {"c001": 0.9}, "3")
    found = page(book, Question(PROBLEM, limit=200))
    assert ("3", ["c001"]) == (found.generation.version, [row.customer for row in found.rows])
    with book.database.reading() as connection:
        assert 101 + 1 == len(connection.execute(BOOK.select()).all())


def test_one_keeper_at_a_time_works_on_a_book(book: BookStore) -> None:
    """A second keeper is told that the book is being worked on, and may when the first is done."""
    other = BookStore(Database(book.database.url), book.workspace)
    with book.alone() as mine, other.alone() as theirs:
        assert (True, False) == (mine, theirs)
    with other.alone() as now:
        assert now
    other.database.close()


@pytest.mark.parametrize("step", ["add", "finish"])
def test_a_keeper_whose_book_was_swept_notices_and_may_begin_again(
    book: BookStore, step: str
) -> None:
    """One who was no longer alone makes nothing current, leaves no row, and succeeds anew."""
    put(book, MANY)
    table = scored(dict.fromkeys(MANY, 0.5))
    mine = Generation(PROBLEM, 0, MAKING, "shop-churn", "2", "2", AS_OF, AS_OF, 1, 2, 0, {}, ())
    number = book.begin(mine)
    other = BookStore(Database(book.database.url), book.workspace)
    theirs = other.begin(replace(mine, version="3", digest="3"))
    assert number != theirs
    with pytest.raises(BookLostError):
        if step == "add":
            book.add(PROBLEM, number, rows(table, *ranks(table), {}))
        else:
            with book.database.writing() as connection:
                book.finish(connection, PROBLEM, number, table.num_rows, {}, [])
    current = book.current(PROBLEM)
    assert current is not None and "1" == current.version
    with book.database.reading() as connection:
        assert 101 == len(connection.execute(BOOK.select()).all())
    assert put(book, MANY, "4") > theirs
    other.database.close()


def test_a_list_is_never_half_old_half_new(book: BookStore, tmp_path: Path) -> None:
    """While books are made one after the other by another process, each page is of one book."""
    put(book, dict.fromkeys(MANY, 0.25))
    code = (
        "import sys; sys.path.insert(0, 'tests/integration'); sys.path.insert(0, 'tests')\n"
        "from test_lists import *\n"
        f"database = Database({book.database.url!r})\n"
        f"book = BookStore(database, {book.workspace})\n"
        "for n in range(4): put(book, {name: 0.25 + n / 50 for name in MANY}, str(n))\n"
    )
    maker = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    seen = set()
    while maker.poll() is None:
        found = page(book, Question(PROBLEM, by="probability", limit=200))
        assert 101 == len(found.rows)
        (p,) = {row.probability for row in found.rows}
        seen.add(p)
    assert 0 == maker.returncode
    assert len(seen) > 1


def test_only_customers_whose_band_moved_are_told_of() -> None:
    """A newcomer and one who stays are silent; who moved is told with both bands."""
    table = scored({"a": 0.99, "b": 0.1, "new": 0.99})
    place, before = Place("shop", "churn", 2, "7", 1), {"a": "low", "b": "low", "gone": "high"}
    told = list(band_changes(moved(table, before), before, place, 5))
    (event,) = told
    data = json.loads(event.body)["data"]
    assert ("a", "low", "very high") == (event.subject, data["band_before"], data["band"])
    assert ("7", 3) == (data["model_version"], len(data["reasons"]))
    again = list(band_changes(moved(table, before), before, place, 99))
    assert event.id == again[0].id


def test_exports_hold_every_row_and_no_formula(book: BookStore) -> None:
    """CSV and JSON lines are streamed in order; text that begins as a formula is quoted."""
    names = {
        "=cmd|' /C calc'!A0": 0.9,
        "+1": 0.8,
        "-1": 0.7,
        "@x": 0.6,
        "＝full": 0.5,
        "plain": 0.4,
    }
    put(book, names)
    lines = [
        json.loads(line) for line in as_lines(map(book_row, exported(book, Question(PROBLEM))))
    ]
    assert list(names) == [line["customer"] for line in lines]
    text = "".join(as_csv(map(book_row, all_of(book))))
    read = list(csv.DictReader(io.StringIO(text)))
    expected = [name if name == "plain" else f"'{name}" for name in names]
    assert expected == [row["customer"] for row in read]
    assert {"'=HYPERLINK(1)"} == {row["reason_1"] for row in read}
    assert [str(p) for p in names.values()] == [row["probability"] for row in read]


MORE_THAN_A_PART = {f"c{n:04d}": (n * 37 % 3001) / 3001 for n in range(2 * ROWS_AT_ONCE + 1)}


@pytest.mark.parametrize("write", [as_lines, as_csv, as_xlsx])
def test_an_export_is_whole_or_breaks_off(book: BookStore, write: Callable[..., Any]) -> None:
    """One new book does not disturb an export; after two it raises and does not end as if whole."""
    put(book, MORE_THAN_A_PART)
    slow, late = all_of(book), all_of(book)
    first, second = next(slow), next(late)
    put(book, {"c1": 0.5}, "2")
    assert len(MORE_THAN_A_PART) == len([first, *slow])
    put(book, {"c1": 0.5}, "3")
    with pytest.raises(CursorError):
        list(write(map(book_row, chain([second], late))))


def test_an_export_that_breaks_off_is_an_incomplete_answer(book: BookStore) -> None:
    """Over HTTP a client learns that the rest is missing, though the status was 200 before."""
    put(book, MORE_THAN_A_PART)
    app = FastAPI()

    @app.get("/export")
    def export() -> Response:
        found = all_of(book)
        row = next(found)
        for version in "23":
            put(book, {"c1": 0.5}, version)
        return streamed((book_row(each) for each in chain([row], found)), "jsonl", "book")

    server = uvicorn.Server(uvicorn.Config(app, port=free_port(), log_config=None))
    thread = Thread(target=server.run)
    thread.start()
    try:
        transport = httpx.HTTPTransport(retries=9)
        with (
            httpx.Client(transport=transport, timeout=30) as client,
            pytest.raises(httpx.RemoteProtocolError, match="incomplete"),
        ):
            client.get(f"http://127.0.0.1:{server.config.port}/export")
    finally:
        server.should_exit = True
        thread.join()


def test_predictive_scores_are_rows_as_dynamics_keeps_them(book: BookStore) -> None:
    """Score from 0 to 100, grade by band, trend by the week, reasons in words."""
    put(book, {"a": 0.964, "b": 0.02})
    one, two = (predictive_score(row, "declining") for row in all_of(book))
    assert ("a", 96, "A") == (one["entity_id"], one["score"], one["grade"])
    assert ("b", 2, "D") == (two["entity_id"], two["score"], two["grade"])
    assert "not enough information" == one["trend"]
    assert 3 == len(one["reasons"])


@pytest.mark.parametrize(
    ("now", "before", "rising", "expected"),
    [(0.5, 0.3, "improving", "improving"), (0.5, 0.3, "declining", "declining"),
     (0.3, 0.5, "declining", "improving"), (0.5, 0.49, "improving", "steady"),
     (0.5, None, "improving", "not enough information")],
)  # fmt: skip
def test_a_trend_says_what_the_week_did(
    now: float, before: float | None, rising: str, expected: str
) -> None:
    """Rising improves or declines, as the outcome has it; small moves are steady."""
    assert expected == trend(now, before, rising)
