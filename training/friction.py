"""What meeting a touchpoint does to an outcome, beside customers in the same situation.

Takes moments at which it was met and comparable ones at which it was not, what was known just
before, and what came of them; gives the effect among those who met it, in probability, with an
interval. Knows nothing about events, journeys or files.

With `A` = met, `Y` = outcome, `X` = what was known before, `m(X)` the chance of the outcome of
those who did not meet it and `e(X)` the chance of meeting it, both fitted on other customers
than those they are used on (cross-fitting, Chernozhukov et al. 2018), the effect is

    mean of (Y - m) where A = 1   less   mean of (Y - m) where A = 0, weighted by e / (1 - e),

augmented inverse-probability weighting for the effect on the treated (Robins, Rotnitzky and Zhao
1994; Hahn 1998), with weights that add up to one (Hájek). It is right if either model is, and if
`X` holds all that decides both; nobody can see the latter, so it is an association.
The standard error comes from the influence function, added up by customer, so that a customer's
moments count as one.
"""

from dataclasses import dataclass
from math import erfc, sqrt
from statistics import NormalDist

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

FOLDS = 2
"""Parts of the customers: the models that speak of one were fitted on the others."""

LEVEL = 0.90
"""Of the intervals."""
REACH = NormalDist().inv_cdf((1 + LEVEL) / 2)
"""Standard errors from an effect to either end of its interval."""
SURE = 0.05
"""The chance that any touchpoint without effect is called sure, of all that were looked at."""

MOST_CHANCE = 0.95
"""Where meeting is surer than this, nobody is comparable: the weight ends here."""

TREES = {
    "objective": "binary", "num_leaves": 6, "min_child_samples": 60, "learning_rate": 0.08,
    "lambda_l2": 10.0, "feature_fraction": 0.7, "bagging_fraction": 1.0, "max_bin": 31,
    "num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1,
}  # fmt: skip
ROUNDS = 40
"""Small trees, few of them: the nuisance is smooth, and rows are few."""


@dataclass(frozen=True)
class Units:
    """Moments, some of which met a touchpoint, shape `(n_units,)` each."""

    known: Floats
    """What was known just before, shape `(n_units, n_columns)`; NaN where missing."""
    met: Mask
    outcome: NDArray[np.int8]
    """0 or 1, after the moment."""
    customer: Ints

    def __len__(self) -> int:
        return len(self.met)


@dataclass(frozen=True)
class Adjusted:
    """What is left of the outcomes when the situation is taken out, shape `(n_units,)` each."""

    met: Mask
    rest: Floats
    """The outcome less its chance without the touchpoint."""
    weight: Floats
    """How much each moment counts: 1 where it was met, else `e / (1 - e)`."""
    customer: Ints


@dataclass(frozen=True)
class Effect:
    """An effect among those who met a touchpoint, as a difference of probabilities."""

    value: float
    error: float
    """Its standard error."""

    @property
    def low(self) -> float:
        return self.value - REACH * self.error

    @property
    def high(self) -> float:
        return self.value + REACH * self.error

    @property
    def chance(self) -> float:
        """Two-sided p-value of no effect."""
        return erfc(abs(self.value) / self.error / sqrt(2)) if self.error > 0 else 1.0


def adjust(units: Units, seed: int) -> Adjusted:
    """Fit both models crosswise and take out what they expect.

    The same units give the same bytes, on whatever number of cores.
    """
    _, who = np.unique(units.customer, return_inverse=True)
    rng = np.random.default_rng(seed)
    part = (rng.permutation(int(who.max(initial=0)) + 1) % FOLDS)[who]
    expected, chance = np.zeros(len(units)), np.zeros(len(units))
    with threadpool_limits(1):  # sums of several threads come in no fixed order
        for fold in range(FOLDS):
            here, others = part == fold, part != fold
            free = others & ~units.met
            expected[here] = _chances(
                units.known[free], units.outcome[free], units.known[here], seed
            )
            chance[here] = _chances(
                units.known[others], units.met[others].astype(np.int8), units.known[here], seed
            )
    chance = np.minimum(chance, MOST_CHANCE)
    weight = np.where(units.met, 1.0, chance / (1 - chance))
    return Adjusted(units.met, units.outcome - expected, weight, units.customer)


def _chances(known: Floats, label: NDArray[np.int8], asked: Floats, seed: int) -> Floats:
    """The mean of a logistic regression's chance and that of a few small trees.

    The one is right where things add up, the other where they do not.
    """
    share = float(label.mean()) if len(label) else 0.0
    if min(label.sum(), len(label) - label.sum()) < FOLDS:
        return np.full(len(asked), share)
    trees = lgb.train(TREES | {"seed": seed}, lgb.Dataset(known, label), ROUNDS)
    missing = np.isnan(known)
    usual = np.where(missing, 0.0, known).sum(axis=0) / np.maximum((~missing).sum(axis=0), 1)
    scale = StandardScaler().fit(np.where(missing, usual, known))
    line = LogisticRegression(C=0.5, solver="newton-cholesky")
    line.fit(scale.transform(np.where(missing, usual, known)), label)
    straight = line.predict_proba(scale.transform(np.where(np.isnan(asked), usual, asked)))[:, 1]
    return np.asarray((straight + trees.predict(asked)) / 2)


def effect(adjusted: Adjusted, chosen: Mask | None = None) -> Effect | None:
    """The effect among those who met it, or among some of them; None where nobody is left.

    Parameters
    ----------
    chosen
        Which units count, shape `(n_units,)`; all of them unless given.
    """
    chosen = np.ones(len(adjusted.met), dtype=bool) if chosen is None else chosen
    met, free = adjusted.met & chosen, ~adjusted.met & chosen
    mass = adjusted.weight[free].sum()
    if not met.any() or mass <= 0:
        return None
    with_it = float(adjusted.rest[met].mean())
    without = float((adjusted.weight[free] * adjusted.rest[free]).sum() / mass)
    influence = np.zeros(len(adjusted.met))
    influence[met] = (adjusted.rest[met] - with_it) / met.sum()
    influence[free] = -adjusted.weight[free] * (adjusted.rest[free] - without) / mass
    _, who = np.unique(adjusted.customer[chosen], return_inverse=True)
    by_customer = np.bincount(who, influence[chosen])
    n = len(by_customer)
    if n < 2:
        return None
    error = float(np.sqrt((by_customer**2).sum() * n / (n - 1)))
    return Effect(with_it - without, error)


def surely(effects: list[Effect | None]) -> list[bool]:
    """Which effects differ from none even for who looked at all of them (Holm 1979).

    The chance that any touchpoint without effect is among them is at most `SURE`.
    """
    order = sorted(
        (found.chance, place) for place, found in enumerate(effects) if found is not None
    )
    sure = [False] * len(effects)
    for rank, (chance, place) in enumerate(order):
        if chance > SURE / (len(order) - rank):
            break
        sure[place] = True
    return sure
