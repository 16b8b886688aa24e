"""Evidence: what a value rests on is enough to make it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from journeys import log_of, one_row, together
from random_journeys import FEATURES, histories, moments, rows

from features.engine import compute_exact
from features.event_log import EventLog
from features.feature import Feature
from features.groups import with_groups
from features.language import events
from models.evidence import evidence


def only(log: EventLog, positions: tuple[int, ...]) -> EventLog:
    """The log of one customer with these events alone."""
    kept = np.sort(np.array(positions, np.int64))
    return log.rows(kept, log.customers, np.array([0, len(kept)], np.int64))


@settings(max_examples=15)
@given(histories, st.lists(rows, max_size=8), moments)
def test_the_evidence_alone_gives_the_same_value(
    history: list[dict[str, str]], about: list[dict[str, str]], moment: tuple[int, int]
) -> None:
    """For every kind of feature, taking all other events away changes nothing."""
    cutoff, known = moment[0], moment[0] + moment[1]
    log, attributes = together(
        log_of([{**row, "customer": "c"} for row in history]),
        log_of([{**row, "customer": "c"} for row in about]),
    )
    at = one_row(cutoff, known)
    whole = compute_exact(FEATURES, log, attributes, at)[0]
    for value, feature in zip(whole, FEATURES, strict=True):
        found = evidence(feature, log, attributes, cutoff, known, most=10_000)
        assert found.total == len(found.positions)
        events_, about_ = log, attributes
        if found.source == "events":
            events_ = only(log, found.positions)
        elif found.source == "attributes":
            about_ = only(attributes, found.positions)
        alone = compute_exact([feature], events_, about_, at)[0, 0]
        np.testing.assert_allclose(alone, value, rtol=1e-9, atol=1e-9, err_msg=feature.name)


@settings(max_examples=15)
@given(histories, moments)
def test_evidence_is_seen_bounded_and_newest_first(
    history: list[dict[str, str]], moment: tuple[int, int]
) -> None:
    """No event later than the cutoff or recorded too late is named, and none too many."""
    cutoff, known = moment[0], moment[0] + moment[1]
    log, attributes = together(log_of([{**row, "customer": "c"} for row in history]))
    for feature in FEATURES:
        found = evidence(feature, log, attributes, cutoff, known, most=3)
        assert len(found.positions) == min(3, found.total)
        assert list(found.positions) == sorted(found.positions, reverse=True)
        if found.source == "events":
            places = list(found.positions)
            assert (log.event_time[places] <= cutoff).all()
            assert (log.recorded_time[places] <= known).all()


@settings(max_examples=15)
@given(histories, moments)
def test_evidence_of_a_group_counts_everybody_and_names_ones_own(
    history: list[dict[str, str]], moment: tuple[int, int]
) -> None:
    """Of a feature over an account all its events are counted, and those of the customer named."""
    cutoff, known = moment[0], moment[0] + moment[1]
    log, attributes = together(with_groups(log_of(history), ["account"]))
    feature: Feature = events("a").over("account").count()
    counts = compute_exact([feature], log, attributes, one_row(cutoff, known))[0]
    found = evidence(feature, log, attributes, cutoff, known, most=10_000)
    if not np.isnan(counts[0]):
        assert counts[0] == found.total
        assert len(found.positions) <= found.total
    low, high = int(log.offsets[0]), int(log.offsets[1])
    assert all(low <= place < high for place in found.positions)
    names = log.event.levels
    assert all(names[log.event.codes[place]] == "a" for place in found.positions)
