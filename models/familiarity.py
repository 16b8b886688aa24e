"""Whether a customer is like those the model has seen.

Takes vectors in the contract's order; says whose history is too short, and who lies far outside
what the training rows held. Plain numbers. Knows nothing about how the
numbers were found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import loops

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Vectors = NDArray[np.floating[Any]]

TOO_THIN = ("history_too_thin", "fewer events are known than of nearly any customer that the model "
            "has learned from")  # fmt: skip
UNFAMILIAR = ("unfamiliar", "the history lies far outside what the model has learned from")
"""Why there is no score: a stable code and a sentence."""

FARTHEST = 3.0
"""One group of features counts for no more widths than this, so that one odd number says little."""

NAMED = 3
"""Features that are named, those farthest outside first."""


@dataclass(frozen=True)
class Familiarity:
    """Ranges of the columns that the trees use, and how far outside is too far.

    A column's distance is how far its value lies outside the range, in widths of the range; a
    missing value lies nowhere. The distance of a row is the sum over groups of the farthest
    column of each, for columns of one group say the same.
    """

    columns: tuple[int, ...] = ()
    """Positions in the contract's features, a group's together."""
    starts: tuple[int, ...] = ()
    """Where each group begins in `columns`."""
    low: tuple[float, ...] = ()
    """Nearly all training rows lie between these."""
    high: tuple[float, ...] = ()
    most: float = np.inf
    """A row at a larger distance gets no score."""
    fewest_events: int = 1
    """Of fewer visible events nothing was learned."""

    @cached_property
    def _arrays(self) -> tuple[Ints, Ints, Floats, Floats, Floats]:
        low, high = np.array(self.low, np.float64), np.array(self.high, np.float64)
        width = high - low
        width = np.where(width > 0, width, np.maximum(np.abs(high), 1.0))
        edges = np.array([*self.starts, len(self.columns)], np.int64)
        return np.array(self.columns, np.int64), edges, low, high, width

    def outside(self, vectors: Vectors) -> Floats:
        """How far each column lies outside its range, in widths, `(n_rows, n_columns)`."""
        columns, _, low, high, width = self._arrays
        values = vectors.take(columns, axis=-1)
        beyond = np.maximum(low - values, values - high) / width
        return np.fmin(np.fmax(beyond, 0.0), FARTHEST)

    def distances(self, vectors: Vectors) -> Floats:
        """How far outside each row lies, shape `(n_rows,)`."""
        out = np.zeros(len(vectors))
        if self.columns:
            loops.distances(np.ascontiguousarray(vectors, np.float32), *self._arrays, FARTHEST, out)
        return out

    def refused(
        self, vectors: Vectors, n_events: NDArray[np.integer[Any]]
    ) -> list[tuple[str, str] | None]:
        """Why each row gets no score: a stable code and a sentence; None where it gets one.

        Parameters
        ----------
        n_events
            How many events of any kind each row sees, shape `(n_rows,)`.
        """
        thin, far = n_events < self.fewest_events, self.distances(vectors) > self.most
        if not (thin.any() or far.any()):
            return [None] * len(vectors)
        return [
            TOO_THIN if short else UNFAMILIAR if away else None
            for short, away in zip(thin.tolist(), far.tolist(), strict=True)
        ]

    def farthest(self, vector: Vectors) -> list[tuple[int, float, float]]:
        """The columns that lie farthest outside, and the range of each: one a group."""
        beyond = self.outside(vector)
        edges = [*self.starts, len(self.columns)]
        best = [a + int(beyond[a:b].argmax()) for a, b in pairwise(edges)]
        best.sort(key=lambda place: -beyond[place])
        return [
            (self.columns[place], self.low[place], self.high[place])
            for place in best[:NAMED]
            if beyond[place] > 0
        ]

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Plain data; `names` are those of the contract's features."""
        return {
            "columns": [names[column] for column in self.columns],
            "starts": list(self.starts),
            "low": list(self.low),
            "high": list(self.high),
            "most": self.most if np.isfinite(self.most) else None,
            "fewest_events": self.fewest_events,
        }


def familiarity_from_json(data: Mapping[str, Any], names: Sequence[str]) -> Familiarity:
    """What `Familiarity.to_json` wrote."""
    place = {name: column for column, name in enumerate(names)}
    return Familiarity(
        tuple(place[name] for name in data["columns"]),
        tuple(data["starts"]),
        tuple(data["low"]),
        tuple(data["high"]),
        np.inf if data["most"] is None else data["most"],
        data["fewest_events"],
    )
