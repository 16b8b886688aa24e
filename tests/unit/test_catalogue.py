"""The default catalogue: what a history calls for, and nothing that only its future knows."""

from journeys import log_of, together

from features.catalogue import default_catalogue
from features.durations import days, parse_moment
from features.event_log import EventLog
from features.feature import Feature

WINDOWS = (days(7), days(30))
UNTIL = parse_moment("2024-03-01")


def catalogue(log: EventLog, about: EventLog | None = None) -> tuple[Feature, ...]:
    log, attributes = together(log, about)
    return default_catalogue(log, attributes, {"decision": ["a", "b"]}, WINDOWS, UNTIL)


def past() -> list[dict[str, str]]:
    return [
        {
            "event_time": f"2024-0{1 + i % 2}-{1 + i % 28:02d}",
            "event": "ab"[i % 2],
            "channel": "xy"[i % 2],
            "value": "3",
        }
        for i in range(60)
    ]


def test_what_happens_later_adds_and_takes_no_column() -> None:
    """New events, channels, levels, properties and dates after the moment change nothing."""
    later = [
        {
            "event_time": "2024-05-01", "event": f"new {i}", "channel": f"c{i}", "plan": f"p{i}",
            "wait": "1", "renews_at": "2025-01-01",
        }
        for i in range(40)
    ]  # fmt: skip
    about = [{"event_time": "2024-01-01", "plan": p} for p in ["s", "t"] * 5]
    told_later = [{"event_time": "2024-06-01", "wait": "5", "renews_at": "2025-01-01"}]
    one = catalogue(log_of(past()), log_of(about))
    other = catalogue(log_of(past() + later), log_of(about + told_later))
    assert one == other


def test_the_families_are_there() -> None:
    """A log with two events, a channel and a value has counts, gaps, sums, shares and a stage."""
    found = catalogue(log_of(past()))
    assert {"count", "recency", "tenure", "gap_mean", "sum", "mean", "share", "trend"} <= {
        feature.kind for feature in found
    }
    assert "decision stage" in {feature.where.label for feature in found}
    assert "x channel" in {feature.where.label for feature in found}
    assert len(found) == len(set(found))


def test_windows_longer_than_the_history_are_left_out() -> None:
    """A window that reaches beyond the first event says what "so far" says."""
    log, attributes = together(log_of(past()))
    found = default_catalogue(log, attributes, {}, (days(7), days(4000)), UNTIL)
    assert {days(7), None} == {f.last for f in found if f.kind == "count"}


def test_an_empty_past_calls_for_nothing() -> None:
    """Before anything was recorded there is no column."""
    log, attributes = together(log_of(past()))
    assert () == default_catalogue(log, attributes, {}, WINDOWS, parse_moment("2020-01-01"))
