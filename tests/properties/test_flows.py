"""Counts of the journey map reconcile, whatever the journeys."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.durations import DAY
from features.event_log import build_log
from training.flows import flow, last_of, visits_of

STAGES = {"one": ("a", "b"), "two": ("c",), "three": ("d",)}
EVENTS = st.lists(
    st.tuples(st.sampled_from("xyz"), st.integers(0, 20), st.sampled_from("abcde")), min_size=1
)


@given(EVENTS)
def test_what_comes_into_a_stage_leaves_it_or_is_still_there(
    rows: list[tuple[str, int, str]],
) -> None:
    """Visits = transitions in + starts = transitions out + ends; customers never exceed times."""
    who, days, what = zip(*rows, strict=True)
    log = build_log(who, np.array(days, np.int64) * DAY, what)
    visits = visits_of(log, STAGES)
    found = flow(visits, np.ones(len(visits.stage), dtype=bool))
    moves = found["transitions"]
    for stage in found["stages"]:
        inward = sum(move["times"] for move in moves if move["target"] == stage["stage"])
        outward = sum(move["times"] for move in moves if move["source"] == stage["stage"])
        assert stage["visits"] == inward + stage["starts"] == outward + stage["ends"]
        assert stage["customers"] <= stage["visits"]
    assert all(0 < move["customers"] <= move["times"] for move in moves)
    assert all(move["source"] != move["target"] for move in moves)


@given(EVENTS, st.lists(st.tuples(st.integers(0, 4), st.integers(-2, 25)), min_size=1))
def test_the_last_thing_equals_a_slow_search(
    rows: list[tuple[str, int, str]], asked: list[tuple[int, int]]
) -> None:
    """For any customer and moment, known or not."""
    things = sorted(("xyz".index(who), day) for who, day, _ in rows)
    owner, time = (np.array(column, np.int64) for column in zip(*things, strict=True))
    customer, until = (np.array(column, np.int64) for column in zip(*asked, strict=True))
    slow = [
        max((at for at, (w, t) in enumerate(things) if w == who and t <= day), default=-1)
        for who, day in asked
    ]
    assert slow == last_of(owner, time, customer, until).tolist()
