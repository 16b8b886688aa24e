"""From a model's margin to an honest probability.

Takes margins (raw log-odds) and labels of rows that the model was not fitted on; gives a
sigmoid with two numbers. Knows nothing about LightGBM, features or files.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sigmoid:
    """Platt's calibration, `p = 1 / (1 + exp(-(slope * margin + intercept)))`.

    Strictly rising, so it never changes who is ranked above whom.
    Source: Platt (1999), Probabilistic outputs for support vector machines.
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope) and np.isfinite(self.intercept) and self.slope > 0):
            raise ValueError(
                f"a calibration needs a finite slope above 0 and a finite intercept, "
                f"found {self.slope} and {self.intercept}"
            )

    def probability(self, margin: Floats) -> Floats:
        """Calibrated probabilities of margins of any shape."""
        return sigmoid(self.slope * margin + self.intercept)


def sigmoid(log_odds: Floats) -> Floats:
    """Probability of log-odds, without overflow."""
    small = np.exp(-np.abs(log_odds))
    return np.asarray(np.where(log_odds >= 0, 1 / (1 + small), small / (1 + small)))


def fit_sigmoid(margin: Floats, label: NDArray[np.int8]) -> Sigmoid:
    """Fit a calibration on held-back rows.

    A fit that would turn the ranking round says that the margins carry nothing there; the
    answer is then nearly flat, at the rows' own rate.
    """
    fitted = LogisticRegression(C=1e6).fit(margin[:, None], label)
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    if slope > 0:
        return Sigmoid(slope, intercept)
    rate = float(label.mean())
    return Sigmoid(1e-6, float(np.log(rate / (1 - rate))))
