"""What the statistical checks look at: a problem's rows, split, with their matrix.

Takes what the audit gathered; gives small questions that several checks ask, such as how well
one column ranks later rows. Knows nothing about findings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.config import Business, Problem
from features.engine import Rows
from features.event_log import Ints
from features.language import events
from training.pipeline import Journeys, Matrix, Question

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
Mask = NDArray[np.bool_]

BINS = 20
"""Values of a column are told apart as its twentieths on the training part."""
MANY_ROWS = 10.0
"""A bin's rate is drawn to the base rate as if it held this many rows more."""
RESAMPLES = 200
"""Draws of customers behind an interval."""


FEWEST = 20
"""Positives and negatives below which nothing is judged."""


@dataclass(frozen=True)
class Power:
    """How well something ranks outcomes on its own."""

    auroc: float
    low: float
    high: float
    """A 95 % interval."""
    where: str
    """On what it was measured, for a sentence."""

    @property
    def says(self) -> str:
        return f"AUROC {self.auroc:.3f} ({self.low:.3f} to {self.high:.3f}) on {self.where}"

    def to_json(self) -> dict[str, float]:
        return {"auroc": self.auroc, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Evidence:
    """Rows of a problem with the matrix that the pipeline under audit gave."""

    business: Business
    problem: Problem
    journeys: Journeys
    end: int
    """The moment up to which the histories reach."""
    question: Question
    names: tuple[str, ...]
    matrix: Matrix
    """Shape `(n_rows, n_names)`."""
    seed: int
    counting: frozenset[str] = frozenset()
    """Features that only count events or days since them, and read no property."""

    @property
    def rows(self) -> Rows:
        return self.question.rows

    @property
    def label(self) -> Labels:
        return self.question.label

    @property
    def base_rate(self) -> float:
        return float(self.label.mean())

    def reads(self, of: str) -> bool:
        """Whether the business lets features read a property."""
        return of not in self.business.features.ignore

    def columns_reading(self, properties: Sequence[str]) -> Mask:
        """Which columns say in their derived name that they read one of these properties."""
        probe = [events("e").max(of).name.removeprefix("e_") for of in properties]
        words = [f"_{name.removesuffix('_max')}_" for name in probe]
        return np.array([any(word in f"_{name}_" for word in words) for name in self.names])

    def power(self, column: NDArray[np.float64]) -> tuple[float, Floats]:
        """How well one column ranks the test part, learnt on the training part.

        The column becomes the rate of its bin, so direction, missingness and levels count.

        Returns
        -------
        AUROC on test (below one half when what was learnt does not hold), and the score.
        """
        train, test = self.question.train, self.question.test
        score = rates(column[train], self.label[train], column[test])
        return auroc(self.label[test], score), score

    def lasting_power(self, column: Floats) -> "Power":
        """The better of two: on the test part, and on the last row of each customer.

        What is overwritten when the outcome has come agrees with the outcome at the end of
        each journey, however little it says of the rows before. There it is learnt on every
        second customer and judged on the others.
        """
        on_test, score = self.power(column)
        rows = self._last_rows
        learnt, judged = rows[::2], rows[1::2]
        label = self.label[judged]
        if min(label.sum(), len(label) - label.sum(), self.label[learnt].sum()) < FEWEST:
            return Power(on_test, *self.interval(score), f"{len(score):,} later rows")
        other = rates(column[learnt], self.label[learnt], column[judged])
        at_last = auroc(label, other)
        if at_last <= on_test:
            return Power(on_test, *self.interval(score), f"{len(score):,} later rows")
        low, high = bootstrap(label, other, self.rows.customer[judged], self.seed)
        return Power(at_last, low, high, f"the last rows of {len(judged):,} customers")

    @cached_property
    def _last_rows(self) -> Ints:
        """The newest row of each customer."""
        order = np.lexsort((self.rows.cutoff_time, self.rows.customer))
        who = self.rows.customer[order]
        return np.asarray(order[np.append(who[1:] != who[:-1], True)])

    def interval(self, score: Floats) -> tuple[float, float]:
        """95 % interval of a test score's AUROC, customers drawn with replacement."""
        test = self.question.test
        return bootstrap(self.label[test], score, self.rows.customer[test], self.seed)


def rates(train: Floats, label: Labels, other: Floats) -> Floats:
    """The rate of `label` in each value's bin, missing values being a bin of their own."""
    known = train[~np.isnan(train)]
    values = np.unique(known)
    edges = (
        (values[1:] + values[:-1]) / 2
        if len(values) <= BINS * 2
        else np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
    )
    base = float(label.mean()) if len(label) else 0.5

    def place(column: Floats) -> Ints:
        return np.where(np.isnan(column), len(edges) + 1, np.searchsorted(edges, column))

    size = len(edges) + 2
    count = np.bincount(place(train), minlength=size)
    hits = np.bincount(place(train), label, minlength=size)
    rate = (hits + MANY_ROWS * base) / (count + MANY_ROWS)
    return np.asarray(rate[place(other)], dtype=np.float64)


def auroc(label: Labels, score: Floats) -> float:
    """Area under the ROC curve; one half where only one class is there."""
    positives = int(label.sum())
    negatives = len(label) - positives
    if not positives or not negatives:
        return 0.5
    ranks = ranked(score)
    return float(
        (ranks[label == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    )


def ranked(values: Floats) -> Floats:
    """Ranks from 1 on; equal values share their mean rank."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[place], dtype=np.float64)


def rank_correlation(one: Floats | Ints, other: Floats | Ints) -> float:
    """Spearman's correlation; 0 where one of them never changes."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(ranked(np.asarray(one)), ranked(np.asarray(other)))[0, 1])


def bootstrap(label: Labels, score: Floats, who: Ints, seed: int) -> tuple[float, float]:
    """95 % interval of an AUROC whose rows of one customer belong together."""
    _, customer = np.unique(who, return_inverse=True)
    order = np.argsort(customer, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(customer))[:-1])
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([parts[i] for i in rng.integers(0, len(parts), len(parts))])
        found.append(auroc(label[drawn], score[drawn]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def least_share(hits: int, n: int) -> float:
    """The lower end of Wilson's 95 % interval of a share (E. B. Wilson, 1927)."""
    if not n:
        return 0.0
    z = 1.96
    share = hits / n
    middle = share + z * z / (2 * n)
    spread = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return float((middle - spread) / (1 + z * z / n))


def any_of(words: Sequence[str]) -> str:
    """Some words for a sentence, the first three of them."""
    shown = ", ".join(repr(word) for word in words[:3])
    return shown + (f" and {len(words) - 3} more" if len(words) > 3 else "")
