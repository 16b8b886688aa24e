"""The compiled pass: how well an order ranks labels, under many weightings of its rows.

Takes rows in order of falling score, with whose row each is, and customers' weights; gives
sums from which every ranking metric follows. Knows nothing about what the weights mean.
"""
# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"

from numba import njit

POSITIVE, NEGATIVE, BEATEN, PRECISION = range(4)
"""Columns of the answer: weight of the positives and of the negatives, negatives that the
positives stand above (half of those beside them), and the positives' sum of precisions."""
FIXED = 4
"""Then, for each share of the top: its positives, its gain and its weight."""


@njit(
    "void(float32[:, ::1], int32[::1], int8[::1], float64[::1], int64[::1], float64[::1], "
    "float64[:, ::1])",
    cache=True,
    error_model="numpy",
)
def rank(weights, who, label, gain, ties, shares, out):
    """Fill `out`, a row a weighting.

    Parameters
    ----------
    weights
        `(n_weightings, n_customers)`, 0 or more.
    who, label, gain
        Customer, 0 or 1, and what acting brings, of rows in order of falling score.
    ties
        Where each group of equal scores begins, and the number of rows at the end.
    shares
        Of the top, each above 0 and at most 1.
    out
        `(n_weightings, FIXED + 3 × n_shares)`, zeros.
    """
    for b in range(weights.shape[0]):
        weight, sums = weights[b], out[b]
        rows = 0.0
        for i in range(len(who)):
            rows += weight[who[i]]
        most = 0.0
        for j in range(len(shares)):
            sums[FIXED + 3 * j + 2] = max(1.0, round(shares[j] * rows))
            most = max(most, sums[FIXED + 3 * j + 2])
        above = hits_above = precision = beside = 0.0
        for t in range(len(ties) - 1):
            here = hits = 0.0
            for i in range(ties[t], ties[t + 1]):
                w = weight[who[i]]
                here += w
                if label[i]:
                    hits += w
            if above < most and here > 0.0:
                gained = 0.0
                for i in range(ties[t], ties[t + 1]):
                    gained += weight[who[i]] * gain[i]
                for j in range(len(shares)):
                    # Of the group across the edge each row counts with the same share.
                    part = min(1.0, max(0.0, sums[FIXED + 3 * j + 2] - above) / here)
                    sums[FIXED + 3 * j] += part * hits
                    sums[FIXED + 3 * j + 1] += part * gained
            if hits > 0.0:
                beside += hits * (above - hits_above + (here - hits) / 2.0)
                hits_above += hits
                precision += hits * hits_above / (above + here)
            above += here
        sums[POSITIVE] = hits_above
        sums[NEGATIVE] = above - hits_above
        sums[PRECISION] = precision
        sums[BEATEN] = hits_above * (above - hits_above) - beside
