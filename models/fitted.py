"""A fitted model and what may be asked of it: vectors, probabilities, contributions.

Takes logs and rows, or a matrix in the contract's order; gives numbers. Knows nothing
about where the model came from, about MLflow or about HTTP.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.cutoffs import Moments
from features.engine import Matrix, Rows, compute
from features.errors import ModelFilesError
from features.event_log import EventLog
from features.program import Plan, prepare
from models.calibration import Calibration
from models.contract import BANDS, Contract
from models.interval import Interval
from models.journey_map import Map
from models.loops import stand
from models.reasons import Explainer
from models.trees import Trees
from models.weekly_risk import WeeklyRisk

Floats = NDArray[np.float64]


EXACT = 1e-9
"""So near do a row's contributions and base come to its margin, in log-odds."""


@dataclass(frozen=True)
class Explained:
    """Scores of rows with what each feature adds to them."""

    contributions: Floats
    """Log-odds, shape `(n_rows, n_features)`."""
    base: float
    """Log-odds of a customer of whom nothing is known."""
    margins: Floats
    """Log-odds, shape `(n_rows,)`, with the bits of `FittedModel.margins`."""
    probabilities: Floats
    """Calibrated, shape `(n_rows,)`, with the bits of `FittedModel.probabilities`."""

    @property
    def adds_up(self) -> bool:
        """Whether every row's contributions and base are its margin."""
        apart = self.contributions.sum(axis=1) + self.base - self.margins
        return bool((np.abs(apart) <= EXACT).all())


@dataclass(frozen=True)
class FittedModel:
    """Trees, calibration, contract and when, which belong together."""

    trees: Trees
    calibration: Calibration
    contract: Contract
    weekly_risk: WeeklyRisk | None = None
    """None where nobody knows when outcomes happened."""
    interval: Interval | None = None
    """The band around the calibration; None where none was fitted."""
    journey_map: Map | None = None
    """How customers flow and what hurts; None where an older version trained the model."""

    def __post_init__(self) -> None:
        if self.trees.names != self.contract.names:
            raise ModelFilesError(
                f"The trees expect {len(self.trees.names)} columns and the contract names "
                f"{len(self.contract.names)}, or in another order. The files of two models are "
                "mixed; register the model again."
            )

    @cached_property
    def _plan(self) -> Plan:
        return prepare(self.contract.features)

    @cached_property
    def plan_apart(self) -> Plan:
        """The same features with groups under names of their own, so that a log can say whose
        group is whose beside the property itself; see `models.removals`."""
        return prepare(
            [
                feature if feature.over is None else replace(feature, over=apart(feature.over))
                for feature in self.contract.features
            ]
        )

    @cached_property
    def _quantiles(self) -> Floats:
        """The scores of the customers the model was judged on, at each percentile."""
        return np.array(self.contract.score_quantiles, np.float64)

    @cached_property
    def explainer(self) -> Explainer:
        """What says why a score is what it is."""
        return Explainer(self.contract, self.calibration)

    def vectors(self, log: EventLog, attributes: EventLog, rows: Rows) -> Matrix:
        """Feature vectors, shape `(n_rows, n_features)`, NaN where missing."""
        return compute(self._plan, log, attributes, rows)

    def margins(self, vectors: Matrix) -> Floats:
        """Raw log-odds, shape `(n_rows,)`; the bits of LightGBM's own."""
        return self.trees.margins(vectors)

    def probabilities(self, vectors: Matrix) -> Floats:
        """Calibrated probabilities, shape `(n_rows,)`."""
        return self.calibration.probability(self.margins(vectors))

    def contributions(self, vectors: Matrix) -> tuple[Floats, Floats]:
        """Exact TreeSHAP values in log-odds and the base, `(n_rows, n_features)` and `(n_rows,)`.

        Each row's contributions and base add up to its margin.
        """
        found = self.explained(vectors)
        return found.contributions, np.full(len(vectors), found.base)

    def explained(self, vectors: Matrix) -> Explained:
        """Scores and what each feature adds to them, found in one pass.

        Raises
        ------
        ModelFilesError
            When contributions do not add up to a margin within `EXACT`.
        """
        margins, contributions = self.trees.explained(vectors)
        found = Explained(
            contributions, self.trees.base, margins, self.calibration.probability(margins)
        )
        if not found.adds_up:
            raise ModelFilesError(
                "The reasons for a score do not add up to it. The trees are not what they were "
                "when the model was trained; train it again."
            )
        return found

    def bounds(
        self, vectors: Matrix, margins: Floats | None = None
    ) -> tuple[Floats, Floats] | None:
        """Lower and upper bounds of the scores, `(n_rows,)` each; see `models.interval`.

        Where the margins are known, they need not be found again.
        """
        if self.interval is None:
            return None
        margins = self.margins(vectors) if margins is None else margins
        return self.interval.bounds(margins, self.calibration.probability(margins))

    def weekly(
        self, vectors: Matrix, moments: Moments, margins: Floats | None = None
    ) -> Floats | None:
        """The probability at the end of each week of the windows, `(n_rows, n_weeks)`.

        See `models.weekly_risk`; None where nobody knows when.
        """
        if self.weekly_risk is None:
            return None
        margins = self.margins(vectors) if margins is None else margins
        scores = self.calibration.probability(margins)
        return self.weekly_risk.curves(scores, margins, vectors, moments.opens, moments.closes)

    def percentiles(self, probabilities: Floats) -> Floats:
        """Where scores stand among the customers the model was judged on, 0 to 100.

        A score that many share stands in the middle of them.
        """
        out = np.empty(len(probabilities))
        stand(probabilities, self._quantiles, out)
        return out


def apart(over: str) -> str:
    """The name under which a group stands apart from the property that names it."""
    return f"{over} apart"


def band(percentile: float) -> str:
    """The band of a percentile: low, medium, high or very high."""
    return next(name for least, name in BANDS if percentile >= least)
