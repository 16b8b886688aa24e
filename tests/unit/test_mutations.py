"""Mutations change everything beyond an edge and nothing before it."""

import numpy as np
import pytest
from journeys import one_row, plain, read_table, together

from features.durations import parse_moment
from features.event_log import EventLog
from training.leakage import _nearest, _small_enough
from training.mutations import EVERYTHING, MUTATIONS, RESTATED, Edge, mutate
from training.pipeline import Journeys, Question

JOURNEYS = """
customer | event_time | recorded_time | event | value | plan | renews_at
a        | 2023-01-01 | 2023-01-01    | buy   | 1     | big  | 2024-01-01
a        | 2023-02-01 | 2023-02-01    | buy   | 2     | big  | -
a        | 2023-02-01 | 2023-03-05    | chat  | -     | -    | -
a        | 2023-03-01 | 2023-03-01    | buy   | 3     | -    | 2024-02-01
b        | 2023-01-15 | 2023-01-15    | chat  | -     | tiny | -
b        | 2023-04-01 | 2023-04-01    | buy   | 9     | tiny | -
"""
EDGE = Edge(parse_moment("2023-02-01"), parse_moment("2023-02-01"))


def seen(log: EventLog, edge: Edge) -> list[list[object]]:
    """What each customer shows before an edge."""
    return [
        [
            event
            for event in plain(log, customer)
            if event.event_time <= edge.cutoff and event.recorded_time <= edge.known
        ]
        for customer in range(log.n_customers)
    ]


@pytest.mark.parametrize("name", [*MUTATIONS, RESTATED, "everything"])
def test_what_may_be_seen_stays(name: str) -> None:
    """Events before the cutoff that were recorded in time are the same, in the same order."""
    log, attributes = together(read_table(JOURNEYS), read_table(JOURNEYS))
    names = EVERYTHING if name == "everything" else (name,)
    other = mutate(Journeys(log, attributes), EDGE, names, seed=3)
    assert seen(log, EDGE) == seen(other.log, EDGE)
    assert seen(attributes, EDGE) == seen(other.attributes, EDGE)
    changed = other.attributes if name == RESTATED else other.log
    assert [plain(log, 0), plain(log, 1)] != [plain(changed, 0), plain(changed, 1)]


def test_added_events_begin_one_microsecond_after_the_edge() -> None:
    """The tightest edge is tried: an event at cutoff + 1 µs, and a late one at the cutoff."""
    log, attributes = together(read_table(JOURNEYS))
    added = mutate(Journeys(log, attributes), EDGE, ("added",), seed=3).log
    assert EDGE.cutoff + 1 == added.event_time[added.event_time > EDGE.cutoff].min()
    told = mutate(Journeys(log, attributes), EDGE, ("back-filled",), seed=3).log
    late = (told.event_time <= EDGE.cutoff) & (told.recorded_time > EDGE.known)
    assert late.sum() > 1


def test_a_log_without_events_stays_empty() -> None:
    """Attributes that nobody states can't be restated."""
    log, attributes = together(read_table(JOURNEYS))
    other = mutate(Journeys(log, attributes), EDGE, (RESTATED,), seed=3)
    assert 0 == other.attributes.n_events


def test_rows_at_the_edge_come_first() -> None:
    """Of the rows that see nothing beyond an edge, the newest are looked at."""
    row = one_row(EDGE.cutoff)
    assert [0] == _nearest(row, EDGE).tolist()
    assert [] == _nearest(row, Edge(EDGE.cutoff - 1, EDGE.known)).tolist()


def test_large_journeys_lose_whole_customers(monkeypatch: pytest.MonkeyPatch) -> None:
    """With too many events some customers are left out, and their rows with them."""
    monkeypatch.setattr("training.leakage.MOST_EVENTS", 4)
    log, attributes = together(read_table(JOURNEYS))
    rows = one_row(EDGE.cutoff)
    question = Question(
        type(rows)(np.array([0, 1]), np.full(2, EDGE.cutoff), np.full(2, EDGE.known)),
        np.full(2, EDGE.cutoff), np.array([0, 1], np.int8),
        np.array([0]), np.array([], np.int64), np.array([1]), EDGE.known,
    )  # fmt: skip
    fewer, asked = _small_enough(Journeys(log, attributes), question, seed=1)
    assert log.customers == fewer.log.customers
    assert fewer.log.n_events <= 4
    left = np.flatnonzero(np.diff(fewer.log.offsets) > 0)
    assert left.tolist() == asked.rows.customer.tolist()
    assert len(asked.train) + len(asked.test) == len(asked.rows)
