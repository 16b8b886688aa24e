"""The rule of time, an edge a test.

Features read events with event_time ≤ cutoff_time and recorded_time ≤ known_time; labels
read cutoff_time + gap < event_time ≤ cutoff_time + gap + horizon.
"""

import numpy as np
import pytest
from journeys import nobody, plain, read_table, rows_at, together
from numpy.typing import NDArray

from features.config import Problem
from features.cutoffs import Moments, with_windows
from features.durations import days, parse_moment
from features.engine import compute_exact
from features.event_log import EventLog
from features.feature import Feature
from features.language import events
from features.outcomes import first_happened, labels_of
from features.reference import value_at


def both_engines(feature: Feature, table: str, *moment: str) -> float:
    """The value that the engine and the reference agree on."""
    log, attributes = together(read_table(table))
    rows = rows_at(log, ("c", *moment))
    fast = compute_exact([feature], log, attributes, rows)[0, 0]
    slow = value_at(feature, plain(log, 0), [], parse_moment(moment[0]), parse_moment(moment[-1]))
    np.testing.assert_allclose(fast, slow, rtol=1e-9)
    return float(fast)


def labels(problem: Problem, log: EventLog, moments: Moments) -> NDArray[np.int8]:
    """The label of each row."""
    return labels_of(problem, first_happened(problem, log, moments))


EDGES = """
| event_time          |
|---------------------|
| 2024-03-01T00:00:00 |
| 2024-03-08T00:00:00 |
| 2024-03-08T00:00:01 |
"""


@pytest.mark.parametrize(
    ("cutoff", "expected"),
    [
        ("2024-03-08T00:00:00", 1.0),  # at the cutoff: in; exactly one window before it: out
        ("2024-03-07T23:59:59", 1.0),  # the first event is inside again
        ("2024-03-08T00:00:01", 2.0),
        ("2024-02-29T23:59:59", 0.0),
    ],
)
def test_a_window_is_open_before_and_closed_at_the_cutoff(cutoff: str, expected: float) -> None:
    """A window is `(cutoff - length, cutoff]`."""
    assert expected == both_engines(events().count(last=days(7)), EDGES, cutoff)


LATE = """
| event_time | recorded_time | value |
|------------|---------------|-------|
| 2024-03-01 | 2024-03-01    | 1     |
| 2024-03-02 | 2024-03-10    | 10    |
| 2024-03-03 | 2024-03-05    | 100   |
"""


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (("2024-03-04",), 1.0),  # the two later ones were not recorded yet
        (("2024-03-05",), 101.0),  # recorded exactly at the known time
        (("2024-03-10",), 111.0),
        (("2024-03-04", "2024-03-10"), 111.0),  # known later than the cutoff: back-filled
        (("2024-03-10", "2024-03-04"), 1.0),  # replayed as it was known on an earlier day
    ],
)
def test_an_event_counts_from_the_moment_it_was_recorded(
    moment: tuple[str, ...], expected: float
) -> None:
    """An event is seen where `recorded_time <= known_time`, however early it happened."""
    assert expected == both_engines(events().sum("value"), LATE, *moment)


@pytest.mark.parametrize(
    ("event_time", "expected"),
    [
        ("2024-03-10T00:00:00", 0),  # at the end of the gap: out
        ("2024-03-10T00:00:01", 1),
        ("2024-03-20T00:00:00", 1),  # at the end of the horizon: in
        ("2024-03-20T00:00:01", 0),
    ],
)
def test_a_label_window_opens_after_the_gap_and_closes_at_the_horizon(
    event_time: str, expected: int
) -> None:
    """A label reads `(cutoff + gap, cutoff + gap + horizon]`."""
    log = read_table(f"event_time | event\n2024-01-01 | seen\n{event_time} | bought")
    problem = Problem(outcome={"event": "bought"}, gap="9d", horizon="10d")
    moments = with_windows(problem, rows_at(log, ("c", "2024-03-01")), log, nobody(log))
    assert [expected] == labels(problem, log, moments).tolist()


def test_silence_is_the_absence_of_the_event() -> None:
    """For a silence, the label is 1 where no such event lies in the window."""
    log = read_table("event_time | event\n2024-03-05 | bought\n2024-03-25 | looked")
    problem = Problem(outcome={"silence_of": "bought"}, horizon="7d")
    rows = rows_at(log, ("c", "2024-03-01"), ("c", "2024-03-20"))
    assert [0, 1] == labels(problem, log, with_windows(problem, rows, log, nobody(log))).tolist()


def test_a_date_only_history_works_in_whole_days() -> None:
    """An event dated by its day belongs to a cutoff on that day, and not to its label."""
    log = read_table("event_time | event\n2024-03-01 | bought")
    problem = Problem(outcome={"event": "bought"}, horizon="7d")
    moments = with_windows(problem, rows_at(log, ("c", "2024-03-01")), log, nobody(log))
    assert [0] == labels(problem, log, moments).tolist()
    assert 1.0 == both_engines(
        events("bought").count(), "event_time | event\n2024-03-01 | bought", "2024-03-01"
    )
