"""From histories to matrices: a problem's rows, their labels, their split, their features.

Takes a business, a resolved problem and histories; gives the matrices that a model is fitted
and judged on. Training and the leakage audit both ask here, so what is audited is what is
trained. Knows nothing about models.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.catalogue import default_catalogue
from features.config import Business, Problem
from features.cutoffs import Moments
from features.engine import Matrix, compute
from features.errors import ProblemError
from features.event_log import EventLog
from features.feature import Feature
from features.groups import with_groups
from features.own import own_features
from features.sources import Histories
from training.clock import Clock
from training.label_table import SPLITS
from training.labels import Labelled, label_rows
from training.peers import peer_features
from training.splits import Split, split_rows

Floats = NDArray[np.float64]
Part = tuple[Matrix, NDArray[np.int8]]
"""A matrix `(n_rows, n_features)` and labels `(n_rows,)`."""

ENOUGH_ROWS = 200_000
"""What medians and rules are found on; more rows change no digit that is read."""

MOST_ROWS = 1_500_000
"""Training rows beyond this many are thinned by chance; the trees gain nothing from them."""


@dataclass(frozen=True)
class Asked:
    """A problem's labelled rows and their split, before any feature."""

    problem: Problem
    labelled: Labelled
    split: Split
    log: EventLog
    """The log whose customers the rows point into."""
    attributes: EventLog
    """Over the same customers."""

    @property
    def until(self) -> int:
        """The training part's last known time: what may be chosen or fitted knows no more."""
        return int(self.labelled.moments.rows.known_time[self.split.train].max())


@dataclass(frozen=True)
class Prepared:
    """A problem's rows, split, with their features."""

    problem: Problem
    labelled: Labelled
    split: Split
    features: tuple[Feature, ...]
    vectors: Matrix
    """The rows of train, validation and test, one part after the other."""
    parts: dict[str, Part]
    """Matrix and labels of train, validation and test; views of `vectors`."""

    @property
    def seen(self) -> Part:
        """Rows on which a rule may be chosen: train and validation, thinned if many."""
        n = len(self.split.train) + len(self.split.validation)
        label = np.concatenate([self.parts["train"][1], self.parts["validation"][1]])
        step = -(-n // ENOUGH_ROWS)
        return self.vectors[:n:step], label[::step]


def prepare(
    business: Business,
    problem: Problem,
    histories: Histories,
    clock: Clock,
    say: Callable[[str], None],
) -> Prepared:
    """Label the cohort, split it, and compute the features that the training part calls for."""
    asked = ask(business, problem, histories, clock)
    with clock.stage("features") as told:
        features, vectors = _matrix(business, asked, say)
        told.append(f"{vectors.shape[0]:,} rows × {len(features)} features")
    parts = _parts(asked.labelled, asked.split, vectors)
    return Prepared(problem, asked.labelled, asked.split, features, vectors, parts)


def ask(business: Business, problem: Problem, histories: Histories, clock: Clock) -> Asked:
    """Label the cohort and split it.

    Raises
    ------
    ProblemError
        When the cohort is empty, or no split has both classes in every part.
    """
    with clock.stage("labels") as told:
        labelled, log = label_rows(business, problem, histories)
        attributes = histories.attributes.aligned(log.customers)
        told += [_label_account(labelled), *labelled.notes]
    with clock.stage("split") as told:
        split = _thinned(split_rows(problem, labelled, log.customers), problem.seed)
        told += [_split_account(split), *split.notes]
    return Asked(problem, labelled, split, log, attributes)


def choose_features(
    business: Business,
    problem: Problem,
    log: EventLog,
    attributes: EventLog,
    moments: Moments,
    until: int,
) -> tuple[Feature, ...]:
    """The features that a history calls for, as it was known at `until`, and the business's own.

    Parameters
    ----------
    moments
        The problem's rows with an outcome, from which peer rates are counted: each step of a rate
        holds what was known at its time, so later rows change nothing that an earlier one sees.

    Raises
    ------
    ProblemError
        When nothing had happened by then.
    """
    log = with_groups(log, business.features.groups)
    found = default_catalogue(
        log,
        attributes,
        business.stages,
        business.features.windows,
        until,
        business.features.ignore,
    )
    if not found:
        raise ProblemError(
            "Nothing had happened before the newest training cutoff, so there is no feature to "
            "learn from. Look whether the label table's cutoff times fit the events' times."
        )
    ignore = tuple(business.features.ignore)
    peers = peer_features(problem, log, attributes, moments, until, ignore)
    return tuple(dict.fromkeys((*found, *peers, *own_features(business.features.own))))


def _matrix(
    business: Business, asked: Asked, say: Callable[[str], None]
) -> tuple[tuple[Feature, ...], Matrix]:
    """The features that the training part's past calls for, of every row that is used."""
    features = choose_features(
        business, asked.problem, asked.log, asked.attributes, asked.labelled.peers, asked.until
    )

    def progress(done: int, of: int) -> None:
        if done < of:
            say(f"  {done:,} of {of:,} rows")

    used = asked.labelled.moments.rows.take(asked.split.all_rows)
    return features, compute(features, asked.log, asked.attributes, used, progress)


def _parts(labelled: Labelled, split: Split, vectors: Matrix) -> dict[str, Part]:
    """Matrix and labels of each part; `vectors` holds the parts one after the other."""
    parts, begin = {}, 0
    for name in SPLITS:
        rows = getattr(split, name)
        parts[name] = (vectors[begin : begin + len(rows)], labelled.label[rows])
        begin += len(rows)
    return parts


def _thinned(split: Split, seed: int) -> Split:
    """A split whose training part is no larger than is useful."""
    if len(split.train) <= MOST_ROWS:
        return split
    kept = np.sort(np.random.default_rng(seed).choice(split.train, MOST_ROWS, replace=False))
    note = f"{MOST_ROWS:,} of {len(split.train):,} training rows are used, drawn by chance"
    return Split(kept, split.validation, split.test, split.how, (*split.notes, note))


def _label_account(labelled: Labelled) -> str:
    line = f"{len(labelled):,} rows, {labelled.label.mean():.1%} positive"
    if labelled.unknown:
        why = ", ".join(f"{count:,} {reason}" for reason, count in labelled.unknown.items())
        line += f", unknown: {why}"
    return line


def _split_account(split: Split) -> str:
    return (
        f"{len(split.train):,} train, {len(split.validation):,} validation, "
        f"{len(split.test):,} test, {split.how}"
    )
