"""People's work with the list in the store: assigning, leaving out, planning, taking, views."""

import json
import threading
from datetime import UTC, datetime
from math import isclose

import pytest
from books import AS_OF, MANY, PROBLEM, put, scored, walked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.durations import DAY, this_moment
from serving.at_risk import ALL, ASLEEP, AWAKE, Question, page
from serving.book_owners import changed, with_owners
from serving.book_store import BookStore
from serving.worklist import MOST_VIEWS, Standing, View, Worklist, WorklistError, monday
from serving.worklist_tables import PLANNED

OWNERS = st.sampled_from(["Anna", "Bert", "Dora", None])
CUSTOMERS = st.sets(st.sampled_from(sorted(MANY)), min_size=1, max_size=12)


@pytest.fixture
def worklist(book: BookStore) -> Worklist:
    """The work with that book."""
    return Worklist(book.database, book.workspace)


def rows_of(book: BookStore, **asked: object) -> dict[str, object]:
    """The owner of every row that a list shows."""
    return {row.customer: row.owner for one in walked(book, **asked) for row in one.rows}


@pytest.mark.parametrize("by", ["probability", "expected_value", "value_at_stake", "risen", "due"])
@pytest.mark.parametrize(
    "asked",
    [{}, {"bands": ("high", "very high")}, {"owners": ("Anna",)}, {"prefix": "c0"},
     {"sees": frozenset(("Anna", "Bert")), "stages": ("usage",)}, {"among": ("c001", "c007", "x")}],
)  # fmt: skip
def test_who_is_left_out_is_in_no_count_and_the_two_lists_make_the_whole(
    book: BookStore, worklist: Worklist, by: str, asked: dict[str, object]
) -> None:
    """Totals and choices are those of the rows, with and without who is left out."""
    put(book, MANY)
    worklist.snooze(PROBLEM, ["c001", "c002", "c003", "c050"], this_moment() + 2 * DAY, "anna")
    seen = {}
    for snoozed in (AWAKE, ASLEEP, ALL):
        pages = walked(book, by=by, limit=9, snoozed=snoozed, **asked)
        found = [row for one in pages for row in one.rows]
        seen[snoozed] = {row.customer for row in found}
        assert len(seen[snoozed]) == len(found) == pages[0].totals.customers
        assert isclose(
            sum(row.value_at_stake for row in found), pages[0].totals.value_at_stake, abs_tol=1e-6
        )
        if asked.keys() <= {"sees"}:
            assert len(found) == sum(count for _, count in pages[0].choices["band"])
            owned = [row for row in found if row.owner is not None]
            assert len(owned) == sum(count for _, count in pages[0].choices["owner"])
    assert seen[ALL] == seen[AWAKE] | seen[ASLEEP]
    assert set() == seen[AWAKE] & seen[ASLEEP]
    assert {"c001", "c002", "c003", "c050"} >= seen[ASLEEP]
    assert {"c001", "c002", "c003", "c050"}.isdisjoint(seen[AWAKE])


def test_the_orders_that_are_made_when_asked_for_hold(book: BookStore) -> None:
    """What is at stake falls along its list, over all pages."""
    put(book, MANY)
    pages = walked(book, by="value_at_stake", limit=10)
    stakes = [row.value_at_stake for one in pages for row in one.rows]
    assert sorted(stakes, reverse=True) == stakes
    assert len(MANY) == len(stakes)


def test_left_out_ends_by_itself_and_by_hand(book: BookStore, worklist: Worklist) -> None:
    """A customer comes back when the moment is over, or when somebody says so."""
    put(book, MANY)
    worklist.snooze(PROBLEM, ["c001", "c002"], this_moment() + DAY, "anna")
    with book.database.writing() as connection:  # a day later
        connection.execute(PLANNED.update().where(PLANNED.c.customer == "c001").values(
            snoozed_until=this_moment() - 1))  # fmt: skip
    assert {"c001"} == {"c001", "c002"} & rows_of(book).keys()
    worklist.snooze(PROBLEM, ["c002"], None, "anna")
    assert {"c001", "c002"} <= rows_of(book).keys()
    assert Standing(None, None, None, "anna") == worklist.standing(PROBLEM, ["c002"])["c002"]


@pytest.mark.parametrize(
    "until", [this_moment() - 1, this_moment() + 400 * DAY], ids=["the past", "more than a year"]
)
def test_nobody_is_left_out_until_a_moment_that_cant_be_meant(
    worklist: Worklist, until: int
) -> None:
    """Such moments are refused and nothing is kept."""
    with pytest.raises(WorklistError):
        worklist.snooze(PROBLEM, ["c001"], until, "anna")
    assert {} == worklist.standing(PROBLEM, ["c001"])


def test_a_plan_is_kept_beside_a_snooze_and_forgotten_alone(worklist: Worklist) -> None:
    """One decision about a customer leaves the other one as it is."""
    until, due = this_moment() + DAY, this_moment() + 3 * DAY
    worklist.snooze(PROBLEM, ["a"], until, "anna")
    worklist.plan(PROBLEM, ["a", "b"], "call", due, "bert")
    found = worklist.standing(PROBLEM, ["a", "b", "c"])
    assert {
        "a": Standing(until, "call", due, "bert"),
        "b": Standing(None, "call", due, "bert"),
    } == found
    worklist.plan(PROBLEM, ["a"], None, None, "anna")
    assert Standing(until, None, None, "anna") == worklist.standing(PROBLEM, ["a"])["a"]
    assert {} == worklist.standing("conversion", ["a", "b"])
    with pytest.raises(WorklistError):
        worklist.plan(PROBLEM, ["a"], "séance", due, "anna")


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(st.tuples(OWNERS, CUSTOMERS), max_size=4))
def test_owners_and_their_counts_go_together(
    book: BookStore, worklist: Worklist, moves: list[tuple[str | None, set[str]]]
) -> None:
    """Whoever is given or given back, rows, choices and each owner's list say the same."""
    put(book, MANY)
    expected = dict(said := {str(k): v for k, v in rows_of(book).items()})
    for owner, customers in moves:
        if owner is None:
            worklist.take_back({who: said[who] for who in customers}, "lara")
        else:
            worklist.assign(dict.fromkeys(customers, owner), "lara")
        expected |= {who: said[who] if owner is None else owner for who in customers}
    assert expected == rows_of(book)
    whole = page(book, Question(PROBLEM, limit=200))
    owners = sorted({owner for owner in expected.values() if owner is not None})
    counts = [(o, list(expected.values()).count(o)) for o in owners]
    assert counts == whole.choices["owner"]
    for owner, count in counts:
        mine = page(book, Question(PROBLEM, limit=200, sees=frozenset([owner])))
        assert count == len(mine.rows) == mine.totals.customers == mine.rows_seen
        assert isclose(sum(r.expected_value for r in mine.rows), mine.totals.expected_value)


def test_a_book_that_is_made_anew_keeps_who_was_assigned(
    book: BookStore, worklist: Worklist
) -> None:
    """The histories say one owner, a lead said another: the lead's stays."""
    worklist.assign({"c001": "Dora", "c002": "Anna", "unknown": "Anna"}, "lara")
    table = with_owners(scored(MANY), worklist.assigned())
    owner = dict(zip(table["customer"].to_pylist(), table["owner"].to_pylist(), strict=True))
    before = dict(zip(*(scored(MANY)[n].to_pylist() for n in ("customer", "owner")), strict=True))
    assert before | {"c001": "Dora", "c002": "Anna"} == owner
    assert scored(MANY).schema == table.schema


def test_who_changes_hands_while_a_book_is_made_is_found() -> None:
    """Given, given on, and given back since: each ends where it would have been."""
    said = scored(MANY)
    owner = dict(zip(said["customer"].to_pylist(), said["owner"].to_pylist(), strict=True))
    before = {"c001": "Dora", "c002": "Dora", "c003": "Dora"}
    after = {"c001": "Dora", "c002": "Emil", "c004": "Emil"}
    assert {"c002": "Emil", "c003": owner["c003"], "c004": "Emil"} == changed(said, before, after)
    assert {} == changed(said, before, before)


def test_two_who_assign_at_once_leave_counts_that_fit(book: BookStore, worklist: Worklist) -> None:
    """Eight threads move overlapping customers; in the end counts are those of the rows."""
    put(book, MANY)
    names = sorted(MANY)

    def moved(n: int) -> None:
        worklist.assign(dict.fromkeys(names[n : n + 30], f"owner-{n}"), "lara")

    threads = [threading.Thread(target=moved, args=(n,)) for n in range(0, 64, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = rows_of(book)
    assert worklist.assigned().items() <= rows.items()
    counts = dict(page(book, Question(PROBLEM, limit=1)).choices["owner"])
    owners = [owner for owner in rows.values() if owner is not None]
    assert {owner: owners.count(owner) for owner in set(owners)} == counts


def test_a_weeks_share_keeps_its_order_and_its_week(worklist: Worklist) -> None:
    """Whom a person took stays, once each, and is theirs and that week's alone."""
    week = monday(this_moment())
    worklist.pick(PROBLEM, "user:anna", week, ["b", "a", "b"])
    worklist.pick(PROBLEM, "user:anna", week, ["c", "a"])
    assert ["b", "a", "c"] == worklist.picked(PROBLEM, "user:anna", week)
    assert [] == worklist.picked(PROBLEM, "user:anna", week - 7 * DAY)
    assert [] == worklist.picked(PROBLEM, "user:bert", week)


@pytest.mark.parametrize(
    ("day", "begin"),
    [("2024-01-01", "2024-01-01"), ("2026-11-29", "2026-11-23"), ("1969-12-31", "1969-12-29")],
)
def test_a_week_begins_on_monday(day: str, begin: str) -> None:
    """Whatever the day, also before 1970."""

    def moment(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000

    assert moment(begin) == monday(moment(day) + DAY - 1) == monday(moment(day))


def test_views_are_their_persons(worklist: Worklist) -> None:
    """A name holds one set of filters a person; how many there may be is bounded."""
    worklist.keep_view("user:anna", View("Big", "band=high"))
    worklist.keep_view("user:anna", View(" Big ", "band=low"))
    assert [View("Big", "band=low")] == worklist.views("user:anna")
    assert [] == worklist.views("user:bert")
    for number in range(MOST_VIEWS - 1):
        worklist.keep_view("user:anna", View(f"v{number}", ""))
    with pytest.raises(WorklistError):
        worklist.keep_view("user:anna", View("one more", ""))
    worklist.keep_view("user:anna", View("Big", "band=high"))
    worklist.drop_view("user:anna", "Big")
    assert MOST_VIEWS - 1 == len(worklist.views("user:anna"))
    for name in ("", " ", "x" * 61, "a\nb"):
        with pytest.raises(WorklistError):
            worklist.keep_view("user:anna", View(name, ""))


def test_the_books_time_is_not_needed(book: BookStore) -> None:
    """Histories that end years ago are worked with today."""
    put(book, MANY)
    assert AS_OF < this_moment() - 365 * DAY
    assert 101 == len(rows_of(book))
    assert json.loads(page(book, Question(PROBLEM)).rows[0].reasons)
