"""Reasons: why a score is what it is, in probability points and in a sentence.

Takes contributions in log-odds; gives signed reasons that speak once for each group of
features. Knows nothing about trees, stores or HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.feature import Feature
from models.calibration import Calibration
from models.contract import Contract

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reason:
    """One thing that moved a score."""

    feature: str
    """The name of the feature that speaks for its group."""
    group: str
    value: float | str | None
    """What the customer has; None when missing."""
    usual: float | str | None
    """What most customers have."""
    unit: str
    points: float
    """What the whole group added to the probability, in percentage points, signed."""
    statement: str
    """What is so: the feature, the customer's value and the usual one."""

    @property
    def sentence(self) -> str:
        """The statement and what it does to the score."""
        verb = "raises" if self.points > 0 else "lowers"
        return f"{self.statement}; {verb} the score by {abs(self.points):.1f} points"


def points(contributions: Floats, base: float, calibration: Calibration) -> tuple[Floats, float]:
    """Split a calibrated probability over features, in percentage points.

    The probability is one rising curve of the sum of all contributions; each feature gets
    the curve's mean slope along the way from the base to the margin, times its own
    contribution (Aumann and Shapley, 1974). Base and points add up to the score.

    Returns
    -------
    points : ndarray of shape (n_features,)
    base : float
        The score at the mean log-odds of the training rows, in percentage points.
    """
    total = float(contributions.sum())
    start, end = calibration.probability(np.array([base, base + total]))
    if abs(total) > 1e-9:
        slope = (end - start) / total
    else:
        below, above = calibration.probability(np.array([base - 1e-3, base + 1e-3]))
        slope = (above - below) / 2e-3
    return 100 * slope * contributions, float(100 * start)


def explain(
    contract: Contract,
    vector: Floats,
    contributions: Floats,
    base: float,
    calibration: Calibration,
    most: int,
) -> tuple[list[Reason], float]:
    """The strongest reasons for one score, and the base in percentage points.

    Parameters
    ----------
    vector, contributions
        Shape `(n_features,)`, in the contract's order.
    base
        The contribution of no feature, in log-odds.
    most
        How many reasons to give; the strongest come first.
    """
    moved, start = points(contributions, base, calibration)
    members: dict[str, list[int]] = {}
    for column, feature in enumerate(contract.features):
        members.setdefault(feature.group, []).append(column)
    total = {group: float(moved[columns].sum()) for group, columns in members.items()}
    strongest = sorted(total, key=lambda group: (-abs(total[group]), group))[:most]
    return [
        _reason(
            contract, vector, group, _speaker(members[group], moved, total[group]), total[group]
        )
        for group in strongest
        if total[group] != 0
    ], start


def _speaker(columns: Sequence[int], moved: Floats, total: float) -> int:
    """The feature of a group that moved the score most in the group's own direction."""
    return max(columns, key=lambda column: moved[column] * np.sign(total))


def _reason(contract: Contract, vector: Floats, group: str, column: int, moved: float) -> Reason:
    feature = contract.features[column]
    value = shown_value(feature, float(vector[column]))
    usual_number = contract.usual[column]
    usual = None if usual_number is None else shown_value(feature, usual_number)
    return Reason(
        feature=contract.names[column],
        group=group,
        value=value,
        usual=usual,
        unit=feature.unit,
        points=moved,
        statement=_statement(feature, value, usual),
    )


def shown_value(feature: Feature, value: float) -> float | str | None:
    """A feature's value as a person reads it: a level by its name, missing as None."""
    if np.isnan(value):
        return None
    return feature.levels[int(value)] if feature.is_position else value


def _statement(feature: Feature, value: float | str | None, usual: float | str | None) -> str:
    subject = feature.description[0].upper() + feature.description[1:]
    if value is None:
        stated = f"{subject}: not known ({feature.missing})"
    else:
        stated = f"{subject}: {written(value, feature.unit)}"
    if usual is not None and usual != value:
        stated += f", usually {written(usual, feature.unit)}"
    return stated


def written(value: float | str, unit: str) -> str:
    """A number with as many digits as a person wants."""
    if isinstance(value, str):
        return value
    if unit == "share":
        return f"{value:.0%}"
    if not np.isfinite(value):
        return f"{value:g}"
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"
