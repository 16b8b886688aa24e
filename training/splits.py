"""Train, validation and test: by time, with purge.

Takes labelled rows; gives three sets of rows such that no label window of an earlier set
reaches into a later one. Where a history is too short for that, the best honest split that
fits, and a note that says so. Knows nothing about features or models.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from features.config import Problem
from features.durations import format_day
from features.errors import ProblemError
from features.event_log import Ints
from training.label_table import SPLITS
from training.labels import Labelled

Mask = NDArray[np.bool_]

PART_SHARE = 0.08
"""The least share of the rows that validation and test each hold."""
PART_CLASS = 25
"""The least number of rows of each class in validation and in test, when there are many."""
LEAST_CLASS = 5
"""The least number of rows of each class in a part, when there are few."""


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

    Raises
    ------
    ProblemError
        When no split has rows of both classes in every part.
    """
    if labelled.given_split is not None:
        return _given(labelled, customers)
    ladder = ((PART_SHARE, PART_CLASS), (PART_SHARE, LEAST_CLASS), (0.02, 1))
    split = None
    for share, least in ladder:
        split = split or _three_by_time(problem, labelled, share, least)
    for share, least in ladder:
        split = split or _two_by_time(problem, labelled, customers, share, least)
    split = split or _by_customer(labelled, customers)
    if split is None:
        positives = int(labelled.label.sum())
        raise ProblemError(
            f"P01 too few of a class: {len(labelled):,} labelled rows with {positives:,} positives "
            "can't be split into "
            "train, validation and test with both classes in each. Bring a longer history, more "
            "customers, or a shorter horizon."
        )
    return split


def _period(problem: Problem) -> int:
    """The length of one period: the horizon, or the distance between cutoffs if longer."""
    return max(problem.horizon or 0, problem.every or 0, 1)


def _newest(labelled: Labelled, usable: Mask, period: int, share: float, least: int) -> Mask | None:
    """The newest whole periods among usable rows that hold enough of both classes."""
    cutoff = labelled.moments.rows.cutoff_time
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


def _three_by_time(problem: Problem, labelled: Labelled, share: float, least: int) -> Split | None:
    period = _period(problem)
    test = _newest(labelled, np.ones(len(labelled), dtype=bool), period, share, least)
    if test is None:
        return None
    validation = _newest(labelled, _ends_before(labelled, test), period, share, least)
    if validation is None:
        return None
    train = _ends_before(labelled, validation)
    if not _has_classes(labelled.label, train, 2 * least) or train.sum() < 0.15 * len(labelled):
        return None
    how = (
        f"by time with purge: validation from {_day(labelled, validation)}, "
        f"test from {_day(labelled, test)}"
    )
    purged = len(labelled) - int(train.sum() + validation.sum() + test.sum())
    notes = (
        (f"{purged:,} rows purged, whose label window reaches into a later part",) if purged else ()
    )
    return _split(train, validation, test, how, notes + _windowless(labelled))


def _two_by_time(
    problem: Problem, labelled: Labelled, customers: Sequence[str], share: float, least: int
) -> Split | None:
    test = _newest(labelled, np.ones(len(labelled), dtype=bool), _period(problem), share, least)
    if test is None:
        return None
    before = _ends_before(labelled, test)
    validation = before & (_draw(labelled, customers) < 0.25)
    train = before & ~validation
    enough = all(_has_classes(labelled.label, part, max(least, 2)) for part in (train, validation))
    if not enough or before.sum() < 0.15 * len(labelled):
        return None
    purged = len(labelled) - int(before.sum() + test.sum())
    how = f"test by time with purge from {_day(labelled, test)}, validation by customer"
    notes = (
        "the history is too short for three purged parts: validation holds other customers "
        "of the same time as train",
        f"{purged:,} rows purged",
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
    return _split(*parts, "by customer", notes)


def _given(labelled: Labelled, customers: Sequence[str]) -> Split:
    """The business's split as it is; a missing validation set is drawn from train."""
    assert labelled.given_split is not None
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
