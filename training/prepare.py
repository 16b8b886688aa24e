"""From histories to matrices: a problem's rows, their labels, their split, their features.

Takes a business, a resolved problem and histories; gives the matrices that a model is fitted
and judged on. Training and the leakage audit both ask here, so what is audited is what is
trained. Knows nothing about models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from features.buckets import sample
from features.catalogue import default_catalogue
from features.config import Business, Problem
from features.engine import Matrix, compute, compute_exact
from features.errors import ProblemError
from features.event_log import EventLog, Ints
from features.feature import Feature
from features.groups import with_groups
from features.own import own_features
from features.sources import Histories
from training.clock import Clock
from training.label_table import SPLITS
from training.labels import Labelled, label_rows
from training.peers import Changes, changes, peer_features, shared_categories
from training.splits import Split, split_rows
from training.tuned import Tuned

Floats = NDArray[np.float64]
Part = tuple[Matrix, NDArray[np.int8]]
"""A matrix `(n_rows, n_features)` and labels `(n_rows,)`."""

PURGED = "purged"
"""What the parts call rows that no part holds."""

ENOUGH_ROWS = 200_000
"""What medians and rules are found on; more rows change no digit that is read."""

MOST_ROWS = 1_500_000
"""Training rows beyond this many are thinned by chance; the trees gain nothing from them."""

CATALOGUE_EVENTS = 5_000_000
"""Which events, levels and windows are worth a column is read from about so many events, of
customers chosen by a hash of their ids; a kind of event that is rarer there than the catalogue
asks for would not move a model."""


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
    parts: dict[str, Part]
    """Matrix and labels of train, validation and test, and of purged rows; where the training set
    lies on disk, train is thinned to what is looked at."""
    purged: Ints
    """Labelled rows that no part holds because of the purge, in the order of their part; the
    model that is registered may learn from them."""
    folder: Path | None = None
    """Where the training set lies on disk, if it does."""
    stake: Floats | None = None
    """What is at stake in each row of the test part, by the problem's `value`; None where it
    names none, or where the histories are not at hand."""
    test_vectors: Callable[[Sequence[Feature]], Matrix] | None = field(
        default=None, repr=False, compare=False
    )
    """Computes other features of the test part; None where the histories are not at hand."""
    tuned: Tuned | None = None
    """What a search found for fits on these rows."""
    log: EventLog | None = field(default=None, repr=False, compare=False)
    """The events of the rows' customers; None where the histories are not at hand."""
    fewest_events: int = 1
    """Of fewer visible events nothing can be learned; see `training.ranges`."""

    @property
    def more(self) -> dict[str, Any]:
        """LightGBM's parameters in place of the default ones."""
        return {} if self.tuned is None else dict(self.tuned.parameters)

    @property
    def base_rate(self) -> float:
        """The share of positives in the training part."""
        return float(self.labelled.label[self.split.train].mean())

    def rows(self, part: str) -> Ints:
        """Positions in `labelled` of a part's rows, as they stand in its matrix."""
        rows: Ints = self.purged if part == PURGED else getattr(self.split, part)
        n = len(self.parts[part][1])
        return rows if n == len(rows) else rows[:: -(-len(rows) // n)][:n]

    @property
    def is_whole(self) -> bool:
        """Whether the training part is here with all its rows, not thinned."""
        return len(self.parts["train"][1]) == len(self.split.train)

    @property
    def known_before_test(self) -> Ints:
        """Rows whose labels were known before the test's first cutoff: train and validation, and
        what was purged between them."""
        return np.concatenate([self.split.train, self.split.validation, self.purged[self._over]])

    @property
    def _over(self) -> NDArray[np.bool_]:
        return over_before_test(self.problem, self.labelled, self.split, self.purged)

    @property
    def has_newer_rows(self) -> bool:
        """Whether purged rows are newer than the training part and were known before the test."""
        return bool(self._over.any())

    @property
    def before_test(self) -> Part:
        """Matrix and labels of `known_before_test`."""
        matrix, label = self.parts[PURGED]
        over = self._over
        return joined(self.parts["train"], self.parts["validation"], (matrix[over], label[over]))

    @property
    def all_matured(self) -> Part:
        """Every row whose label is known."""
        return joined(*(self.parts[name] for name in (*SPLITS, PURGED)))

    @property
    def seen(self) -> Part:
        """Rows on which a rule may be chosen: train and validation, thinned if many."""
        parts = [self.parts["train"], self.parts["validation"]]
        step = -(-sum(len(label) for _, label in parts) // ENOUGH_ROWS)
        return joined(*((matrix[::step], label[::step]) for matrix, label in parts))


def joined(*parts: Part) -> Part:
    """Several parts, one after the other."""
    return (
        np.concatenate([matrix for matrix, _ in parts]),
        np.concatenate([label for _, label in parts]),
    )


def prepare(
    business: Business,
    problem: Problem,
    histories: Histories,
    clock: Clock,
) -> Prepared:
    """Label the cohort, split it, and compute the features that the training part calls for."""
    asked = ask(business, problem, histories, clock)
    with clock.stage("features") as told:
        purged = purged_rows(asked.labelled, asked.split)
        features, vectors = _matrix(business, asked, purged)
        told.append(f"{vectors.shape[0]:,} rows × {len(features)} features")
    parts = _parts(asked.labelled, asked.split, purged, vectors)
    test = asked.labelled.moments.rows.take(asked.split.test)
    return Prepared(
        problem, asked.labelled, asked.split, features, parts, purged, stake=_stake(asked),
        test_vectors=lambda wanted: compute(wanted, asked.log, asked.attributes, test),
        log=asked.log,
    )  # fmt: skip


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
        told += [label_account(labelled), *labelled.notes]
    with clock.stage("split") as told:
        split = thinned(split_rows(problem, labelled, log.customers), problem.seed)
        told += [split_account(split), *split.notes]
    return Asked(problem, labelled, split, log, attributes)


def choose_features(
    business: Business,
    problem: Problem,
    some: tuple[EventLog, EventLog],
    until: int,
    count: Callable[[tuple[Feature, ...]], Changes],
) -> tuple[Feature, ...]:
    """The features that a history calls for, as it was known at `until`, and the business's own.

    Parameters
    ----------
    some
        The events and the attributes of the customers that are looked at.
    count
        Counts the outcomes of the problem's rows by categories, for peer rates. Each
        step of a rate holds what was known at its time, so later rows change nothing that an
        earlier one sees.

    Raises
    ------
    ProblemError
        When nothing had happened by then.
    """
    log, attributes = with_groups(some[0], business.features.groups), some[1]
    ignore = tuple(business.features.ignore)
    found = default_catalogue(
        log, attributes, business.stages, business.features.windows, until, ignore
    )
    if not found:
        raise ProblemError(
            "Nothing had happened before the newest training cutoff, so there is no feature to "
            "learn from. Look whether the label table's cutoff times fit the events' times."
        )
    categories = shared_categories(problem, log, attributes, until, ignore)
    peers = peer_features(categories, count(categories)) if categories else ()
    return tuple(dict.fromkeys((*found, *peers, *own_features(business.features.own))))


def chosen_of(business: Business, asked: Asked) -> tuple[Feature, ...]:
    """The features of a problem whose histories are in memory."""
    moments = asked.labelled.peers
    return choose_features(
        business,
        asked.problem,
        looked_at(asked.log, asked.attributes, asked.until),
        asked.until,
        lambda levels: changes(levels, asked.problem, asked.log, asked.attributes, moments),
    )


def looked_at(log: EventLog, attributes: EventLog, until: int) -> tuple[EventLog, EventLog]:
    """The customers whose events, recorded by `until`, decide which columns there are."""
    recorded = log.recorded_time
    share = catalogue_share(log.n_events, lambda: int(np.count_nonzero(recorded <= until)))
    return sample(log, attributes, share)


def catalogue_share(n_events: int, n_recorded: Callable[[], int]) -> float:
    """The share of customers whose events decide which columns there are.

    Where there are too many events, it depends on those alone that were recorded by the training
    part's last known time (`n_recorded`): what comes later changes no column.
    """
    if n_events <= CATALOGUE_EVENTS:
        return 1.0
    return min(1.0, CATALOGUE_EVENTS / max(n_recorded(), 1))


def purged_rows(labelled: Labelled, split: Split) -> Ints:
    """Rows that no part holds; none where training rows were thinned, for they are enough."""
    if len(labelled) > MOST_ROWS:
        return np.empty(0, np.int64)
    return np.setdiff1d(np.arange(len(labelled)), split.all_rows)


def over_before_test(
    problem: Problem, labelled: Labelled, split: Split, purged: Ints
) -> NDArray[np.bool_]:
    """Which purged rows' labels were known before the test's first cutoff.

    Where customers are kept apart, none of a customer of the test.
    """
    rows, moments = labelled.moments.rows, labelled.moments.take(purged)
    first = rows.cutoff_time[split.test].min()
    known = np.maximum(moments.closes, moments.rows.known_time)
    over = (known <= first) & (moments.rows.cutoff_time < first)
    if problem.split.customers == "apart":
        over &= ~np.isin(moments.rows.customer, rows.customer[split.test])
    return np.asarray(over)


def _matrix(business: Business, asked: Asked, purged: Ints) -> tuple[tuple[Feature, ...], Matrix]:
    """The features that the training part's past calls for, of every row that is used."""
    features = chosen_of(business, asked)

    rows = np.concatenate([asked.split.all_rows, purged])
    used = asked.labelled.moments.rows.take(rows)
    # Drawn on a terminal alone; a log gets the stage's line.
    with tqdm(total=len(used), desc="  features", unit=" rows", leave=False, disable=None) as bar:
        matrix = compute(
            features, asked.log, asked.attributes, used, lambda done, _: bar.update(done - bar.n)
        )
    return features, matrix


def _stake(asked: Asked) -> Floats | None:
    """What is at stake in each row of the test part, as a score would tell it."""
    value = asked.problem.value
    if value is None:
        return None
    rows = asked.labelled.moments.rows.take(asked.split.test)
    feature = Feature("sum", of=value.sum, last=value.last)
    return compute_exact([feature], asked.log, asked.attributes, rows)[:, 0]


def _parts(labelled: Labelled, split: Split, purged: Ints, vectors: Matrix) -> dict[str, Part]:
    """Matrix and labels of each part; `vectors` holds the parts one after the other."""
    parts, begin = {}, 0
    for name, rows in (*((name, getattr(split, name)) for name in SPLITS), (PURGED, purged)):
        parts[name] = (vectors[begin : begin + len(rows)], labelled.label[rows])
        begin += len(rows)
    return parts


def thinned(split: Split, seed: int) -> Split:
    """A split whose training part is no larger than is useful."""
    if len(split.train) <= MOST_ROWS:
        return split
    kept = np.sort(np.random.default_rng(seed).choice(split.train, MOST_ROWS, replace=False))
    note = f"{MOST_ROWS:,} of {len(split.train):,} training rows are used, drawn by chance"
    return Split(kept, split.validation, split.test, split.how, (*split.notes, note))


def label_account(labelled: Labelled) -> str:
    """Rows, their share of positives, and what is unknown, in one line."""
    line = f"{len(labelled):,} rows, {labelled.label.mean():.1%} positive"
    if labelled.unknown:
        why = ", ".join(f"{count:,} {reason}" for reason, count in labelled.unknown.items())
        line += f", unknown: {why}"
    return line


def split_account(split: Split) -> str:
    """The sizes of the parts and how they were made, in one line."""
    return (
        f"{len(split.train):,} train, {len(split.validation):,} validation, "
        f"{len(split.test):,} test, {split.how}"
    )
