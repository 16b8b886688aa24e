"""What is usual: each feature's median or commonest level, among all and among peers.

Takes the training rows; gives the numbers that reasons compare a customer with. Knows nothing
about labels, trees or sentences.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.config import Problem
from features.durations import DAY, spell_duration
from features.engine import Matrix
from features.feature import Feature
from features.language import events
from models.peers import LEAD, PERSONA, STAGE, Peers, Usual
from models.persona import Personas
from training.prepare import ENOUGH_ROWS

FEWEST = 50
"""Training rows of a segment from which on it has usual values of its own."""


def usual_of(features: Sequence[Feature], vectors: Matrix) -> Usual:
    """The median of each column, the commonest level of a category.

    None where fewer than half of the rows have it.
    """
    vectors = vectors[:: -(-len(vectors) // ENOUGH_ROWS)]
    known = ~np.isnan(vectors)
    usual: list[float | None] = []
    for column, feature in enumerate(features):
        values = vectors[known[:, column], column]
        if len(values) * 2 < len(vectors) or not len(values):
            usual.append(None)
        elif feature.is_position:
            usual.append(float(np.bincount(values.astype(np.int64)).argmax()))
        else:
            usual.append(float(np.quantile(values, 0.5, method="lower")))
    return tuple(usual)


def peers_of(
    features: Sequence[Feature], vectors: Matrix, problem: Problem, personas: Personas | None
) -> Peers:
    """Segments of peers: by persona, else by the time left to a date, else by stage."""
    vectors = vectors[:: -(-len(vectors) // ENOUGH_ROWS)]
    at: tuple[float, ...] = ()
    if personas is not None:
        names = personas.names
        by, column, code = PERSONA, -1, personas.assign(vectors)
    else:
        by, column, at, names = _from_a_column(features, problem)
        if not by:
            return Peers()
        code = _nearest(vectors[:, column].astype(np.float64), np.array(at))
    usual = {
        name: usual_of(features, vectors[code == place])
        for place, name in enumerate(names)
        if (code == place).sum() >= FEWEST
    }
    return Peers(by, column, at, usual, names) if usual else Peers()


def _from_a_column(
    features: Sequence[Feature], problem: Problem
) -> tuple[str, int, tuple[float, ...], tuple[str, ...]]:
    """The column that tells segments apart, its value in each, and their names."""
    before = problem.before
    if before is not None and len(before.lead) > 1:
        left = events().days_until(before.property)
        if left in features:
            leads = sorted(before.lead)
            names = tuple(f"{spell_duration(lead)} before" for lead in leads)
            return LEAD, features.index(left), tuple(lead / DAY for lead in leads), names
    for column, feature in enumerate(features):
        if feature.kind == "stage_now":
            names = tuple(f"in the stage {name}" for name in feature.levels)
            return STAGE, column, tuple(map(float, range(len(names)))), names
    return "", -1, (), ()


def _nearest(values: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.int64]:
    """The place of the nearest value for each row, -1 where it is missing."""
    found = np.abs(values[:, None] - at).argmin(axis=1)
    return np.where(np.isnan(values), -1, found)
