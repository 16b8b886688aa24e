"""One customer's rows a page at a time, on SQLite and on PostgreSQL alike: no more is read."""

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from stores import addresses, opened, sent

from serving.customer_rows import CursorError, CustomerRows, page_statement
from serving.event_store import TenantStore
from serving.inserting import add_rows
from serving.intake import Intake
from serving.ledger import Ledger, Recorded
from serving.tables import EVENTS, SCORES, STATEMENTS

MANY = 3_000
"""Events of one customer; each of the others has two."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TenantStore]:
    with addresses(request.param, tmp_path_factory.mktemp("rows")) as url:
        made, intake = opened(url), Intake()
        for customer, count in (("long", MANY), *((f"c{i}", 2) for i in range(1500))):
            rows: list[object] = [
                {"customer": customer, "event": "order", "event_time": f"2024-01-{1 + i % 28:02d}",
                 "event_id": f"{customer}-{i // 3}", "source": "abc"[i % 3], "i": i}
                for i in range(count)
            ]  # fmt: skip
            sent(intake, made, rows)
        stated: list[object] = [
            {"customer": "long", "attributes": {"plan": f"p{i}"},
             "valid_from": f"2023-{1 + i % 12:02d}-01", "event_id": f"s{i}"} for i in range(40)
        ]  # fmt: skip
        sent(intake, made, stated)
        with made.database.writing() as connection:
            add_rows(connection, SCORES, [score_row(made.workspace, i) for i in range(600)])
            if not made.database.is_sqlite:
                connection.execute(text("analyze"))
        yield made
        intake.close()
        made.database.close()


def score_row(workspace: int, number: int) -> tuple[object, ...]:
    """A recorded score; every other one is of the long customer, by turns of two problems."""
    customer = "long" if number % 2 else f"c{number}"
    given = {
        "workspace": workspace, "score_id": f"{number:030x}", "customer": customer,
        "problem": ("churn", "growth")[number // 2 % 2], "as_of": 0, "known_time": 0, "model": "m",
        "version": "1", "digest": "d", "answer": b"",
    }  # fmt: skip
    return tuple(given.get(column.name) for column in SCORES.columns)


@pytest.mark.parametrize("size", [1, 7, 999, 5000])
def test_pages_together_are_all_rows(size: int, store: TenantStore) -> None:
    """Whatever their size, the pages hold each event once, newest first, also those of one time
    and of one id from several sources; and so do the pages of statements."""
    rows = CustomerRows(store.database, store.workspace, "long")
    everything, stated = store.journeys.rows("long")
    assert (MANY, 40) == (len(everything), len(stated))
    for expected, read in ((everything, rows.events), (stated, rows.statements)):
        if size == 1:
            expected = expected[-50:]
        found, cursor, pages = [], None, 0
        while len(found) < len(expected):
            page = read(size, cursor)
            assert len(page.rows) <= size
            found += page.rows
            cursor, pages = page.next, pages + 1
        assert [tuple(row) for row in reversed(expected)] == found[: len(expected)]
        assert (cursor is None) == (size > 1 or len(expected) == 40)


def plan(store: TenantStore, statement: str, values: tuple[object, ...]) -> str:
    """How the store finds the rows of a query."""
    sqlite = store.database.is_sqlite
    explain = "explain query plan " if sqlite else "explain (analyze, format json) "
    with store.database.cursor() as cursor:
        rows = cursor.execute(explain + statement, values).fetchall()
    return "\n".join(str(row[3]) for row in rows) if sqlite else json.dumps(rows[0][0])


@pytest.mark.parametrize("table", [EVENTS, STATEMENTS], ids=str)
@pytest.mark.parametrize("after", [False, True])
def test_a_page_is_one_range_of_the_key(table: object, after: bool, store: TenantStore) -> None:
    """From the newest end or from a place, the rows of a page come out of the key in their order:
    nothing is sorted and nothing beside them is read."""
    place = (1_704_800_000_000_000, 1, "long-5") if after else ()
    values = (store.workspace, "long", *place, 21)
    mark = store.database.mark
    said = plan(store, page_statement(table, mark, after), values)
    if store.database.is_sqlite:
        assert said.startswith(f"SEARCH {table} USING PRIMARY KEY (workspace=? AND customer=?")
        assert "TEMP B-TREE" not in said and after == ("event_time" in said)
    elif table is EVENTS:  # of a handful of statements a server may read all
        (found,) = json.loads(said)
        (scan,) = found["Plan"]["Plans"]
        assert ("Index Scan", "Backward") == (scan["Node Type"], scan["Scan Direction"])
        assert after == ("ROW(" in scan["Index Cond"]) and scan["Actual Rows"] <= 21
        assert "Rows Removed by Filter" not in scan


def test_a_count_has_an_end(store: TenantStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are counted up to a bound, and one more says that there are others."""
    rows = CustomerRows(store.database, store.workspace, "long")
    assert MANY == rows.count()
    monkeypatch.setattr("serving.customer_rows.MOST_COUNTED", 100)
    assert 101 == rows.count()
    assert 0 == CustomerRows(store.database, store.workspace, "nobody").count()


@pytest.mark.parametrize(
    "cursor",
    ["x", "é", "MSAy", "OTk5OTk5OTk5OTk5OTk5OTk5OTkgMSBh", "MSA5OTk5OTk5OTk5OSBh", "MSAxIAA="],
)  # fmt: skip
def test_a_cursor_that_no_page_gave_is_refused(cursor: str, store: TenantStore) -> None:
    """No cursor at all, one without an id, numbers that no store can hold, and a NUL."""
    with pytest.raises(CursorError):
        CustomerRows(store.database, store.workspace, "long").events(1, cursor)


def test_the_newest_scores_come_in_pages(store: TenantStore) -> None:
    """Scores of all problems together are in the order of their ids, newest first, each once."""
    ledger = Ledger(store.database)
    found: list[Recorded] = []
    while page := ledger.newest(store.workspace, "long", 70, found[-1].score_id if found else None):
        found += page
    assert [f"{number:030x}" for number in range(599, 0, -2)] == [each.score_id for each in found]
    assert {"churn", "growth"} == {each.problem for each in found}
    if store.database.is_sqlite:
        asked = (
            "select score_id from scores where workspace = ? and customer = ? and problem = ? "
            "and score_id < ? order by score_id desc limit 5"
        )
        said = plan(store, asked, (store.workspace, "long", "churn", "f"))
        assert "ix_scores_customer" in said and "TEMP B-TREE" not in said
