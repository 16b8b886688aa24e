"""Calibration, metrics, baselines and reasons against independent computations."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.language import events
from models.calibration import Sigmoid, sigmoid
from models.files import load
from models.fitted import band
from models.reasons import points
from training.baselines import baselines, best_rule, rule_score
from training.calibrating import fit_sigmoid
from training.evaluation import calibration_error, evaluate, lift, reliability
from training.usual import usual_of

RNG = np.random.default_rng(3)


def test_calibration_recovers_the_true_curve() -> None:
    """On many rows the fitted sigmoid is the one that made the labels."""
    margin = RNG.normal(0, 2, 200_000)
    label = (RNG.random(len(margin)) < sigmoid(0.7 * margin - 1)).astype(np.int8)
    fitted = fit_sigmoid(margin, label)
    assert (0.7, -1.0) == pytest.approx((fitted.slope, fitted.intercept), abs=0.03)


def test_calibration_never_turns_the_ranking_round() -> None:
    """Margins that rank the wrong way on held-back rows become nearly flat at the base rate."""
    margin = np.linspace(-3, 3, 400)
    label = (margin < -1).astype(np.int8)
    probability = fit_sigmoid(margin, label).probability(margin)
    assert (np.diff(probability) >= 0).all()
    assert label.mean() == pytest.approx(probability.mean(), abs=1e-3)


def test_a_calibration_is_checked_when_it_is_made() -> None:
    """A slope of zero or less, or no number at all, is refused."""
    for slope, intercept in ((0.0, 0.0), (-1.0, 0.0), (1.0, float("nan"))):
        with pytest.raises(ValueError, match="calibration"):
            Sigmoid(slope, intercept)


def test_the_sigmoid_does_not_overflow() -> None:
    """Log-odds of a thousand are a probability like any other."""
    assert [0.0, 0.5, 1.0] == sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()


def test_perfect_and_useless_scores_have_the_known_metrics() -> None:
    """A perfect ranking has AUROC 1 and full lift; a constant has AUROC .5 and lift 1."""
    label = np.repeat([1, 0], [100, 900]).astype(np.int8)
    perfect = evaluate(label, np.repeat([0.9, 0.1], [100, 900]))
    assert (1.0, 1.0, 10.0) == (perfect.auroc, perfect.average_precision, perfect.lift_at_5)
    flat = evaluate(label, np.full(1000, 0.1))
    assert (0.5, pytest.approx(0.1), pytest.approx(1.0)) == (
        flat.auroc,
        flat.average_precision,
        flat.lift_at_10,
    )
    assert 0.0 == pytest.approx(flat.ece, abs=1e-12)


def test_lift_does_not_depend_on_the_order_of_tied_rows() -> None:
    """Rows with one score count with their mean, wherever they stand."""
    label = np.array([1, 0, 0, 1, 0, 0, 0, 0, 0, 0], dtype=np.int8)
    score = np.array([0.9, 0.5, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    order = np.array([0, 3, 2, 1, 4, 5, 6, 7, 8, 9])
    assert lift(label, score, 0.2) == lift(label[order], score[order], 0.2)
    assert (1 + 1 / 3) / 2 / 0.2 == pytest.approx(lift(label, score, 0.2))


def test_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    """Scores ten points too high have an error of ten points."""
    true = RNG.uniform(0.1, 0.8, 100_000)
    label = (RNG.random(len(true)) < true).astype(np.int8)
    assert 0.1 == pytest.approx(calibration_error(label, true + 0.1), abs=0.01)
    assert len(label) == reliability(label, true)[2].sum()


def test_the_best_rule_is_chosen_on_what_was_seen_and_judged_on_test() -> None:
    """The rule looks at recency and frequency alone, in the better direction."""
    features = [events("a").sum("value"), events("a").recency(), events("a").count()]
    label = (RNG.random(3000) < 0.3).astype(np.int8)
    matrix = np.column_stack([label, RNG.normal(size=3000), -label + RNG.normal(size=3000)])
    assert (2, -1) == best_rule(features, matrix, label)
    rule = best_rule(features, matrix[:2000], label[:2000])
    found = baselines(features, rule, (matrix[2000:], label[2000:]))
    assert ["base_rate", "best_rule"] == [baseline.name for baseline in found]
    assert found[1].auroc > 0.7 > found[0].auroc == 0.5


def test_a_customer_without_the_event_is_the_least_recent() -> None:
    """Missing recency ranks after every known one, in both directions."""
    ago = np.array([1.0, np.nan, 50.0])
    assert [0, 2, 1] == np.argsort(rule_score(ago, 1)).tolist()
    assert [1, 2, 0] == np.argsort(rule_score(ago, -1)).tolist()


def test_a_score_that_many_share_stands_in_their_middle(shop_run: tuple[Path, object]) -> None:
    """Tied scores have the mean rank of their tie; between known scores the rank is in between."""
    model = load(shop_run[0] / "shop" / "churn" / "model")
    spread = tuple(float(q) for q in np.r_[np.full(61, 0.1), np.linspace(0.2, 0.6, 40)])
    tied = replace(model, contract=replace(model.contract, score_quantiles=spread))
    assert [30.0, 61.0, 100.0, 0.0, 100.0] == pytest.approx(
        tied.percentiles(np.array([0.1, 0.2, 0.6, 0.0, 0.9])).tolist()
    )
    flat = replace(model, contract=replace(model.contract, score_quantiles=(0.3,) * 101))
    assert [50.0] == flat.percentiles(np.array([0.3])).tolist()
    assert "medium" == band(50.0)


def test_the_usual_level_is_the_commonest() -> None:
    """Numbers have a median, categories a most frequent level, rare columns neither."""
    features = (
        events("a").count(),
        events("a").last_level("k", ("x", "y", "z")),
        events("a").recency(),
    )
    nan = np.nan
    matrix = np.array([[1, 2, nan], [5, 2, nan], [9, 0, 3], [9, 1, nan], [0, 0, nan], [2, 2, 1]])
    assert (2.0, 2.0, None) == usual_of(features, matrix)


@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=20),
    st.floats(-4, 4),
    st.floats(0.1, 3),
    st.floats(-2, 2),
)
def test_points_and_base_add_up_to_the_score(
    contributions: list[float], base: float, slope: float, intercept: float
) -> None:
    """In percentage points, the base and all contributions are exactly the probability."""
    calibration = Sigmoid(slope, intercept)
    values = np.array(contributions)
    moved = points(values[None, :], np.array([base]), calibration, values.sum(keepdims=True))
    score = 100 * float(calibration.probability(np.array([base + values.sum()]))[0])
    assert score == pytest.approx(float(moved.base[0] + moved.points.sum()), abs=1e-9)
    signs = np.sign(moved.points[0])
    assert (signs == np.sign(values)).all() or np.abs(values).min() < 1e-300
