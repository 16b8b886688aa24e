"""The bootstrap against scikit-learn, against exact refits, and against known truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from models.calibration import sigmoid
from training.bootstrap import Interval, accelerated, reflected, resample
from training.evaluation import calibration_error, evaluate, judge, lift
from training.weighted import OF_PROBABILITIES, RANKING, Acting, Scored, log_odds, recalibration

Column = tuple[np.ndarray, np.ndarray, np.ndarray]


def journeys(rng: np.random.Generator, n_customers: int = 120, rows: int = 4) -> Column:
    """Labels, calibrated probabilities and customers, whose rows resemble each other."""
    margin = np.repeat(rng.normal(-1, 1, n_customers), rows) + rng.normal(
        0, 0.3, n_customers * rows
    )
    shared = np.repeat(rng.random(n_customers), rows)
    own = rng.random(len(margin))
    draw = np.where(rng.random(len(margin)) < 0.5, shared, own)
    probability = sigmoid(margin)
    return (
        (draw < probability).astype(np.int8),
        probability,
        np.repeat(np.arange(n_customers), rows),
    )


def scored(column: Column, acting: Acting | None = None, digits: int | None = None) -> Scored:
    label, probability, customer = column
    score = probability if digits is None else np.round(probability, digits)
    return Scored(label, score, customer, acting or Acting())


@pytest.mark.parametrize("digits", [None, 1])
def test_weighted_metrics_are_those_of_scikit_learn(digits: int | None) -> None:
    """With each customer's weight as sample weight, ties or none, every metric is the same."""
    rng = np.random.default_rng(5)
    column = scored(journeys(rng), digits=digits)
    weights = rng.poisson(1, size=(7, 120)).astype(float)
    found = column.metrics(weights)
    label, score, customer = column.label, column.score, column.customer
    for row, weight in enumerate(weights):
        of_row = {"sample_weight": weight[customer]}
        assert roc_auc_score(label, score, **of_row) == pytest.approx(found["auroc"][row])
        expected = average_precision_score(label, score, **of_row)
        assert expected == pytest.approx(found["average_precision"][row])
        assert log_loss(label, score, **of_row) == pytest.approx(found["log_loss"][row])
        assert brier_score_loss(label, score, **of_row) == pytest.approx(found["brier"][row])


def test_a_weight_is_a_number_of_copies() -> None:
    """Lift, precision, recall and expected value of weighted rows are those of repeated rows."""
    rng = np.random.default_rng(6)
    label, probability, customer = journeys(rng)
    value = rng.gamma(2, 50, len(label))
    weight = rng.poisson(1, 120)
    acting = Acting(value, success=0.3, cost=5.0, capacity=0.2)
    found = Scored(label, probability, customer, acting).metrics(weight[None, :].astype(float))
    copies = np.repeat(np.arange(len(label)), weight[customer])
    mine, score = label[copies], probability[copies]
    k = round(0.2 * len(copies))
    top = copies[np.argsort(-score, kind="stable")[:k]]
    assert lift(mine, score, 0.05) == pytest.approx(found["lift_at_5"][0])
    assert lift(mine, score, 0.1) == pytest.approx(found["lift_at_10"][0])
    # Copies of one row tie, so the edge of the top may cut through them.
    worthy = copies[np.argsort(-score * value[copies], kind="stable")[:k]]
    gains = (value[worthy] * 0.3 * label[worthy] - 5.0).mean()
    assert gains == pytest.approx(found["expected_value"][0], rel=0.05)
    assert label[top].mean() == pytest.approx(found["precision_at_capacity"][0], abs=0.02)
    recall = label[top].sum() / mine.sum()
    assert recall == pytest.approx(found["recall_at_capacity"][0], abs=0.02)


@pytest.mark.parametrize("digits", [None, 1])
def test_unweighted_metrics_are_those_of_evaluate(digits: int | None) -> None:
    """Rows counted once give the figures that a report shows, calibration error included."""
    column = scored(journeys(np.random.default_rng(7)), digits=digits)
    found = column.metrics(np.ones((1, 120)))
    shown = evaluate(column.label, column.score)
    for name in (*RANKING, *OF_PROBABILITIES):
        assert getattr(shown, name) == pytest.approx(found[name][0], abs=1e-12)
    assert calibration_error(column.label, column.score) == pytest.approx(found["ece"][0])


def test_recalibration_is_the_logistic_regression() -> None:
    """Slope and intercept are those of scikit-learn without a penalty."""
    label, probability, _ = journeys(np.random.default_rng(8))
    odds = log_odds(probability**1.5)
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(odds[:, None], label)
    slope, intercept = recalibration(label, probability**1.5)
    assert (fitted.coef_[0, 0], fitted.intercept_[0]) == pytest.approx((slope, intercept), abs=1e-4)


def test_recalibration_of_odd_scores() -> None:
    """Equal scores have slope 0; perfect ones a finite slope; certain and wrong ones too."""
    label = np.repeat([1, 0], 50).astype(np.int8)
    assert (0.0, 0.0) == recalibration(label, np.full(100, 0.3))
    assert np.isfinite(recalibration(label, np.repeat([0.9, 0.1], 50))).all()
    assert np.isfinite(recalibration(label, np.repeat([0.0, 1.0], 50))).all()
    assert np.isfinite(recalibration(label, np.r_[np.ones(99), 0.0])).all()


def test_one_step_is_as_good_as_a_refit() -> None:
    """A resample's slope by one Newton step differs from an exact refit by a tenth of its error."""
    rng = np.random.default_rng(9)
    label, probability, customer = journeys(rng, 400)
    weights = rng.multinomial(400, np.full(400, 1 / 400), size=50)
    column = Scored(label, probability, customer, Acting())
    quick = column.metrics(weights.astype(float))["calibration_slope"]
    exact = []
    for weight in weights:
        copies = np.repeat(np.arange(len(label)), weight[customer])
        exact.append(recalibration(label[copies], probability[copies])[0])
    assert np.abs(quick - exact).mean() < 0.1 * np.std(exact)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Of 95 % intervals on rows that hang together by customer, 95 % hold the true figure.

    The truth is read from 400,000 rows of the same world. 300 intervals, each from 200
    resamples: chance alone leaves .925 to .975 of them, few resamples and the coarse steps of
    a precision among 80 rows a little less.
    """
    rng = np.random.default_rng(10)
    label, probability, _ = journeys(rng, 100_000)
    noisy = sigmoid(log_odds(probability) + rng.normal(0, 1, len(label)))
    truth = evaluate(label, probability)
    worse = evaluate(label, noisy)
    names = ("auroc", "average_precision", "log_loss", "brier", "calibration_slope",
             "precision_at_capacity")  # fmt: skip
    held, apart = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    n = 300
    for seed in range(n):
        label, probability, customer = journeys(rng, 200)
        noisy = sigmoid(log_odds(probability) + rng.normal(0, 1, len(label)))
        columns = {"model": (probability, True), "noisy": (noisy, True)}
        drawn = resample(label, columns, customer, Acting(), seed, 200)
        for name in names:
            one, two = drawn.interval("model", name), drawn.difference("model", "noisy", name)
            held[name] += one.low <= getattr(truth, name) <= one.high
            gap = getattr(truth, name) - getattr(worse, name)
            apart[name] += two.low <= gap <= two.high
    print({name: (held[name] / n, apart[name] / n) for name in names})
    for name in names:
        assert 0.90 <= held[name] / n <= 0.985, (name, held[name] / n)
        assert 0.90 <= apart[name] / n <= 0.985, (name, apart[name] / n)


def test_the_calibration_error_of_calibrated_scores_may_be_zero() -> None:
    """Its reflected interval reaches down to 0 where scores are calibrated, not where they lie.

    800 rows of 200 customers have a calibration error of .04 by chance alone. The interval is
    too narrow for such few rows: three quarters of them reach .01, which plain percentiles never
    do.
    """
    rng = np.random.default_rng(11)
    calibrated, wrong, plain = 0, 0, 0
    for seed in range(60):
        label, probability, customer = journeys(rng, 200)
        far = np.clip(probability + 0.15, 0, 1)
        columns = {"model": (probability, True), "far": (far, True)}
        drawn = resample(label, columns, customer, Acting(), seed, 200)
        calibrated += drawn.interval("model", "ece").low < 0.01
        plain += np.quantile(drawn.drawn["model"]["ece"], 0.025) < 0.01
        wrong += drawn.interval("far", "ece").low > 0.03
    assert calibrated >= 45
    assert plain <= 6
    assert wrong >= 54


def test_rows_of_one_customer_are_drawn_together() -> None:
    """Ten copies of every row make an interval no narrower than the rows themselves."""
    label, probability, customer = journeys(np.random.default_rng(12), rows=1)
    once = resample(label, {"model": (probability, True)}, customer, Acting(), 3)
    many = resample(
        np.repeat(label, 10), {"model": (np.repeat(probability, 10), True)},
        np.repeat(customer, 10), Acting(), 3,
    )  # fmt: skip
    for metric in ("auroc", "brier", "average_precision"):
        one, ten = once.interval("model", metric), many.interval("model", metric)
        assert (one.low, one.high) == pytest.approx((ten.low, ten.high))


def test_a_difference_is_judged_on_the_same_draws() -> None:
    """A column against itself differs by exactly nothing; against noise, surely."""
    rng = np.random.default_rng(13)
    label, probability, customer = journeys(rng, 400)
    columns = {
        "model": (probability, True), "same": (probability, False),
        "noise": (rng.random(len(label)), False),
    }  # fmt: skip
    drawn = resample(label, columns, customer, Acting(), 1)
    assert Interval(0, 0, 0) == drawn.difference("model", "same", "average_precision")
    assert drawn.difference("model", "noise", "average_precision").low > 0
    assert "log_loss" not in drawn.value["same"]


def test_the_same_seed_gives_the_same_interval() -> None:
    """Two runs agree to the last bit, another seed does not."""
    label, probability, customer = journeys(np.random.default_rng(14))
    one, two, three = (
        judge(label, probability, {}, customer, Acting(), seed).intervals["model"]
        for seed in (1, 1, 2)
    )
    assert one == two != three


def test_no_resamples_no_interval() -> None:
    """A search that wants no interval gets the value itself."""
    label, probability, customer = journeys(np.random.default_rng(15))
    found = judge(label, probability, {}, customer, Acting(), 1, resamples=0)
    auroc = found.metrics.auroc
    assert (auroc,) * 3 == pytest.approx(tuple(vars(found.intervals["model"]["auroc"]).values()))


def test_draws_without_both_classes_are_left_out() -> None:
    """With two positives among two hundred, many draws hold none, and the interval is finite."""
    label = np.r_[1, 1, np.zeros(198)].astype(np.int8)
    score = np.linspace(0.9, 0.1, 200)
    drawn = resample(label, {"model": (score, True)}, np.arange(200), Acting(), 1)
    assert np.isnan(drawn.drawn["model"]["auroc"]).any()
    found = drawn.interval("model", "auroc")
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_an_interval_of_equal_draws_is_a_point() -> None:
    """Where nothing varies nothing is invented."""
    equal = np.full(100, 2.0)
    assert Interval(2.0, 2.0, 2.0) == accelerated(2.0, equal, equal)
    assert Interval(2.0, 2.0, 2.0) == reflected(2.0, equal)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 4)), min_size=4, max_size=40
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_rows_and_the_scale_of_scores_change_nothing(
    rows: list, chance: object
) -> None:
    """Ranking metrics read the order of scores alone, ties kept; no metric reads row order."""
    rows = [(True, 3, 0), (False, 2, 1), *rows]
    label = np.array([row[0] for row in rows], dtype=np.int8)
    score = np.array([row[1] for row in rows]) / 8 + 0.05
    customer = np.array([row[2] for row in rows])
    weights = np.array([[1.0, 2, 1, 0, 3]])
    place = np.arange(len(rows))
    chance.shuffle(place)
    found = Scored(label, score, customer, Acting()).metrics(weights)
    moved = Scored(label[place], score[place], customer[place], Acting()).metrics(weights)
    bent = Scored(label, score**3, customer, Acting()).metrics(weights)
    for name, values in found.items():
        assert values[0] == pytest.approx(moved[name][0], abs=1e-9, nan_ok=True)
    for name in RANKING:
        assert found[name][0] == pytest.approx(bent[name][0], abs=1e-12, nan_ok=True)
