"""What a search tries, and how one trial is judged: on one period after another, before the test.

Takes prepared rows; gives the log loss of LightGBM's parameters a period. Knows nothing about
who chooses the parameters, and never reads a row of the test part.

Log loss is what trees minimise and what probabilities are paid by, and it uses every row. Average
precision hangs on the few hundred rows at the top: on grocery churn one seed moves it by .015,
more than most parameters do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import lightgbm as lgb
import numpy as np

from features.event_log import Ints
from training.backtest import PERIODS, Pool, folds, pool
from training.fitting import (
    FEW_ROWS,
    FITS,
    MANY_ROWS,
    MOST_ROUNDS,
    SMALL_TREES,
    constraints,
    parameters,
    patience_of,
)
from training.prepare import Prepared
from training.weighted import Floats

TINY = 1e-15
SURE = 1.645
"""Standard errors by which a gain must exceed zero: one-sided, 95 %."""

LEAST_PERIODS = 2
"""Periods that a gain must hold over. On Online Retail II the best of 35 trials gained .0088 on the
only period before the test, eight standard errors, and lost .0006 on the test part."""


@dataclass(frozen=True)
class Range:
    """Between what a parameter is searched, both ends included."""

    low: float
    high: float
    whole: bool = False


Space = dict[str, Range | tuple[bool, ...]]


def space(n_train: int) -> Space:
    """LightGBM's parameters that are searched; numbers on a logarithmic scale."""
    return {
        "learning_rate": Range(0.015, 0.2),
        "num_leaves": Range(3, 63, whole=True),
        "min_data_in_leaf": Range(5, int(np.clip(n_train // 8, 20, 500)), whole=True),
        "feature_fraction": Range(0.05, 1.0),
        "bagging_fraction": Range(0.3, 1.0),
        "lambda_l2": Range(0.1, 200.0),
        "extra_trees": (False, True),
    }


@dataclass(frozen=True)
class Ground:
    """The rows and periods on which every trial is judged."""

    among: Pool
    folds: tuple[tuple[Ints, Ints], ...]
    """Rows fitted on and rows judged on, places in `among`; oldest first."""
    default: dict[str, Any]
    """All of LightGBM's parameters as they are without a search."""

    @property
    def starts(self) -> list[dict[str, Any]]:
        """The first trials: what training does today, so that no search ends worse than it."""
        today = {name: self.default[name] for name in space(self.n_train)}
        if FEW_ROWS <= self.n_train < MANY_ROWS:  # there the fit chooses between two sizes
            return [today, {**today, "num_leaves": SMALL_TREES}]
        return [today]

    @property
    def n_train(self) -> int:
        return len(self.among.ready.split.train)


@dataclass(frozen=True)
class Found:
    """What a trial came to after some periods."""

    objective: float
    """Mean log loss over the periods."""
    losses: tuple[float, ...]
    """One a period, oldest first."""
    rounds: int
    """The number that is best in the mean; the same for all periods."""


@dataclass(frozen=True)
class Gain:
    """By how much one fit's log loss is below another's, paired row by row."""

    value: float
    """Mean over the periods."""
    error: float
    """Its standard error; a customer's rows count as one draw."""
    by_period: tuple[float, ...]
    """Oldest first."""

    @property
    def beats_noise(self) -> bool:
        """Surely above zero over customers, and above zero in most of two periods or more."""
        better = sum(one > 0 for one in self.by_period)
        if len(self.by_period) < LEAST_PERIODS:
            return False
        return self.value > SURE * self.error and 2 * better > len(self.by_period)


def ground(ready: Prepared, periods: int = PERIODS) -> Ground:
    """The periods before the test part; where the history holds none, train and validation."""
    among = pool(ready, test=False)
    found = tuple(folds(among, periods))
    if not found:
        train = np.isin(among.rows, ready.split.train)
        found = ((np.flatnonzero(train), np.flatnonzero(~train)),)
    chosen = parameters(len(ready.split.train), len(ready.features), ready.problem.seed)
    chosen |= constraints(ready.features, ready.problem.monotone)
    return Ground(among, found, chosen)


def judged(
    where: Ground, chosen: Mapping[str, Any], watch: Callable[[], None] = lambda: None
) -> Iterator[Found]:
    """What a trial comes to after each of the periods.

    Parameters
    ----------
    chosen
        Parameters beside the default ones.
    watch
        Called after each round; what it raises ends the trial.
    """
    curves: list[Floats] = []
    for fold in where.folds:
        curves.append(_curve(where, fold, {**where.default, **chosen}, watch))
        together = _together(curves)
        best = int(together.mean(axis=0).argmin())
        losses = tuple(float(loss) for loss in together[:, best])
        yield Found(float(np.mean(losses)), losses, best + 1)


def _curve(
    where: Ground, fold: tuple[Ints, Ints], chosen: dict[str, Any], watch: Callable[[], None]
) -> Floats:
    """Log loss of a period after each round, until it gets no better."""
    chosen = {**chosen, "feature_pre_filter": False, "metric": "binary_logloss"}
    train, here = (where.among.binned(chosen).subset(rows.tolist()) for rows in fold)
    told: dict[str, dict[str, list[float]]] = {}
    lgb.train(
        chosen,
        train,
        MOST_ROUNDS,
        valid_sets=[here],
        valid_names=["period"],
        callbacks=[
            lgb.record_evaluation(told),
            lgb.early_stopping(patience_of(chosen), verbose=False),
            lambda _: watch(),
        ],
    )
    return np.array(told["period"]["binary_logloss"])


def _together(curves: Sequence[Floats]) -> Floats:
    """Curves of one length, shape `(n_periods, n_rounds)`.

    One that stopped keeps its last value: it had long been getting worse.
    """
    longest = max(map(len, curves))
    return np.array([np.pad(curve, (0, longest - len(curve)), mode="edge") for curve in curves])


def compare(
    where: Ground, default: tuple[Mapping[str, Any], int], best: tuple[Mapping[str, Any], int]
) -> Gain:
    """How much better the best parameters are than the default, fitted again.

    As training does, several fits with a seed each are averaged; none of these seeds was used
    in the search, so a trial that won by its seed loses that here. That it was chosen on the
    same periods remains.

    Parameters
    ----------
    default, best
        Parameters and rounds.
    """
    customer = where.among.ready.labelled.moments.rows.customer[where.among.rows]
    everyone = np.zeros(int(customer.max()) + 1)
    by_period = []
    for train, here in where.folds:
        ours, theirs = (_row_losses(where, one, (train, here)) for one in (best, default))
        gained = theirs - ours
        by_period.append(float(gained.mean()))
        share = (gained - gained.mean()) / (len(gained) * len(where.folds))
        everyone += np.bincount(customer[here], share, len(everyone))
    return Gain(float(np.mean(by_period)), sqrt(float((everyone**2).sum())), tuple(by_period))


def _row_losses(
    where: Ground, fit: tuple[Mapping[str, Any], int], fold: tuple[Ints, Ints]
) -> Floats:
    """Log loss of each row of a period, by the average of several fits."""
    chosen = {**where.default, **fit[0]}
    margins = []
    for number in range(1, FITS + 1):
        seeded = {**chosen, "seed": (chosen["seed"] + 2_003 * number) % 2**31}
        score = where.among.scores(seeded, fit[1], *fold)
        score = np.clip(score, TINY, 1 - TINY)
        margins.append(np.log(score) - np.log1p(-score))
    sign = np.where(where.among.label[fold[1]] == 1, -1.0, 1.0)
    return np.asarray(np.logaddexp(0.0, sign * np.mean(margins, axis=0)))
