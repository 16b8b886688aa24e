"""Each kind of feature on one small journey, worked out by hand."""

import math

import numpy as np
import pytest
from journeys import plain, read_table, rows_at, together
from worked_examples import ATTRIBUTES, CASES, CUTOFF, JOURNEY, SUPPORT, SUPPORT_CASES

from features.durations import days, parse_moment
from features.engine import compute_exact
from features.feature import Feature, feature_from_json
from features.kinds import KINDS
from features.language import events
from features.reference import value_at
from models.reasons import shown_value

ALL_CASES = [(JOURNEY, *case) for case in CASES] + [(SUPPORT, *case) for case in SUPPORT_CASES]


@pytest.mark.parametrize(
    ("journey", "feature", "expected"), ALL_CASES, ids=[case[1].name for case in ALL_CASES]
)
def test_both_engines_give_what_the_journey_says(
    journey: str, feature: Feature, expected: float
) -> None:
    """A feature has the value that a person counts in the table, in both engines."""
    log, attributes = together(read_table(journey), read_table(ATTRIBUTES))
    fast = compute_exact([feature], log, attributes, rows_at(log, ("c", CUTOFF)))[0, 0]
    moment = parse_moment(CUTOFF)
    slow = value_at(feature, plain(log, 0), plain(attributes, 0), moment, moment)
    np.testing.assert_allclose([fast, slow], [expected, expected], rtol=1e-5)
    np.testing.assert_allclose(fast, slow, rtol=1e-9)


def test_every_kind_has_a_case() -> None:
    """No kind of feature is without an example."""
    assert {feature.kind for _, feature, _ in ALL_CASES} == set(KINDS)


@pytest.mark.parametrize("feature", [case[1] for case in ALL_CASES], ids=lambda f: f.name)
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
    from features.feature import feature_names

    made = feature_names([events(name).count() for name in ("e mail", "e-mail", "заказ", "注文")])
    assert len(set(made)) == 4
    assert all(name.isascii() and name.isidentifier() for name in made)
    assert made[:2] == ("e_mail_count", "e_mail_count__2")


@pytest.mark.parametrize(
    ("feature", "value", "shown"),
    [
        (events("look").level_share("plan", "basic"), 1.0, 1.0),  # a share, not the second level
        (events("look").last_level("plan", ("basic", "pro")), 1.0, "pro"),
        (events("look").count(), 2.0, 2.0),
        (events("look").recency(), math.nan, None),
    ],
)
def test_only_a_position_is_shown_as_a_level(
    feature: Feature, value: float, shown: float | str | None
) -> None:
    """A share of one level is a number; only a feature that holds positions names a level."""
    assert shown == shown_value(feature, value)
    assert feature.is_position == isinstance(shown, str)
