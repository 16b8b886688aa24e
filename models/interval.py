"""How sure a score is: an interval for the rate among customers with such a score.

Takes margins; gives for each a band in which the true curve lies with a stated confidence. Plain
numbers. Knows nothing about how the band was fitted, about features, trees or files.

**What it covers.** Let `r(m)` be the share, among all customers like those of the held-back rows,
of those with margin `m` whose outcome comes true. In `level` of all samples of such customers the
interval holds `r(m)`. It is wide where few customers had such scores; rows of one customer are no
independent witnesses, so a customer with many rows counts for little more than one with few.

**What it does not cover.** One customer's own probability: customers with one score differ in what
no feature says, each outcome is seen once, and no data without further assumptions can tell how
far they differ (Barber 2020, Is distribution-free inference possible for binary regression?). Nor
a world that changes more after the held-back rows than whoever fitted the band allowed for.

The width is that of beta calibration (Kull, Silva Filho & Flach 2017), which holds Platt's sigmoid
as a special case, with the covariance of clustered rows (Liang & Zeger 1986, Longitudinal data
analysis using generalized linear models) and normal quantiles in log-odds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import LEAST, Calibration, calibration_from_json
from models.loops import band

Floats = NDArray[np.float64]

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
        lower, upper = np.empty(len(margin)), np.empty(len(margin))
        middle = self.centre.log_odds(margin)
        band(margin, middle, probability, self._covariance, self._quantile, LEAST, lower, upper)
        return lower, upper

    @cached_property
    def _covariance(self) -> Floats:
        return np.array(self.covariance, np.float64)

    @cached_property
    def _quantile(self) -> float:
        """Standard deviations that the band reaches to each side."""
        return NormalDist().inv_cdf((1 + self.level) / 2)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        covariance = [list(row) for row in self.covariance]
        return {"level": self.level, "centre": self.centre.to_json(), "covariance": covariance}


def interval_from_json(data: Mapping[str, Any]) -> Interval:
    """Read an interval; `ValueError` when it is none."""
    covariance = tuple(tuple(row) for row in data["covariance"])
    return Interval(data["level"], calibration_from_json(data["centre"]), covariance)
