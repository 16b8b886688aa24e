"""The default catalogue: what a history calls for, and nothing that only its future knows."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from journeys import log_of, together

from features.catalogue import default_catalogue, shared_levels
from features.durations import days, format_moment, parse_moment
from features.event_log import EventLog
from features.feature import Feature
from features.groups import with_groups

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


MOMENTS = st.integers(0, 120).map(lambda day: format_moment(UNTIL + days(day - 60) + day % 2))
ROWS = st.fixed_dictionaries(
    {"event_time": MOMENTS, "event": st.sampled_from(["a", "b", "new"])},
    optional={
        "value": st.sampled_from(["0", "1"]),
        "wait": st.sampled_from(["0", "1"]),
        "channel": st.sampled_from(["x", "y", "z"]),
        "plan": st.sampled_from(["p", "q"]),
        "account": st.sampled_from(["g", "h"]),
        "text": st.sampled_from(["late order", "fine"]),
        "renews_at": MOMENTS,
    },
)


def everything(events: list[dict[str, str]], about: list[dict[str, str]]) -> tuple[object, ...]:
    """All that a history decides: columns, and the levels that get a peer rate."""
    log, attributes = together(log_of(events), log_of(about))
    log = with_groups(log, ["account"])
    stages = {"one": ["a"], "two": ["b", "new"]}
    return (
        default_catalogue(log, attributes, stages, WINDOWS, UNTIL, ["plan"]),
        shared_levels(log, UNTIL), shared_levels(attributes, UNTIL),
    )  # fmt: skip


@settings(max_examples=40)
@given(st.lists(ROWS, max_size=8), st.lists(ROWS, min_size=1, max_size=6), st.booleans())
def test_no_part_of_the_catalogue_knows_what_is_recorded_later(
    some: list[dict[str, str]], later: list[dict[str, str]], midnight: bool
) -> None:
    """Whatever is recorded after the moment, early or late events, no column comes or goes."""
    some = [row for row in some if parse_moment(row["event_time"]) <= UNTIL]
    base = [] if midnight else [{**row, "event_time": "2024-01-02T03:04"} for row in past()]
    seen = (past() + base + some) * 3
    unseen = [{**row, "recorded_time": format_moment(UNTIL + 1)} for row in later] * 20
    assert everything(seen, seen) == everything(seen + unseen, seen + unseen)


def test_a_property_that_comes_later_is_no_column_of_a_group() -> None:
    """A group sums values only where a value had been recorded."""
    rows = [{**row, "account": "g"} for row in past()]
    with_value = with_groups(log_of(rows), ["account"])
    late = np.full(with_value.n_events, np.nan)
    names = [
        [f.name for f in catalogue(log) if f.over is not None and f.of == "value"]
        for log in (with_value, replace(with_value, numbers={"value": late}))
    ]
    assert ([True, False]) == [bool(found) for found in names]
