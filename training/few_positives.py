"""Fitting where few rows have the rarer label: three plain views of the rows, averaged.

Takes a matrix and labels; gives one LightGBM booster. Knows nothing about time, customers or
where the columns come from.

With 50 positives nothing can be chosen by validation: eight positives stop a fit after 6 rounds or
after 6,000, and a comparison of candidates follows luck. So nothing is chosen. Three fits of a
fixed number of small rounds, each a different kind of caution, are averaged:

- **all**: the usual small random trees over every column;
- **leading**: the columns that rank best alone, each in the one direction in which it does;
- **rule**: the best single rule, as a curve. It holds the average near what it has to beat.

Average precision above the best rule, mean and worst of three or four draws of customers (fitted
on all rows known before the test, columns chosen among all); *validation* is what
`training.fitting` does, with rounds chosen by validation:

=======================  =========  ============  ============  ============  ============
problem                  positives  validation    all           leading       all three
=======================  =========  ============  ============  ============  ============
simulated cancellation          50  +.078 +.067   +.078 +.070   +.061 +.054   +.076 +.068
simulated renewal              100  +.036 -.012   +.038 +.001   +.055 +.047   +.055 +.034
simulated conversion           200  +.057 +.038   +.092 +.058   +.050 +.031   +.071 +.055
grocery conversion              50  +.075 +.048   +.080 +.055   not measured  +.126 +.100
grocery conversion             200  +.137 +.131   +.137 +.132   +.117 +.061   +.169 +.146
=======================  =========  ============  ============  ============  ============

Grocery's whole conversion problem (203 training positives, three seeds): .832 and .591 against .830
and .570 by validation. `benchmarks/learning_curve.py` measures the product's own path.

What it does not promise: one of six draws of 50 simulated renewals ended .045 below its rule, and
where one column alone says nearly all (drawn rows, 100 positives), the average lost .014 to it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from features.event_log import Ints
from features.feature import Feature
from training.baselines import best_rule
from training.cross_fitting import cross_fitted
from training.fitting import (
    FEW_ROWS,
    Labels,
    average,
    constraints,
    dataset,
    parameters,
)
from training.prepare import Part, Prepared

FEW = 300
"""Training rows of the rarer label below which nothing is left to validation."""
ROUNDS = 300
"""Of each fit. Of 100, 200, 400 and 800, the middle ones were the best or close to it on every
problem that was looked at."""
LEADING = 30
"""Columns that may speak alone. Ten lost up to .018 of average precision, counts and recency alone
.01 to .05."""
N_FOLDS = 5
"""Of customers, to calibrate on."""
RULE_LEAF = 5
"""The fewest rows in a leaf of the rule's curve: what ranks first must not be tied."""


def is_few(ready: Prepared) -> bool:
    """Whether so few training rows have the rarer label that `fit_few` is called for."""
    return ready.is_whole and rarer(ready.labelled.label[ready.split.train]) < FEW


def rarer(label: Labels) -> int:
    """Rows of the rarer label."""
    positives = int(label.sum())
    return min(positives, len(label) - positives)


def fit_few(ready: Prepared, rows: Part, again: bool) -> lgb.Booster:
    """Fit the three views on the same rows and average their margins; see `_fitted`.

    Parameters
    ----------
    rows
        Matrix of shape `(n_rows, n_features)` and labels 0 or 1 of shape `(n_rows,)`. The leading
        columns are chosen on them.
    again
        Whether validation may be learned from. Then the rule is the one that the model is judged
        against, which train and validation chose; else it is the training part's own, for
        validation is about to calibrate.

    Returns
    -------
    lightgbm.Booster
        The average. It never saw a validation part, so no round was chosen by one.
    """
    return _fitted(ready, rows, ready.seen if again else ready.parts["train"])


def cross_fitted_few(ready: Prepared) -> tuple[NDArray[np.float64], Labels, Ints]:
    """Margins of rows whose customers each fit did not see, to calibrate on.

    A validation part of few positives says little about the slope: 73 of grocery's conversions
    gave 1.94 where the refitted model needed 1.65. Of all that was known before the test there are
    nearly as many rows as the judged model is fitted on, so the margins are spread as its own are.
    Grocery's conversions, three seeds: slope on the test 1.02 against .85, calibration error .019
    against .029, log loss .330 against .333. Three draws of 100 simulated renewals: error .050
    against .127, log loss .421 against .512.

    Returns
    -------
    margin, label, customer
        Shape `(n_rows,)` each, of train, validation and what was purged between them.
    """
    return cross_fitted(ready, N_FOLDS, lambda rows: _fitted(ready, rows, rows), {"num_threads": 1})


def _fitted(ready: Prepared, rows: Part, ruling: Part) -> lgb.Booster:
    """The three views fitted on some rows; the rule is the one that ranks the others best."""
    features, monotone = ready.features, ready.problem.monotone
    rule = best_rule(features, *ruling)
    views = [constraints(features, monotone), _leading(features, rows, monotone)]
    views += [] if rule is None else [_rule(features, rule, monotone)]
    fitted = []
    for number, view in enumerate(views):
        seed = (ready.problem.seed + 1_009 * number) % 2**31
        # It is the rarer label that counts here, however many rows have the other.
        usual = parameters(min(len(rows[1]), FEW_ROWS - 1), len(features), seed)
        chosen = {**usual, **view}
        booster = lgb.train(chosen, dataset(features, rows, chosen), ROUNDS)
        fitted.append(booster.model_to_string())
    return average(fitted)


def _leading(
    features: Sequence[Feature], rows: Part, monotone: Mapping[str, str]
) -> dict[str, Any]:
    """LightGBM's parameters for the columns that rank best alone."""
    power = power_alone(features, rows)
    ways = {column: int(np.sign(power[column])) for column in leading(features, rows)}
    return {**_only(ways, features, monotone), "feature_fraction": 0.5, "min_data_in_leaf": 10}


def _rule(
    features: Sequence[Feature], rule: tuple[int, int], monotone: Mapping[str, str]
) -> dict[str, Any]:
    """LightGBM's parameters for a rule: its column alone, in its direction."""
    ways = {rule[0]: rule[1]}
    only = _only(ways, features, monotone)
    return {**only, "feature_fraction": 1.0, "min_data_in_leaf": RULE_LEAF}


def _only(
    ways: Mapping[int, int], features: Sequence[Feature], monotone: Mapping[str, str]
) -> dict[str, Any]:
    """LightGBM's parameters for some columns alone, each in one direction.

    A split by any other column gains nothing, so it is never made.
    """
    declared = constraints(features, monotone).get("monotone_constraints", [0] * len(features))
    return {
        "feature_contri": [1.0 if column in ways else 0.0 for column in range(len(features))],
        "monotone_constraints": [way or ways.get(column, 0) for column, way in enumerate(declared)],
    }


def leading(features: Sequence[Feature], rows: Part) -> list[int]:
    """The columns that rank the labels best alone, the best first; at most `LEADING`."""
    power = np.abs(power_alone(features, rows))
    return [int(c) for c in np.argsort(-power, kind="stable")[:LEADING] if power[c] > 0]


def power_alone(features: Sequence[Feature], rows: Part) -> NDArray[np.float64]:
    """AUROC less one half of each column alone, shape `(n_features,)`.

    Above 0 where the score rises with the column. A missing value ranks above all others, as for
    a rule; a category has no order and gets 0.
    """
    matrix, label = rows
    ordered = np.array([not feature.is_position for feature in features])
    values = np.nan_to_num(matrix.astype(np.float64), nan=np.finfo(np.float64).max)
    n, positives = len(label), int(label.sum())
    # The Mann-Whitney statistic: all columns at once take a tenth of one by one.
    ranks = rankdata(values, axis=0)[label == 1].sum(axis=0) - positives * (positives + 1) / 2
    return np.where(ordered, ranks / (positives * (n - positives)) - 0.5, 0.0)
