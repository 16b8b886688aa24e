"""Cutoff and label arithmetic: when a problem is asked, of whom, and what window answers it.

Takes a `Problem`, the event log and the attribute log; gives rows, who of them is in the
cohort and why the others are not, and the outcome window
`(cutoff + gap, cutoff + gap + horizon]`. Training and serving both ask here, so they can't
differ. Knows nothing about labels or models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from features.config import At, Before, Outcome, Problem
from features.durations import BEGINNING, DAY, MISSING_TIME, format_day, format_duration
from features.engine import Rows, compute_exact
from features.errors import ProblemError, ShortHistoryError, nearest
from features.event_log import CATEGORY, NUMBER, TIME, EventLog, Floats, Ints, empty_log
from features.feature import Feature
from features.language import events
from features.overview import Overview, overview
from features.program import Plan

IN_COHORT = 0
NO_HISTORY, NOT_ACTIVE, EXCLUDED, ALREADY_HAPPENED, NO_DATE_DUE, NO_ANCHOR = range(1, 7)

OUTSIDE = {
    NO_HISTORY: ("no_history", "no event is known at the cutoff"),
    NOT_ACTIVE: ("not_active", "not active recently enough to belong to the cohort"),
    EXCLUDED: ("excluded", "an event that excludes from the cohort has happened"),
    ALREADY_HAPPENED: ("already_happened", "the outcome has already happened"),
    NO_DATE_DUE: ("no_date_due", "no date is due within the horizon"),
    NO_ANCHOR: ("no_anchor", "the event that starts the horizon has not happened recently"),
}
"""Why a customer is not asked about at a cutoff: a stable code and a sentence."""


def outside(problem: Problem, verdict: int) -> tuple[str, str] | None:
    """Why a problem is not asked about a customer, naming what excludes; None in the cohort."""
    if verdict != EXCLUDED or not problem.cohort.without:
        return OUTSIDE.get(verdict)
    names = " or ".join(repr(name) for name in problem.cohort.without)
    return OUTSIDE[EXCLUDED][0], f"{names} has happened, which excludes from the cohort"


MOST_ROWS = 4_000_000
"""Rows of a schedule before the cohort is judged; with more, the cutoffs stand farther apart."""


EVENTS, DATES = "events", "dates"
"""Which log a question is asked of: the events, or the one whose rows carry the problem's date."""

Ask: TypeAlias = Callable[[str, Feature], Floats]
"""Answers a question about every row, shape `(n_rows,)`: of `EVENTS` or `DATES`, which feature."""


@dataclass(frozen=True)
class AsOf:
    """A moment that is asked about, and until when what is read had to be known.

    Histories may end before now. Then the moment of a score is their end, and yet what arrived
    since and happened before it counts.
    """

    moment: int
    """The cutoff, microseconds UTC."""
    known_time: int

    @classmethod
    def then(cls, moment: int) -> "AsOf":
        """A moment as it was seen at that moment."""
        return cls(moment, moment)


@dataclass(frozen=True)
class Moments:
    """Rows of a problem, each with the outcome window that answers it."""

    rows: Rows
    opens: Ints
    """The window is `(opens, closes]`, microseconds UTC, shape `(n_rows,)`."""
    closes: Ints

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: Ints | NDArray[np.bool_]) -> "Moments":
        return Moments(self.rows.take(chosen), self.opens[chosen], self.closes[chosen])

    def joined(self, other: "Moments") -> "Moments":
        """These moments, and then the other ones."""
        one, two = self.rows, other.rows
        return Moments(
            Rows(
                np.concatenate([one.customer, two.customer]),
                np.concatenate([one.cutoff_time, two.cutoff_time]),
                np.concatenate([one.known_time, two.known_time]),
            ),
            np.concatenate([self.opens, other.opens]),
            np.concatenate([self.closes, other.closes]),
        )


def resolve(problem: Problem, log: EventLog, attributes: EventLog) -> Problem:
    """Check a problem's words against the log, and settle what it left open.

    Raises
    ------
    ProblemError
        When an event or property that the problem names never occurs; names the nearest.
    """
    return settle(problem, overview(log, attributes, problem.events))


def settle(problem: Problem, whole: Overview) -> Problem:
    """The same from an overview of the log, where nobody holds the log itself."""
    known = set(whole.event_names)
    for name in problem.events:
        if name not in known:
            raise ProblemError(
                f"The problem names the event {name!r}, which never occurs.{nearest(name, known)}"
            )
    outcome = problem.outcome
    date = date_of(problem)
    if date is not None and TIME not in (
        whole.event_kinds.get(date),
        whole.attribute_kinds.get(date),
    ):
        raise ProblemError(_no_such_date(date, whole))
    same = outcome.same if outcome else None
    if same is not None and whole.event_kinds.get(same) != CATEGORY:
        raise ProblemError(
            f"outcome.same names {same!r}, but no source yields it as text."
            f"{nearest(same, whole.names(CATEGORY))}"
        )
    if problem.value is not None and whole.event_kinds.get(problem.value.sum) != NUMBER:
        raise ProblemError(
            f"value.sum names {problem.value.sum!r}, but no source yields it as a number, or all "
            "its values are missing."
            f"{nearest(problem.value.sum, whole.names(NUMBER))}"
        )
    if outcome is None:
        return problem
    if outcome.event is not None and outcome.repeats is None:
        outcome = outcome.model_copy(update={"repeats": whole.repeats[outcome.event]})
    every = None if problem.before or problem.at else _affordable(problem, whole)
    return problem.model_copy(update={"outcome": outcome, "every": every})


def _affordable(problem: Problem, whole: Overview) -> int:
    """The distance between cutoffs: as declared, or longer where there would be too many rows."""
    every = problem.every or problem.horizon or DAY
    rows = (whole.last - _begin(problem, whole)) // every * whole.n_customers
    return every * max(1, -(-rows // MOST_ROWS))


def _begin(problem: Problem, whole: Overview) -> int:
    """When the activity of the cohort has begun: a cohort before that would be a stump."""
    outcome = problem.outcome
    return whole.begin_of(problem.cohort.event or (outcome.silence_of if outcome else None))


def _dated(date: str, log: EventLog, attributes: EventLog) -> EventLog:
    """The log whose rows carry a date: the events, or else the statements about customers."""
    return log if date in log.times or date not in attributes.times else attributes


def date_of(problem: Problem) -> str | None:
    """The date property that a problem turns on, if it does."""
    outcome = problem.outcome
    return problem.before.property if problem.before else outcome.by if outcome else None


def _asking(problem: Problem, log: EventLog, attributes: EventLog, rows: Rows) -> Ask:
    """Answers by one call of the engine a question."""
    date, nobody = date_of(problem), empty_log(log.customers)
    dates = log if date is None else _dated(date, log, attributes)

    def ask(of: str, feature: Feature) -> Floats:
        return compute_exact([feature], log if of == EVENTS else dates, nobody, rows)[:, 0]

    return ask


def _no_such_date(date: str, whole: Overview) -> str:
    kinds = {**whole.attribute_kinds, **whole.event_kinds}
    if date in kinds:
        return (
            f"The problem names the date {date!r}, which the sources yield as a {kinds[date]}. "
            f"Cast it in the SQL: {date}::timestamp as {date}."
        )
    dates = [*whole.names(TIME), *(n for n, k in whole.attribute_kinds.items() if k == TIME)]
    return (
        f"The problem names the date {date!r}, but no source yields it. Yield it with the event "
        "that sets it, such as the signing or the last renewal: then it is known from that event "
        f"on.{nearest(date, dates)}"
    )


def history_end(problem: Problem, end: int) -> int:
    """The last moment of which everything is known: a whole day where a horizon has days."""
    return end - end % DAY if (problem.horizon or DAY) >= DAY else end


def schedule(
    problem: Problem,
    log: EventLog,
    attributes: EventLog,
    end: int,
    whole: Overview | None = None,
) -> Moments:
    """Every moment in the history at which the problem is asked, before the cohort is judged.

    Parameters
    ----------
    end
        The moment up to which the histories reach.
    whole
        An overview of every customer's events, where `log` holds some customers only.
    """
    end = history_end(problem, end)
    if problem.at is not None:
        rows = _at_events(problem.at, log, end)
    elif problem.before is not None:
        rows = _before_dates(problem.before, _dated(problem.before.property, log, attributes), end)
    else:
        begin = _begin(problem, whole or overview(log, attributes, problem.events))
        rows = _grid(problem, begin, log.n_customers, end)
    return with_windows(problem, rows, log, attributes)


def _grid(problem: Problem, begin: int, n_customers: int, end: int) -> Rows:
    """Regular cutoffs, placed so that one window ends exactly where the history does."""
    length = problem.gap + (problem.horizon or 0)
    every = problem.every or problem.horizon or DAY
    newest = end - length
    if newest <= begin:
        raise ShortHistoryError(
            f"From its first event, on {format_day(begin)}, to its end, on {format_day(end)}, "
            f"there are {format_duration(max(end - begin, 0) // DAY * DAY)}, but a cutoff needs "
            f"{format_duration(length)} after it."
        )
    first = begin + (problem.cohort.active_within or min(every, problem.horizon or every))
    first = min(first, newest)
    cutoffs = np.arange(newest, first - 1, -every)[::-1]
    later = np.arange(newest + every, end + 1, every)
    times = np.concatenate([cutoffs, later]).astype(np.int64)
    customer = np.tile(np.arange(n_customers), len(times))
    return _known_then(customer, np.repeat(times, n_customers))


def _at_events(at: At, log: EventLog, end: int) -> Rows:
    """A cutoff at every event of a kind, known as soon as that event is.

    An event is hardly ever recorded at the very moment it happens, and before it is, nobody asks.
    """
    known = np.maximum(log.event_time, log.recorded_time)
    chosen = (log.event.codes == log.event.code(at.event)) & (known <= end)
    who = np.repeat(np.arange(log.n_customers), np.diff(log.offsets))[chosen]
    when, known = log.event_time[chosen], known[chosen]
    order = np.lexsort((known, when, who))
    who, when, known = who[order], when[order], known[order]
    first = np.ones(len(who), dtype=bool)
    first[1:] = (np.diff(who) != 0) | (np.diff(when) != 0)
    return Rows(who[first].astype(np.int64), when[first], known[first])


def _before_dates(before: Before, dates: EventLog, end: int) -> Rows:
    """A cutoff at each lead before every date, where that date is the one known by then."""
    column = dates.times[before.property]
    who = np.repeat(np.arange(dates.n_customers), np.diff(dates.offsets))
    given = column != MISSING_TIME
    pairs = np.unique(np.stack([who[given], column[given]]), axis=1)
    customer = np.repeat(pairs[0], len(before.lead))
    due = np.repeat(pairs[1], len(before.lead))
    cutoff = (pairs[1][:, None] - np.array(before.lead)[None, :]).ravel()
    past = cutoff <= end
    rows = _known_then(customer[past], cutoff[past])
    nobody = empty_log(dates.customers)
    ahead = compute_exact([_ahead(before.property)], dates, nobody, rows)[:, 0]
    return rows.take(np.asarray(_date_known(ahead, rows) == due[past]))


def _known_then(customer: Ints, cutoff_time: Ints) -> Rows:
    return Rows(
        customer.astype(np.int64), cutoff_time.astype(np.int64), cutoff_time.astype(np.int64)
    )


def with_windows(
    problem: Problem,
    rows: Rows,
    log: EventLog,
    attributes: EventLog,
) -> Moments:
    """Give each row its outcome window `(cutoff + gap, cutoff + gap + horizon]`.

    Where the outcome is that something has not happened by a date, the window ends at the
    date that the row knows; at fixed leads before it, a horizon adds time after the date. A
    label table's window is empty where nobody said how long it is.
    """
    return windows(problem, rows, _asking(problem, log, attributes, rows))


def windows(problem: Problem, rows: Rows, ask: Ask) -> Moments:
    """The same, from whoever answers questions about the rows."""
    opens = rows.cutoff_time + problem.gap
    closes = opens + (problem.horizon or 0)
    if problem.outcome is None or problem.outcome.by is None:
        return Moments(rows, opens, closes)
    due = _date_known(ask(DATES, _ahead(problem.outcome.by)), rows)
    # A date without a time lasts until its midnight, also for events that carry a time.
    whole_day = np.where(due % DAY == 0, DAY - 1, 0)
    grace = whole_day + ((problem.horizon or 0) if problem.before is not None else 0)
    return Moments(rows, opens, np.where(due > opens, due + grace, closes))


@lru_cache
def _count(names: tuple[str, ...], last: int | None) -> Feature:
    """Events of these names, of any if none is named; made once, because requests ask again."""
    return events(*names).count(last)


@lru_cache
def _since(name: str) -> Feature:
    """Days since the last event of a name."""
    return events(name).recency()


@lru_cache
def _stated(date: str) -> Feature:
    """Days since a date property was last given."""
    return events().stated(date)


@lru_cache
def _ahead(date: str) -> Feature:
    """Days until the last known value of a date property."""
    return events().days_until(date)


def _date_known(ahead: Floats, rows: Rows) -> Ints:
    """The moment so many days after each cutoff; `MISSING_TIME` where they are missing."""
    known = ~np.isnan(ahead)
    out = np.full(len(rows), MISSING_TIME)
    out[known] = rows.cutoff_time[known] + np.rint(ahead[known] * DAY).astype(np.int64)
    return out


def days_to_date(
    problem: Problem, log: EventLog, attributes: EventLog, rows: Rows
) -> NDArray[np.float64] | None:
    """Days from each row's cutoff to the date that the problem is about, NaN where none is known.

    None where the problem is about no date. Below 0 the date has passed.
    """
    name = problem.before.property if problem.before else problem.outcome and problem.outcome.by
    if not name:
        return None
    dates = _dated(name, log, attributes)
    return compute_exact([_ahead(name)], dates, empty_log(dates.customers), rows)[:, 0]


def current(problem: Problem, log: EventLog, attributes: EventLog, as_of: AsOf) -> Moments:
    """One row a customer: the moment at which the problem is asked when it is `as_of` now.

    The cutoff is that moment itself, or the customer's last anchoring event where the problem
    is asked at events; a customer without one keeps the moment and is judged `no_anchor`.
    """
    rows = asked_at(problem, as_of_rows(log.n_customers, as_of), log)
    return with_windows(problem, rows, log, attributes)


def as_of_rows(n_customers: int, as_of: AsOf) -> Rows:
    """One row a customer at one moment."""
    cutoff = np.full(n_customers, as_of.moment, dtype=np.int64)
    known = np.full(n_customers, as_of.known_time, dtype=np.int64)
    return Rows(np.arange(n_customers), cutoff, known)


def asked_at(
    problem: Problem, rows: Rows, log: EventLog, since: Plan | Sequence[Feature] | None = None
) -> Rows:
    """Move each row to its customer's last anchoring event, where the problem is asked at events.

    What a row may know stays: an event is hardly ever recorded at the very moment it happens.

    Parameters
    ----------
    since
        What `anchored` gave, where a plan of it was made before.
    """
    asked = since or anchored(problem)
    if not asked or problem.at is None:
        return rows
    ago = compute_exact(asked, log, empty_log(log.customers), rows)[:, 0]
    near = ~np.isnan(ago) & (np.nan_to_num(ago) * DAY < problem.gap + (problem.horizon or 0))
    cutoff = rows.cutoff_time.copy()
    cutoff[near] -= np.rint(ago[near] * DAY).astype(np.int64)
    return Rows(rows.customer, cutoff, rows.known_time)


def anchored(problem: Problem) -> list[Feature]:
    """What has to be known before a row's cutoff is: days since the anchoring event."""
    return [] if problem.at is None else [_since(problem.at.event)]


def judge(
    problem: Problem, log: EventLog, attributes: EventLog, moments: Moments
) -> NDArray[np.int8]:
    """Say for each row whether it is in the cohort: `IN_COHORT`, or why it is not.

    Reads only what the row may know.
    """
    return verdicts(problem, moments, _asking(problem, log, attributes, moments.rows))


def verdicts(problem: Problem, moments: Moments, ask: Ask) -> NDArray[np.int8]:
    """The same, from whoever answers questions about the rows."""
    outcome, cohort = problem.outcome, problem.cohort
    verdict = np.zeros(len(moments), dtype=np.int8)

    def seen(*names: str, last: int | None = None) -> Floats:
        return ask(EVENTS, _count(names, last))

    def outside(where: NDArray[np.bool_], reason: int) -> None:
        verdict[where & (verdict == IN_COHORT)] = reason

    outside(seen() == 0, NO_HISTORY)
    activity = cohort.event or (outcome.silence_of if outcome else None)
    if cohort.active_within is not None or activity is not None:
        names = [activity] if activity else []
        outside(seen(*names, last=cohort.active_within) == 0, NOT_ACTIVE)
    if cohort.without:
        outside(seen(*cohort.without) > 0, EXCLUDED)
    if outcome is not None and outcome.event is not None and outcome.repeats is False:
        outside(seen(outcome.event) > 0, ALREADY_HAPPENED)
    if problem.at is not None:
        outside(ask(EVENTS, _since(problem.at.event)) != 0, NO_ANCHOR)
    if outcome is not None and outcome.not_ is not None:
        outside(~_date_due(problem, outcome, moments, ask), NO_DATE_DUE)
        outside(_done_since_stated(outcome, moments.rows, ask), ALREADY_HAPPENED)
    return verdict


def _done_since_stated(outcome: Outcome, rows: Rows, ask: Ask) -> NDArray[np.bool_]:
    """Whether the awaited event came after the known date was stated: nothing is open then.

    A date that holds from the beginning was never stated, so nothing can come after it.
    """
    assert outcome.not_ is not None and outcome.by is not None
    done = ask(EVENTS, _since(outcome.not_))
    stated = ask(DATES, _stated(outcome.by))
    always = (rows.cutoff_time - BEGINNING) / DAY
    return np.asarray((done < stated) & (stated < always))


def _date_due(problem: Problem, outcome: Outcome, moments: Moments, ask: Ask) -> NDArray[np.bool_]:
    """Whether the known date lies within the horizon, or within the longest lead."""
    assert outcome.by is not None
    due = _date_known(ask(DATES, _ahead(outcome.by)), moments.rows)
    if problem.before is not None:
        until = moments.rows.cutoff_time + max(problem.before.lead)
    else:
        until = moments.opens + (problem.horizon or 0)
    return np.asarray((due != MISSING_TIME) & (due > moments.opens) & (due <= until))
