"""The rules a model must beat.

Takes the feature matrix; gives the base rate, the best single recency or frequency rule, and
a logistic regression on recency, frequency and value. Knows nothing about LightGBM.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from features.feature import EVENT, Feature, feature_names
from models.calibration import sigmoid
from training.evaluation import Rival

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]
Labels = NDArray[np.int8]

RULE_KINDS = ("count", "days_active", "recency")
RFV_KINDS = ("count", "recency", "sum")
MOST_RFV = 60
"""Columns of the logistic regression; a shop with forty kinds of event has hundreds."""
RFV_ROWS = 50_000
"""Rows that it is fitted on; its few weights need no more."""


@dataclass(frozen=True)
class Baseline:
    """A simple ranking and how it does on the test part."""

    name: str
    auroc: float
    average_precision: float
    says: str
    """The rule in words."""


@dataclass(frozen=True)
class Logistic:
    """A logistic regression on recency, frequency and value."""

    columns: tuple[int, ...]
    """Of the feature matrix."""
    fill: Floats
    """The largest value seen, for a missing one: a customer without the event is the least
    recent. Shape `(n_columns,)`."""
    missing: tuple[int, ...]
    """Which of the columns have a second one that says that the value is missing."""
    centre: Floats
    scale: Floats
    weights: Floats
    intercept: float

    def probability(self, matrix: Matrix) -> Floats:
        """Probabilities of rows of the feature matrix, shape `(n_rows,)`."""
        inputs = (_inputs(matrix, self.columns, self.fill, self.missing) - self.centre) / self.scale
        return sigmoid(inputs @ self.weights + self.intercept)


def fit_logistic(features: Sequence[Feature], matrix: Matrix, label: Labels) -> Logistic | None:
    """Fit on the logarithms of recency, counts and sums; None where there are no such columns.

    Values are `log(1 + x)`, with the sign kept, and standardised; the penalty is scikit-learn's
    default, C = 1.
    """
    chosen = [
        column
        for column, feature in enumerate(features)
        if feature.kind in RFV_KINDS and feature.events is None and _plain(feature)
    ]
    # What reads events of any kind comes first, so that a long list of events keeps its sums.
    columns = tuple(sorted(chosen, key=lambda c: bool(features[c].where.conditions))[:MOST_RFV])
    if not columns or label.min() == label.max():
        return None
    step = -(-len(label) // RFV_ROWS)
    matrix, label = matrix[::step], label[::step]
    some = matrix[:, columns].astype(np.float64)
    absent = np.isnan(some)
    fill = np.where(absent, -np.inf, some).max(axis=0)
    fill[~np.isfinite(fill)] = 0.0
    missing = tuple(np.flatnonzero(absent.any(axis=0)).tolist())
    inputs = _inputs(matrix, columns, fill, missing)
    centre, scale = inputs.mean(axis=0), inputs.std(axis=0)
    scale[scale == 0] = 1.0
    fitted = LogisticRegression(max_iter=300).fit((inputs - centre) / scale, label)
    return Logistic(
        columns, fill, missing, centre, scale, fitted.coef_[0], float(fitted.intercept_[0])
    )


def _inputs(
    matrix: Matrix, columns: tuple[int, ...], fill: Floats, missing: tuple[int, ...]
) -> Floats:
    values = matrix[:, columns].astype(np.float64)
    absent = np.isnan(values)
    values = np.where(absent, fill, values)
    logs = np.sign(values) * np.log1p(np.abs(values))
    return np.column_stack([logs, absent[:, missing]])


def rivals(
    rule: tuple[int, int] | None,
    logistic: Logistic | None,
    base_rate: float,
    matrix: Matrix,
    seen: tuple[Matrix, Labels],
) -> dict[str, Rival]:
    """The score columns of all baselines, by name.

    Parameters
    ----------
    seen
        Rows on which the rule was chosen: what share of them was positive at each of its values
        (made to rise, Barlow et al. 1972) is the probability that it stands for.
    """
    found = {"base_rate": Rival(np.full(len(matrix), base_rate), is_probability=True)}
    if rule is not None:
        column, sign = rule
        rate = IsotonicRegression(out_of_bounds="clip")
        rate.fit(rule_score(seen[0][:, column], sign), seen[1])
        score = rule_score(matrix[:, column], sign)
        found["best_rule"] = Rival(score, chance=rate.predict(score))
    if logistic is not None:
        found["logistic"] = Rival(logistic.probability(matrix), is_probability=True)
    return found


def baselines(
    features: Sequence[Feature],
    rule: tuple[int, int] | None,
    test: tuple[Matrix, Labels],
    logistic: Logistic | None = None,
) -> list[Baseline]:
    """The base rate, a rule (column and direction, of `best_rule`) and a logistic regression.

    All are judged on `test`.
    """
    matrix, label = test
    found = [Baseline("base_rate", 0.5, float(label.mean()), "everybody gets the base rate")]
    if rule is not None:
        column, sign = rule
        score = rule_score(matrix[:, column], sign)
        found.append(
            Baseline(
                "best_rule",
                float(roc_auc_score(label, score)),
                float(average_precision_score(label, score)),
                f"{'most' if sign > 0 else 'fewest'} first: {features[column].description} "
                f"({feature_names(features)[column]})",
            )
        )
    if logistic is not None:
        score = logistic.probability(matrix)
        found.append(
            Baseline(
                "logistic",
                float(roc_auc_score(label, score)),
                float(average_precision_score(label, score)),
                f"logistic regression on {len(logistic.columns)} columns of recency, frequency "
                "and value",
            )
        )
    return found


def best_rule(features: Sequence[Feature], matrix: Matrix, label: Labels) -> tuple[int, int] | None:
    """Column and direction of the recency or frequency that ranks `label` best.

    A rule is what a person would write down: how often or how recently an event happened.
    """
    best, chosen = 0.0, None
    for column, feature in enumerate(features):
        if feature.kind not in RULE_KINDS or not _plain(feature):
            continue
        for sign in (1, -1):
            score = rule_score(matrix[:, column], sign)
            precision = float(average_precision_score(label, score))
            if precision > best:
                best, chosen = precision, (column, sign)
    return chosen


def _plain(feature: Feature) -> bool:
    """Whether a feature reads the customer's own events, all of them or those of one name."""
    return feature.over is None and all(c.column == EVENT for c in feature.where.conditions)


def rule_score(values: NDArray[np.floating[Any]], sign: int) -> Floats:
    """A feature as a ranking; a customer without such an event is the least recent."""
    return sign * np.nan_to_num(values.astype(np.float64), nan=np.finfo(np.float64).max)
