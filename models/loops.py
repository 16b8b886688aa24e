"""Compiled loops over the weeks of rows, where an array a step takes longer than all steps.

Takes arrays, fills arrays. Knows nothing about trees or what a week is: see `models.weekly_risk`.
"""

# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"

import numpy as np
from numba import njit, types


@njit(types.int64[::1](types.int64[::1], types.int64[::1]), cache=True)
def begun(weeks, out):
    """The weeks of rows but their last, one row after the other, into `out`."""
    place = 0
    for row in range(len(weeks)):
        for week in range(1, weeks[row]):
            out[place] = week
            place += 1
    return out


@njit(
    types.void(types.float64[::1], types.int64[::1], types.float64[:, ::1]),
    cache=True,
    error_model="numpy",
)
def gather(margins, weeks, out):
    """Fill `G` of rows from the margins of their weeks' hazards, one row after the other."""
    place = 0
    for row in range(len(weeks)):
        left = 1.0
        for week in range(weeks[row] - 1):
            small = np.exp(-abs(margins[place]))  # the sigmoid of `models.calibration`, compiled
            left *= 1 - (1.0 if margins[place] >= 0 else small) / (1 + small)
            out[row, week] = 1 - left
            place += 1


@njit(
    types.void(types.float64[:], types.int64[:], types.boolean, types.float64[:, ::1]),
    cache=True,
)
def spread(score, weeks, waits, curve):
    """Make the probabilities of each week of `G`, in place; NaN after a row's last week."""
    for row in range(len(score)):
        last, p = weeks[row] - 1, score[row]
        for week in range(curve.shape[1]):
            by = curve[row, week]
            if week > last:
                curve[row, week] = np.nan
            elif week == last:
                curve[row, week] = p
            elif waits:
                curve[row, week] = max(1 - (1 - p) * by, p)
            else:
                curve[row, week] = min(p * by, p)
