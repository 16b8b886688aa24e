"""Which columns a fit is given: those that a first cheap fit found worth a split.

Takes a problem's prepared rows; gives the same rows with the weak columns left out. Looks at the
training part alone, so what is judged later has chosen nothing. Knows nothing about time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import lightgbm as lgb
import numpy as np

from features.feature import Feature, feature_names
from models.persona import Personas, personas_from_json
from training.baselines import best_rule
from training.few_positives import is_few, leading
from training.fitting import check_directions, dataset, parameters
from training.prepare import Part, Prepared

MOST_COLUMNS = 200
"""More columns than this are screened.

Validation's log loss with 200, 160 and 120 columns (trees of 4 leaves, one seed): grocery churn
.2668, .2674, .2677; the simulated business's cancellations .2682, .2676, .2670. With 40 its
renewals lost .0028 against 120. Grocery churn with all 400 columns .2663, with the best 200 by
gain .2653, with the best 100 .2667 (8 leaves, mean of two seeds)."""
SCREEN_ROWS = 30_000
"""Training rows that the first fit looks at, evenly spread."""
SCREEN_ROUNDS = 100
SCREEN = {
    "learning_rate": 0.1,
    "num_leaves": 8,
    "extra_trees": False,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.5,
    "max_bin": 63,
    "num_threads": 1,
}
"""Of the first fit; the rest is what `training.fitting.parameters` says."""


def screened(
    ready: Prepared, own: Sequence[Feature] = (), personas: Personas | None = None
) -> tuple[Prepared, Personas | None]:
    """The same rows with the columns that are worth fitting on.

    A catalogue has hundreds of columns that say nothing or the same thing again, and trees that
    draw a few columns a split waste their draws on them.

    Parameters
    ----------
    own
        The business's own features, which are always kept; so are those with a declared direction
        and the best single rule.
    personas
        Found among all columns; those that they read are kept, for they are found without labels.

    Returns
    -------
    Prepared, Personas or None
        The second reads the columns where they stand now.

    Raises
    ------
    ProblemError
        When a declared direction names no feature.
    """
    directions = ready.problem.monotone
    check_directions(ready.features, directions)
    if len(ready.features) <= MOST_COLUMNS:
        return ready, personas
    kept = set(strongest(ready.features, ready.parts["train"], ready.problem.seed).tolist())
    rule = best_rule(ready.features, *ready.seen)
    kept |= set() if rule is None else {rule[0]}
    if is_few(ready):
        kept |= set(leading(ready.features, ready.parts["train"]))
    kept |= {
        column
        for column, feature in enumerate(ready.features)
        if feature in own or _declared(feature, directions)
    }
    kept |= (
        {column for side in personas.sides for column in (*side.columns, *side.counted)}
        if (personas)
        else set()
    )
    columns = sorted(kept)
    features = tuple(ready.features[column] for column in columns)
    found = personas and personas_from_json(
        personas.to_json(feature_names(ready.features)), feature_names(features)
    )
    fewer = {name: (matrix[:, columns], label) for name, (matrix, label) in ready.parts.items()}
    return replace(ready, features=features, parts=fewer), found


def strongest(features: Sequence[Feature], train: Part, seed: int) -> np.ndarray:
    """Columns by their gain in a first cheap fit, the `MOST_COLUMNS` best in ascending order."""
    step = -(-len(train[1]) // SCREEN_ROWS)
    matrix, label = train[0][::step], train[1][::step]
    chosen = {**parameters(len(label), len(features), seed), **SCREEN}
    booster = lgb.train(chosen, dataset(features, (matrix, label), chosen), SCREEN_ROUNDS)
    gain = booster.feature_importance("gain")
    return np.sort(np.argsort(-gain, kind="stable")[:MOST_COLUMNS])


def _declared(feature: Feature, directions: Mapping[str, str]) -> bool:
    return any(fnmatchcase(feature.name, pattern) for pattern in directions)
