"""Calibrations and their intervals: hand-worked curves, the choice between them, coverage."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.simulation import PROBLEMS
from features.simulation_journeys import LEFT, WENT_ON, live, populate
from features.simulation_settings import Settings
from features.simulation_truth import true_probability
from models.calibration import Beta, Calibration, Isotonic, Sigmoid, calibration_from_json, sigmoid
from models.interval import Interval, interval_from_json
from training.calibrating import (
    DRIFT,
    fit_beta,
    fit_calibration,
    fit_few,
    fit_interval,
    fit_isotonic,
    fit_sigmoid,
)

Array = np.ndarray

CURVES = (
    Sigmoid(0.8, -0.3),
    Beta(0.6, 1.4, -0.2),
    Isotonic((-2.0, 0.5, 1.0), (-3.0, -1.0, 2.0), 0.9),
)
MARGINS = st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=30)


def test_isotonic_speaks_at_the_centres_of_its_steps() -> None:
    """Labels 0 1 0 1 make three steps: 1/6, one half at the mean of two margins, and 5/6."""
    fitted = fit_isotonic(np.array([0.0, 1, 2, 3]), np.array([0, 1, 0, 1], np.int8))
    assert isinstance(fitted, Isotonic)
    assert (0.0, 1.5, 3.0) == fitted.margins
    assert [1 / 6, 1 / 2, 5 / 6] == pytest.approx(
        fitted.probability(np.array([0, 1.5, 3])).tolist()
    )
    # Half-way between two centres the log-odds are half-way: -ln(5) / 2.
    assert 1 / (1 + 5**0.5) == pytest.approx(float(fitted.probability(np.array([0.75]))[0]))


def test_beta_with_equal_slopes_is_the_sigmoid() -> None:
    """Platt's sigmoid is a special case of beta calibration."""
    margin = np.linspace(-30, 30, 101)
    np.testing.assert_allclose(
        Beta(0.7, 0.7, -0.4).probability(margin), Sigmoid(0.7, -0.4).probability(margin), rtol=1e-12
    )


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.kind)
@given(margins=MARGINS)
def test_curves_rise_within_zero_and_one(curve: Calibration, margins: list[float]) -> None:
    """However far a margin lies, the probability rises with it, above 0 and below 1."""
    p = curve.probability(np.sort(np.array(margins)))
    assert (np.diff(p) >= 0).all()
    assert 0 < p.min() and p.max() < 1


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.kind)
@given(margins=MARGINS)
def test_a_row_is_the_same_alone_and_among_others(curve: Calibration, margins: list[float]) -> None:
    """Probabilities and bounds of a batch are those of its rows, bit for bit."""
    band = Interval(0.9, curve, ((0.02, 0.01, 0.0), (0.01, 0.05, 0.01), (0.0, 0.01, 0.03)))

    def answer(margin: Array) -> Array:
        p = curve.probability(margin)
        return np.stack([p, *band.bounds(margin, p)])

    together = answer(np.array(margins))
    alone = np.concatenate([answer(np.array([m])) for m in margins], axis=1)
    assert together.tobytes() == alone.tobytes()
    assert (together[1] <= together[0]).all() and (together[0] <= together[2]).all()
    assert 0 < together.min() and together.max() < 1


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.kind)
def test_plain_numbers_are_all_there_is(curve: Calibration) -> None:
    """Written as JSON and read again, a calibration and its interval are equal."""
    band = Interval(0.9, curve, ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    assert curve == calibration_from_json(curve.to_json())
    assert band == interval_from_json(band.to_json())


def test_wrong_numbers_are_refused() -> None:
    """A curve that falls, an unknown kind and a covariance of another shape are errors."""
    for wrong in (
        lambda: Beta(0.5, -0.1, 0.0),
        lambda: Isotonic((0.0, 1.0), (1.0, 0.5), 1.0),
        lambda: Isotonic((), (), 1.0),
        lambda: calibration_from_json({"kind": "spline"}),
        lambda: Interval(1.0, Sigmoid(1, 0), ((0.0, 0.0, 0.0),) * 3),
    ):
        with pytest.raises(ValueError, match=r"calibration|interval"):
            wrong()


def _drawn(curve: Callable[[Array], Array], seed: int, n: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    margin = rng.normal(-1, 1.5, n)
    return margin, (rng.random(n) < curve(margin)).astype(np.int8), np.arange(n)


def test_the_simplest_curve_that_fits_is_chosen() -> None:
    """A true sigmoid stays one; a bent curve is beta's, a staircase isotonic's."""
    assert "sigmoid" == fit_calibration(*_drawn(CURVES[0].probability, 1, 4_000)).kind
    assert "beta" == fit_calibration(*_drawn(Beta(0.4, 2.5, 0.5).probability, 2, 20_000)).kind
    stairs = _drawn(lambda m: np.where(m < -1, 0.05, np.where(m < 1, 0.4, 0.45)), 3, 20_000)
    assert "isotonic" == fit_calibration(*stairs).kind


def test_isotonic_does_not_win_by_overfitting() -> None:
    """On small samples from a sigmoid, a curve of many numbers is hardly ever chosen."""
    kinds = [fit_calibration(*_drawn(CURVES[0].probability, s, 600)).kind for s in range(20)]
    assert kinds.count("isotonic") <= 1


def test_few_labels_call_for_two_numbers() -> None:
    """With fewer than fifty rows of a class the sigmoid is not even compared."""
    margin, _, customer = _drawn(CURVES[0].probability, 4, 5_000)
    label = np.zeros(5_000, np.int8)
    label[:49] = 1
    assert fit_few(margin, label) == fit_calibration(margin, label, customer)


def test_a_few_labels_that_the_margin_tells_apart_give_no_endless_slope() -> None:
    """Five positives above every negative call for a steep curve, not for certainty."""
    margin = np.linspace(-2, 2, 100)
    label = (margin > margin[-6]).astype(np.int8)
    curve = fit_few(margin, label)
    assert 0 < curve.slope < 5
    assert curve.probability(margin).max() < 0.9


def test_margins_that_rank_the_wrong_way_give_a_rising_curve() -> None:
    """Whatever the labels say, no fitted curve falls."""
    margin = np.linspace(-3, 3, 400)
    label = (margin < -1).astype(np.int8)
    for fit in (fit_sigmoid, fit_beta, fit_isotonic):
        assert (np.diff(fit(margin, label).probability(margin)) >= 0).all()


@cache
def _renewals() -> tuple[Array, Array, Array, Array]:
    """Simulated contracts: customer, what was known 90 days ahead, what 30 days ahead, branch."""
    settings = Settings(n_customers=4_000, seed=21)
    journeys = live(
        settings, populate(settings, np.random.default_rng(1)), np.random.default_rng(2)
    )
    terms = journeys.terms
    yearly = ~journeys.population.monthly[terms.customer]
    rows = np.flatnonzero(np.isin(terms.value, (WENT_ON, LEFT)) & yearly)
    who, day = terms.customer[rows], terms.day[rows]
    early, late = (
        true_probability(journeys, PROBLEMS["renewal"], who, day - lead).probability
        for lead in (90, 30)
    )
    known = ~np.isnan(early) & ~np.isnan(late)
    branch = journeys.population.attributes["industry"][who]
    return who[known], early[known], late[known], branch[known]


def test_the_interval_covers_the_true_probability_given_the_score() -> None:
    """Where the truth given the score is known, 90 % intervals hold it 88 to 92 times of 100.

    The margin is a rising function of what was true 90 days ahead, so the true probability given
    the score is that truth exactly; outcomes are drawn from what was true 30 days ahead, for
    two rows a contract. Overall and in every industry.
    """
    who, early, late, branch = _renewals()
    margin = (np.log(early / (1 - early)) + 0.5) / 0.7
    rng = np.random.default_rng(6)
    held = []
    for _ in range(200):
        drawn = (rng.random(len(who)) < late).astype(np.int8)
        twice, label = np.tile(margin, 2), np.tile(drawn, 2)
        band = fit_interval(fit_beta(twice, label), twice, label, np.tile(who, 2), drift=0.0)
        low, high = band.bounds(margin, band.centre.probability(margin))
        held.append((low <= early) & (early <= high))
    covered = np.mean(held, axis=0)
    assert 0.88 <= covered.mean() <= 0.92
    for level in np.unique(branch):
        assert 0.88 <= covered[branch == level].mean() <= 0.92


def test_a_score_stands_in_the_middle_of_its_interval() -> None:
    """Whichever curve was chosen: as far from either end in log-odds, and the band is as wide."""
    margin, label, customer = _drawn(CURVES[0].probability, 8, 4_000)
    widths = []
    for curve in (fit_sigmoid(margin, label), fit_beta(margin, label), fit_isotonic(margin, label)):
        band = fit_interval(curve, margin, label, customer)
        low, high = (np.log(p / (1 - p)) for p in band.bounds(margin, curve.probability(margin)))
        np.testing.assert_allclose((low + high) / 2, curve.log_odds(margin), atol=1e-9)
        widths.append(high - low)
    np.testing.assert_allclose(widths[0], widths[1], atol=1e-9)
    np.testing.assert_allclose(widths[0], widths[2], atol=1e-9)


def test_the_interval_allows_for_a_later_period_that_lies_a_little_off() -> None:
    """Where log-odds move by chance after the rows of the curve, by the standard deviation that
    is allowed for, 90 % intervals hold the later truth 88 to 92 times of 100, and far less often
    without it."""
    rng = np.random.default_rng(12)
    margin, who = rng.normal(-1.5, 1.0, 2_500), np.arange(2_500)
    held: dict[float, list[float]] = {0.0: [], DRIFT: []}
    for _ in range(300):
        label = (rng.random(len(who)) < sigmoid(margin)).astype(np.int8)
        later = sigmoid(margin + rng.normal(0, DRIFT))
        for drift, found in held.items():
            band = fit_interval(fit_beta(margin, label), margin, label, who, drift)
            low, high = band.bounds(margin, band.centre.probability(margin))
            found.append(float(((low <= later) & (later <= high)).mean()))
    assert 0.88 <= np.mean(held[DRIFT]) <= 0.92
    assert np.mean(held[0.0]) < 0.6


def test_more_customers_make_a_narrower_interval_and_more_rows_of_them_do_not() -> None:
    """Four times the customers halve the width; the same rows four times leave it as it is."""
    margin, label, customer = _drawn(CURVES[0].probability, 8, 4_000)

    def width(rows: Array) -> float:
        band = fit_interval(CURVES[0], margin[rows], label[rows], customer[rows], drift=0.0)
        low, high = band.bounds(margin, band.centre.probability(margin))
        return float(np.median(np.log(high / (1 - high)) - np.log(low / (1 - low))))

    once = np.arange(1_000)
    assert width(np.tile(once, 4)) == pytest.approx(width(once), rel=1e-6)
    assert 0.4 < width(np.arange(4_000)) / width(once) < 0.65
