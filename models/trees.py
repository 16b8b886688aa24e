"""LightGBM's trees without LightGBM: its text read into flat arrays, its margins to the bit.

Takes the text of a binary model (version v4) and matrices; gives margins, contributions and the
base. Knows nothing about contracts, calibrations or files.

A row is first written out as what the splits compare: a column for each feature and each way in
which its missing values are told to go, and one for each set of categories, 0 for a member and 1
for others. Then every split is `row[column] <= threshold`. LightGBM's rules, which hold for each
feature: numbers within `ZERO` of 0 are 0; NaN goes where the split says (missing type *NaN*), is
0 (*none*), or goes with 0 where the split says (*zero*); a category is cut to a whole number, and
NaN, negative and unknown ones go right.
"""
# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype, njit, types
from numpy.typing import NDArray

from models.paths import SPLIT, Forest, Layout
from models.treeshap import lay_out, margins_and_contributions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Vectors = NDArray[np.float32] | NDArray[np.float64]

ZERO = float(np.float32(1e-35))
"""LightGBM's: what lies this near to 0 is 0."""

MOST = float(np.finfo(np.float64).max)
"""Stands for infinity, so that a missing value can lie beyond it."""

KIND = {
    "version": "v4",
    "num_class": "1",
    "num_tree_per_iteration": "1",
    "objective": "binary sigmoid:1",
}
"""What the head of a text must say."""

CATEGORICAL, DEFAULT_LEFT = 1, 2
NONE, AS_ZERO, AS_NAN = 0, 1, 2
"""Missing types: bits 2 and 3 of a decision."""

LINES = {
    "split_feature": (np.int64, 0),
    "threshold": (np.float64, 0),
    "decision_type": (np.int64, 0),
    "left_child": (np.int64, 0),
    "right_child": (np.int64, 0),
    "leaf_value": (np.float64, 1),
    "leaf_count": (np.float64, 1),
}
"""The lines of a tree that count, with their kind and how many more of them than splits."""

COLUMN = np.dtype(
    [("feature", "i4"), ("begin", "i4"), ("words", "i4"), ("missing", "f8"), ("zero", "f8")]
)
"""A column that splits compare: `missing` and `zero` stand for NaN and 0; or, where there are
`words`, whether the category is in the set of bits that begins at `begin`."""


@dataclass(frozen=True)
class Trees:
    """The trees of one model; equal where their text is."""

    text: str = field(repr=False)
    """LightGBM's own."""
    names: tuple[str, ...]
    """Of the features, in the order of a vector."""
    forest: Forest = field(repr=False, compare=False)
    columns: NDArray[Any] = field(repr=False, compare=False)
    """Of `COLUMN`."""
    bits: NDArray[np.uint32] = field(repr=False, compare=False)
    """The sets of categories, 32 a word."""

    @cached_property
    def layout(self) -> Layout:
        """What contributions need."""
        return lay_out(self.forest)

    @property
    def base(self) -> float:
        """The mean margin of the training rows."""
        return self.layout.base

    @property
    def leaves(self) -> NDArray[np.int64]:
        """How many leaves each tree has, shape `(n_trees,)`."""
        return np.diff(self.forest.begins) + 1

    def __len__(self) -> int:
        return len(self.forest.begins) - 1

    def margins(self, vectors: Vectors) -> Floats:
        """Raw log-odds, shape `(n_rows,)`: the bits of `Booster.predict(raw_score=True)`."""
        out = np.empty(len(vectors))
        splits, begins, values, _ = self.forest
        _margins(splits, begins, values, self._seen(vectors), out)
        return out

    def explained(self, vectors: Vectors) -> tuple[Floats, Floats]:
        """Margins `(n_rows,)` as above, and contributions `(n_rows, n_features)`.

        A row's contributions and the base add up to its margin.
        """
        return margins_and_contributions(self.layout, self._seen(vectors), len(self.names))

    def _seen(self, vectors: Vectors) -> Floats:
        """What the splits compare, `(n_rows, n_columns)`."""
        if vectors.ndim != 2 or vectors.shape[1] != len(self.names):
            raise ValueError(
                f"the trees read rows of {len(self.names)} features, found {vectors.shape}"
            )
        given = np.require(vectors, requirements=["C", "W"])
        out = np.empty((len(given), len(self.columns)))
        _see(given, self.columns, self.bits, out)
        return out


@njit(
    [
        types.void(kind[:, ::1], from_dtype(COLUMN)[::1], types.uint32[::1], types.float64[:, ::1])
        for kind in (types.float32, types.float64)
    ],
    cache=True,
    error_model="numpy",
)
def _see(vectors, columns, bits, out):
    """Fill what the splits compare."""
    for c in range(len(columns)):
        column = columns[c]
        for row in range(len(vectors)):
            value: Any = np.float64(vectors[row, column.feature])
            if column.words == 0:
                if np.isnan(value):
                    value = column.missing
                elif abs(value) <= ZERO:
                    value = column.zero
                else:
                    value = min(value, MOST)
                out[row, c] = value
            elif value > -1.0 and value < 32.0 * column.words:
                category = np.int64(value)
                word = bits[column.begin + (category >> 5)]
                out[row, c] = 1.0 - np.float64((word >> np.uint32(category & 31)) & np.uint32(1))
            else:
                out[row, c] = 1.0


@njit(
    types.void(
        from_dtype(SPLIT)[::1],
        types.int64[::1],
        types.float64[::1],
        types.float64[:, ::1],
        types.float64[::1],
    ),
    cache=True,
    error_model="numpy",
)
def _margins(splits, begins, values, rows, out):
    """Add up each row's leaves, in the order of the trees."""
    for row in range(len(rows)):
        seen, total = rows[row], 0.0
        for tree in range(len(begins) - 1):
            first = begins[tree]
            place = 0 if begins[tree + 1] > first else -1
            while place >= 0:
                split = splits[first + place]
                place = split.left if seen[split.column] <= split.threshold else split.right
            total += values[first + tree + ~place]
        out[row] = total


def trees_from_text(text: str) -> Trees:
    """Read LightGBM's text.

    Raises
    ------
    ValueError
        When it is damaged, or not that of a binary model with constant leaves.
    """
    body, end, _ = text.partition("\nend of trees\n")
    head, *parts = re.split(r"^Tree=\d+\n", body, flags=re.MULTILINE)
    said = _fields(head)
    if not head.startswith("tree\n") or "average_output" in head.split("\n"):
        raise ValueError("the text is not that of LightGBM's boosted trees")
    for name, expected in KIND.items():
        if said.get(name) != expected:
            raise ValueError(f"the trees say {name}={said.get(name)}, expected {expected}")
    if not (parts and end):
        raise ValueError("the text of the trees is cut short")
    names = tuple(said.get("feature_names", "").split(" "))
    if said.get("max_feature_idx") != str(len(names) - 1):
        raise ValueError(f"{len(names)} feature names are not {said.get('max_feature_idx')} + 1")
    lines = _lines(parts)
    _check(lines, len(names))
    splits = np.zeros(int(lines.begins[-1]), SPLIT)
    splits["left"], splits["right"] = lines.left, lines.right
    splits["feature"] = lines.feature
    columns, bits = _columns(lines, splits)
    forest = Forest(splits, lines.begins, lines.value, lines.cover)
    return Trees(text, names, forest, columns, bits)


class _Lines(NamedTuple):
    """What the lines of all trees say, tree after tree."""

    begins: Ints
    """The first split of each tree and the number of splits."""
    sets: list[list[tuple[int, ...]]]
    """A tree's sets of categories, as words of 32 bits."""
    feature: Ints
    threshold: Floats
    """Of a categorical split the number of its set."""
    decision: Ints
    left: Ints
    right: Ints
    value: Floats
    cover: Floats


def _fields(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.split("\n") if "=" in line)


def _lines(parts: Sequence[str]) -> _Lines:
    """Read the trees' lines; of the right lengths, not yet checked to make trees."""
    found: dict[str, list[str]] = {name: [] for name in LINES}
    begins, sets = [0], []
    for number, part in enumerate(parts):
        said = _fields(part)
        n = int(said.get("num_leaves", 0)) - 1
        if n < 0 or said.get("is_linear", "0") != "0":
            raise ValueError(f"tree {number} has no leaves, or linear ones")
        for name, (_, of_leaves) in LINES.items():
            words = said.get(name, "").split()
            expected = n + of_leaves
            if len(words) != expected:
                raise ValueError(f"tree {number}: {expected} {name} expected, found {len(words)}")
            found[name] += words
        begins.append(begins[-1] + n)
        sets.append(_sets(said))
    numbers: Any = (np.array(found[name], kind) for name, (kind, _) in LINES.items())
    return _Lines(np.array(begins, np.int64), sets, *numbers)


def _sets(said: Mapping[str, str]) -> list[tuple[int, ...]]:
    """A tree's sets of categories."""
    if said.get("num_cat", "0") == "0":
        return []
    edges = [int(word) for word in said.get("cat_boundaries", "").split()]
    words = [int(word) for word in said.get("cat_threshold", "").split()]
    if len(edges) != int(said["num_cat"]) + 1 or edges != sorted(edges) or edges[-1] != len(words):
        raise ValueError("the sets of categories are damaged")
    return [tuple(words[a:b]) for a, b in pairwise(edges)]


def _check(lines: _Lines, n_features: int) -> None:
    """Refuse numbers that make no trees, before a compiled pass follows them."""
    sizes = np.diff(lines.begins)
    tree = np.tile(np.repeat(np.arange(len(sizes)), sizes), 2)
    child, n = np.concatenate([lines.left, lines.right]), sizes[tree]
    place = np.tile(np.arange(len(lines.left)) - np.repeat(lines.begins[:-1], sizes), 2)
    if not np.where(child < 0, ~child <= n, (child > place) & (child < n)).all():
        raise ValueError("the trees are damaged: a child is none of its tree")
    inner = np.bincount((lines.begins[tree] + child)[child >= 0], minlength=len(lines.left))
    leaf = np.bincount((lines.begins[tree] + tree + ~child)[child < 0], minlength=len(lines.value))
    inner[lines.begins[:-1][sizes > 0]] += 1
    leaf[(lines.begins[:-1] + np.arange(len(sizes)))[sizes == 0]] += 1
    if (inner != 1).any() or (leaf != 1).any():
        raise ValueError("the trees are damaged: a split or leaf has not exactly one parent")
    if (
        not ((lines.feature >= 0) & (lines.feature < n_features)).all()
        or not ((lines.decision >= 0) & (lines.decision >> 2 <= AS_NAN)).all()
        or not (lines.threshold > -np.inf).all()
        or not (np.isfinite(lines.value) & np.isfinite(lines.cover) & (lines.cover >= 0)).all()
        or not all(0 <= word < 2**32 for sets in lines.sets for words in sets for word in words)
    ):
        raise ValueError("the trees are damaged: a number of a split or leaf is out of range")


def _columns(lines: _Lines, splits: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.uint32]]:
    """Give every split its column and threshold; give the columns and the sets' bits."""
    numeric = lines.decision & CATEGORICAL == 0
    way = lines.feature[numeric] * 16 + lines.decision[numeric]
    ways, which = np.unique(way, return_inverse=True)
    columns = [(each // 16, 0, 0, *_missing(each % 16)) for each in ways.tolist()]
    splits["column"][numeric] = which
    splits["threshold"][numeric] = np.minimum(lines.threshold[numeric], MOST)
    tree = np.repeat(np.arange(len(lines.sets)), np.diff(lines.begins))
    found: dict[tuple[int, tuple[int, ...]], int] = {}
    bits: list[int] = []
    for split in np.flatnonzero(~numeric).tolist():
        feature, number = int(lines.feature[split]), int(lines.threshold[split])
        sets = lines.sets[tree[split]]
        if not 0 <= number < len(sets):
            raise ValueError("the trees are damaged: a split asks for a set that is not there")
        column = found.setdefault((feature, sets[number]), len(columns))
        if column == len(columns):
            columns.append((feature, len(bits), len(sets[number]), 0.0, 0.0))
            bits += sets[number]
        splits["column"][split], splits["threshold"][split] = column, 0.5
    return np.array(columns, COLUMN), np.array(bits, np.uint32)


def _missing(decision: int) -> tuple[float, float]:
    """What stands for NaN and for 0."""
    kind = decision >> 2
    if kind == NONE:
        return 0.0, 0.0
    way = -np.inf if decision & DEFAULT_LEFT else np.inf
    return way, way if kind == AS_ZERO else 0.0
