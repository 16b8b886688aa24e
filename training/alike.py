"""Which features say the same, so that they speak once in a reason.

Takes the features and the training rows; gives groups. By definition features of one topic
belong together, and so do events of any kind and the one that makes up nearly all of them;
topics whose columns rise and fall together in the training rows are then joined. Knows nothing
about labels, trees or scores.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from features.engine import Matrix
from features.feature import Feature
from models.meaning import (
    AGE,
    ATTRIBUTE,
    CALENDAR,
    DATE,
    RHYTHM,
    TOTALS,
    Group,
    Topic,
    named_groups,
    topic,
)
from models.seen import Seen
from models.spoken import Words

Floats = NDArray[np.float64]

ROWS = 4_000
"""Training rows on which correlations are measured, evenly spread."""
TOTAL_ALIKE = 0.8
"""A total, such as the sum of a property, that follows how often the event comes this closely
says how often it comes."""
ALIKE = 0.6
"""Topics are joined while their columns' mean absolute rank correlation is at least this."""
APART = (ATTRIBUTE, CALENDAR, DATE, AGE)
"""What such topics say is another thing than what events say, however they correlate."""


def alike(
    features: Sequence[Feature], vectors: Matrix, seen: Seen, words: Words
) -> tuple[Group, ...]:
    """Groups of features that say the same; each feature is in one.

    Joined bottom-up by average linkage, the most alike first, ties by position: the same rows
    give the same groups.
    """
    correlation = _correlation(vectors[:: -(-len(vectors) // ROWS)])
    topics = [topic(feature, seen) for feature in features]
    groups = _gathered(features, topics, correlation)
    groups = _joined(groups, [topics[columns[0]].about for columns in groups], correlation)
    return named_groups(features, groups, words, seen)


def _correlation(vectors: Matrix) -> Floats:
    """Absolute rank correlations, `(n_features, n_features)`; a missing value counts as middling.

    Rounded, so that no sum's last bit decides.
    """
    ranks = np.array(rankdata(vectors.astype(np.float64), axis=0, nan_policy="omit"))
    middle = np.nanmean(np.where(np.isnan(ranks).all(axis=0), 0.0, ranks), axis=0)
    ranks = np.where(np.isnan(ranks), middle, ranks) - middle
    length = np.sqrt((ranks**2).sum(axis=0))
    ranks /= np.where(length > 0, length, 1.0)
    return np.asarray(np.round(np.abs(ranks.T @ ranks), 6))


def _gathered(
    features: Sequence[Feature], topics: Sequence[Topic], correlation: Floats
) -> list[list[int]]:
    """Columns by topic; totals that follow how often their event comes stand with it."""
    found: dict[Topic, list[int]] = {}
    often: dict[tuple[tuple[str, ...], str | None], list[int]] = {}
    for column, about in enumerate(topics):
        if about.about == RHYTHM:
            often.setdefault((about.events, about.over), []).append(column)
    for column, about in enumerate(topics):
        rhythm = often.get((about.events, about.over), [])
        if about.property and rhythm and features[column].kind in TOTALS:
            nearest = rhythm[int(correlation[column, rhythm].argmax())]
            if correlation[column, nearest] >= TOTAL_ALIKE:
                about = topics[nearest]
        found.setdefault(about, []).append(column)
    return sorted(found.values(), key=lambda columns: (topics[columns[0]].about != RHYTHM, columns))


def _joined(groups: list[list[int]], realms: list[str], correlation: Floats) -> list[list[int]]:
    """Groups joined while two of one realm are alike enough."""
    n = len(groups)
    member = np.zeros((n, len(correlation)))
    for place, columns in enumerate(groups):
        member[place, columns] = 1
    sums, sizes = member @ correlation @ member.T, member.sum(axis=1)
    realm = np.array([about if about in APART else RHYTHM for about in realms])
    may = (realm[:, None] == realm) & ~np.tri(n, dtype=bool)
    groups, alive = [list(columns) for columns in groups], np.ones(n, dtype=bool)
    while may.any():
        mean = np.where(may, np.round(sums / np.outer(sizes, sizes), 6), -1.0)
        first, second = np.unravel_index(int(mean.argmax()), mean.shape)
        if mean[first, second] < ALIKE:
            break
        groups[first] += groups[second]
        sums[first] += sums[second]
        sums[:, first] += sums[:, second]
        sizes[first] += sizes[second]
        alive[second] = False
        may[second] = may[:, second] = False
    return [columns for columns, kept in zip(groups, alive, strict=True) if kept]
