"""Labels: what became of each row in its outcome window.

Takes a problem, the log and the cohort's rows; gives 0, 1 or unknown, with the reasons for
unknown counted. Reads `(cutoff + gap, cutoff + gap + horizon]` and nothing after the end of
the history. Knows nothing about features or models.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.categorical import Categorical
from features.config import Business, Cohort, Problem
from features.cutoffs import (
    ALREADY_HAPPENED,
    IN_COHORT,
    OUTSIDE,
    Moments,
    judge,
    schedule,
    with_windows,
)
from features.durations import format_day
from features.engine import Rows
from features.errors import ProblemError, ShortHistoryError
from features.event_log import EventLog, Ints, empty_log, union
from features.outcomes import became
from features.overview import Overview
from features.sources import Histories
from training.findings import STOP, Finding, StoppedError
from training.label_table import UNKNOWN, LabelTable, read_labels


@dataclass(frozen=True)
class Labelled:
    """The cohort's rows with known labels, and an account of the others."""

    moments: Moments
    label: NDArray[np.int8]
    """0 or 1, shape `(n_rows,)`."""
    unknown: dict[str, int]
    """Rows of the cohort whose outcome can't be known, by reason."""
    given_split: NDArray[np.int8] | None = None
    """Positions in `SPLITS`, where the business brought a split with its labels."""
    notes: tuple[str, ...] = ()
    """What a reader of the counts has to know."""
    gone: Moments | None = None
    """Rows without a label because the outcome came within the gap. A peer rate counted them
    for as long as nobody knew."""
    when: Ints | None = None
    """When the event that the outcome names first happened in each row's window, microseconds
    UTC, `NEVER` where it did not; None for labels that the business brought."""

    def __len__(self) -> int:
        return len(self.label)

    @property
    def peers(self) -> Moments:
        """The rows that peer rates are counted from: the labelled ones, and those gone."""
        return self.moments if self.gone is None else self.moments.joined(self.gone)

    @property
    def n_unknown(self) -> int:
        return sum(self.unknown.values())


def label_rows(
    business: Business, problem: Problem, histories: Histories
) -> tuple[Labelled, EventLog]:
    """Every labelled row of a problem, and the log whose customers the rows point into.

    Raises
    ------
    ProblemError
        When the cohort is empty or every known label is the same.
    """
    log = histories.log
    if problem.labels is not None:
        table = read_labels(business, problem.labels)
        log = log.aligned(union(log.customers, Categorical.of(table.customer).levels))
        labelled = from_table(problem, table, log.customers, np.diff(log.offsets), histories.end)
    else:
        try:
            labelled, verdicts = declared(problem, log, histories.attributes, histories.end)
        except ShortHistoryError as error:
            raise StoppedError(_short(error)) from error
        check_cohort(verdicts)
    check_classes(problem, labelled)
    return labelled, log


def _short(error: ShortHistoryError) -> Finding:
    mends = ("Bring a longer history", "Shorten the horizon or the gap")
    return Finding("P02", STOP, "history", error.says, mends)


def declared(
    problem: Problem,
    log: EventLog,
    attributes: EventLog,
    end: int,
    whole: Overview | None = None,
) -> tuple[Labelled, Counter[int]]:
    """Rows and labels of an outcome that the problem declares, and how rows were judged.

    Parameters
    ----------
    end
        The moment up to which the histories reach.
    whole
        An overview of every customer's events, where `log` holds some customers only.

    Returns
    -------
    Labelled, Counter
        The second counts rows by verdict of `features.cutoffs.judge`.
    """
    moments = schedule(problem, log, attributes, end, whole)
    verdict = judge(problem, log, attributes, moments)
    unknown: Counter[str] = Counter()
    unknown["already_happened"] = int((verdict == ALREADY_HAPPENED).sum())
    moments = moments.take(verdict == IN_COHORT)
    date_only = log.date_only if whole is None else whole.date_only
    found = became(problem, log, moments, end, date_only)
    unknown["window_not_over"] = int(found.open.sum())
    unknown["happened_in_gap"] = int(found.gone.sum())
    unknown["anchor_without_same"] = int((found.silent & ~found.open & ~found.gone).sum())
    known, account = found.known, {why: n for why, n in unknown.items() if n}
    left = moments.take(found.gone & ~found.silent)
    label, when = found.label[known], found.when[known]
    labelled = Labelled(moments.take(known), label, account, gone=left, when=when)
    return labelled, Counter(verdict.tolist())


def check_cohort(verdicts: Mapping[int, int]) -> None:
    """Raise `ProblemError`, saying why, when nobody is in the cohort."""
    if verdicts.get(IN_COHORT):
        return
    why = "; ".join(f"{verdicts[code]:,} rows: {OUTSIDE[code][1]}" for code in sorted(verdicts))
    raise StoppedError(
        Finding(
            "P06", STOP, "cohort", f"It is empty ({why or 'no cutoff lies in the history'}).",
            (
                "Widen the problem's cohort (active_within, event, without)",
                "Look whether the events carry the names and times that it expects",
            ),
            {"customers": 0, "rows": 0, "outside": {OUTSIDE[c][0]: verdicts[c] for c in verdicts}},
        )
    )  # fmt: skip


def from_table(
    problem: Problem,
    table: LabelTable,
    customers: tuple[str, ...],
    n_events: Ints,
    end: int,
) -> Labelled:
    """Rows and labels that the business brings; null labels are unknown.

    Parameters
    ----------
    customers
        Sorted ids that hold those of the table; the rows point into them.
    n_events
        How many events each of them has, shape `(n_customers,)`.
    end
        The moment up to which the histories reach.
    """
    who = Categorical.of(table.customer)
    place = {customer: i for i, customer in enumerate(customers)}
    position = np.array([place[customer] for customer in who.levels], dtype=np.int64)
    rows = Rows(position[who.codes], table.cutoff_time, table.known_time)
    moments = with_windows(problem, rows, empty_log(), empty_log())
    silent = n_events[rows.customer] == 0
    if silent.all():
        heard = np.flatnonzero(n_events)[0]
        raise ProblemError(
            f"None of the {len(who.levels):,} customers of the label table has an event, such as "
            f"{who.levels[0]!r}; the events' customers look like {customers[heard]!r}. "
            "Yield the same ids in both."
        )
    keep = table.label != UNKNOWN
    unknown = {"label_is_null": int((~keep).sum())}
    if table.split is not None:
        unused = keep & (table.split == UNKNOWN)
        unknown["split_is_null"] = int(unused.sum())
        keep &= ~unused
    return Labelled(
        moments.take(keep),
        table.label[keep],
        {why: n for why, n in unknown.items() if n},
        None if table.split is None else table.split[keep],
        tuple(_odd_rows(problem, moments, table, silent, end)),
    )


def _odd_rows(
    problem: Problem, moments: Moments, table: LabelTable, silent: NDArray[np.bool_], end: int
) -> Iterator[str]:
    """What is odd about a label table that is used as it is."""
    if silent.any():
        yield f"{int(silent.sum()):,} rows are of customers without any event"
    late = int((moments.closes > end).sum())
    if late:
        yield f"{late:,} rows have a label window that reaches beyond the end of the history"
    keys = np.stack([moments.rows.customer, moments.rows.cutoff_time, moments.rows.known_time])
    _, place, count = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
    if (count > 1).any():
        hits = np.bincount(place, table.label == 1)
        disagree = int(((hits > 0) & (hits < count)).sum())
        yield (
            f"{int((count > 1).sum()):,} customers and cutoffs stand in several rows, "
            f"{disagree:,} of them with different labels"
        )
    if problem.cohort != Cohort():
        yield "the cohort says who is scored; it leaves no row out of the label table"


def when_of(labelled: Labelled, part: Ints | None = None) -> tuple[str, dict[str, str]]:
    """Between which cutoffs rows lie, in words and for a machine."""
    cutoff = labelled.moments.rows.cutoff_time
    cutoff = cutoff if part is None else cutoff[part]
    first, last = format_day(int(cutoff.min())), format_day(int(cutoff.max()))
    words = f"of {first}" if first == last else f"between {first} and {last}"
    return words, {"first_cutoff": first, "last_cutoff": last}


def check_classes(problem: Problem, labelled: Labelled) -> None:
    """Raise `ProblemError` when no label is known or all are the same."""
    given = problem.labels is not None
    if not len(labelled):
        why = ", ".join(f"{n:,} {reason}" for reason, n in labelled.unknown.items())
        mends = (
            ("Fill the label column with 0 and 1 for the rows to learn from",)
            if given
            else ("Bring a history that goes on for gap + horizon after a cutoff", "Shorten them")
        )
        raise StoppedError(
            Finding(
                "P04", STOP, "labels", f"No row has a known label ({why or 'no rows'}).", mends,
                {"rows": 0, "unknown": labelled.unknown},
            )
        )  # fmt: skip
    positives = int(labelled.label.sum())
    if positives in (0, len(labelled)):
        mends = (
            ("Look whether the label column says what it should",)
            if given
            else (
                "Look whether the outcome names the right event",
                "Lengthen the horizon until it can happen, or shorten it until it need not",
            )
        )
        when, dates = when_of(labelled)
        raise StoppedError(
            Finding(
                "P04", STOP, "labels",
                f"All {len(labelled):,} known labels {when} are {'1' if positives else '0'}: "
                "there is nothing to tell apart.",
                mends, {"rows": len(labelled), "positives": positives, **dates},
            )
        )  # fmt: skip
