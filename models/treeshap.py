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

**No fallback.** LightGBM's own `pred_contrib` is not called when `models.trees` refuses a text,
because there is no text that would need it: of trees with linear leaves LightGBM explains nothing
either, and all other refused kinds (regressions, rankings, other objectives, several classes,
forests) are refused for their margin not being the log-odds of one question. Their trees are the
same trees, and where they make one margin the formulas above explain them as LightGBM does
(`tests/properties/test_trees.py`).

One row fills the lanes of `models.lanes` with points, a batch fills them with rows. Every row
meets the same operations in the same order, so it has the same bits alone and in any batch.
"""
# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"

from typing import Any

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
    spread,
    store,
    times,
)
from models.paths import STEP, TREE, Forest, Layout, follow

Floats = NDArray[np.float64]

SMALL = 7
"""Splits of a tree up to which all its answers are worked out beforehand, `2^n` of them."""

MOST_KNOWN = 4_000_000
"""Numbers in the tables of known answers, 8 bytes each; trees that come later have none."""

BLOCK = 64
"""Rows that are worked on together, tree by tree."""

_STEPS, _TREES = from_dtype(STEP)[::1], from_dtype(TREE)[::1]
_D1, _D2 = types.float64[::1], types.float64[:, ::1]


def lay_out(forest: Forest) -> Layout:
    """Settle all that does not depend on a row, and the answers of small trees."""
    laid = follow(forest)
    n = laid.trees["n"]
    sizes = np.where((n > 0) & (n <= SMALL), (n + 1) << n, 0)
    sizes = np.where(np.cumsum(sizes) <= MOST_KNOWN, sizes, 0)
    laid.trees["known"] = np.where(sizes > 0, np.cumsum(sizes) - sizes, -1)
    known = np.empty(int(sizes.sum()))
    _tabulate(laid.steps, laid.trees, laid.values, laid.curves, known)
    return laid._replace(known=known)


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
    steps, trees, values, curves, known, _ = layout
    if len(rows) < WIDTH:
        for row in range(len(rows)):
            answer = out[row], margins[row : row + 1]
            _explain_one(steps, trees, values, curves, known, rows[row], *answer)
    else:
        _explain_many(steps, trees, values, curves, known, rows, out, margins)
    return margins, out


@njit(error_model="numpy")
def _most(trees):
    """Splits of the largest tree."""
    most = 0
    for i in range(len(trees)):
        most = max(most, trees[i].n)
    return most


@njit(error_model="numpy")
def _places(most):
    """Memory for one row's pass down and up a tree."""
    return (
        np.empty(WIDTH * (2 * most + 1)), np.empty(WIDTH * (2 * most + 1)), np.empty(WIDTH * most),
        np.empty(most), np.empty(most, np.int64), np.ones(2 * most + 2, np.int64),
    )  # fmt: skip


@njit(error_model="numpy")
def _explain_tree(steps, tree, values, curves, answers, gains, places):
    """Fill what each split gains from one row's answers; give the leaf's value.

    Points stand side by side.
    """
    down, worth, factor, told, curve, holds = places
    n, room = tree.n, tree.room
    own = steps[tree.split : tree.split + n]
    for p in range(n):
        left, alive = answers[p], holds[own[p].above]
        holds[2 * p + 3], holds[2 * p + 2] = alive & left, alive & (1 - left)
        curve[p] = own[p].curve * alive
        told[p], gains[p] = left - own[p].share, 0.0
    for begin in range(0, room, WIDTH):
        store(down, 0, load(curves, tree.root + begin))
        for p in range(n):
            t = load(curves, curve[p] + begin)
            a = fused(t, splat(told[p]), splat(own[p].share))
            above = load(down, WIDTH * p)
            goes_left = times(a, above)
            store(factor, WIDTH * p, a)
            store(down, WIDTH * own[p].left, goes_left)
            store(down, WIDTH * own[p].right, minus(above, goes_left))
        for j in range(n + 1):
            store(worth, WIDTH * (n + j), splat(values[tree.leaf + j]))
        for p in range(n - 1, -1, -1):
            right = load(worth, WIDTH * own[p].right)
            gap = minus(load(worth, WIDTH * own[p].left), right)
            store(worth, WIDTH * p, fused(load(factor, WIDTH * p), gap, right))
            weight = times(load(curves, curve[p] + room + begin), load(down, WIDTH * p))
            gains[p] = added(gains[p], times(weight, gap))
    place = 0
    while place < n:
        step = own[place]
        place = step.left if answers[place] else step.right
    for p in range(n):
        gains[p] *= told[p]
    return values[tree.leaf + place - n]


@njit(types.void(_STEPS, _TREES, _D1, _D1, _D1), cache=True, error_model="numpy")
def _tabulate(steps, trees, values, curves, known):
    """Fill the answers of small trees: a pattern has bit `p` where split `p` goes left."""
    places, answers, gains = _places(SMALL), np.empty(SMALL, np.int64), np.empty(SMALL)
    for i in range(len(trees)):
        tree = trees[i]
        for pattern in range(1 << tree.n if tree.known >= 0 else 0):
            for p in range(tree.n):
                answers[p] = (pattern >> p) & 1
            at = tree.known + pattern * (tree.n + 1)
            known[at] = _explain_tree(steps, tree, values, curves, answers, gains, places)
            for p in range(tree.n):
                known[at + 1 + p] = gains[p]


@njit(types.void(_STEPS, _TREES, _D1, _D1, _D1, _D1, _D1, _D1), cache=True, error_model="numpy")
def _explain_one(steps, trees, values, curves, known, row, out, margin):
    """One row, tree after tree."""
    most = _most(trees)
    places, answers, gains = _places(most), np.empty(most, np.int64), np.empty(most)
    total = 0.0
    for i in range(len(trees)):
        tree = trees[i]
        n, first = tree.n, tree.split
        if tree.known >= 0:
            pattern: Any = 0
            for p in range(n):
                step = steps[first + p]
                pattern |= np.int64(row[step.column] <= step.threshold) << p
            at = tree.known + pattern * (n + 1)
            total += known[at]
            for p in range(n - 1, -1, -1):
                out[steps[first + p].feature] += known[at + 1 + p]
        else:
            for p in range(n):
                step = steps[first + p]
                answers[p] = np.int64(row[step.column] <= step.threshold)
            total += _explain_tree(steps, tree, values, curves, answers, gains, places)
            for p in range(n - 1, -1, -1):
                out[steps[first + p].feature] += gains[p]
    margin[0] = total


@njit(error_model="numpy")
def _set_out(tree, values, curves, places):
    """Write down what is so for every row: weights at the root, and what leaves are worth."""
    down, worth, _, _, _, best, _ = places
    n, points = tree.n, tree.points
    for q in range(points):
        store(down, WIDTH * q, splat(curves[tree.root + q]))
    for j in range(n, 2 * n + 1):
        value = splat(values[tree.leaf + j - n])
        store(best, WIDTH * j, value)
        for q in range(points):
            store(worth, WIDTH * (points * j + q), value)


@njit(error_model="numpy")
def _explain_group(own, tree, curves, block, places):
    """Add what a tree's splits gain for some rows side by side."""
    seen, gains, sums = block
    down, worth, factor, told, answer, best, holds = places
    n, points, room = len(own), tree.points, tree.room
    # Fields are read before the loops, which a compiler can't know to leave them as they are.
    for p in range(n):
        step = own[p]
        share, here, curve = splat(step.share), WIDTH * points * p, np.int64(step.curve)
        left, right = np.int64(step.left), np.int64(step.right)
        goes = at_most(load(seen, WIDTH * step.column), splat(step.threshold))
        delta = minus(goes, share)
        repeats, alive = step.above > 0, load(holds, WIDTH * step.above)
        on_left = times(alive, goes)
        store(answer, WIDTH * p, goes)
        store(told, WIDTH * p, delta)
        store(holds, WIDTH * (2 * p + 3), on_left)
        store(holds, WIDTH * (2 * p + 2), minus(alive, on_left))
        # What goes down to a leaf is never read: all of it is put into one place behind the splits.
        left, right = WIDTH * points * min(left, n), WIDTH * points * min(right, n)
        for q in range(points):
            at = WIDTH * q
            t = spread(curves, curve + q)
            a = fused(times(alive, t) if repeats else t, delta, share)
            above = load(down, here + at)
            goes_left = times(a, above)
            store(factor, here + at, a)
            store(down, left + at, goes_left)
            store(down, right + at, minus(above, goes_left))
    for p in range(n - 1, -1, -1):
        step = own[p]
        here, weight, total = WIDTH * points * p, np.int64(step.curve) + room, splat(0.0)
        left, right, feature = np.int64(step.left), np.int64(step.right), WIDTH * step.feature
        repeats, alive = step.above > 0, load(holds, WIDTH * step.above)
        on_left, on_right = WIDTH * left, WIDTH * right
        chosen = choose(load(answer, WIDTH * p), load(best, on_left), load(best, on_right))
        store(best, WIDTH * p, chosen)
        on_left, on_right = points * on_left, points * on_right
        for q in range(points):
            at = WIDTH * q
            other = load(worth, on_right + at)
            gap = minus(load(worth, on_left + at), other)
            store(worth, here + at, fused(load(factor, here + at), gap, other))
            counts = load(down, here + at)
            if repeats:
                counts = times(times(alive, spread(curves, weight + q)), counts)
            total = plus(total, times(counts, gap))
        gained = times(load(told, WIDTH * p), total)
        store(gains, feature, plus(load(gains, feature), gained))
    store(sums, 0, plus(load(sums, 0), load(best, 0)))


@njit(error_model="numpy")
def _look_up(own, known, block):
    """Add a small tree's known answers for some rows side by side."""
    seen, gains, sums = block
    n = len(own)
    for lane in range(WIDTH):
        pattern: Any = 0
        for p in range(n):
            pattern |= np.int64(seen[WIDTH * own[p].column + lane] <= own[p].threshold) << p
        at = pattern * (n + 1)
        sums[lane] += known[at]
        for p in range(n - 1, -1, -1):
            gains[WIDTH * own[p].feature + lane] += known[at + 1 + p]


@njit(error_model="numpy")
def _turn(rows, start, seen):
    """Set a block's rows side by side; the last group is filled up with the last row."""
    n_columns = rows.shape[1]
    for r in range(len(seen) // max(n_columns, 1)):
        row, at = rows[min(start + r, len(rows) - 1)], r // WIDTH * n_columns * WIDTH + r % WIDTH
        for c in range(n_columns):
            seen[at + c * WIDTH] = row[c]


@njit(types.void(_STEPS, _TREES, _D1, _D1, _D1, _D2, _D2, _D1), cache=True, error_model="numpy")
def _explain_many(steps, trees, values, curves, known, rows, out, margins):
    """Rows side by side, tree by tree over a block of them."""
    n_columns, n_features, most, points = rows.shape[1], out.shape[1], _most(trees), 0
    for i in range(len(trees)):
        points = max(points, trees[i].points)
    seen, gains, sums = np.empty(BLOCK * n_columns), np.empty(BLOCK * n_features), np.empty(BLOCK)
    places = (
        np.empty(WIDTH * points * (most + 1)), np.empty(WIDTH * points * (2 * most + 1)),
        np.empty(WIDTH * points * most), np.empty(WIDTH * most), np.empty(WIDTH * most),
        np.empty(WIDTH * (2 * most + 1)), np.ones(WIDTH * (2 * most + 2)),
    )  # fmt: skip
    for start in range(0, len(rows), BLOCK):
        n = min(BLOCK, len(rows) - start)
        sums[:], gains[:] = 0.0, 0.0
        _turn(rows, start, seen)
        for i in range(len(trees)):
            tree = trees[i]
            own = steps[tree.split : tree.split + tree.n]
            if tree.known < 0:
                _set_out(tree, values, curves, places)
            for g in range((n + WIDTH - 1) // WIDTH):
                column, feature = g * n_columns * WIDTH, g * n_features * WIDTH
                block = (
                    seen[column : column + n_columns * WIDTH],
                    gains[feature : feature + n_features * WIDTH],
                    sums[g * WIDTH : (g + 1) * WIDTH],
                )
                if tree.known >= 0:
                    _look_up(own, known[tree.known :], block)
                else:
                    _explain_group(own, tree, curves, block, places)
        for r in range(n):
            margins[start + r] = sums[r]
            at = r // WIDTH * n_features * WIDTH + r % WIDTH
            for f in range(n_features):
                out[start + r, f] = gains[at + f * WIDTH]
