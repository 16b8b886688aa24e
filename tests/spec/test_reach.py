"""How far histories reach: when events that arrive move the end, a case a test.

An import says the end itself. Of what arrives later, a tenth of what is usual for a gap has to have
happened in it; only news of the next day is believed at once. Days are UTC.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
from stores import opened

from features.durations import DAY, format_moment, parse_moment
from serving.event_store import TenantStore
from serving.reach import Reach, broken_off, count_days, moved

END = "2024-03-31T12:00"

Arrival = tuple[str, Sequence[str]]
"""When it came, and when its events happened."""


@pytest.fixture
def store(tmp_path: Path) -> TenantStore:
    return opened(f"sqlite:///{tmp_path / 'reach.db'}")


def many(day: str, n: int) -> list[str]:
    """Events of one day."""
    return [day] * n


def days(first: str, n: int, each: int) -> list[str]:
    """Events of several days, so many on each."""
    begin = parse_moment(first)
    return [format_moment(begin + day * DAY) for day in range(n) for _ in range(each)]


def arrived(
    store: TenantStore, a_day: int, arrivals: Sequence[Arrival], every: int = 1
) -> list[Reach]:
    """How far histories reach after each arrival, that ended with so many events every few days."""
    end, found = parse_moment(END), list[Reach]()
    with store.database.writing() as connection:
        place = (connection, store.workspace)
        old = [end - day * DAY for day in range(0, 90, every) for _ in range(a_day)]
        count_days(*place, old)
        reach = Reach().said(end)
        for stamp, happened in arrivals:
            times = [parse_moment(each) for each in happened]
            count_days(*place, times)
            reach = moved(*place, reach, max(times), parse_moment(stamp))
            found.append(reach)
    return found


NOW = "2026-07-01T09:00"

CASES: dict[str, tuple[int, Sequence[Arrival], str]] = {
    "news of the next day is believed": (
        100, [("2024-04-01T20:05", ["2024-04-01T20:00"])], "2024-04-01T20:05"),
    "yesterday's batch at dawn is news": (
        100, [("2024-04-01T05:00", ["2024-03-31T00:00"])], "2024-04-01T05:00"),
    "one event the day after that is not": (
        100, [("2024-04-02T09:00", ["2024-04-02T08:00"])], END),
    "a tenth of two days bears it out": (
        100, [("2024-04-02T09:00", many("2024-04-02", 20))], "2024-04-02T09:00"),
    "nearly a tenth does not": (
        100, [("2024-04-02T09:00", many("2024-04-02", 19))], END),
    "what comes bit by bit adds up": (
        100, [("2024-04-02T09:00", many("2024-04-02", 19)),
              ("2024-04-02T10:00", ["2024-04-02T10:00"])], "2024-04-02T10:00"),
    "one event years later moves nothing": (100, [(NOW, ["2026-07-01"])], END),
    "nor do nine days' events less one": (
        100, [(NOW, days("2026-06-22", 9, 100)[1:])], END),
    "nine days' of the last ninety bear years out": (
        100, [(NOW, days("2026-06-22", 9, 100)), (NOW, ["2026-07-01"])], NOW),
    "what fills a gap's beginning is no proof of its end": (
        100, [(NOW, [*days("2024-04-01", 60, 100), "2026-07-01"])], END),
    "an older event moves the end no farther than its time": (
        100, [(NOW, many("2024-04-01T18:00", 10))], "2024-04-01T18:00"),
    "few older events do not, even to the next day": (
        100, [(NOW, many("2024-04-01T18:00", 9))], END),
    "an old event is no claim": (100, [(NOW, ["2023-05-05"])], END),
    "nor is one of the first year": (100, [(NOW, ["0001-01-01"])], END),
    "a gap filled from the beginning is gone through": (
        100, [(NOW, days("2024-04-01", 400, 100)), (NOW, days("2025-05-06", 422, 100))], NOW),
    "a gap filled from its end is closed by what came first": (
        100, [(NOW, many("2026-07-01", 20)), (NOW, days("2026-04-01", 90, 100))], NOW),
    "a pause over a weekend needs little": (
        20, [("2024-04-03T09:00", many("2024-04-03", 6))], "2024-04-03T09:00"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_end_follows_the_flow(case: str, store: TenantStore) -> None:
    """The end moves with enough events in a gap, and no farther than they claim."""
    a_day, arrivals, expected = CASES[case]
    reach = arrived(store, a_day, arrivals)[-1]
    assert parse_moment(expected) == reach.until


def test_a_tiny_business_is_never_stuck(store: TenantStore) -> None:
    """With an event a week one is enough after two months' silence, and two after any."""
    for stamp, events, expected in (
        ("2024-05-30T10:00", ["2024-05-30"], "2024-05-30T10:00"),
        (NOW, ["2026-07-01", "2026-06-25"], NOW),
    ):
        with store.database.writing() as connection:
            connection.exec_driver_sql("delete from event_days")
        assert parse_moment(expected) == arrived(store, 1, [(stamp, events)], 7)[0].until


def test_the_first_event_is_the_end(store: TenantStore) -> None:
    """Where nothing was before, news reaches up to its arrival, an old event up to its time."""
    with store.database.writing() as connection:
        place = (connection, store.workspace)
        for happened, expected in (("2026-07-01", NOW), ("0001-01-01", "0001-01-01")):
            time = parse_moment(happened)
            assert moved(*place, Reach(), time, parse_moment(NOW)).until == parse_moment(expected)


def test_it_is_said_how_many_are_there_and_have_to_be(store: TenantStore) -> None:
    """A gap of ten days at a hundred a day needs a hundred; once they came nothing is said."""
    few, enough = arrived(store, 100, [
        ("2024-04-10T09:00", many("2024-04-10", 4)), ("2024-04-10T10:00", many("2024-04-10", 96))
    ])  # fmt: skip
    assert few.broken and not enough.broken
    with store.database.reading() as connection:
        why = broken_off(connection, store.workspace, few)
        assert why is not None and parse_moment(END) == why.until
        assert (100, 100) == (why.found, why.needed)  # by now the others have come
        assert broken_off(connection, store.workspace, enough) is None


def test_an_import_is_believed(store: TenantStore) -> None:
    """It says the end itself, and never an earlier one than was reached."""
    broken = arrived(store, 100, [(NOW, ["2026-07-01"])])[0]
    later, earlier = parse_moment("2026-07-02"), parse_moment("2024-01-01")
    assert not broken.said(later).broken and later == broken.said(later).until
    assert broken == broken.said(earlier)
