"""Fitting the trees.

Takes matrices and labels; gives one LightGBM booster: several fits, each cut at its best round,
averaged. Knows nothing about time, customers or where the columns come from.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from time import monotonic
from typing import Any, TypeVar

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from features.errors import ProblemError, nearest
from features.feature import Feature, feature_names

Floats = NDArray[np.float32] | NDArray[np.float64]
Labels = NDArray[np.int8]
Item = TypeVar("Item")
Made = TypeVar("Made")

MOST_ROUNDS = 2_000
PATIENCE = 60
"""Rounds without a better log loss on validation after which fitting stops."""
PATIENCE_OF_FEW = 100
"""The same where rounds are small steps."""
SMALL_STEP = 0.03
"""A learning rate below this is a small step."""
REPORT_EVERY = 5.0
"""Seconds between two lines about a fit: a small one needs none, a large one is watched."""
FITS = 3
"""Fits that are averaged, each with its own seed. One seed's ranking of grocery churn varied by
.004 AUROC and .015 average precision; on the simulation's renewals the average gained .0008 of
validation's log loss with trees of 8 leaves, and nothing with 4."""
SMALL_TREES = 4
"""Leaves of the smaller trees that validation may prefer."""

FEW_ROWS = 30_000
"""Up to here trees are small, random and many."""
MANY_ROWS = 150_000
"""From here on several threads and larger trees earn their place."""


def parameters(n_rows: int, n_features: int, seed: int) -> dict[str, Any]:
    """LightGBM's parameters for a training set of this size.

    Journeys are noisy and customers few: small trees on few rows and few columns each beat
    the defaults. On grocery churn (59,000 rows, 274 features) .860 AUROC and .436 average
    precision against .855 and .433; on its conversion (1,100 rows) .812 against .671.

    Where rows are few, still smaller trees with thresholds drawn by chance (Geurts, Ernst &
    Wehenkel 2006, Extremely randomized trees) and smaller steps do better: fitted on a tenth of
    the customers and judged on all, mean of three tenths, CDNOW .764 and .646 against .761 and
    .639, grocery churn .855 and .429 against .852 and .423, Online Retail II .774 and .739
    against .766 and .732.
    """
    large = n_rows >= MANY_ROWS
    few = n_rows < FEW_ROWS
    columns = 10 if few else 50
    return {
        "objective": "binary",
        "learning_rate": 0.02 if few else 0.05,
        "num_leaves": 31 if large else 4 if few else 8,
        "extra_trees": few,
        "min_data_in_leaf": int(np.clip(n_rows // 20, 10, 200)),
        "feature_fraction": float(np.clip(columns / max(n_features, 1), 0.2, 1.0)),
        "bagging_fraction": 0.8 if few else 0.5,
        "bagging_freq": 1,
        "lambda_l2": 20.0,
        "seed": seed,
        "deterministic": True,
        # The same bits either way: by columns small fits take a fifth to a third less.
        "force_row_wise" if large else "force_col_wise": True,
        "num_threads": 2 if large else 1,
        "verbosity": -1,
    }


def fit(
    features: Sequence[Feature],
    train: tuple[Floats, Labels],
    validation: tuple[Floats, Labels],
    seed: int,
    progress: Callable[[int, float], None] | None = None,
    n_rows: int | None = None,
    more: Mapping[str, Any] | None = None,
    monotone: Mapping[str, str] | None = None,
) -> lgb.Booster:
    """Fit trees on train, once a seed, each stopping when validation gets no better.

    In between few and many rows, validation's log loss decides between trees of 8 leaves and of
    4 with the first seed. Where effects add up, as in the simulated business, 4 do better
    (.3680 against .3687 on its renewals); elsewhere 8 do (Online Retail II, grocery churn).
    Where `more` names the leaves, a search has decided already.

    Parameters
    ----------
    train, validation
        Matrix of shape `(n_rows, n_features)` and labels 0 or 1 of shape `(n_rows,)`.
    progress
        Called with (round, log loss on validation) now and then.
    n_rows
        Training rows on all machines together, where `train` is this machine's share.
    more
        Parameters of LightGBM beside those of `parameters`.
    monotone
        `up` or `down` by a pattern of feature names, see `directions`.

    Returns
    -------
    lightgbm.Booster
        The average of `n_fits` fits, each of which holds the rounds up to its best one.
    """
    n_rows = n_rows or len(train[1])
    chosen = {**parameters(n_rows, len(features), seed), **(more or {})}
    chosen |= constraints(features, monotone or {})
    data = dataset(features, train, chosen)
    if chosen.get("num_machines", 1) == 1:  # several machines have to agree on the bins first
        data.construct()
    patience = patience_of(chosen)

    def fitted(one: dict[str, Any]) -> tuple[float, str]:
        booster = lgb.train(
            one,
            data,
            MOST_ROUNDS,
            # One of its own: LightGBM names the columns of a validation set anew for each fit.
            valid_sets=[data.create_valid(validation[0], validation[1], params={**one})],
            valid_names=["validation"],
            callbacks=[lgb.early_stopping(patience, verbose=False), _reporter(progress)],
        )
        if one.get("num_machines", 1) > 1:
            booster.free_network()
        loss = float(booster.best_score["validation"]["binary_logloss"])
        return loss, booster.model_to_string(num_iteration=max(booster.best_iteration, 1))

    first, *others = _seeds(chosen, n_rows)
    tried = [first]
    if others and n_rows >= FEW_ROWS and "num_leaves" not in (more or {}):
        tried.append({**first, "num_leaves": SMALL_TREES})
    found = zip(side_by_side(fitted, tried, chosen), tried, strict=True)
    (_, model), best = min(found, key=lambda one: one[0][0])
    again = [{**one, "num_leaves": best["num_leaves"]} for one in others]
    return average([model, *(text for _, text in side_by_side(fitted, again, chosen))])


def patience_of(chosen: Mapping[str, Any]) -> int:
    """Rounds without a better log loss after which a fit with these parameters stops."""
    return PATIENCE_OF_FEW if chosen["learning_rate"] < SMALL_STEP else PATIENCE


def shape_of(text: str) -> dict[str, Any]:
    """The parameters that a fit chose by validation, as LightGBM's text tells them."""
    found = re.search(r"^\[num_leaves: (\d+)\]$", text, re.MULTILINE)
    return {"num_leaves": int(found[1])} if found else {}


def refit(
    features: Sequence[Feature],
    rows: tuple[Floats, Labels],
    n_train: int,
    seed: int,
    first: lgb.Booster,
    monotone: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> lgb.Booster:
    """Fit as many rounds again on other rows: those before the test, or all that have matured.

    On the simulated business's renewals, where the purge keeps 26,000 newer rows back from 65,000,
    the test's AUROC and average precision went from .8195 and .5364 to .8218 and .5430 (truth
    .8264 and .5674; three seeds averaged, 120 columns). On Online Retail II, where nothing newer
    is left, it lost .002 and .002; so `training.run` refits only where newer rows wait.

    Parameters
    ----------
    rows
        Matrix and labels.
    n_train
        Rows of the first fit, which decide the parameters.
    first
        The first fit, which decides the shape and the number of trees.
    """
    shape = shape_of(first.model_to_string())
    chosen = {**parameters(n_train, len(features), seed), **shape, **(more or {})}
    chosen |= constraints(features, monotone or {})
    data = dataset(features, rows, chosen)
    if chosen.get("num_machines", 1) == 1:
        data.construct()
    rounds = rounds_of(first.num_trees(), chosen, n_train)

    def fitted(one: dict[str, Any]) -> str:
        booster = lgb.train(one, data, rounds)
        if chosen.get("num_machines", 1) > 1:
            booster.free_network()
        return str(booster.model_to_string())

    return average(side_by_side(fitted, _seeds(chosen, n_train), chosen))


def side_by_side(
    work: Callable[[Item], Made], items: Sequence[Item], chosen: Mapping[str, Any]
) -> list[Made]:
    """What `work` makes of each item, which fits trees: as many at once as there are cores.

    LightGBM lets other threads go on while it fits. A fit with threads of its own counts for as
    many, and each has the bits that it has alone. A data set that several fits read has to be
    constructed before. Predictions among the work name as many threads as the fits, for LightGBM
    has one number of them for all its callers.

    Parameters
    ----------
    chosen
        LightGBM's parameters of the fits, which name its threads.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    at_once = min((cores or 1) // chosen.get("num_threads", 1), len(items))
    if at_once <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(at_once) as threads:
        return list(threads.map(work, items))


def rounds_of(n_trees: int, chosen: Mapping[str, Any], n_train: int) -> int:
    """How many rounds each of the fits has that were averaged, in the mean."""
    return max(1, round(n_trees / len(_seeds(chosen, n_train))))


def _seeds(chosen: Mapping[str, Any], n_rows: int) -> list[dict[str, Any]]:
    """The same parameters, a seed each; far apart, so that problems' own seeds don't meet.

    One fit is enough where rows are many, or several machines work on it.
    """
    count = 1 if n_rows >= MANY_ROWS or chosen.get("num_machines", 1) > 1 else FITS
    return [{**chosen, "seed": (chosen["seed"] + 1_009 * i) % 2**31} for i in range(count)]


def average(models: Sequence[str]) -> lgb.Booster:
    """One booster whose margin is the mean of several boosters' margins.

    It holds the trees of all of them with every leaf divided by their number, so exact TreeSHAP,
    storing and serving need to know nothing of it.

    Parameters
    ----------
    models
        LightGBM's text of boosters over the same columns.
    """
    if len(models) == 1:
        return lgb.Booster(model_str=models[0])
    head, _, tail = _sections(models[0])
    # Without their sizes LightGBM reads the trees one after the other.
    head = re.sub(r"^tree_sizes=.*\n", "", head, flags=re.MULTILINE)
    trees = [tree for model in models for tree in _sections(model)[1]]
    scaled = (_divided(tree, len(models)) for tree in trees)
    body = "".join(f"Tree={number}\n{tree}" for number, tree in enumerate(scaled))
    return lgb.Booster(model_str=head + body + tail)


def _sections(model: str) -> tuple[str, list[str], str]:
    """What stands before the trees, each tree without its number, and what stands after."""
    end = model.index("end of trees")
    head, *trees = re.split(r"^Tree=\d+\n", model[:end], flags=re.MULTILINE)
    return head, trees, model[end:]


def _divided(tree: str, by: int) -> str:
    """A tree's text with its values divided."""

    def divide(found: re.Match[str]) -> str:
        return f"{found[1]}={' '.join(repr(float(value) / by) for value in found[2].split())}"

    return re.sub(r"^(leaf_value|internal_value)=(.*)$", divide, tree, flags=re.MULTILINE)


def constraints(features: Sequence[Feature], monotone: Mapping[str, str]) -> dict[str, Any]:
    """LightGBM's parameters for declared directions; none where nothing is declared."""
    ways = [_way(feature, monotone) for feature in features]
    return {"monotone_constraints": ways} if any(ways) else {}


def _way(feature: Feature, monotone: Mapping[str, str]) -> int:
    """1 where the score may only rise with a feature, -1 where it may only fall, else 0.

    A category has no order, so no direction.
    """
    if feature.is_position:
        return 0
    ways = [way for pattern, way in monotone.items() if fnmatchcase(feature.name, pattern)]
    return {"up": 1, "down": -1}[ways[0]] if ways else 0


def check_directions(features: Sequence[Feature], monotone: Mapping[str, str]) -> None:
    """Refuse declared directions that mean nothing, or two things, for these features.

    Raises
    ------
    ProblemError
        When a pattern names no numeric feature, or two patterns say `up` and `down` of one.
    """
    numeric = [feature.name for feature in features if not feature.is_position]
    for pattern in monotone:
        if not any(fnmatchcase(name, pattern) for name in numeric):
            raise ProblemError(
                f"monotone names {pattern!r}, but no feature of this problem that has an order is "
                f"called so.{nearest(pattern, numeric)} Give a feature's name or a pattern such as "
                '"login_count_*"; a trained model names them in contract.json.'
            )
    for name in numeric:
        fitting = [pattern for pattern in monotone if fnmatchcase(name, pattern)]
        if len({monotone[pattern] for pattern in fitting}) > 1:
            raise ProblemError(
                f"monotone says both up and down of the feature {name!r}: {' and '.join(fitting)} "
                "fit it. Make one of the patterns narrower."
            )


def dataset(
    features: Sequence[Feature], rows: tuple[Floats, Labels], chosen: dict[str, Any]
) -> lgb.Dataset:
    return lgb.Dataset(
        rows[0],
        rows[1],
        feature_name=list(feature_names(features)),
        categorical_feature=[
            column for column, feature in enumerate(features) if feature.is_position
        ],
        params=chosen,
        free_raw_data=True,
    )


def _reporter(progress: Callable[[int, float], None] | None) -> Callable[[Any], None]:
    told = monotonic()

    def report(state: Any) -> None:
        nonlocal told
        if progress is not None and monotonic() - told >= REPORT_EVERY:
            progress(state.iteration + 1, float(state.evaluation_result_list[0][2]))
            told = monotonic()

    return report
