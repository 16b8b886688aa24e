"""Peer rates by hand: what was known of earlier customers at each moment."""

import numpy as np
import pytest
from journeys import log_of, nobody

from features.config import Problem
from features.cutoffs import with_windows
from features.durations import format_moment, parse_moment
from features.engine import Rows, compute_exact
from features.event_log import EventLog
from features.feature import Feature, Rates
from training.peers import changes, joined, peer_features, shared_categories

UNTIL = parse_moment("2024-06-01")
BUYS = {"outcome": {"event": "buy", "repeats": True}, "horizon": "10d", "every": "10d"}


def customers() -> list[dict[str, str]]:
    """Ten customers who looked once: five by the channel web, five by the shop."""
    return [
        {"customer": c, "event_time": "2024-01-01T08:00", "event": "look",
         "channel": "web" if c < "f" else "shop"}
        for c in "abcdefghij"
    ]  # fmt: skip


def rates(
    problem: dict[str, object], more: list[dict[str, str]], cutoff: str = "2024-01-02"
) -> tuple[EventLog, Feature]:
    """The rate by channel of ten rows at one cutoff."""
    log = log_of([*customers(), *more])
    when = np.full(10, parse_moment(cutoff))
    asked = Problem(**problem)
    moments = with_windows(asked, Rows(np.arange(10), when, when), log, nobody(log))
    categories = shared_categories(asked, log, nobody(log), UNTIL, ())
    whole = changes(categories, asked, log, nobody(log), moments)
    halves = [
        changes(categories, asked, log, nobody(log), moments.take(half))
        for half in (np.arange(5), np.arange(5, 10))
    ]
    found = peer_features(categories, whole)
    assert found == peer_features(categories, joined(halves))
    assert ["channel"] == [feature.of for feature in found]
    return log, found[0]


def steps(feature: Feature, level: str | None) -> list[tuple[str, int, int]]:
    """(from when, known rows, true ones) of a level."""
    found: Rates = next(each for each in feature.rates if each.level == level)
    days = [format_moment(t)[:16] for t in found.known_time]
    return list(zip(days, found.n, found.positive, strict=True))


def buy(customer: str, day: str, **more: str) -> dict[str, str]:
    return {"customer": customer, "event_time": day, "event": "buy", "channel": "web", **more}


def test_only_matured_rows_count() -> None:
    """A row counts from the end of its window on, with what had happened by then."""
    more = [buy("a", "2024-01-05"), buy("f", "2024-01-12"), buy("g", "2024-01-13")]
    _, found = rates(BUYS, more)
    assert [("2024-01-12T00:00", 10, 2)] == steps(found, None)
    assert [("2024-01-12T00:00", 5, 1)] == steps(found, "web")
    assert [("2024-01-12T00:00", 5, 1)] == steps(found, "shop")


def test_moments_are_rounded_up_to_whole_days() -> None:
    """A window that ends in the morning counts from the next midnight."""
    _, found = rates(BUYS, [], "2024-01-02T09:30")
    assert [("2024-01-13T00:00", 10, 0)] == steps(found, None)


def test_an_outcome_recorded_later_corrects_the_count_from_then_on() -> None:
    """Until the record nobody knew, so the rate of those days says 0."""
    _, found = rates(BUYS, [buy("a", "2024-01-05", recorded_time="2024-02-01T12:00")])
    assert [("2024-01-12T00:00", 5, 0), ("2024-02-02T00:00", 5, 1)] == steps(found, "web")


def test_a_silence_is_broken_by_what_is_recorded_later() -> None:
    """For a silence the later record makes the outcome untrue."""
    silence = {"outcome": {"silence_of": "buy"}, "horizon": "10d", "every": "10d"}
    more = [buy("a", "2024-01-05"), buy("b", "2024-01-05", recorded_time="2024-02-01")]
    _, found = rates(silence, more)
    assert [("2024-01-12T00:00", 5, 4), ("2024-02-01T00:00", 5, 3)] == steps(found, "web")


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ("2024-01-04", [("2024-01-17T00:00", 4, 0)]),  # known to be gone: never counted
        ("2024-02-01", [("2024-01-17T00:00", 5, 0), ("2024-02-01T00:00", 4, 0)]),
    ],
)
def test_who_left_in_the_gap_counts_until_that_is_known(
    recorded: str, expected: list[tuple[str, int, int]]
) -> None:
    """A row without a label is no peer, but before the record it looked like one."""
    once = {"outcome": {"event": "buy", "repeats": False}, "gap": "5d", "horizon": "10d"}
    _, found = rates(once, [buy("a", "2024-01-04", recorded_time=recorded)])
    assert expected == steps(found, "web")


def test_with_same_only_an_agreeing_outcome_counts() -> None:
    """An outcome of another plan than the anchor's is none, nor is one whose anchor came late."""
    same = {"outcome": {"event": "buy", "same": "plan"}, "at": {"event": "offer"}, "horizon": "10d"}
    offers = [
        {"customer": c, "event_time": "2024-01-02", "event": "offer", "plan": "p",
         "channel": "web" if c < "f" else "shop"}
        for c in "abcdefghij"
    ]  # fmt: skip
    late = {**offers[2], "plan": "q", "recorded_time": "2024-01-09"}
    more = [buy("a", "2024-01-05", plan="p"), buy("b", "2024-01-05", plan="q"),
            buy("c", "2024-01-05", plan="q")]  # fmt: skip
    _, found = rates(same, [*offers, late, *more])
    assert [("2024-01-12T00:00", 5, 1)] == steps(found, "web")


def test_before_a_date_the_window_ends_with_that_day() -> None:
    """Renewals until the end of the day count, and the rate holds from the midnight after it."""
    before = {
        "outcome": {"not": "renew", "by": "renews_at"},
        "before": {"property": "renews_at", "lead": ["20d"]},
    }
    more = [
        {"customer": c, "event_time": "2024-01-02", "event": "sign", "renews_at": "2024-01-22"}
        for c in "abcdefghij"
    ] + [{"customer": "a", "event_time": "2024-01-22T18:00", "event": "renew"}]
    _, found = rates(before, more)
    assert [("2024-01-23T00:00", 5, 4)] == steps(found, "web")


def test_a_row_sees_the_rate_of_its_day_and_level() -> None:
    """The value at a cutoff is made of the counts that hold then; none before the first."""
    log, found = rates(BUYS, [buy("a", "2024-01-05"), buy("b", "2024-01-06")])
    when = np.array([parse_moment(d) for d in ("2024-01-11", "2024-01-12")])
    seen = compute_exact([found], log, nobody(log), Rows(np.array([2, 2]), when, when))[:, 0]
    everybody = 2 / 10
    np.testing.assert_allclose(seen, [np.nan, (2 + 20 * everybody) / (5 + 20)])


@pytest.mark.parametrize(("cutoff", "known"), [("2024-01-11", "2024-03-01"),
                                               ("2024-03-01", "2024-01-11")])  # fmt: skip
def test_a_row_sees_no_rate_of_a_later_moment_than_its_cutoff(cutoff: str, known: str) -> None:
    """An anchor recorded after its own window was over tells its row nothing of that window."""
    log, found = rates(BUYS, [buy("a", "2024-01-05")])
    row = Rows(np.array([2]), *(np.array([parse_moment(day)]) for day in (cutoff, known)))
    assert np.isnan(compute_exact([found], log, nobody(log), row)[0, 0])
