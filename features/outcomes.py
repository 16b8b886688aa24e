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
from features.feature import Where
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
    if column is None or not len(moments):
        return when, known
    who = np.repeat(np.arange(log.n_customers), np.diff(log.offsets))
    key = who * (len(column.levels) + 1) + column.codes
    rows = moments.rows
    place = {
        pair: row
        for row, pair in enumerate(
            zip(rows.customer.tolist(), rows.cutoff_time.tolist(), strict=True)
        )
    }
    anchors = _events_with(log, at.event, column.codes)
    asked = zip(who[anchors].tolist(), log.event_time[anchors].tolist(), strict=True)
    row_of = np.array([place.get(pair, ABSENT) for pair in asked], np.int64)
    seen = (row_of != ABSENT) & (log.recorded_time[anchors] <= rows.known_time[row_of])
    anchors, row_of = anchors[seen], row_of[seen]
    known[row_of] = True
    # Whose outcomes agree with an anchor's are the journey of a customer and a level together.
    found = _events_with(log, outcome.event, column.codes)
    found = found[np.lexsort((log.event_time[found], key[found]))]
    some, first = np.unique(key[found], return_index=True)
    agreeing = log.rows(found, tuple(map(str, some)), np.append(first, len(found)))
    at_some = np.searchsorted(some, key[anchors])
    paired = np.flatnonzero(np.isin(key[anchors], some))
    row_of, at_some = row_of[paired], at_some[paired]
    opens, closes = moments.opens[row_of], moments.closes[row_of]
    learnt = first_recorded(agreeing, Where(), at_some, opens, closes)
    np.minimum.at(when, row_of, learnt)
    return when, known


def _events_with(log: EventLog, event: str, codes: NDArray[np.int32]) -> Ints:
    """Positions of the events of a kind that carry a property."""
    return np.flatnonzero((log.event.codes == log.event.code(event)) & (codes != ABSENT))
