"""How sure a score is: an interval for the rate among customers with such a score.

Takes margins, labels and customers of the rows that the calibration was fitted on; gives for
every margin a band in which the true curve lies with a stated confidence. Plain numbers. Knows
nothing about features, trees or files.

**What it covers.** Let `r(m)` be the share, among all customers like those of the held-back rows,
of those with margin `m` whose outcome comes true. In `level` of all samples of such customers the
interval holds `r(m)`. It is wide where few customers had such scores; rows of one customer are no
independent witnesses, so a customer with many rows counts for little more than one with few.

**What it does not cover.** One customer's own probability: customers with one score differ in what
no feature says, each outcome is seen once, and no data without further assumptions can tell how
far they differ (Barber 2020, Is distribution-free inference possible for binary regression?). Nor
a world that changes after the held-back rows.

The band is that of beta calibration (Kull, Silva Filho & Flach 2017), which holds Platt's sigmoid
as a special case, with the covariance of clustered rows (Liang & Zeger 1986, Longitudinal data
analysis using generalized linear models) and normal quantiles in log-odds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import (
    LEAST,
    Calibration,
    Isotonic,
    calibration_from_json,
    fit_beta,
    logs,
    sigmoid,
)

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
Ints = NDArray[np.int64]

LEVEL = 0.9
"""The share of samples whose band holds the true rate at a score."""


@dataclass(frozen=True)
class Interval:
    """A band around a curve from margins to probabilities."""

    level: float
    centre: Calibration
    """The curve in the middle of the band."""
    covariance: tuple[tuple[float, float, float], ...]
    """Of its two slopes and its intercept, in the terms of beta calibration, shape `(3, 3)`."""

    def __post_init__(self) -> None:
        values = np.array(self.covariance)
        if values.shape != (3, 3) or not np.isfinite(values).all() or not 0 < self.level < 1:
            raise ValueError(
                "an interval needs a level between 0 and 1 and a finite covariance of 3 × 3, "
                f"found {self.level} and {self.covariance}"
            )

    def bounds(self, margin: Floats, probability: Floats) -> tuple[Floats, Floats]:
        """Lower and upper bounds, shape `(n_rows,)` each, strictly between 0 and 1.

        The calibrated probabilities lie within. A row is the same alone and among others.
        """
        (aa, ab, ac), (_, bb, bc), (_, _, cc) = self.covariance
        low, high = logs(margin)
        # Written out, because a matrix product of one row may differ in its last bit.
        spread = aa * low * low + bb * high * high + cc
        spread = spread + 2 * (ab * low * high + ac * low + bc * high)
        reach = NormalDist().inv_cdf((1 + self.level) / 2) * np.sqrt(np.maximum(spread, 0.0))
        middle = self.centre.log_odds(margin)
        lower = np.clip(sigmoid(middle - reach), LEAST, 1 - LEAST)
        upper = np.clip(sigmoid(middle + reach), LEAST, 1 - LEAST)
        return np.minimum(lower, probability), np.maximum(upper, probability)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        covariance = [list(row) for row in self.covariance]
        return {"level": self.level, "centre": self.centre.to_json(), "covariance": covariance}


def interval_from_json(data: Mapping[str, Any]) -> Interval:
    """Read an interval; `ValueError` when it is none."""
    covariance = tuple(tuple(row) for row in data["covariance"])
    return Interval(data["level"], calibration_from_json(data["centre"]), covariance)


def fit_interval(
    calibration: Calibration, margin: Floats, label: Labels, customer: Ints, level: float = LEVEL
) -> Interval:
    """The band of held-back rows, shape `(n_rows,)` each, the ones of the calibration.

    Its middle is beta calibration also where the simpler sigmoid was chosen, so that the band
    does not rest on that choice; where an isotonic curve was chosen, it is that curve.
    """
    beta = fit_beta(margin, label)
    rate = beta.probability(margin)
    design = np.column_stack([*logs(margin), np.ones(len(margin))])
    weight = rate * (1 - rate)
    information = np.einsum("ij,i,ik->jk", design, weight, design)
    _, who = np.unique(customer, return_inverse=True)
    n_customers = int(who.max()) + 1
    score = design * (label - rate)[:, None]
    by_customer = np.column_stack([np.bincount(who, column) for column in score.T])
    inverse = np.linalg.pinv(information, hermitian=True)
    few = n_customers / max(n_customers - design.shape[1], 1)
    covariance = few * inverse @ (by_customer.T @ by_customer) @ inverse
    covariance = (covariance + covariance.T) / 2
    centre = calibration if isinstance(calibration, Isotonic) else beta
    a, b, c = (tuple(row) for row in covariance.tolist())
    return Interval(level, centre, (a, b, c))
