"""The strongest reasons of many scores, as columns.

Takes a model and feature vectors; gives for each row the base and, for each rank, the reason's
statement, its points, the feature that speaks and whether it is actionable. They are the ones that
`models.reasons` gives row by row, found for all rows at once; a statement is made once for all
rows that share it. Knows nothing about journeys or files.
"""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.engine import Matrix
from models.fitted import Explained, FittedModel
from models.peers import PERSONA, Usual
from models.persona import NO_PERSONA

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NONE = -1
MOST_KEPT = 300_000
"""Statements that are kept for the next rows; then they are made anew."""

Text = pa.dictionary(pa.int32(), pa.string())


def names(rank: int) -> tuple[str, str, str, str]:
    """The columns of the reason at a rank, 1 the strongest."""
    at = f"reason_{rank}"
    return at, f"{at}_points", f"{at}_feature", f"{at}_kind"


def no_reasons(most: int) -> dict[str, pa.Array]:
    """The columns of no row."""
    kinds = (Text, pa.float64(), Text, Text)
    return {
        name: pa.nulls(0, kind)
        for rank in range(1, most + 1)
        for name, kind in zip(names(rank), kinds, strict=True)
    }


@dataclass
class Speaker:
    """Says the reasons of one model; keep it as long as the model."""

    model: FittedModel
    _said: dict[int, str] = field(default_factory=dict)

    def columns(
        self, vectors: Matrix, explained: Explained, most: int
    ) -> tuple[Floats, dict[str, pa.Array]]:
        """The base of each row in percentage points, and the columns of `most` reasons."""
        contributions = explained.contributions
        base = np.full(len(vectors), explained.base)
        moved = self.model.explainer.moved(contributions, base)
        strongest = self.model.explainer.strongest(moved, most)
        segments = self._segments(vectors)
        found: dict[str, pa.Array] = {}
        for rank in range(most):
            group = np.full(len(vectors), NONE)
            if rank < strongest.shape[1]:
                group = strongest[:, rank]
            added = np.take_along_axis(moved.points, np.maximum(group, 0)[:, None], 1)[:, 0]
            column = self._speaking(group, contributions, added)
            text, points, feature, kind = names(rank + 1)
            found[text] = self._statements(column, vectors, segments)
            found[points] = pa.array(added, pa.float64(), mask=group == NONE)
            found[feature] = _words(column, self.model.contract.names)
            found[kind] = _words(column, tuple(self.model.explainer.kinds))
        return moved.base, found

    def _speaking(self, group: Ints, contributions: Floats, added: Floats) -> Ints:
        """The feature that speaks for each row's group, -1 where there is no group."""
        column = np.full(len(group), NONE)
        order = np.argsort(group, kind="stable")
        edges = np.searchsorted(group[order], np.arange(len(self.model.explainer.groups) + 1))
        for place, one in enumerate(self.model.explainer.groups):
            rows = order[edges[place] : edges[place + 1]]
            if len(rows):
                members = np.array(one.columns, np.int64)
                signed = contributions[np.ix_(rows, members)] * np.sign(added[rows])[:, None]
                column[rows] = members[signed.argmax(axis=1)]
        for quiet, telling in self.model.explainer.telling.items():
            column[column == quiet] = telling
        return column

    def _segments(self, vectors: Matrix) -> Ints:
        """The segment of peers of each row, as a position in `usual`, -1 for everybody."""
        peers, personas = self.model.contract.peers, self.model.contract.personas
        if not peers.by:
            return np.full(len(vectors), NONE)
        places = {name: place for place, name in enumerate(peers.usual)}
        if peers.by == PERSONA:
            if personas is None:
                return np.full(len(vectors), NONE)
            table = np.array([places.get(name, NONE) for name in personas.names] + [NONE])
            codes = np.asarray(personas.assign(vectors))
            return table[np.where(codes == NO_PERSONA, len(table) - 1, codes)]
        value = vectors[:, peers.column].astype(np.float64)
        known = ~np.isnan(value)
        away = np.abs(np.array(peers.at)[None, :] - np.where(known, value, 0.0)[:, None])
        table = np.array([places.get(name, NONE) for name in peers.names])
        return np.where(known, table[away.argmin(axis=1)], NONE)

    def _statements(self, column: Ints, vectors: Matrix, segments: Ints) -> pa.DictionaryArray:
        """What is so of each row, in words that are made once for a value."""
        rows = np.arange(len(column))
        value = vectors[rows, np.maximum(column, 0)].astype(np.float32)
        value = np.where(np.isnan(value), np.float32(np.nan), value + np.float32(0))  # one zero
        bits = value.view(np.uint32).astype(np.int64)
        key = (column << 48) | ((segments + 1) << 32) | bits
        key[column == NONE] = NONE
        unique, first, codes = np.unique(key, return_index=True, return_inverse=True)
        if len(self._said) > MOST_KEPT:
            self._said.clear()
        texts = [
            self._say(k, int(column[at]), float(value[at]), int(segments[at]))
            for k, at in zip(unique.tolist(), first.tolist(), strict=True)
        ]
        indices = pa.array(codes.astype(np.int32), mask=column == NONE)
        return pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.string()))

    def _say(self, key: int, column: int, value: float, segment: int) -> str:
        said = self._said.get(key)
        if said is None:
            usual = self._usual(segment)[column] if column >= 0 else None
            said = "" if column < 0 else self.model.explainer.statement(column, value, usual)
            self._said[key] = said
        return said

    def _usual(self, segment: int) -> Usual:
        contract = self.model.contract
        return contract.usual if segment < 0 else [*contract.peers.usual.values()][segment]


def _words(codes: Ints, said: tuple[str, ...]) -> pa.DictionaryArray:
    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(said, pa.string()))
