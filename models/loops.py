"""Compiled loops over rows, where an array a step takes longer than all steps of a few rows.

Takes arrays, fills arrays, a row at a time, so that a row is the same alone and among others.
Knows nothing about what the numbers mean: weeks are those of `models.weekly_risk`, sides and
centres those of `models.persona`, ranges those of `models.familiarity`, bands those of
`models.interval`, curves those of `models.calibration`, groups those of `models.reasons`.
"""

# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"

import numpy as np
from numba import njit, types, vectorize

VECTORS = types.Array(types.float32, 2, "C", readonly=True)
PLACES, NUMBERS, POINTS = types.int64[::1], types.float64[::1], types.float64[:, ::1]
REAL = types.float64


@njit
def _chance(log_odds):
    small = np.exp(-abs(log_odds))
    return (1.0 if log_odds >= 0 else small) / (1 + small)


@njit
def _logs(margin):
    """`ln s` and `-ln(1 - s)` of the margin's sigmoid; see `models.calibration.logs`."""
    small = np.log1p(np.exp(-abs(margin)))
    return min(margin, 0.0) - small, max(margin, 0.0) + small


@vectorize([REAL(REAL)], cache=True)
def chance(log_odds):
    """Probability of log-odds, without overflow."""
    return _chance(log_odds)


@vectorize([REAL(REAL, REAL)], cache=True)
def chance_within(log_odds, least):
    """The same, cut to `least` and to one minus it."""
    return min(max(_chance(log_odds), least), 1 - least)


@vectorize([REAL(REAL, REAL, REAL, REAL)], cache=True)
def two_slopes(margin, below, above, intercept):
    """Calibrated log-odds of a margin by beta calibration; see `models.calibration.Beta`."""
    low, high = _logs(margin)
    return below * low + above * high + intercept


@njit(types.void(types.int64[::1], types.int64[::1], types.int64[::1]), cache=True)
def begun(weeks, week, row):
    """Fill the weeks of rows but their last, one row after the other, and whose they are."""
    place = 0
    for r in range(len(weeks)):
        for w in range(1, weeks[r]):
            week[place], row[place] = w, r
            place += 1


@njit(
    types.void(
        VECTORS, types.int64[::1], types.float64[:], types.int64[:], types.int64[:],
        types.int64[::1], types.int64[::1], types.int64, types.float64, types.float64[:, ::1],
    ),
    cache=True,
)  # fmt: skip
def look(vectors, columns, margin, opens, closes, week, row, length, day, out):
    """Fill what the trees of the weekly risk read: the clock, the margin, the columns.

    Parameters
    ----------
    week, row
        One of each for every row of `out`.
    length, day
        Microseconds of a week and a day.
    """
    for i in range(len(row)):
        r = row[i]
        out[i, 0] = (week[i] - 1) * length / day
        out[i, 1] = (closes[r] - opens[r] - week[i] * length) / day
        out[i, 2] = margin[r]
        for k in range(len(columns)):
            out[i, 3 + k] = vectors[r, columns[k]]


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
            left *= 1 - _chance(margins[place])
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


@njit(
    types.void(
        VECTORS, types.boolean[::1], PLACES, PLACES, PLACES, PLACES, NUMBERS, NUMBERS,
        types.float64, POINTS, NUMBERS,
    ),
    cache=True,
    error_model="numpy",
)  # fmt: skip
def standardise(
    vectors, mixes, columns, edges, counted, counted_edges, centre, scale, most, out, least
):
    """Fill the columns of all sides, and the number of events behind the thinnest side.

    Parameters
    ----------
    columns, counted
        Columns of the vectors, those of side `k` from `edges[k]` to `edges[k + 1]`. A side
        whose lists are the same is a mix.
    most
        Values are cut here.
    out
        Shape `(n_rows, len(columns))`.
    least
        Shape `(n_rows,)`.
    """
    for row in range(len(vectors)):
        least[row] = np.inf
        for side in range(len(edges) - 1):
            begin, end = edges[side], edges[side + 1]
            first, last = counted_edges[side], counted_edges[side + 1]
            n_events = 0.0
            for k in range(first, last):
                value = float(vectors[row, counted[k]])
                n_events += value if value == value else 0.0
            least[row] = min(least[row], n_events)
            for k in range(begin, end):
                value = float(vectors[row, columns[k]])
                if mixes[side]:
                    value /= n_events if n_events != 0 else np.nan
                value = (np.copysign(np.sqrt(abs(value)), value) - centre[k]) / scale[k]
                out[row, k] = min(max(value, -most), most) if value == value else 0.0


@njit(types.void(POINTS, POINTS, types.int64[::1]), cache=True)
def nearest(points, centres, out):
    """The nearest centre of each point; of two that are equally near, the first."""
    for row in range(len(points)):
        best = np.inf
        out[row] = 0
        for k in range(len(centres)):
            far = 0.0
            for j in range(points.shape[1]):
                step = points[row, j] - centres[k, j]
                far += step * step
            if far < best:
                best, out[row] = far, k


@njit(
    types.void(VECTORS, PLACES, PLACES, NUMBERS, NUMBERS, NUMBERS, types.float64, NUMBERS),
    cache=True,
    error_model="numpy",
)
def distances(vectors, columns, edges, low, high, width, most, out):
    """How far outside its ranges each row lies: the farthest column of each group, added up."""
    for row in range(len(vectors)):
        far = 0.0
        for group in range(len(edges) - 1):
            farthest = 0.0
            for k in range(edges[group], edges[group + 1]):
                value = float(vectors[row, columns[k]])
                beyond = max(low[k] - value, value - high[k]) / width[k]
                if beyond > farthest:  # not where the value is missing
                    farthest = beyond
            far += min(farthest, most)
        out[row] = far


@njit(
    types.void(
        types.float64[:], types.float64[:], types.float64[:], types.float64[:, ::1],
        types.float64, types.float64, types.float64[::1], types.float64[::1],
    ),
    cache=True,
)  # fmt: skip
def band(margin, middle, probability, covariance, quantile, least, lower, upper):
    """Fill both bounds of a band around the middles (log-odds), which hold the probabilities."""
    for row in range(len(margin)):
        low, high = _logs(margin[row])
        spread = covariance[0, 0] * low * low + covariance[1, 1] * high * high + covariance[2, 2]
        spread += 2 * (
            covariance[0, 1] * low * high + covariance[0, 2] * low + covariance[1, 2] * high
        )
        reach = quantile * np.sqrt(max(spread, 0.0))
        below = min(max(_chance(middle[row] - reach), least), 1 - least)
        above = min(max(_chance(middle[row] + reach), least), 1 - least)
        lower[row], upper[row] = min(below, probability[row]), max(above, probability[row])


@njit(types.void(POINTS, PLACES, PLACES, POINTS, NUMBERS), cache=True)
def add_up(parts, order, edges, grouped, total):
    """Fill the sum of each group's columns, `order[edges[k]:edges[k + 1]]`, and of all groups."""
    for row in range(len(parts)):
        total[row] = 0.0
        for group in range(len(edges) - 1):
            of_group = 0.0
            for k in range(edges[group], edges[group + 1]):
                of_group += parts[row, order[k]]
            grouped[row, group] = of_group
            total[row] += of_group


@njit(types.void(types.float64[:], NUMBERS, NUMBERS), cache=True)
def stand(scores, quantiles, out):
    """Fill the percentile of each score among quantiles, in the middle of those that it equals."""
    last = len(quantiles) - 1
    for row in range(len(scores)):
        score = scores[row]
        low = np.searchsorted(quantiles, score)
        high = np.searchsorted(quantiles, score, side="right") - 1
        if high >= low:
            place = (low + high) / 2
        elif low == 0 or low > last:
            place = float(min(low, last))
        else:
            below = quantiles[low - 1]
            place = low - 1 + (score - below) / (quantiles[low] - below)
        out[row] = 100 * place / last
