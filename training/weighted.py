"""Metrics of one score column under many weightings of its rows at once.

Takes labels, scores and whose row each is; gives every metric for each row of a matrix of
customers' weights. A bootstrap is such a matrix. Knows nothing about how weights are drawn.

Sorting is done once: under other weights AUROC and average precision are running sums over
the same order. Log loss, Brier score and calibration error are sums over customers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.event_log import Ints
from models.calibration import sigmoid
from training.ranking import BEATEN, FIXED, NEGATIVE, POSITIVE, PRECISION, rank

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]

BINS = 10
"""Bins of equal size of the calibration error."""
LOG_ODDS = 30.0
"""Log-odds are cut here: a probability of 0 or 1 would weigh endlessly."""
EPSILON = 2.0**-52
"""What a probability of 0 or 1 is moved by before its logarithm, as scikit-learn does."""
TOPS = (0.05, 0.10)
"""The shares of rows of `lift_at_5` and `lift_at_10`."""

RANKING = (
    "auroc", "average_precision", "lift_at_5", "lift_at_10", "precision_at_capacity",
    "recall_at_capacity", "expected_value",
)  # fmt: skip
"""Metrics of any ranking."""
OF_PROBABILITIES = ("log_loss", "brier", "ece", "calibration_slope", "calibration_intercept")
"""Metrics that need probabilities."""


Sorted = tuple[NDArray[np.int32], Labels, Floats, Ints]
"""Customer, label and gain in an order, and where each group of equals begins."""


@dataclass(frozen=True)
class Acting:
    """What acting on rows brings: those with the most at stake, probability × value, first."""

    value: Floats | float = 1.0
    """What is at stake in a row, in the unit of the property that the problem names; where it
    names none, 1 a row. Shape `(n_rows,)` or one number."""
    success: float = 1.0
    """The chance that acting on a row whose label is 1 turns its outcome round (or, for an
    outcome that is wished for, that the row pays)."""
    cost: float = 0.0
    """What acting on one row costs, in the same unit."""
    capacity: float = TOPS[1]
    """The share of rows that can be acted on."""

    def gain(self, label: Labels) -> Floats:
        """What acting on each row brings, shape `(n_rows,)`."""
        return np.asarray(np.nan_to_num(self.value) * self.success * label - self.cost)

    def take(self, chosen: Ints | NDArray[np.bool_]) -> "Acting":
        """The same for some of the rows."""
        value = self.value if np.isscalar(self.value) else np.asarray(self.value)[chosen]
        return Acting(value, self.success, self.cost, self.capacity)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Scored:
    """Labels and one score column, sorted once."""

    label: Labels
    score: Floats
    customer: Ints
    """Whose row each is: a column of the weights, shape `(n_rows,)`."""
    acting: Acting
    is_probability: bool = True
    chance: Floats | None = None
    """The probability that a ranking stands for, where it is none itself, shape `(n_rows,)`."""

    @cached_property
    def _sorted(self) -> Sorted:
        return self._by(self.score)

    @cached_property
    def _by_worth(self) -> Sorted:
        """Rows in the order in which somebody who knows what is at stake would act on them:
        the largest probability × value first. Where all have one value, that of the scores."""
        chance = self.chance if self.chance is not None else self.score
        known = self.is_probability or self.chance is not None
        if np.isscalar(self.acting.value) or not known:
            return self._sorted
        return self._by(chance * np.nan_to_num(self.acting.value))

    def _by(self, key: Floats) -> Sorted:
        """Customer, label and gain, the highest key first, and where each group of equal keys
        begins."""
        order = np.argsort(-key, kind="stable")
        score = key[order]
        ties = np.flatnonzero(np.r_[True, score[1:] != score[:-1], True])
        gain = self.acting.gain(self.label)[order]
        return self.customer[order].astype(np.int32), self.label[order].astype(np.int8), gain, ties

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Every metric under each weighting; NaN where a class has no weight.

        Parameters
        ----------
        weights
            How often each customer counts, shape `(n_weightings, n_customers)`.

        Returns
        -------
        dict of str to array of shape `(n_weightings,)`
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            found = self._ranking(weights)
            if self.is_probability:
                found |= self._probabilities(weights)
        one_class = ~((found["_positive"] > 0) & (found["_negative"] > 0))
        return {
            name: np.where(one_class, np.nan, found[name])
            for name in (*RANKING, *OF_PROBABILITIES)
            if name in found
        }

    def _ranking(self, weights: Floats) -> dict[str, Floats]:
        shares = np.array([*TOPS, self.acting.capacity])
        sums = np.zeros((len(weights), FIXED + 3 * len(shares)))
        rank(np.ascontiguousarray(weights, dtype=np.float32), *self._sorted, shares, sums)
        acting = np.zeros((len(weights), FIXED + 3))
        if self._by_worth is self._sorted:
            acting[:, FIXED:] = sums[:, FIXED + 6 :]
        else:
            rank(np.ascontiguousarray(weights, dtype=np.float32), *self._by_worth, shares[2:],
                 acting)  # fmt: skip
        positive, negative = sums[:, POSITIVE], sums[:, NEGATIVE]
        five, ten, acted = (sums[:, FIXED + i : FIXED + i + 3].T for i in (0, 3, 6))
        rate = positive / (positive + negative)
        return {
            "_positive": positive,
            "_negative": negative,
            "auroc": sums[:, BEATEN] / positive / negative,
            "average_precision": sums[:, PRECISION] / positive,
            "lift_at_5": five[0] / five[2] / rate,
            "lift_at_10": ten[0] / ten[2] / rate,
            "precision_at_capacity": acted[0] / acted[2],
            "recall_at_capacity": acted[0] / positive,
            "expected_value": acting[:, FIXED + 1] / acting[:, FIXED + 2],
        }

    def _probabilities(self, weights: Floats) -> dict[str, Floats]:
        sums = weights[:, : len(self._sums)] @ self._sums
        n = sums[:, 0]
        bins = sums[:, 8:].reshape(len(weights), 2, -1)
        slope, intercept = _one_step(self._calibration, sums[:, 3:8])
        return {
            "log_loss": sums[:, 1] / n,
            "brier": sums[:, 2] / n,
            "ece": np.abs(bins[:, 0] - bins[:, 1]).sum(axis=1) / n,
            "calibration_slope": slope,
            "calibration_intercept": intercept,
        }

    @cached_property
    def _calibration(self) -> tuple[float, float]:
        return recalibration(self.label, self.score)

    @cached_property
    def _sums(self) -> Floats:
        """What each customer's rows add to every sum, shape `(n_customers, 8 + 2 × bins)`."""
        label, score = self.label.astype(np.float64), self.score
        x = log_odds(score)
        slope, intercept = self._calibration
        fitted = sigmoid(intercept + slope * x)
        off, spread = label - fitted, fitted * (1 - fitted)
        member = bin_shares(score)
        columns = [
            np.ones(len(label)), row_log_loss(label, score), (score - label) ** 2,
            off, off * x, spread, spread * x, spread * x * x,
            *(member * score[:, None]).T, *(member * label[:, None]).T,
        ]  # fmt: skip
        n = int(self.customer.max()) + 1
        return np.column_stack([np.bincount(self.customer, c, minlength=n) for c in columns])


def row_log_loss(label: Labels | Floats, probability: Floats) -> Floats:
    """Minus the logarithm of the probability that the label had, shape `(n_rows,)`."""
    p = np.clip(probability, EPSILON, 1 - EPSILON)
    return np.asarray(-np.log(np.where(label > 0, p, 1 - p)))


def log_odds(probability: Floats) -> Floats:
    """Log-odds of probabilities, cut at ±`LOG_ODDS`."""
    p = np.clip(probability, EPSILON, 1 - EPSILON)
    return np.asarray(np.clip(np.log(p) - np.log1p(-p), -LOG_ODDS, LOG_ODDS))


def bin_shares(score: Floats) -> Floats:
    """To which of the bins of equal size each row belongs, shape `(n_rows, n_bins)`.

    Rows of one score that lie across an edge belong to both bins, in the same shares, so that
    the order of tied rows changes nothing.
    """
    _, place, size = np.unique(score, return_inverse=True, return_counts=True)
    order = np.argsort(score, kind="stable")
    number = np.empty(len(score), dtype=np.int64)
    for bin_, rows in enumerate(np.array_split(order, min(BINS, len(score)))):
        number[rows] = bin_
    n_bins = min(BINS, len(score))
    count = np.bincount(place * n_bins + number, minlength=len(size) * n_bins)
    return np.asarray((count.reshape(len(size), n_bins) / size[:, None])[place])


def recalibration(label: Labels, probability: Floats) -> tuple[float, float]:
    """Slope and intercept of the logistic regression of the label on the log-odds.

    A calibrated score has slope 1 and intercept 0; a slope below 1 says that scores are too
    far from the base rate. Where all scores are equal the slope is 0: they tell nothing apart.
    A ridge of 1e-6 keeps the slope of a perfect score finite.
    Source: Cox (1958), Two further applications of a model for binary regression.
    """
    x, y = log_odds(probability), label.astype(np.float64)
    if np.ptp(x) == 0:
        rate = float(np.clip(y.mean(), EPSILON, 1 - EPSILON))
        return 0.0, float(np.log(rate / (1 - rate)))
    columns = np.column_stack([np.ones_like(x), x])
    ridge = 1e-6 * np.eye(2)
    theta = np.array([0.0, 1.0])
    loss = _loss(columns, y, theta)
    for _ in range(100):
        fitted = sigmoid(columns @ theta)
        slope = columns.T @ (y - fitted) - ridge @ theta
        curve = (columns * (fitted * (1 - fitted))[:, None]).T @ columns + ridge
        step = np.linalg.solve(curve, slope)
        while _loss(columns, y, theta + step) > loss + 1e-12 and np.abs(step).max() > 1e-10:
            step /= 2
        theta = theta + step
        loss = _loss(columns, y, theta)
        if np.abs(step).max() < 1e-9:
            break
    return float(theta[1]), float(theta[0])


def _loss(columns: Floats, label: Floats, theta: Floats) -> float:
    margin = columns @ theta
    return float(np.logaddexp(0, margin).sum() - label @ margin + 5e-7 * theta @ theta)


def _one_step(start: tuple[float, float], sums: Floats) -> tuple[Floats, Floats]:
    """Recalibration under other weights: one Newton step from the unweighted answer.

    Source: Moulton and Zeger (1991), Bootstrapping generalized linear models.
    """
    slope, intercept = start
    if slope == 0.0:
        return np.full(len(sums), slope), np.full(len(sums), intercept)
    g0, g1, h00, h01, h11 = sums.T
    # the ridge of the full answer, whose own pull is part of its optimum
    h00, h11 = h00 + 1e-6, h11 + 1e-6
    g0, g1 = g0 - 1e-6 * intercept, g1 - 1e-6 * slope
    determinant = h00 * h11 - h01 * h01
    return (
        slope + (h00 * g1 - h01 * g0) / determinant,
        intercept + (h11 * g0 - h01 * g1) / determinant,
    )


def unweighted(scored: Mapping[str, Scored]) -> dict[str, dict[str, float]]:
    """Every metric of every column, each row counted once."""
    found = {}
    for name, column in scored.items():
        ones = np.ones((1, int(column.customer.max()) + 1))
        found[name] = {metric: float(v[0]) for metric, v in column.metrics(ones).items()}
    return found
