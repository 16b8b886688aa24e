"""Each kind of feature on one small journey, worked out by hand."""

import math

import numpy as np
import pytest
from journeys import plain, read_table, rows_at, together

from features.durations import days, parse_moment
from features.engine import compute
from features.language import (
    KINDS,
    Feature,
    attribute_days,
    attribute_level,
    attribute_number,
    events,
    feature_from_json,
    having,
    stage,
)
from features.reference import value_at

JOURNEY = """
| event_time       | event  | value | wait | channel | renews_at  |
|------------------|--------|-------|------|---------|------------|
| 2024-01-01       | visit  | -     | -    | web     | -          |
| 2024-01-11       | buy    | 10    | -    | web     | 2024-06-01 |
| 2024-01-11T12:00 | buy    | 30    | -    | shop    | -          |
| 2024-01-21       | ticket | -     | 5    | -       | -          |
| 2024-01-31       | buy    | -     | -    | web     | 2024-07-01 |
| 2024-03-01       | buy    | 99    | 1    | phone   | 2025-01-01 |
"""
ATTRIBUTES = """
| event_time | value | plan  | renews_at  |
|------------|-------|-------|------------|
| 2023-01-01 | 3     | basic | 2024-05-01 |
| 2024-01-15 | -     | pro   | -          |
| 2024-02-20 | 7     | basic | -          |
"""
CUTOFF = "2024-02-10"
BUY = events("buy")

CASES: list[tuple[Feature, float]] = [
    (events().count(), 5),
    (BUY.count(), 3),
    (BUY.count(last=days(30)), 2),  # (2024-01-11T00:00, 2024-02-10]: noon is in, midnight is out
    (BUY.days_active(), 2),
    (BUY.share(), 3 / 5),
    (BUY.share(last=days(5)), math.nan),
    (BUY.trend(last=days(20)), 1 / 3),  # one in 20 days, two in the 20 before
    (BUY.recency(), 10),
    (BUY.tenure(), 30),
    (BUY.gap_mean(), 10),  # 0.5 and 19.5 days
    (BUY.gap_std(), math.sqrt((9.5**2 + 9.5**2) / 1)),
    (BUY.gap_max(), 19.5),
    (BUY.gap_last(), 19.5),
    (BUY.lateness(), 1.0),
    (BUY.sum("value"), 40),
    (BUY.mean("value"), 20),  # the purchase without a value does not count
    (BUY.min("value"), 10),
    (BUY.max("value"), 30),
    (BUY.last_number("value"), 30),  # the last one that has a value
    (BUY.sum("value", last=days(11)), 0),
    (BUY.mean("value", last=days(11)), math.nan),
    (BUY.distinct("channel"), 2),
    (BUY.last_level("channel", ("shop", "web")), 1),
    (BUY.last_level("channel", ("shop",)), math.nan),  # the last level is not in the list
    (events().days_until("renews_at"), 142),  # 2024-07-01, the last that was known
    (events().stated("renews_at"), 10),  # on 2024-01-31
    (having("channel", "web").count(), 3),
    (stage("money", ("buy", "ticket")).count(), 4),
    (events("buy", "ticket").recency(), 10),
    (events("never").count(), 0),
    (events("never").recency(), math.nan),
    (events("never").sum("value"), 0),
    (events("ticket").gap_mean(), math.nan),
    (attribute_number("value"), 3),  # unknown since 2024-01-15: the last statement holds
    (attribute_level("plan", ("basic", "pro")), 1),
    (attribute_days("renews_at"), 81),
]


@pytest.mark.parametrize(("feature", "expected"), CASES, ids=lambda c: getattr(c, "name", None))
def test_both_engines_give_what_the_journey_says(feature: Feature, expected: float) -> None:
    """A feature has the value that a person counts in the table, in both engines."""
    log, attributes = together(read_table(JOURNEY), read_table(ATTRIBUTES))
    fast = compute([feature], log, attributes, rows_at(log, ("c", CUTOFF)))[0, 0]
    moment = parse_moment(CUTOFF)
    slow = value_at(feature, plain(log, 0), plain(attributes, 0), moment, moment)
    np.testing.assert_allclose([fast, slow], [expected, expected], rtol=1e-9)


def test_every_kind_has_a_case() -> None:
    """No kind of feature is without an example."""
    assert {feature.kind for feature, _ in CASES} == KINDS


@pytest.mark.parametrize("feature", [case[0] for case in CASES], ids=lambda f: f.name)
def test_a_feature_says_what_it_is(feature: Feature) -> None:
    """A feature has a plain name, a sentence, a unit, a meaning of missing, and survives JSON."""
    assert feature.name.isidentifier() and feature.name.isascii()
    assert feature.description and feature.unit and feature.missing and feature.group
    assert feature == feature_from_json(feature.to_json())


@pytest.mark.parametrize(
    ("kind", "of", "last", "levels"),
    [
        ("median", None, None, ()),  # no such kind
        ("sum", None, None, ()),  # of what?
        ("count", "value", None, ()),  # counts nothing of a property
        ("recency", None, days(7), ()),  # has no window
        ("count", None, 0, ()),  # an empty window
        ("trend", None, None, ()),  # compares two windows
        ("last_level", "plan", None, ()),  # needs levels
        ("sum", "value", None, ("a",)),  # takes none
    ],
)
def test_a_senseless_feature_is_refused_when_it_is_defined(
    kind: str, of: str | None, last: int | None, levels: tuple[str, ...]
) -> None:
    """What can't be computed can't be written."""
    with pytest.raises(ValueError, match=kind):
        Feature(kind, of=of, last=last, levels=levels)


def test_names_are_ascii_and_unique_whatever_the_business_calls_its_events() -> None:
    """Events whose names differ by punctuation or script still lead to different columns."""
    from features.language import feature_names

    made = feature_names([events(name).count() for name in ("e mail", "e-mail", "заказ", "注文")])
    assert len(set(made)) == 4
    assert all(name.isascii() and name.isidentifier() for name in made)
    assert made[:2] == ("e_mail_count", "e_mail_count__2")
