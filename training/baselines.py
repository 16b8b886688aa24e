"""The rules a model must beat.

Takes the feature matrix; gives the base rate and the best single recency or frequency rule
as rankings. Knows nothing about LightGBM.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from features.feature import EVENT, Feature, feature_names

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]
Labels = NDArray[np.int8]

RULE_KINDS = ("count", "days_active", "recency")


@dataclass(frozen=True)
class Baseline:
    """A simple ranking and how it does on the test part."""

    name: str
    auroc: float
    average_precision: float
    says: str
    """The rule in words."""


def baselines(
    features: Sequence[Feature], rule: tuple[int, int] | None, test: tuple[Matrix, Labels]
) -> list[Baseline]:
    """The base rate and a rule (column and direction, of `best_rule`), judged on `test`."""
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
