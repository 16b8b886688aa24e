"""Random journeys, and a feature of every kind over them, for tests of what always holds."""

from hypothesis import strategies as st

from features.durations import MINUTE, days, format_moment, parse_moment
from features.feature import Feature, Rates
from features.language import (
    Events,
    attribute_days,
    attribute_level,
    attribute_number,
    attribute_peer_rate,
    calendar,
    events,
    stage_feature,
)

START = parse_moment("2024-01-01")


STAGES = (("seek", ("a",)), ("choose", ("x",)), ("own", ("b",)), ("help", ("c",)))
RATES = (
    Rates(None, (START, START + days(9)), (40, 80), (10, 80)),
    Rates("x", (START + days(2),), (20,), (15,)),
    Rates("y", (START + days(4), START + days(8)), (1, 20), (1, 2)),
)


def of_events(some: Events) -> list[Feature]:
    """Every kind that reads events, over each kind of window."""
    made: list[Feature] = []
    for last in (None, days(1), days(7)):
        made += [some.count(last), some.days_active(last), some.changes("value", last)]
        made += [some.sessions(last), some.session_events(last), some.session_minutes(last)]
        made += [some.level_changes("plan", last)]
    for window in ({}, {"last": days(1)}, {"last": days(7)}, {"events": 1}, {"events": 4}):
        made += [some.share(**window), some.gap_mean(**window)]
        made += [some.sum("value", **window), some.mean("value", **window)]
        made += [some.min("value", **window), some.max("value", **window)]
        made += [some.std("value", **window), some.slope("value", **window)]
        made += [some.zero_share("value", **window), some.distinct("plan", **window)]
        made += [some.level_share("plan", "x", **window)]
    made += [some.trend(days(7)), some.recency(), some.tenure(), some.lateness()]
    made += [some.gap_std(), some.gap_max(), some.gap_last(), some.burstiness()]
    made += [some.busiest_day(), some.last_number("value"), some.last_change("value")]
    made += [some.last_level("plan", ("x", "z")), some.peer_rate("plan", RATES)]
    return [*made, some.days_until("renews_at"), some.stated("renews_at")]


def all_features() -> list[Feature]:
    """Every kind, over choices of events that are common, rare and absent."""
    choices = (
        events(), events("a", "b"), events("never"), events("a", "c").having("plan", "y", "z"),
        events("b").containing("two", "three"),
    )  # fmt: skip
    made = [feature for some in choices for feature in of_events(some)]
    for last in (None, days(7)):
        made += [
            stage_feature(kind, STAGES, last)
            for kind in ("stage_changes", "stage_jumps", "stage_regressions")
        ]
    made += [stage_feature(f"stage_{kind}", STAGES) for kind in ("now", "days", "furthest")]
    made += [calendar(kind) for kind in ("weekday", "day_of_month", "month")]
    about = [
        attribute_number("wait"),
        attribute_level("plan", ("x", "y")),
        attribute_days("renews_at"),
        attribute_peer_rate("plan", RATES),
    ]
    return made + about


FEATURES = all_features()

minutes = st.sampled_from([0, 20, 50]).map(lambda count: count * MINUTE)
offsets = st.builds(
    lambda half, some: START + half * days(1) // 2 + some, st.integers(0, 40), minutes
)
values = st.sampled_from(["0", "1.5", "-2.25", "33333.333333333336", "1e-7", "nan"])
rows = st.fixed_dictionaries(
    {
        "customer": st.sampled_from(["p", "q", "r"]),
        "event_time": offsets.map(format_moment),
        "event": st.sampled_from(["a", "b", "c"]),
        "value": values,
    },
    optional={
        "recorded_time": offsets.map(format_moment),
        "plan": st.sampled_from(["x", "y", "z"]),
        "account": st.sampled_from(["g", "h"]),
        "text": st.sampled_from(["One, two", "one", "three TWO", "none"]),
        "wait": values,
        "renews_at": offsets.map(format_moment),
    },
)
histories = st.lists(rows, min_size=1, max_size=40)
moments = st.tuples(offsets, st.sampled_from([0, 0, -days(2), days(3)]))
