"""Paths of trees, laid out for TreeSHAP: all that does not depend on a row.

Takes trees as flat arrays, whose every split asks `row[column] <= threshold`; gives the same with
shares of rows, points of quadrature, and curves for features that repeat on a path. Knows nothing
about rows; `models.treeshap` says what the numbers mean.
"""
# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"

from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype, njit, types
from numpy.typing import NDArray

from models.lanes import WIDTH

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SPLIT = np.dtype(
    [("threshold", "f8"), ("left", "i4"), ("right", "i4"), ("column", "i4"), ("feature", "i4")]
)
"""A split: left where `row[column] <= threshold`; children are splits of the same tree, which come
after it, or `~leaf`. `feature` is who gets the credit."""

STEP = np.dtype(
    [
        ("threshold", "f8"), ("share", "f8"), ("column", "i4"), ("feature", "i4"),
        ("left", "i4"), ("right", "i4"), ("curve", "i4"), ("above", "i4"),
    ]
)  # fmt: skip
"""A split that is laid out. `share` of the rows go left. Children are places: the tree's splits,
then its leaves. `curve` is where the split's points begin, `above` which answer of an earlier
split on the same feature led here: twice the split's number, plus 2, plus 1 for left; 0 for none.
"""

TREE = np.dtype(
    [
        ("split", "i4"), ("leaf", "i4"), ("n", "i4"), ("points", "i4"), ("room", "i4"),
        ("root", "i4"), ("known", "i8"),
    ]
)  # fmt: skip
"""Where a tree's splits and leaves begin, how many splits it has, how many points, with how much
room for them, where their weights stand, and where its known answers begin; -1 for none."""


class Forest(NamedTuple):
    """Trees whose values add up."""

    splits: NDArray[Any]
    """Of `SPLIT`, tree after tree; a tree has one more leaf than splits."""
    begins: Ints
    """The first split of each tree, and the number of splits; `(n_trees + 1,)`."""
    values: Floats
    """Of leaves, tree after tree; the first leaf of tree `i` is `begins[i] + i`."""
    covers: Floats
    """Training rows that reached each leaf."""


class Layout(NamedTuple):
    """Trees as the passes read them."""

    steps: NDArray[Any]
    trees: NDArray[Any]
    values: Floats
    curves: Floats
    known: Floats
    """Of small trees for each pattern of answers: the leaf's value, then what each split gains."""
    base: float
    """What a row of which nothing is known gets: the mean over the training rows."""


def follow(forest: Forest) -> Layout:
    """Lay out trees, none of whose answers are known yet."""
    steps, trees = np.zeros(len(forest.splits), STEP), np.zeros(len(forest.begins) - 1, TREE)
    for name in SPLIT.names or ():
        steps[name] = forest.splits[name]
    so_far = np.ones(len(steps))
    base = _follow(steps, trees, forest.begins, forest.values, forest.covers, so_far)
    curves = [np.zeros(2 * int(trees["room"].max(initial=WIDTH)))]
    end = len(curves[0])
    for points in np.unique(trees["points"]).tolist():
        here = trees["points"] == points
        own = np.repeat(here, np.diff(forest.begins))
        room, t, weight = _points(points)
        trees["root"][here] = end
        steps["curve"][own] = end + room
        again = np.flatnonzero(own & (steps["above"] > 0))
        steps["curve"][again] = end + 3 * room + 2 * room * np.arange(len(again))
        s = so_far[again, None]
        inside = np.arange(room) < points
        d = np.where(inside, s + t * (1 - s), 1)
        repeated = np.stack([t / d, inside * s / d**2], axis=1)
        curves += [weight, t, inside.astype(np.float64), repeated.ravel()]
        end += sum(map(len, curves[-4:]))
    trees["known"] = -1
    return Layout(steps, trees, forest.values, np.concatenate(curves), np.empty(0), base)


def _points(n: int) -> tuple[int, Floats, Floats]:
    """Room for `n` points, the points in 0 to 1 and their weights; filled up with 0."""
    room = -(-n // WIDTH) * WIDTH
    t, weight = np.zeros(room), np.zeros(room)
    if n:
        x, w = np.polynomial.legendre.leggauss(n)
        t[:n], weight[:n] = (x + 1) / 2, w / 2
    return room, t, weight


@njit(
    types.float64(
        from_dtype(STEP)[::1], from_dtype(TREE)[::1], types.int64[::1], *3 * [types.float64[::1]]
    ),
    cache=True,
    error_model="numpy",
)
def _follow(steps, trees, begins, values, covers, so_far):
    """Fill shares, places, repeats and numbers of points; give the base."""
    base = 0.0
    for i in range(len(trees)):
        tree, first = trees[i], begins[i]
        n = begins[i + 1] - first
        tree.split, tree.leaf, tree.n = first, first + i, n
        own = steps[first : first + n]
        reach, known = np.empty(2 * n + 1), np.zeros(2 * n + 1, np.int64)
        up = np.zeros(2 * n + 1, np.int64)
        reach[n:] = covers[first + i : first + i + n + 1]
        for p in range(n - 1, -1, -1):
            step = own[p]
            step.left = step.left if step.left >= 0 else n + ~step.left
            step.right = step.right if step.right >= 0 else n + ~step.right
            up[step.left], up[step.right] = 2 * p + 3, 2 * p + 2
            reach[p] = reach[step.left] + reach[step.right]
            step.share = reach[step.left] / reach[p] if reach[p] > 0 else 0.5
        most = 0
        for p in range(n):
            step, at = own[p], up[p]
            step.above = 0
            while at > 0:
                earlier = at // 2 - 1
                if own[earlier].feature == step.feature:
                    share = own[earlier].share if at % 2 else 1.0 - own[earlier].share
                    so_far[first + p] *= share
                    step.above = step.above if step.above else at
                at = up[earlier]
            known[step.left] = known[step.right] = known[p] + (0 if step.above else 1)
            most = max(most, known[step.left])
        tree.points = (most + 1) // 2
        tree.room = (tree.points + WIDTH - 1) // WIDTH * WIDTH
        for j in range(n + 1):
            share = reach[n + j] / reach[0] if reach[0] > 0 else 1.0 / (n + 1)
            base += share * values[first + i + j]
    return base
