"""Train, validation and test: by time, with purge.

Takes labelled rows; gives three sets of rows such that no label window of an earlier set
reaches into a later one. Where a history is too short for that, the best honest split that
fits, and a note that says so. Knows nothing about features or models.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from features.config import Problem
from features.cutoffs import Moments
from features.durations import DAY, format_day
from features.errors import ProblemError
from features.event_log import Ints
from training.findings import STOP, Finding, StoppedError
from training.label_table import SPLITS
from training.labels import Labelled, when_of

Mask = NDArray[np.bool_]

PART_SHARE = 0.08
"""The least share of the rows that validation and test each hold."""
PART_CLASS = 25
"""The least number of rows of each class in validation and in test, when there are many."""
LEAST_CLASS = 5
"""The least number of rows of each class in a part, when there are few."""
TRAIN_SHARE = 0.15
"""The least share of the rows that train holds; with fewer the metrics are of a stump."""


BY_CUSTOMER = "by customer"
"""What a split is called that depends on the customers' ids alone."""


@dataclass(frozen=True)
class Split:
    """Which rows are for what; the sets are disjoint."""

    train: Ints
    validation: Ints
    test: Ints
    how: str
    """In words, for the report."""
    notes: tuple[str, ...] = ()
    """What a reader of the metrics has to know."""

    @property
    def all_rows(self) -> Ints:
        return np.concatenate([self.train, self.validation, self.test])


def split_rows(problem: Problem, labelled: Labelled, customers: Sequence[str]) -> Split:
    """Split labelled rows.

    In order of preference: the business's own split; three parts by time with purge; two
    parts by time with purge, the validation set made of other customers; three parts by
    customer.

    Where the problem keeps customers apart, the customers of test are a third part of them,
    those of validation (where there are three parts by time) a sixth.

    Raises
    ------
    ProblemError
        When no split has rows of both classes in every part, or a given split does not keep
        customers apart as the problem says.
    """
    if labelled.given_split is not None:
        return _given(problem, labelled, customers)
    ladder = ((PART_SHARE, PART_CLASS), (PART_SHARE, LEAST_CLASS), (0.02, 1))
    split = None
    for share, least in ladder:
        split = split or _three_by_time(problem, labelled, customers, share, least)
    for share, least in ladder:
        split = split or _two_by_time(problem, labelled, customers, share, least)
    split = split or _by_customer(labelled, customers)
    if split is None:
        positives, (when, dates) = int(labelled.label.sum()), when_of(labelled)
        raise StoppedError(
            Finding(
                "P01", STOP, "labels",
                f"{len(labelled):,} labelled rows {when} with {positives:,} positives can't be "
                "split into train, validation and test with both classes in each.",
                ("Bring a longer history or more customers", "Shorten the horizon"),
                {"rows": len(labelled), "positives": positives, **dates},
            )
        )  # fmt: skip
    return split


def _period(problem: Problem) -> int:
    """The length of one period: the horizon, or the distance between cutoffs if longer."""
    return max(problem.horizon or 0, problem.every or 0, 1)


def _sides(problem: Problem, labelled: Labelled, customers: Sequence[str]) -> tuple[Mask, ...]:
    """Which rows train, validation and test may take: all, or those of customers of their own."""
    if problem.split.customers != "apart":
        return (np.ones(len(labelled), dtype=bool),) * 3
    draw = _draw(labelled, customers)
    return draw < 1 / 2, (draw >= 1 / 2) & (draw < 2 / 3), draw >= 2 / 3


def _when(problem: Problem, moments: Moments) -> Ints:
    """What puts rows into periods: the cutoff, or the date that they were asked ahead of.

    By their cutoffs the newest rows would be those of short leads alone, for the outcome of a
    row that was asked long before its date is not known yet; by the date, every period holds
    every lead.
    """
    dated = problem.before is not None and problem.outcome is not None and problem.outcome.by
    return moments.closes if dated else moments.rows.cutoff_time


def _newest(
    problem: Problem, labelled: Labelled, usable: Mask, share: float, least: int
) -> Mask | None:
    """The newest whole periods among usable rows that hold enough of both classes.

    The share is of the rows that the same customers have.
    """
    cutoff, period = _when(problem, labelled.moments), _period(problem)
    rows = np.flatnonzero(usable)
    rows = rows[np.argsort(-cutoff[rows], kind="stable")]
    positives = np.cumsum(labelled.label[rows])
    count = np.arange(1, len(rows) + 1)
    enough = (count >= share * len(labelled)) & (positives >= least) & (count - positives >= least)
    if not enough.any():
        return None
    newest, reached = int(cutoff[rows[0]]), int(cutoff[rows[np.argmax(enough)]])
    periods = (newest - reached) // period + 1
    return usable & (cutoff > newest - periods * period)


def _ends_before(labelled: Labelled, later: Mask) -> Mask:
    """Rows whose label window is over when the first cutoff of a later part comes."""
    moments = labelled.moments
    first = moments.rows.cutoff_time[later].min()
    known = np.maximum(moments.closes, moments.rows.known_time)
    return np.asarray((known <= first) & (moments.rows.cutoff_time < first))


def _three_by_time(
    problem: Problem, labelled: Labelled, customers: Sequence[str], share: float, least: int
) -> Split | None:
    sides = _sides(problem, labelled, customers)
    shares = [share * side.mean() for side in sides]
    test = _newest(problem, labelled, sides[2], shares[2], least)
    if test is None:
        return None
    before = _ends_before(labelled, test) & sides[1]
    validation = _newest(problem, labelled, before, shares[1], least)
    if validation is None:
        return None
    train = _ends_before(labelled, validation) & sides[0]
    least_rows = TRAIN_SHARE * sides[0].sum()
    if not _has_classes(labelled.label, train, 2 * least) or train.sum() < least_rows:
        return None
    how = (
        f"by time with purge: validation from {_day(labelled, validation)}, "
        f"test from {_day(labelled, test)}"
    )
    left = len(labelled) - int(train.sum() + validation.sum() + test.sum())
    notes = (f"{left:,} rows purged, whose label window reaches into a later part",) if left else ()
    if problem.split.customers == "apart":
        how += ", customers apart"
        notes = (f"{left:,} rows left out, purged or of another part's customers",)
    return _split(train, validation, test, how, notes + _windowless(labelled))


def _two_by_time(
    problem: Problem, labelled: Labelled, customers: Sequence[str], share: float, least: int
) -> Split | None:
    test_side = _sides(problem, labelled, customers)[2]
    test = _newest(problem, labelled, test_side, share * test_side.mean(), least)
    if test is None:
        return None
    before = _ends_before(labelled, test)
    if problem.split.customers == "apart":
        before &= ~test_side
    validation = before & (_draw(labelled, customers) < (1 / 4 if test_side.all() else 1 / 6))
    train = before & ~validation
    enough = all(_has_classes(labelled.label, part, max(least, 2)) for part in (train, validation))
    if not enough or before.sum() < TRAIN_SHARE * len(labelled):
        return None
    left = len(labelled) - int(before.sum() + test.sum())
    how = f"test by time with purge from {_day(labelled, test)}, validation by customer"
    gone = "purged"
    if problem.split.customers == "apart":
        how, gone = f"{how}, customers apart", "left out, purged or of another part's customers"
    notes = (
        "the history is too short for three purged parts: validation holds other customers "
        "of the same time as train",
        f"{left:,} rows {gone}",
    )
    return _split(train, validation, test, how, notes + _windowless(labelled))


def _by_customer(labelled: Labelled, customers: Sequence[str]) -> Split | None:
    draw = _draw(labelled, customers)
    parts = (draw < 0.6, (draw >= 0.6) & (draw < 0.8), draw >= 0.8)
    if not all(_has_classes(labelled.label, part, 1) for part in parts):
        return None
    notes = (
        "the history is too short for any split by time: the parts hold different customers "
        "of the same time, so the metrics say nothing about how the model ages",
    )
    return _split(*parts, BY_CUSTOMER, notes)


def _given(problem: Problem, labelled: Labelled, customers: Sequence[str]) -> Split:
    """The business's split as it is; a missing validation set is drawn from train."""
    assert labelled.given_split is not None
    if problem.split.customers == "apart":
        _check_apart(labelled, customers)
    parts = [np.asarray(labelled.given_split == part) for part in range(len(SPLITS))]
    notes: tuple[str, ...] = ()
    cutoff, closes = labelled.moments.rows.cutoff_time, labelled.moments.closes
    for earlier, later in ((0, 1), (1, 2), (0, 2)):
        both = parts[earlier].any() and parts[later].any()
        if both and closes[parts[earlier]].max() > cutoff[parts[later]].min():
            names = f"{SPLITS[earlier]} part reach into its {SPLITS[later]} part"
            notes += (f"label windows of the given {names}",)
    if parts[0].any() and not parts[1].any():
        parts[1] = parts[0] & (_draw(labelled, customers) < 0.2)
        parts[0] = parts[0] & ~parts[1]
        notes += ("the given split has no validation rows: every fifth customer of train is used",)
    for name, part in zip(SPLITS, parts, strict=True):
        if not _has_classes(labelled.label, part, 1):
            raise ProblemError(
                f"The given split has {int(part.sum()):,} labelled rows in {name!r}, "
                f"{int(labelled.label[part].sum()):,} of them positive; each part needs both "
                "classes. Mend the split column, or leave it out and let the rows be split by time."
            )
    return _split(parts[0], parts[1], parts[2], "as given by the label table", notes)


def _check_apart(labelled: Labelled, customers: Sequence[str]) -> None:
    """Raise `ProblemError` where a customer stands in two given parts."""
    assert labelled.given_split is not None
    who = labelled.moments.rows.customer
    parts = [np.unique(who[labelled.given_split == part]) for part in range(len(SPLITS))]
    for earlier, later in ((0, 2), (1, 2), (0, 1)):
        both = np.intersect1d(parts[earlier], parts[later])
        if len(both):
            raise ProblemError(
                f'The problem says split = {{ customers = "apart" }}, but {len(both):,} customers '
                f"of the given {SPLITS[later]!r} part, such as {customers[int(both[0])]!r}, stand "
                f"in {SPLITS[earlier]!r} too. Mend the split column, or take the key out."
            )


def rolling(
    problem: Problem, labelled: Labelled, split: Split, rows: Ints, most: int
) -> list[tuple[Ints, Ints]]:
    """The newest periods of some rows, and for each the rows that were over when it began.

    A period is as long as the split's test part, and a day at least. Where customers are kept
    apart, a period holds customers of the test part, or of validation where the rows are those
    before the test, and what comes before it holds others.

    Parameters
    ----------
    rows
        Places among the labelled rows that may be used.
    most
        Periods; fewer where the history is shorter, and none of too few rows of a class.

    Returns
    -------
    list of (train, test)
        Newest first; places in `rows`.
    """
    moments, length = labelled.moments.take(rows), _span(problem, labelled, split)
    cutoff, label = moments.rows.cutoff_time, labelled.label[rows]
    when = _when(problem, moments)
    known = np.maximum(moments.closes, moments.rows.known_time)
    here, before = _sides_of(problem, labelled, split, moments.rows.customer)
    found: list[tuple[Ints, Ints]] = []
    for test in _periods(when, label, here, length):
        if len(found) == most:
            break
        first = cutoff[test].min()
        train = before & (known <= first) & (cutoff < first)
        enough = train.sum() >= TRAIN_SHARE * before.sum()
        if enough and _has_classes(label, train, 2 * LEAST_CLASS):
            found.append((np.flatnonzero(train), test))
    return found


def _sides_of(problem: Problem, labelled: Labelled, split: Split, who: Ints) -> tuple[Mask, Mask]:
    """Which rows a period may hold, and which may come before it."""
    if problem.split.customers != "apart":
        return np.ones(len(who), dtype=bool), np.ones(len(who), dtype=bool)
    customer = labelled.moments.rows.customer
    here = np.isin(who, customer[split.test])
    if not here.any():
        here = np.isin(who, customer[split.validation])
    return here, ~here


def _periods(when: Ints, label: NDArray[np.int8], here: Mask, length: int) -> Iterator[Ints]:
    """The rows of each period that holds enough of both classes, newest first.

    Periods are found by sorting: between two of them there may be any number of empty ones.
    """
    rows = np.flatnonzero(here)
    if not len(rows):
        return
    ago = (when[rows].max() - when[rows]) // length
    order = np.argsort(ago, kind="stable")
    for part in np.split(rows[order], np.flatnonzero(np.diff(ago[order])) + 1):
        positives = int(label[part].sum())
        if min(positives, len(part) - positives) >= LEAST_CLASS:
            yield np.sort(part)


def _span(problem: Problem, labelled: Labelled, split: Split) -> int:
    """The whole periods that the test part holds, as a length; a day at least, for a table of
    labels need not say how long its windows are."""
    cutoff = _when(problem, labelled.moments.take(split.test))
    period = max(_period(problem), DAY)
    return int(cutoff.max() - cutoff.min()) // period * period + period


def _windowless(labelled: Labelled) -> tuple[str, ...]:
    moments = labelled.moments
    if (moments.closes > moments.rows.cutoff_time).any():
        return ()
    return (
        "the problem states no horizon, so nobody knows when its labels became known, and rows "
        "are purged by their cutoff alone; add horizon beside labels",
    )


def _split(train: Mask, validation: Mask, test: Mask, how: str, notes: tuple[str, ...]) -> Split:
    return Split(
        np.flatnonzero(train), np.flatnonzero(validation), np.flatnonzero(test), how, notes
    )


def _has_classes(label: NDArray[np.int8], part: Mask, least: int) -> bool:
    positives = int(label[part].sum())
    return min(positives, int(part.sum()) - positives) >= least


def _draw(labelled: Labelled, customers: Sequence[str]) -> NDArray[np.float64]:
    """A number in [0, 1) a row that depends on the customer's id alone."""
    position = labelled.moments.rows.customer
    used = np.unique(position)
    table = np.zeros(int(used.max()) + 1)
    table[used] = [crc32(customers[i].encode()) / 2**32 for i in used.tolist()]
    return np.asarray(table[position])


def _day(labelled: Labelled, part: Mask) -> str:
    return format_day(int(labelled.moments.rows.cutoff_time[part].min()))
