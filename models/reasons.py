"""Reasons: why a score is what it is, in probability points and in a sentence.

Takes contributions in log-odds; gives signed reasons that speak once for each group of
features. Knows nothing about trees, stores or HTTP.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.feature import Feature
from models.calibration import Calibration
from models.contract import Contract
from models.loops import add_up
from models.meaning import ACTIONABLE, CONTEXT, is_actionable, more_telling
from models.peers import EVERYBODY, Usual
from models.wording import Phrase, phrase

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Vector = NDArray[np.floating[Any]]

SMALL = 1e-9
"""Log-odds below which the curve's slope is measured beside the base, not along the way."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that moved a score."""

    feature: str
    """The name of the feature that speaks for its group."""
    group: str
    """What the group is about, for a person."""
    value: float | str | None
    """What the customer has; None when missing."""
    usual: float | str | None
    """What its peers usually have; None where most lack it."""
    unit: str
    points: float
    """What the whole group added to the probability, in percentage points, signed."""
    statement: str
    """What is so: the customer's value and the usual one, in words."""
    kind: str = CONTEXT
    """`actionable` where the business can influence it, else `context`."""
    peers: str = EVERYBODY
    """Whose usual value it is: a persona's, a stage's, or that of all customers."""
    column: int = -1
    """The speaking feature's position in the contract."""

    @property
    def sentence(self) -> str:
        """The statement and what it does to the score."""
        verb = "raises" if self.points > 0 else "lowers"
        size = f"{abs(self.points):.1f}"
        by = "less than 0.1 points" if size == "0.0" else f"{size} points"
        return f"{self.statement}; {verb} the score by {by}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A score taken apart, in percentage points: base, reasons and rest add up to it."""

    reasons: tuple[Reason, ...]
    """The strongest ones, strongest first."""
    base: float
    """The score at the mean log-odds of the training rows."""
    rest: float
    """What everything else added, signed."""


@dataclass(frozen=True)
class Moved:
    """What each group of features added to the scores of some rows, in percentage points."""

    points: Floats
    """Shape `(n_rows, n_groups)`."""
    base: Floats
    """Shape `(n_rows,)`; with the points of a row it adds up to `score`."""
    score: Floats
    """Shape `(n_rows,)`."""


def points(
    contributions: Floats,
    base: Floats,
    calibration: Calibration,
    total: Floats,
    start: Floats | None = None,
) -> Moved:
    """Split calibrated probabilities over what contributed, in percentage points.

    The probability is one rising curve of the sum of all contributions; each one gets the
    curve's mean slope along the way from the base to the margin, times itself (Aumann and
    Shapley, 1974). Base and points add up to the score.

    Parameters
    ----------
    contributions, base
        Log-odds, shape `(n_rows, n)` and `(n_rows,)`.
    total
        The sum of each row's contributions, shape `(n_rows,)`.
    start
        The probabilities at the bases, where they are known already.
    """
    start = calibration.probability(base) if start is None else start
    end = calibration.probability(base + total)
    if np.abs(total).min(initial=1.0) > SMALL:
        slope = (end - start) / total
    else:
        below, above = calibration.probability(np.stack([base - 1e-3, base + 1e-3]))
        slope = (above - below) / 2e-3
        np.divide(end - start, total, out=slope, where=np.abs(total) > SMALL)
    return Moved((100 * slope)[:, None] * contributions, 100 * start, 100 * end)


class Explainer:
    """A model's reasons; make it once a model, for it prepares every sentence."""

    def __init__(self, contract: Contract, calibration: Calibration) -> None:
        self.contract = contract
        self.groups = contract.groups
        self._calibration = calibration
        self._order = np.array([c for g in self.groups for c in g.columns], np.int64)
        sizes = [len(group.columns) for group in self.groups]
        self._edges = np.cumsum([0, *sizes], dtype=np.int64)
        self._members = [np.array(group.columns, np.int64) for group in self.groups]
        declared, seen = contract.actionable, contract.seen
        self.kinds = [
            ACTIONABLE if is_actionable(feature, declared, seen) else CONTEXT
            for feature in contract.features
        ]
        self._units = [feature.unit for feature in contract.features]
        self._names = contract.names
        self._levels = [f.levels if f.is_position else () for f in contract.features]
        self.telling = more_telling(contract.features, seen.main_event)
        self._start: dict[float, Floats] = {}
        self._phrases: list[Phrase | None] = [None] * len(contract.features)

    def moved(self, contributions: Floats, base: Floats) -> Moved:
        """Split calibrated probabilities over the groups of features; see `points`.

        A row has the same bits alone and among others.

        Parameters
        ----------
        contributions, base
            Log-odds, shape `(n_rows, n_features)` and `(n_rows,)`.
        """
        grouped, total = np.empty((len(base), len(self.groups))), np.empty(len(base))
        add_up(np.ascontiguousarray(contributions), self._order, self._edges, grouped, total)
        if len(base) > 1:
            return points(grouped, base, self._calibration, total)
        at = base.item()
        if at not in self._start:
            self._start = {at: self._calibration.probability(base)}
        return points(grouped, base, self._calibration, total, self._start[at])

    def strongest(self, moved: Moved, most: int) -> Ints:
        """The groups that moved each row most, strongest first, shape `(n_rows, most)`.

        Of two equals the first group comes first. There are fewer columns where there are fewer
        groups; a group that moved nothing is -1.
        """
        order = np.argsort(-np.abs(moved.points), axis=1, kind="stable")[:, :most]
        return np.where(np.take_along_axis(moved.points, order, axis=1) == 0, -1, order)

    def explain(
        self,
        vector: Vector,
        contributions: Floats,
        base: float,
        most: int,
        persona: str | None = None,
    ) -> Explanation:
        """The strongest reasons for one score.

        Parameters
        ----------
        vector, contributions
            Shape `(n_features,)`, in the contract's order.
        base
            The contribution of no feature, in log-odds.
        most
            How many reasons to give.
        persona
            The name of the customer's persona, by which its peers are found.
        """
        moved = self.moved(contributions[None, :], np.array([base]))
        return self.in_words(moved, 0, vector, contributions, most, persona)

    def in_words(
        self,
        moved: Moved,
        row: int,
        vector: Vector,
        contributions: Floats,
        most: int,
        persona: str | None = None,
    ) -> Explanation:
        """The strongest reasons for one row of a batch; see `explain`."""
        points = moved.points[row]
        order = np.argsort(-np.abs(points), kind="stable")[:most].tolist()
        segment = self.contract.peers.segment(vector, persona)
        usual = self.contract.usual if segment is None else self.contract.peers.usual[segment]
        reasons, shown = [], 0.0
        for group in order:
            added = float(points[group])
            if added:
                column = self.speaker(group, contributions, added)
                value = float(vector[column])
                reasons.append(self._reason(group, column, value, usual, added, segment))
                shown += added
        base = float(moved.base[row])
        return Explanation(tuple(reasons), base, float(moved.score[row]) - base - shown)

    def speaker(self, group: int, contributions: Floats, added: float) -> int:
        """The feature of a group that moved the score most in the group's own direction.

        Of two that say nearly the same, of any event and of the main one, the latter speaks.
        """
        members = self._members[group]
        moved = contributions[members]
        column = int(members[moved.argmax() if added > 0 else moved.argmin()])
        return self.telling.get(column, column)

    def statement(self, column: int, value: float, usual: float | None) -> str:
        """What a feature's value means, in words."""
        return self._phrase(column).statement(value, usual)

    def unfamiliar(self, vector: Vector) -> list[str]:
        """In what a row lies outside what the model has learned from, in words."""
        return [
            f"{self.statement(column, float(vector[column]), None)}; beyond nearly all customers "
            f"that the model has learned from ({show(low)} to {show(high)})"
            for column, low, high in self.contract.familiarity.farthest(vector)
            for show in (self._phrase(column).shows,)
        ]

    def _phrase(self, column: int) -> Phrase:
        found = self._phrases[column]
        if found is None:
            contract = self.contract
            found = phrase(contract.features[column], contract.words, contract.seen)
            self._phrases[column] = found
        return found

    def _shown(self, column: int, value: float) -> float | str | None:
        if value != value:
            return None
        levels = self._levels[column]
        return levels[int(value)] if levels else value

    def _reason(
        self, group: int, column: int, value: float, usual: Usual, added: float, who: str | None
    ) -> Reason:
        ordinary = usual[column]
        return Reason(
            self._names[column],
            self.groups[group].name,
            self._shown(column, value),
            None if ordinary is None else self._shown(column, ordinary),
            self._units[column],
            added,
            self.statement(column, value, ordinary),
            self.kinds[column],
            who or EVERYBODY,
            column,
        )


def shown_value(feature: Feature, value: float) -> float | str | None:
    """A feature's value as a person reads it: a level by its name, missing as None."""
    if value != value:
        return None
    return feature.levels[int(value)] if feature.is_position else value
