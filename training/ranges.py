"""Where the training rows lie, so that a model can tell whom it knows nothing about.

Takes the rows' vectors and which columns the trees use; gives ranges and a distance beyond which
hardly any row lies. Knows nothing about labels.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from features.engine import Matrix
from features.event_log import Ints
from features.feature import Feature
from features.language import events
from models.familiarity import Familiarity
from models.meaning import Group
from training.prepare import Prepared

ROWS = 30_000
"""Rows on which ranges are found, evenly spread; more move no bound that matters."""
TAILS = (0.001, 0.999)
"""A column's range holds the values between these quantiles."""
REFUSED = 0.001
"""At most this share of the rows that a model was fitted on lies too far outside."""
LEAST_DISTANCE = 2.0
"""No row is refused at a smaller distance, however alike the training rows are."""
FEW_ROWS = 20
"""Rows with so few events that were learned from, at least."""


def fewest_events(features: Sequence[Feature], vectors: Matrix) -> int:
    """The number of events that so few training rows do not exceed; 1 where nobody counted."""
    every = events().count()
    counts = [
        column
        for column, f in enumerate(features)
        if f == every or (f.kind == "count" and f.last is None and f.over is None)
    ]
    if every in features:
        counts = [features.index(every)]
    if not counts or len(vectors) < FEW_ROWS:
        return 1
    # Where only one kind of event has a column, no event of any kind is counted.
    visible = np.sort(vectors[:, counts].max(axis=1))
    return max(1, int(visible[FEW_ROWS - 1]))


def familiarity_of(
    ready: Prepared, groups: Sequence[Group], used: NDArray[np.bool_]
) -> Familiarity:
    """Ranges of the columns that the trees use, from all rows that the model may learn from.

    Totals grow with time, so that later rows lie outside of all that came before and are no
    strangers for that. So the largest distance is no smaller than that of the later half of the
    rows from ranges of the earlier half.
    """
    kept: list[int] = []
    starts: list[int] = []
    for group in groups:
        columns = [c for c in group.columns if used[c] and not ready.features[c].is_position]
        if columns:
            starts.append(len(kept))
            kept += columns
    if not kept:
        return Familiarity(fewest_events=ready.fewest_events)
    vectors, when = _rows(ready)
    low, high = _ranges(vectors[:, kept])
    found = Familiarity(tuple(kept), tuple(starts), low, high, fewest_events=ready.fewest_events)
    most = max(LEAST_DISTANCE, _farthest(found, vectors))
    early = when <= np.median(when)
    if not early.all():
        low, high = _ranges(vectors[early][:, kept])
        most = max(most, _farthest(replace(found, low=low, high=high), vectors[~early]))
    return replace(found, most=most)


def _rows(ready: Prepared) -> tuple[Matrix, Ints]:
    """Vectors of all parts, evenly thinned, and their cutoffs."""
    parts = ("train", "validation", "test")
    vectors = np.concatenate([ready.parts[part][0] for part in parts])
    rows = np.concatenate([ready.rows(part) for part in parts])
    chosen = slice(None, None, -(-len(vectors) // ROWS))
    return vectors[chosen], ready.labelled.moments.rows.cutoff_time[rows[chosen]]


def _farthest(familiarity: Familiarity, vectors: Matrix) -> float:
    """The distance that all rows but `REFUSED` keep within."""
    far = np.sort(familiarity.distances(vectors))
    return float(far[len(far) - 1 - int(len(far) * REFUSED)])


def _ranges(vectors: Matrix) -> tuple[tuple[float, ...], tuple[float, ...]]:
    low, high = [], []
    for column in vectors.T:
        known = column[~np.isnan(column)].astype(np.float64)
        pair = (0.0, 0.0)
        if len(known):
            at = [round(q * (len(known) - 1)) for q in TAILS]
            part = np.partition(known, at)
            pair = (float(part[at[0]]), float(part[at[1]]))
        low.append(pair[0])
        high.append(pair[1])
    return tuple(low), tuple(high)
