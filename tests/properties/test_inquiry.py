"""Asking everything at once gives what asking one by one gives, to the last bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from journeys import log_of, together

from features.config import Problem
from features.cutoffs import AsOf, current, judge
from features.durations import days, format_moment, parse_moment
from features.engine import compute, compute_exact
from features.inquiry import Inquiry
from features.language import attribute_days, attribute_number, calendar, events, stage_feature

PROBLEMS = (
    Problem(outcome={"silence_of": "a"}, horizon="7d", cohort={"active_within": "5d"}),
    Problem(outcome={"event": "b", "repeats": False}, horizon="7d", cohort={"without": ["c"]}),
    Problem(outcome={"event": "b", "same": "plan"}, horizon="4d", at={"event": "a"}),
    Problem(outcome={"not": "b", "by": "renews_at"}, horizon="6d"),
    Problem(
        outcome={"not": "b", "by": "renews_at"}, before={"property": "renews_at", "lead": ["4d"]}
    ),
    Problem(labels="select 1", horizon="7d"),
)
STAGES = (("seek", ("a",)), ("own", ("b", "c")))
FURTHER = (events("a").sum("value", last=days(5)), stage_feature("stage_days", STAGES))
FEATURES = (
    events().count(),
    events("a").recency(),
    events("a", "b").mean("value", last=days(7)),
    events("b").slope("value"),
    events("c").having("plan", "x", "y").share(last=days(3)),
    events().distinct("plan", events=4),
    events("a").burstiness(),
    events().last_level("plan", ("x", "z")),
    stage_feature("stage_now", STAGES),
    calendar("weekday"),
    attribute_number("wait"),
    attribute_days("renews_at"),
)

START = parse_moment("2024-01-01")
offsets = st.integers(0, 40).map(lambda half: START + half * days(1) // 2)
rows = st.fixed_dictionaries(
    {
        "customer": st.sampled_from(["p", "q", "r"]),
        "event_time": offsets.map(format_moment),
        "event": st.sampled_from(["a", "b", "c"]),
        "value": st.sampled_from(["0", "1.5", "-2.25", "33333.333333333336", "1e-7", "nan"]),
    },
    optional={
        "recorded_time": offsets.map(format_moment),
        "plan": st.sampled_from(["x", "y", "z"]),
        "wait": st.sampled_from(["2", "nan"]),
        "renews_at": offsets.map(format_moment),
    },
)
histories = st.lists(rows, min_size=1, max_size=30)


@given(histories, histories, st.sampled_from(PROBLEMS), offsets, st.integers(0, 9), st.booleans())
@settings(max_examples=150)
def test_one_inquiry_equals_its_questions(
    history: list[dict[str, str]],
    about: list[dict[str, str]],
    problem: Problem,
    moment: int,
    since: int,
    dated_by_event: bool,
) -> None:
    """Windows, verdicts, vectors and further values are those of one engine call a question."""
    log, attributes = together(log_of(history), log_of(about))
    if not dated_by_event:
        log.times.pop("renews_at")  # type: ignore[attr-defined]  # a plain dict underneath
    as_of = AsOf(moment, moment + days(since))
    inquiry = Inquiry(problem, FEATURES, FURTHER, log.kinds, attributes.kinds)
    found = inquiry.ask(log, attributes, as_of)
    plain = current(problem, log, attributes, as_of)
    for one, other in (
        (plain.opens, found.moments.opens),
        (plain.closes, found.moments.closes),
        (plain.rows.cutoff_time, found.moments.rows.cutoff_time),
        (plain.rows.known_time, found.moments.rows.known_time),
        (judge(problem, log, attributes, plain), found.verdict),
        (compute(FEATURES, log, attributes, plain.rows), found.vectors),
        (compute_exact(FURTHER, log, attributes, plain.rows), found.further),
    ):
        assert one.dtype == other.dtype
        assert np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()
