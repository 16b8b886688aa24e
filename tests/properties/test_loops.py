"""The compiled loops over rows beside the same arithmetic written with arrays."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, log_expit

from models import loops
from models.calibration import LEAST, Beta, Sigmoid, logs
from models.familiarity import FARTHEST, Familiarity
from models.interval import Interval

RANGES = Familiarity((0, 1, 3, 4, 2), (0, 2, 4), (0, 1, -9, -2, 5), (40, 1, 90, 3, 5), 2.5)
BAND = Interval(
    0.9, Beta(0.9, 1.2, -0.1), ((0.04, -0.01, 0.02), (-0.01, 0.03, 0.01), (0.02, 0.01, 0.05))
)
VALUE = st.floats(-1e3, 1e3, width=32) | st.just(np.nan)
ROWS = st.integers(1, 40).flatmap(lambda n: arrays(np.float32, (n, 5), elements=VALUE))
MARGINS = arrays(np.float64, st.integers(1, 40), elements=st.floats(-40, 40))


@given(ROWS)
def test_a_distance_is_the_sum_of_each_groups_farthest_column(rows: np.ndarray) -> None:
    """A missing value lies nowhere, one group counts for three widths at most."""
    beyond = RANGES.outside(rows)
    expected = sum(
        np.fmin(beyond[:, a:b].max(axis=1), FARTHEST) for a, b in ((0, 2), (2, 4), (4, 5))
    )
    assert np.allclose(RANGES.distances(rows), expected, rtol=1e-12, atol=0)
    alone = [RANGES.distances(rows[i : i + 1])[0] for i in range(len(rows))]
    assert np.array_equal(RANGES.distances(rows), alone)


@given(MARGINS)
def test_a_band_is_the_quadratic_form_of_its_covariance(margins: np.ndarray) -> None:
    """Bounds are those of the matrix product, hold the score, and are a row's own."""
    probability = BAND.centre.probability(margins)
    low, high = BAND.bounds(margins, probability)
    design = np.column_stack([*logs(margins), np.ones(len(margins))])
    spread = np.einsum("ij,jk,ik->i", design, np.array(BAND.covariance), design)
    reach = 1.6448536269514722 * np.sqrt(np.maximum(spread, 0))
    middle = BAND.centre.log_odds(margins)
    assert np.allclose(low, np.minimum(within(middle - reach), probability), rtol=1e-9)
    assert np.allclose(high, np.maximum(within(middle + reach), probability), rtol=1e-9)
    assert ((low <= probability) & (probability <= high)).all()
    alone = [BAND.bounds(margins[[i]], probability[[i]]) for i in range(len(margins))]
    assert [(a[0], b[0]) for a, b in alone] == list(zip(low, high, strict=True))


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e4, 1e4)))
def test_curves_are_those_of_scipy(margins: np.ndarray) -> None:
    """Platt's and the beta curve are the sigmoid of their log-odds, a row's own to the bit."""
    beta = 0.6 * log_expit(margins) - 1.4 * log_expit(-margins) - 0.2
    for curve, log_odds in (
        (Sigmoid(0.8, -0.3), 0.8 * margins - 0.3),
        (Beta(0.6, 1.4, -0.2), beta),
    ):
        found = curve.probability(margins)
        assert np.allclose(within(log_odds), found, rtol=1e-12, atol=0)
        assert [curve.probability(margins[[i]])[0] for i in range(len(margins))] == list(found)


@given(
    arrays(np.float64, st.tuples(st.integers(1, 9), st.just(6)), elements=st.floats(-9, 9)),
    st.permutations(range(6)),
)
def test_groups_add_up_their_columns(parts: np.ndarray, order: list[int]) -> None:
    """Each group holds the sum of its columns, and the total is that of all groups."""
    grouped, total = np.empty((len(parts), 3)), np.empty(len(parts))
    loops.add_up(parts, np.array(order), np.array([0, 1, 3, 6]), grouped, total)
    expected = [parts[:, order[a:b]].sum(axis=1) for a, b in ((0, 1), (1, 3), (3, 6))]
    assert np.allclose(np.column_stack(expected), grouped, rtol=0, atol=1e-12)
    assert np.allclose(parts.sum(axis=1), total, rtol=0, atol=1e-12)


@given(
    st.lists(st.integers(0, 12), min_size=2, max_size=20).map(sorted),
    st.lists(st.floats(-2, 14) | st.integers(-1, 13), min_size=1, max_size=20),
)
def test_a_percentile_is_the_mean_of_the_places_that_a_score_may_take(
    quantiles: list[int], scores: list[float]
) -> None:
    """Between two quantiles it is interpolated; of equal ones the first and last place count."""
    known, asked, found = np.array(quantiles, float), np.array(scores, float), np.empty(len(scores))
    loops.stand(asked, known, found)
    places = np.arange(len(known))
    for score, percentile in zip(asked, found, strict=True):
        same = places[known == score]
        place = same.mean() if len(same) else np.interp(score, known, places)
        assert np.isclose(100 * place / (len(known) - 1), percentile, rtol=0, atol=1e-9)


def within(log_odds: np.ndarray) -> np.ndarray:
    """Probabilities that are neither impossible nor certain."""
    return np.clip(expit(log_odds), LEAST, 1 - LEAST)
