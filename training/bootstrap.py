"""How sure a metric is, and how sure a difference: a bootstrap of whole customers.

Takes labels, score columns and whose row each is; gives an interval for every metric of
every column and for every difference between two columns. Knows nothing about models.

A customer has many rows, and they resemble each other: drawn one by one, rows would pretend
to be more than they are. So customers are drawn, each with all rows. Every column sees the
same draws, so that a difference is judged on equal terms.
Source: Field and Welsh (2007), Bootstrapping clustered data.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from features.event_log import Ints
from training.weighted import Acting, Floats, Labels, Scored, unweighted

LEVEL = 0.95
RESAMPLES = 1_000
LEAST_RESAMPLES = 200
MOST_CELLS = 100_000_000
"""Rows × resamples; with more than 100,000 rows fewer resamples are drawn."""
BLOCK_CELLS = 2_000_000
"""Rows × resamples that are worked on at once: 16 MB a matrix."""
GROUPS = 50
"""Groups of customers that are left out in turn, for the acceleration."""
REFLECTED = frozenset({"ece"})
"""Metrics whose interval is reflected. A calibration error is a mean of distances: a resample
adds its own noise to it, so its draws lie above the estimate as that lies above the truth."""


@dataclass(frozen=True)
class Interval:
    """A number and between what it may lie, at `LEVEL`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Resampled:
    """Every metric of every column, as measured and as it might have been."""

    value: dict[str, dict[str, float]]
    """By column and metric."""
    drawn: dict[str, dict[str, Floats]]
    """The same in each resample, shape `(n_resamples,)`; NaN where one class was not drawn."""
    without: dict[str, dict[str, Floats]]
    """The same with a group of customers left out, shape `(n_groups,)`."""

    def interval(self, column: str, metric: str, level: float = LEVEL) -> Interval:
        """The interval of a metric."""
        value, drawn = self.value[column][metric], self.drawn[column][metric]
        if metric in REFLECTED:
            return reflected(value, drawn, level)
        return accelerated(value, drawn, self.without[column][metric], level)

    def difference(self, column: str, other: str, metric: str, level: float = LEVEL) -> Interval:
        """The interval of a column's metric less another column's, on the same draws."""
        value, drawn, without = (
            of[column][metric] - of[other][metric] for of in (self.value, self.drawn, self.without)
        )
        return accelerated(float(value), np.asarray(drawn), np.asarray(without), level)


def resample(
    label: Labels,
    scores: Mapping[str, tuple[Floats, bool]],
    customer: Ints,
    acting: Acting,
    seed: int,
    resamples: int = RESAMPLES,
    chances: Mapping[str, Floats] | None = None,
) -> Resampled:
    """Draw customers with replacement, and measure every column on each draw.

    Parameters
    ----------
    label
        0 or 1, shape `(n_rows,)`.
    scores
        Columns by name, each of shape `(n_rows,)`, and whether it is a probability; higher
        means likelier.
    customer
        Whose row each is, any whole numbers.
    resamples
        With more than 100,000 rows fewer are drawn, but never below 200. With 0 every
        interval is the value itself.
    chances
        The probabilities that columns stand for that are none, where they are known.
    """
    _, who = np.unique(customer, return_inverse=True)
    n_customers = int(who.max()) + 1
    scored = {
        name: Scored(
            label, np.asarray(score, dtype=np.float64), who, acting, is_probability,
            (chances or {}).get(name),
        )
        for name, (score, is_probability) in scores.items()
    }  # fmt: skip
    resamples = min(resamples, max(LEAST_RESAMPLES, MOST_CELLS // len(label)))
    rng = np.random.default_rng(seed)
    value = unweighted(scored)
    if not resamples:
        none = {name: dict.fromkeys(found, np.empty(0)) for name, found in value.items()}
        return Resampled(value, none, none)
    block = max(1, BLOCK_CELLS // len(label))
    out = _leave_out(n_customers, rng)
    without = _measured(scored, (out[i : i + block] for i in range(0, len(out), block)))
    drawn = _measured(scored, _draws(n_customers, resamples, block, rng))
    return Resampled(value, drawn, without)


def _draws(
    n_customers: int, resamples: int, block: int, rng: np.random.Generator
) -> Iterator[Floats]:
    """How often each customer is drawn, `(n_block, n_customers)` at a time."""
    for begin in range(0, resamples, block):
        chosen = rng.integers(n_customers, size=(min(block, resamples - begin), n_customers))
        yield np.stack([np.bincount(row, minlength=n_customers) for row in chosen]).astype(float)


def _leave_out(n_customers: int, rng: np.random.Generator) -> Floats:
    """Weights that leave out one group of customers each, `(n_groups, n_customers)`."""
    n_groups = min(GROUPS, n_customers)
    group = rng.permutation(n_customers) % n_groups
    kept: Floats = np.not_equal(group[None, :], np.arange(n_groups)[:, None]).astype(np.float64)
    return kept


def _measured(
    scored: Mapping[str, Scored], weights: Iterator[Floats]
) -> dict[str, dict[str, Floats]]:
    parts: dict[str, list[dict[str, Floats]]] = {name: [] for name in scored}
    for block in weights:
        for name, column in scored.items():
            parts[name].append(column.metrics(block))
    return {
        name: {metric: np.concatenate([p[metric] for p in found]) for metric in found[0]}
        for name, found in parts.items()
    }


def accelerated(value: float, drawn: Floats, without: Floats, level: float = LEVEL) -> Interval:
    """The bias-corrected and accelerated interval (BCa).

    Draws without both classes are left out. Where all draws lie on one side of the value, or
    are equal, the plain percentiles are taken.
    Source: Efron (1987), Better bootstrap confidence intervals; the acceleration from groups
    left out in turn, which Efron and Tibshirani (1993, chapter 14) do with single rows.
    """
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn) or np.isnan(value):
        return Interval(value, value, value)
    tail = (1 - level) / 2
    normal = NormalDist()
    below = float(((drawn < value).mean() + (drawn <= value).mean()) / 2)
    edges = [tail, 1 - tail]
    if 0 < below < 1:
        bias, a = normal.inv_cdf(below), _acceleration(without)
        moved = [bias + normal.inv_cdf(edge) for edge in edges]
        if all(1 - a * z > 0 for z in moved):
            edges = [normal.cdf(bias + z / (1 - a * z)) for z in moved]
    low, high = np.quantile(drawn, edges)
    return Interval(value, float(low), float(high))


def reflected(value: float, drawn: Floats, level: float = LEVEL) -> Interval:
    """The draws' distances from the value, laid off to the other side, not below 0.

    Source: Davison and Hinkley (1997), section 5.2, the basic bootstrap.
    """
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn) or np.isnan(value):
        return Interval(value, value, value)
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(value, max(0.0, 2 * value - float(high)), max(0.0, 2 * value - float(low)))


def _acceleration(without: Floats) -> float:
    """A sixth of the skewness of what customers do to the metric."""
    without = without[~np.isnan(without)]
    if not len(without):
        return 0.0
    pull = without.mean() - without
    spread = float((pull**2).sum())
    return 0.0 if spread == 0 else float((pull**3).sum()) / (6 * spread**1.5)
