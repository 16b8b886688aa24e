"""Whether an outcome happened in a window.

Takes a problem, the event log and moments with their windows; gives what happened in
`(opens, closes]`. Training makes labels of it; serving asks whether a score is still open, and
what became of a customer about whom a person thought otherwise. Knows nothing about cohorts or
features.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.categorical import ABSENT
from features.config import Problem
from features.cutoffs import AsOf, Moments, history_end
from features.durations import DAY
from features.engine import first_recorded
from features.event_log import EventLog, Ints
from features.language import events
from features.operations import NEVER


@dataclass(frozen=True)
class Became:
    """What became of each row, as far as the histories tell; every array has shape `(n_rows,)`."""

    when: Ints
    """When the event that the outcome names first happened in the window; `NEVER` if not."""
    label: NDArray[np.int8]
    """1 where the outcome is true of the window, else 0; means nothing where it is not known."""
    open: NDArray[np.bool_]
    """The window is not over."""
    gone: NDArray[np.bool_]
    """The window is over, and the outcome came in the gap: nothing was left to predict."""
    silent: NDArray[np.bool_]
    """With `same`: no anchor says of what."""

    @property
    def known(self) -> NDArray[np.bool_]:
        return ~self.open & ~self.gone & ~self.silent


def labels_of(problem: Problem, when: Ints) -> NDArray[np.int8]:
    """1 where the outcome is true of a window in which its event first happened then, else 0."""
    assert problem.outcome is not None
    did = when < NEVER
    return (did if problem.outcome.event is not None else ~did).astype(np.int8)


def became(problem: Problem, log: EventLog, moments: Moments, end: int, date_only: bool) -> Became:
    """What became of each row of a problem that declares its outcome.

    Parameters
    ----------
    end
        The moment up to which the histories reach.
    date_only
        Whether all histories are dated by their day: then the last day is as whole as the others.
    """
    when = first_happened(problem, log, moments)
    label = labels_of(problem, when)
    open_ = moments.closes > history_end(problem, end) + (DAY - 1 if date_only else 0)
    gone = (first_known_gone(problem, log, moments) < NEVER) & ~open_
    return Became(when, label, open_, gone, ~answerable(problem, log, moments))


def over(problem: Problem, log: EventLog, moments: Moments, as_of: AsOf) -> NDArray[np.bool_]:
    """Whether the outcome has happened since a row's cutoff, where that lies before `as_of`."""
    if problem.at is None or problem.outcome is None or problem.outcome.event is None:
        return np.zeros(len(moments), dtype=bool)
    rows = moments.rows
    since = Moments(rows, rows.cutoff_time, np.full(len(rows), as_of.moment))
    return first_known(problem, log, since) <= as_of.known_time


def first_known(problem: Problem, log: EventLog, moments: Moments) -> Ints:
    """When it became known that the event happened in each row's window; `NEVER` if not.

    For a silence and for a missed date that event is the good news. With `same`, only an
    event that agrees with an anchoring event of the row counts.

    The earliest `recorded_time`, microseconds UTC, shape `(n_rows,)`.
    """
    outcome = problem.outcome
    assert outcome is not None
    if outcome.same is not None:
        return _same(problem, log, moments)[0]
    name = outcome.silence_of or outcome.event or outcome.not_
    assert name is not None
    where = events(name).where
    return first_recorded(log, where, moments.rows.customer, moments.opens, moments.closes)


def first_happened(problem: Problem, log: EventLog, moments: Moments) -> Ints:
    """When the event first happened in each row's window; `NEVER` if it did not.

    The earliest `event_time`, microseconds UTC, shape `(n_rows,)`, however late it was recorded.
    """
    return first_known(problem, replace(log, recorded_time=log.event_time), moments)


def first_known_gone(problem: Problem, log: EventLog, moments: Moments) -> Ints:
    """When it became known that a once-only outcome happened in the gap; `NEVER` if it did not.

    Nothing is left to predict for such a row.
    """
    outcome, rows = problem.outcome, moments.rows
    name = None
    if outcome is not None and problem.gap:
        name = outcome.not_ or (outcome.event if outcome.repeats is False else None)
    if name is None:
        return np.full(len(moments), NEVER)
    return first_recorded(log, events(name).where, rows.customer, rows.cutoff_time, moments.opens)


def answerable(problem: Problem, log: EventLog, moments: Moments) -> NDArray[np.bool_]:
    """Whether each row's outcome can be told at all: with `same`, an anchor must say of what."""
    if problem.outcome is None or problem.outcome.same is None:
        return np.ones(len(moments), dtype=bool)
    return _same(problem, log, moments)[1]


def _same(problem: Problem, log: EventLog, moments: Moments) -> tuple[Ints, NDArray[np.bool_]]:
    """When an agreeing outcome in the window was known, and whose anchors carry the property."""
    outcome, at = problem.outcome, problem.at
    assert outcome is not None and outcome.event and outcome.same and at is not None
    when, known = np.full(len(moments), NEVER), np.zeros(len(moments), dtype=bool)
    column = log.categories.get(outcome.same)
    if column is None:
        return when, known
    width = len(column.levels) + 1
    who = np.repeat(np.arange(log.n_customers), np.diff(log.offsets))
    key = who * width + column.codes
    found = _events_with(log, outcome.event, column.codes)
    found = found[np.lexsort((log.event_time[found], key[found]))]
    rows = moments.rows
    place = {
        pair: row
        for row, pair in enumerate(
            zip(rows.customer.tolist(), rows.cutoff_time.tolist(), strict=True)
        )
    }
    for anchor in _events_with(log, at.event, column.codes).tolist():
        row = place.get((int(who[anchor]), int(log.event_time[anchor])))
        if row is None or log.recorded_time[anchor] > rows.known_time[row]:
            continue
        known[row] = True
        low, high = np.searchsorted(key[found], [key[anchor], key[anchor] + 1])
        times = log.event_time[found[low:high]]
        window = np.searchsorted(times, [moments.opens[row], moments.closes[row]], side="right")
        agreeing = found[low:high][window[0] : window[1]]
        when[row] = min(when[row], log.recorded_time[agreeing].min(initial=NEVER))
    return when, known


def _events_with(log: EventLog, event: str, codes: NDArray[np.int32]) -> Ints:
    """Positions of the events of a kind that carry a property."""
    return np.flatnonzero((log.event.codes == log.event.code(event)) & (codes != ABSENT))
