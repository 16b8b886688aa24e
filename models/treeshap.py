"""Exact path-dependent TreeSHAP by quadrature: what each feature adds to a sum of trees.

Takes trees as flat arrays, whose every split asks `row[column] <= threshold`, and rows; gives the
Shapley values of the game in which a feature that is not known follows the training rows' shares
down both branches (Lundberg, Erion & Lee 2018, Consistent individualized feature attribution for
tree ensembles). Knows nothing about where trees come from or what features mean.

**The sum.** For a leaf of value `v` with the features `U` on its path, let `w` be the share of
rows that follow a feature's splits and `o` 1 if this row does, else 0. Feature `i` gets from it

    v (o_i - w_i) times the integral over t from 0 to 1 of the product over the others of
    (w_u + t (o_u - w_u)),

a polynomial in `t`, so Gauss-Legendre quadrature with ⌈k / 2⌉ points is exact for `k` features on
a path (Quadrature-TreeSHAP, arXiv 2605.04497).

**The pass.** Let `L` and `R` be what a split's branches are worth, the sum over their leaves of
value times factors below, and `a = w + t (o - w)` the factor of going left; right is `1 - a`, for
the two shares add up to 1, and so do the two answers. Downwards the product of factors `D` splits
into `a D` and `D - a D`; upwards the split is worth `R + a (L - R)`; and its feature gets
`(o - w) D (L - R)`, both branches at once, summed over the points with their weights.

**A feature that repeats on a path** has the one factor of all its splits. Where the row left the
path at an earlier one, this split tells nothing: `t` counts as 0 and the sum as nothing. Where it
did not, and the share up to here is `s`, the same formulas hold with `t / d` in place of `t` and
`s / d²` times the weight, `d = s + t (1 - s)`. Both are known when the trees are laid out, so a
row needs no division at all.

One row fills the lanes of `models.lanes` with points, a batch fills them with rows. Every row
meets the same operations in the same order, so it has the same bits alone and in any batch.
"""
# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"

from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype, njit, types
from numpy.typing import NDArray

from models.lanes import (
    WIDTH,
    added,
    at_most,
    choose,
    fused,
    load,
    minus,
    plus,
    splat,
    store,
    times,
)

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
    [("split", "i4"), ("leaf", "i4"), ("n", "i4"), ("points", "i4"), ("room", "i4"), ("root", "i4")]
)
"""Where a tree's splits and leaves begin, how many splits it has, how many points, with how much
room for them, and where their weights stand."""

BLOCK = 64
"""Rows that are worked on together, tree by tree."""

_STEPS, _TREES = from_dtype(STEP)[::1], from_dtype(TREE)[::1]
_SPLITS, _D1, _D2 = from_dtype(SPLIT)[::1], types.float64[::1], types.float64[:, ::1]
_I1 = types.int64[::1]


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
    base: float
    """What a row of which nothing is known gets: the mean over the training rows."""


def lay_out(forest: Forest) -> Layout:
    """Settle all that does not depend on a row."""
    steps = np.zeros(len(forest.splits), STEP)
    trees = np.zeros(len(forest.begins) - 1, TREE)
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
    return Layout(steps, trees, forest.values, np.concatenate(curves), base)


def _points(n: int) -> tuple[int, Floats, Floats]:
    """Room for `n` points, the points in 0 to 1 and their weights; filled up with 0."""
    room = -(-n // WIDTH) * WIDTH
    t, weight = np.zeros(room), np.zeros(room)
    if n:
        x, w = np.polynomial.legendre.leggauss(n)
        t[:n], weight[:n] = (x + 1) / 2, w / 2
    return room, t, weight


@njit(types.float64(_STEPS, _TREES, _I1, _D1, _D1, _D1), cache=True, error_model="numpy")
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


def margins_and_contributions(
    layout: Layout, rows: Floats, n_features: int
) -> tuple[Floats, Floats]:
    """The sum of the leaves that each row reaches, and what each feature adds to the base.

    Parameters
    ----------
    rows
        What the splits compare, C-contiguous, shape `(n_rows, n_columns)`, without NaN.

    Returns
    -------
    margins : ndarray of shape (n_rows,)
        Leaves added in the order of the trees.
    contributions : ndarray of shape (n_rows, n_features)
        With the base they add up to the margin.
    """
    margins, out = np.zeros(len(rows)), np.zeros((len(rows), n_features))
    steps, trees, values, curves, _ = layout
    if len(rows) < WIDTH:
        for row in range(len(rows)):
            _explain_one(steps, trees, values, curves, rows[row], out[row], margins[row : row + 1])
    else:
        _explain_many(steps, trees, values, curves, rows, out, margins)
    return margins, out


@njit(types.void(_STEPS, _TREES, _D1, _D1, _D1, _D1, _D1), cache=True, error_model="numpy")
def _explain_one(steps, trees, values, curves, row, out, margin):
    """One row, points side by side."""
    most = 0
    for i in range(len(trees)):
        most = max(most, trees[i].n)
    down, worth = np.empty(WIDTH * (2 * most + 1)), np.empty(WIDTH * (2 * most + 1))
    factor, told, total = np.empty(WIDTH * most), np.empty(most), np.empty(most)
    answer, curve, holds = (
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.ones(2 * most + 2, np.int64),
    )
    for i in range(len(trees)):
        tree = trees[i]
        n, first, leaf, room = tree.n, tree.split, tree.leaf, tree.room
        for p in range(n):
            step = steps[first + p]
            left = np.int64(row[step.column] <= step.threshold)
            alive = holds[step.above]
            holds[2 * p + 3], holds[2 * p + 2] = alive & left, alive & (1 - left)
            answer[p], curve[p] = left, step.curve * alive
            told[p], total[p] = left - step.share, 0.0
        place = 0
        while place < n:
            step = steps[first + place]
            place = step.left if answer[place] else step.right
        margin[0] += values[leaf + place - n]
        for begin in range(0, room, WIDTH):
            store(down, 0, load(curves, tree.root + begin))
            for p in range(n):
                step = steps[first + p]
                t = load(curves, curve[p] + begin)
                a = fused(t, splat(told[p]), splat(step.share))
                above = load(down, WIDTH * p)
                goes_left = times(a, above)
                store(factor, WIDTH * p, a)
                store(down, WIDTH * step.left, goes_left)
                store(down, WIDTH * step.right, minus(above, goes_left))
            for j in range(n + 1):
                store(worth, WIDTH * (n + j), splat(values[leaf + j]))
            for p in range(n - 1, -1, -1):
                step = steps[first + p]
                right = load(worth, WIDTH * step.right)
                gap = minus(load(worth, WIDTH * step.left), right)
                store(worth, WIDTH * p, fused(load(factor, WIDTH * p), gap, right))
                weight = times(load(curves, curve[p] + room + begin), load(down, WIDTH * p))
                total[p] = added(total[p], times(weight, gap))
        for p in range(n - 1, -1, -1):
            out[steps[first + p].feature] += told[p] * total[p]


@njit(error_model="numpy")
def _explain_group(
    own, points, room, root, values, curves, seen, gains, sums,
    down, worth, factor, told, answer, best, holds,
):  # fmt: skip
    n = len(own)
    if n == 0:
        store(sums, 0, plus(load(sums, 0), splat(values[0])))
        return
    for q in range(points):
        store(down, WIDTH * q, splat(curves[root + q]))
    for p in range(n):
        step = own[p]
        share = splat(step.share)
        left = at_most(load(seen, WIDTH * step.column), splat(step.threshold))
        delta = minus(left, share)
        store(answer, WIDTH * p, left)
        store(told, WIDTH * p, delta)
        alive = load(holds, WIDTH * step.above)
        on_left = times(alive, left)
        store(holds, WIDTH * (2 * p + 3), on_left)
        store(holds, WIDTH * (2 * p + 2), minus(alive, on_left))
        for q in range(points):
            t = times(alive, splat(curves[step.curve + q]))
            a = fused(t, delta, share)
            above = load(down, WIDTH * (points * p + q))
            goes_left = times(a, above)
            store(factor, WIDTH * (points * p + q), a)
            if step.left < n:
                store(down, WIDTH * (points * step.left + q), goes_left)
            if step.right < n:
                store(down, WIDTH * (points * step.right + q), minus(above, goes_left))
    for p in range(n - 1, -1, -1):
        step = own[p]
        alive = load(holds, WIDTH * step.above)
        total = splat(0.0)
        left_leaf, right_leaf = step.left >= n, step.right >= n
        left_value = splat(values[step.left - n]) if left_leaf else load(best, WIDTH * step.left)
        right_value = (
            splat(values[step.right - n]) if right_leaf else load(best, WIDTH * step.right)
        )
        store(best, WIDTH * p, choose(load(answer, WIDTH * p), left_value, right_value))
        for q in range(points):
            right = right_value if right_leaf else load(worth, WIDTH * (points * step.right + q))
            left = left_value if left_leaf else load(worth, WIDTH * (points * step.left + q))
            gap = minus(left, right)
            at = WIDTH * (points * p + q)
            store(worth, at, fused(load(factor, at), gap, right))
            weight = times(times(alive, splat(curves[step.curve + room + q])), load(down, at))
            total = plus(total, times(weight, gap))
        gained = times(load(told, WIDTH * p), total)
        store(gains, WIDTH * step.feature, plus(load(gains, WIDTH * step.feature), gained))
    store(sums, 0, plus(load(sums, 0), load(best, 0)))


@njit(types.void(_STEPS, _TREES, _D1, _D1, _D2, _D2, _D1), cache=True, error_model="numpy")
def _explain_many(steps, trees, values, curves, rows, out, margins):
    """Rows side by side, tree by tree over a block of them."""
    n_rows, n_columns = rows.shape
    n_features = out.shape[1]
    most, points = 0, 0
    for i in range(len(trees)):
        most, points = max(most, trees[i].n), max(points, trees[i].points)
    seen, gains = np.empty(BLOCK * n_columns), np.empty(BLOCK * n_features)
    sums = np.empty(BLOCK)
    down, worth = np.empty(WIDTH * points * most), np.empty(WIDTH * points * most)
    factor = np.empty(WIDTH * points * most)
    told, answer, best = np.empty(WIDTH * most), np.empty(WIDTH * most), np.empty(WIDTH * most)
    holds = np.ones(WIDTH * (2 * most + 2))
    for start in range(0, n_rows, BLOCK):
        n = min(BLOCK, n_rows - start)
        groups = (n + WIDTH - 1) // WIDTH
        sums[:], gains[:] = 0.0, 0.0
        for g in range(groups):
            for lane in range(WIDTH):
                r = min(start + g * WIDTH + lane, n_rows - 1)
                for c in range(n_columns):
                    seen[(g * n_columns + c) * WIDTH + lane] = rows[r, c]
        for i in range(len(trees)):
            tree = trees[i]
            for g in range(groups):
                _explain_group(
                    steps[tree.split : tree.split + tree.n],
                    tree.points,
                    tree.room,
                    tree.root,
                    values[tree.leaf : tree.leaf + tree.n + 1],
                    curves,
                    seen[g * n_columns * WIDTH : (g + 1) * n_columns * WIDTH],
                    gains[g * n_features * WIDTH : (g + 1) * n_features * WIDTH],
                    sums[g * WIDTH : (g + 1) * WIDTH],
                    down,
                    worth,
                    factor,
                    told,
                    answer,
                    best,
                    holds,
                )
        for g in range(groups):
            for lane in range(WIDTH):
                r = start + g * WIDTH + lane
                if r < n_rows:
                    margins[r] = sums[g * WIDTH + lane]
                    for f in range(n_features):
                        out[r, f] = gains[(g * n_features + f) * WIDTH + lane]
