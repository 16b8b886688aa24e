"""Looking back: the same fit, judged on one period after another.

Takes prepared rows, LightGBM's parameters and a number of rounds; gives metrics a period, each
of a model that saw nothing at or after it, and what a random split would have claimed. Knows
nothing about calibration: the trees' own probabilities are judged. Vectors are computed once,
by whoever prepared the rows; a period chooses among them, and among the rows that the split
purged where they have vectors.

Columns and bins were chosen once, on the training part as a whole; they hold no label but
through peer rates, which know at each cutoff what was known then.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import lightgbm as lgb
import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from features.durations import format_day
from features.engine import Matrix
from features.event_log import Ints
from features.feature import feature_names
from training.baselines import best_rule, rule_score
from training.evaluation import Judgement, Rival, judge
from training.fitting import side_by_side
from training.label_table import SPLITS
from training.prepare import Prepared
from training.splits import rolling
from training.weighted import Acting, Floats, Labels

PERIODS = 4
RESAMPLES = 200
MOST_ROWS = 300_000
"""Rows of a pool beyond this many are thinned: a period's metric gains no digit from them."""
RULE_ROWS = 50_000
"""Rows on which a period's rule is chosen."""
BINNING = ("max_bin", "min_data_in_bin", "max_bin_by_feature", "bin_construct_sample_cnt")
"""Parameters that say how columns are binned; trials that share them share the bins."""


@dataclass(frozen=True)
class Period:
    """One period, judged by a model that was fitted on what was known before it."""

    first_cutoff: str
    last_cutoff: str
    n_train: int
    is_test: bool
    """Whether it holds rows of the test part, and so is no earlier period."""
    judgement: Judgement
    """Of the trees' own probabilities, beside the best rule of the same training rows."""
    rows: Ints = field(repr=False, compare=False)
    """Which rows of the pool were judged, shape `(n,)`."""
    score: Floats = field(repr=False, compare=False)
    """Their probabilities, shape `(n,)`."""


@dataclass(frozen=True)
class Claim:
    """What a split by chance would have claimed for the same fit."""

    n_train: int
    n_test: int
    auroc: float
    average_precision: float


@dataclass(frozen=True)
class Pool:
    """The rows that have vectors, thinned if many."""

    ready: Prepared
    rows: Ints
    """Places among the labelled rows, shape `(n_rows,)`."""
    matrix: Matrix
    label: Labels
    _binned: dict[str, lgb.Dataset] = field(default_factory=dict, repr=False)

    def binned(self, parameters: Mapping[str, Any]) -> lgb.Dataset:
        """The vectors in LightGBM's bins, made once for all fits that bin alike."""
        how = repr([parameters.get(name) for name in BINNING])
        if how not in self._binned:
            features = self.ready.features
            self._binned[how] = lgb.Dataset(
                self.matrix,
                self.label,
                feature_name=list(feature_names(features)),
                categorical_feature=[i for i, f in enumerate(features) if f.is_position],
                params={**parameters, "feature_pre_filter": False},
            ).construct()
        return self._binned[how]

    def scores(self, parameters: Mapping[str, Any], rounds: int, train: Ints, test: Ints) -> Floats:
        """Probabilities of the rows `test` by trees fitted on the rows `train`."""
        chosen = {**parameters, "feature_pre_filter": False}
        booster = lgb.train(chosen, self.binned(chosen).subset(np.sort(train).tolist()), rounds)
        # LightGBM has one number of threads for all who call it: beside others' fits it stays.
        score = booster.predict(self.matrix[test], num_threads=chosen.get("num_threads", 0))
        return np.asarray(score)


def pool(ready: Prepared, test: bool = True) -> Pool:
    """The rows that have vectors; of train and validation alone if test is to stay untouched."""
    parts = ready.parts if test else {name: ready.parts[name] for name in SPLITS[:2]}
    step = -(-sum(len(label) for _, label in parts.values()) // MOST_ROWS)
    return Pool(
        ready,
        np.concatenate([ready.rows(name)[::step] for name in parts]),
        np.concatenate([matrix[::step] for matrix, _ in parts.values()]),
        np.concatenate([label[::step] for _, label in parts.values()]),
    )


def backtest(
    ready: Prepared,
    parameters: Mapping[str, Any],
    rounds: int,
    periods: int = PERIODS,
    test: bool = True,
    resamples: int = RESAMPLES,
    among: Pool | None = None,
) -> list[Period]:
    """Judge a fit on each of the newest periods, oldest first.

    Parameters
    ----------
    parameters, rounds
        Of LightGBM; no period stops early, so that none is chosen on what it is judged by.
    test
        Whether the test part is a period too; a search leaves it untouched.
    resamples
        For the intervals; 0 for none, which is what a search wants.
    among
        The pool of an earlier call with the same `ready` and `test`.

    Returns
    -------
    list of Period
        As many as the history holds; none where nothing lies before a period.
    """
    among = among or pool(ready, test)
    among.binned({**parameters, "feature_pre_filter": False})

    def judged(fold: tuple[Ints, Ints]) -> Period:
        return _judged(among, parameters, rounds, *fold, resamples)

    return side_by_side(judged, list(folds(among, periods)), parameters)


def folds(among: Pool, periods: int) -> Iterator[tuple[Ints, Ints]]:
    """Rows before a period and rows of it, places in the pool; oldest first."""
    ready = among.ready
    found = rolling(ready.problem, ready.labelled, ready.split, among.rows, periods)
    yield from reversed(found)


def _judged(
    among: Pool, parameters: Mapping[str, Any], rounds: int, train: Ints, here: Ints, resamples: int
) -> Period:
    score = among.scores(parameters, rounds, train, here)
    ready, rows = among.ready, among.ready.labelled.moments.rows.take(among.rows[here])
    rivals = {}
    if resamples:
        some = train[:: -(-len(train) // RULE_ROWS)]
        rule = best_rule(ready.features, among.matrix[some], among.label[some])
        if rule is not None:
            rivals["best_rule"] = Rival(rule_score(among.matrix[here, rule[0]], rule[1]))
    judgement = judge(
        among.label[here], score, rivals, rows.customer, Acting(), ready.problem.seed, resamples
    )
    first, last = int(rows.cutoff_time.min()), int(rows.cutoff_time.max())
    is_test = bool(np.isin(among.rows[here], ready.split.test).any())
    return Period(format_day(first), format_day(last), len(train), is_test, judgement, here, score)


def random_split_claims(
    ready: Prepared,
    parameters: Mapping[str, Any],
    rounds: int,
    n_train: int,
    among: Pool | None = None,
) -> Claim | None:
    """What rows dealt by chance, without regard to time and customers, would have claimed.

    The parts are as large as the split's own. A row's neighbours in time and its customer's
    other rows then stand on both sides, so the claim is what nobody should believe. None where
    the dealt test part has one class alone.
    """
    among = among or pool(ready)
    whole = sum(len(label) for _, label in ready.parts.values())
    dealt = np.random.default_rng(ready.problem.seed).permutation(len(among.rows))
    n_test = max(1, len(ready.parts["test"][1]) * len(dealt) // whole)
    n_train = min(n_train, len(dealt) - n_test)
    test, train = dealt[:n_test], dealt[n_test : n_test + n_train]
    label = among.label[test]
    if label.min() == label.max() or len(np.unique(among.label[train])) < 2:
        return None
    score = among.scores(parameters, rounds, train, test)
    return Claim(
        n_train,
        n_test,
        float(roc_auc_score(label, score)),
        float(average_precision_score(label, score)),
    )
