"""Touchpoints, their outcomes, and the moments that say what meeting one does.

Takes a problem and its histories; gives the touchpoints worth a look and, for each, moments at
which it was met beside comparable ones at which it was not. Knows nothing about models.

**Time.** What is known of a moment was true before it; the touchpoint itself, and all that
happened with it, is not. The outcome lies after it, in the window of the problem. Who is outside
the problem's cohort just before, and a moment whose outcome is not known yet, does not count.

**Who is compared.** Of a touchpoint's outcome (a property: slow, failed, by chat) the same kind
of event with another. Of a kind of event that comes in the middle of what a customer is doing
(`STREAM` of them within `PAUSE` of the event before), the other events that came so: what else
the next step might have been. Of any other kind, moments of customers whose last event was as
long ago. Where a problem has cutoffs of its own (`at`, `labels`), its rows are compared: with the
touchpoint in the `WITHIN` before the cutoff or without, by what was known before that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.actions import is_action
from features.categorical import ABSENT
from features.config import Business, Problem
from features.cutoffs import IN_COHORT, Moments, date_of, days_to_date, judge, with_windows
from features.durations import DAY, MINUTE, days
from features.engine import Rows, compute
from features.event_log import EventLog, Floats, Ints
from features.feature import TEXT, Feature
from features.language import attribute_level, attribute_number, events
from features.outcomes import became
from training.flows import last_of
from training.friction import Units
from training.labels import Labelled

Mask = NDArray[np.bool_]

PAUSE, STREAM = 30 * MINUTE, 0.5
"""A kind of event is met in the middle of something where this share follows so soon."""
WITHIN = days(28)
"""Where rows are compared: how long before the cutoff a touchpoint was met."""

LEAST_CUSTOMERS = 30
"""A touchpoint that fewer customers met says nothing."""
MOST_TOUCHPOINTS = 30
"""So many are looked at: those that most customers met."""
MOST_LEVELS = 12
"""A property with more levels is no outcome of a touchpoint."""
LEAST_VARIED = 0.05
"""A property whose next value differs less often within a customer says who it is, not what came
of a touchpoint."""
SOME_KINDS = 4
"""Where there are so many kinds of events, a property of all of them is no outcome of one."""
HIGH, LOW = 0.90, 0.10
"""A number is called high from this quantile on, or low up to it."""
LOW_IS_BAD = ("rating", "score", "stars", "nps", "csat", "satisfaction")
"""Numbers of which the low ones are looked at."""

MOST_MET, MOST_FREE = 3_000, 5_000
"""Moments with and without; more make an interval narrower than anybody reads."""
MOST_JUDGED = 60_000
"""Of more moments it is not asked who belongs to the problem's cohort."""
CANDIDATES, DRAWS = 40_000, 4
"""Moments without are drawn by so many, at most so often."""
MOST_KINDS, MOST_NUMBERS, MOST_ATTRIBUTE_LEVELS = 20, 8, 8
"""Kinds of events, numbers and levels of an attribute that say in which situation somebody is."""


@dataclass(frozen=True)
class Touchpoint:
    """A kind of event, or one of its outcomes."""

    event: str
    channel: str | None = None
    what: str | None = None
    """Of an outcome: which property says it."""
    level: str | None = None
    least: float | None = None
    """Of a number: from where on it is high."""
    most: float | None = None
    """Of a number: up to where it is low."""

    @property
    def is_outcome(self) -> bool:
        return self.what is not None


@dataclass(frozen=True)
class Subject:
    """A problem and the histories in which it is looked at."""

    business: Business
    problem: Problem
    log: EventLog
    attributes: EventLog
    """Over the same customers."""
    end: int
    labelled: Labelled

    @property
    def asks_anywhere(self) -> bool:
        """Whether the problem can be asked at any moment, not at cutoffs of its own alone."""
        return self.problem.labels is None and self.problem.at is None

    @cached_property
    def who(self) -> Ints:
        """The customer of each event, shape `(n_events,)`."""
        return np.repeat(np.arange(self.log.n_customers), np.diff(self.log.offsets))

    @cached_property
    def since(self) -> Ints:
        """Microseconds since the customer's event before; -1 for the first."""
        gap = np.diff(self.log.event_time, prepend=0)
        gap[self.log.offsets[:-1][np.diff(self.log.offsets) > 0]] = -1
        return gap

    @cached_property
    def moment(self) -> Ints:
        """One number for each customer and moment, shape `(n_events,)`."""
        return np.asarray(np.cumsum(self.since != 0))

    @cached_property
    def until(self) -> Ints:
        """When the customer's next event comes; the end of the histories after the last."""
        later = np.append(self.log.event_time[1:], self.end)
        later[self.log.offsets[1:][np.diff(self.log.offsets) > 0] - 1] = self.end
        return later


def touchpoints_of(subject: Subject) -> list[Touchpoint]:
    """What is looked at, those that most customers met first."""
    found: list[Touchpoint] = []
    for kind, event in enumerate(subject.log.event.levels):
        rows = np.flatnonzero(subject.log.event.codes == kind)
        if is_action(event):  # who is called looked lost before: an action is no friction
            continue
        if _customers(subject, rows) < LEAST_CUSTOMERS:
            continue
        if event not in _answers(subject.problem):
            found += _ways(subject, event, rows)
        found += _outcomes(subject, event, rows)
    counted = [
        (-_customers(subject, met_by(subject, one)), place) for place, one in enumerate(found)
    ]
    return [
        found[place] for n, place in sorted(counted)[:MOST_TOUCHPOINTS] if -n >= LEAST_CUSTOMERS
    ]


def _answers(problem: Problem) -> set[str | None]:
    """The events that are the outcome themselves, or begin the horizon."""
    outcome = problem.outcome
    named = {problem.at.event} if problem.at else set()
    return named | ({outcome.silence_of, outcome.event, outcome.not_} if outcome else set())


def _customers(subject: Subject, rows: Ints) -> int:
    return len(np.unique(subject.who[rows]))


def _ways(subject: Subject, event: str, rows: Ints) -> Iterator[Touchpoint]:
    """A kind of event by each channel, where there are several."""
    channel = subject.log.categories.get("channel")
    codes = np.unique(channel.codes[rows]) if channel is not None else np.empty(0)
    codes = codes[codes != ABSENT]
    told_apart = channel is not None and _varies(subject, rows, channel.codes)
    if channel is None or not told_apart or not 2 <= len(codes) <= MOST_LEVELS:
        yield Touchpoint(event)
        return
    for code in codes.tolist():
        yield Touchpoint(event, channel.levels[code])


def _varies(subject: Subject, rows: Ints, values: NDArray[np.generic]) -> bool:
    """Whether a property changes from one such event of a customer to the next, now and then.

    Where hardly anybody has two of them, it may.
    """
    same = np.diff(subject.who[rows]) == 0
    differs = values[rows][1:] != values[rows][:-1]
    return bool(same.sum() < LEAST_CUSTOMERS or differs[same].mean() >= LEAST_VARIED)


def _is_everywhere(subject: Subject, given: Mask) -> bool:
    """Whether events of every kind carry a property, so that it is the occasion's."""
    n_kinds = len(subject.log.event.levels)
    carry = np.bincount(subject.log.event.codes, given, minlength=n_kinds) > 0
    return n_kinds >= SOME_KINDS and bool(carry.mean() > 0.9)


def _outcomes(subject: Subject, event: str, rows: Ints) -> Iterator[Touchpoint]:
    """What came of a kind of event: levels of its text properties, high or low numbers."""
    features = subject.business.features
    aside = {TEXT, "channel", "session", "account", *features.ignore, *features.groups}
    for name, column in subject.log.categories.items():
        given = column.codes != ABSENT
        if name not in aside and not _is_everywhere(subject, given):
            yield from _levels(subject, event, rows, name)
    for name, values in subject.log.numbers.items():
        given = ~np.isnan(values)
        if name not in aside and not _is_everywhere(subject, given):
            yield from _extremes(event, name, values[rows][given[rows]])


def _levels(subject: Subject, event: str, rows: Ints, name: str) -> Iterator[Touchpoint]:
    """Every level but the commonest, which the others are compared with."""
    column = subject.log.categories[name]
    codes = column.codes[rows]
    counted = np.bincount(codes[codes != ABSENT])
    if 2 <= (counted > 0).sum() <= MOST_LEVELS and _varies(subject, rows, column.codes):
        for code in np.flatnonzero(counted).tolist():
            if code != int(counted.argmax()):
                yield Touchpoint(event, what=name, level=column.levels[code])


def _extremes(event: str, name: str, given: Floats) -> Iterator[Touchpoint]:
    """High numbers, or low ones of what is good when it is high."""
    if len(given) < LEAST_CUSTOMERS:
        return
    low, middle, high = (float(q) for q in np.quantile(given, [LOW, 0.5, HIGH]))
    if name.lower().endswith(LOW_IS_BAD):
        if low < middle:
            yield Touchpoint(event, what=name, most=low)
    elif high > middle:
        yield Touchpoint(event, what=name, least=high)


def _of_kind(subject: Subject, event: str) -> Mask:
    return np.asarray(subject.log.event.codes == subject.log.event.code(event))


def met_by(subject: Subject, one: Touchpoint) -> Ints:
    """The events that are a touchpoint, as positions in the log."""
    chosen = _of_kind(subject, one.event)
    if one.channel is not None:
        column = subject.log.categories["channel"]
        chosen = chosen & (column.codes == column.code(one.channel))
    if one.level is not None:
        column = subject.log.categories[one.what or ""]
        chosen = chosen & (column.codes == column.code(one.level))
    if one.least is not None:
        chosen = chosen & (subject.log.numbers[one.what or ""] >= one.least)
    if one.most is not None:
        chosen = chosen & (subject.log.numbers[one.what or ""] <= one.most)
    return np.flatnonzero(chosen)


def _otherwise(subject: Subject, one: Touchpoint) -> Ints:
    """Events of the same kind that say something else of the property."""
    chosen = _of_kind(subject, one.event)
    if one.what in subject.log.categories:
        chosen &= subject.log.categories[one.what or ""].codes != ABSENT
    else:
        chosen &= ~np.isnan(subject.log.numbers[one.what or ""])
    return np.setdiff1d(np.flatnonzero(chosen), met_by(subject, one))


@dataclass(frozen=True)
class Compared:
    """Moments with and without a touchpoint."""

    units: Units
    rows: Rows
    """What was known of each: up to when."""
    asked: Ints
    """Customers who met it while the problem asked about them and whose outcome is known."""


def compare(subject: Subject, one: Touchpoint, seed: int) -> Compared | None:
    """The moments that say what a touchpoint does; None where too few can be compared."""
    rng = np.random.default_rng(seed)
    by = _by_moments if subject.asks_anywhere else _by_rows
    with_it, without = by(subject, one, rng)
    asked = np.unique(with_it.rows.customer)
    parts = [with_it.some(MOST_MET, rng), without.some(MOST_FREE, rng)]
    met = np.repeat([True, False], [len(part.label) for part in parts])
    label = np.concatenate([part.label for part in parts])
    if len(asked) < LEAST_CUSTOMERS or (~met).sum() < LEAST_CUSTOMERS:
        return None
    few = min(label.sum(), len(label) - label.sum()) < FEW_OUTCOMES
    if few or label[~met].std() == 0:
        return None
    rows = _joined(parts[0].rows, parts[1].rows)
    return Compared(Units(_known(subject, one, rows), met, label, rows.customer), rows, asked)


@dataclass(frozen=True)
class Found:
    """Moments and what came of them."""

    rows: Rows
    label: NDArray[np.int8]

    def some(self, most: int, rng: np.random.Generator) -> "Found":
        """At most so many of them, drawn by chance."""
        drawn = np.sort(rng.permutation(len(self.label))[:most])
        return Found(self.rows.take(drawn), self.label[drawn])


def _joined(one: Rows, other: Rows) -> Rows:
    return Rows(
        np.concatenate([one.customer, other.customer]),
        np.concatenate([one.cutoff_time, other.cutoff_time]),
        np.concatenate([one.known_time, other.known_time]),
    )


FEW_OUTCOMES = 20
"""Fewer outcomes of one kind among the moments tell nothing."""


def _by_moments(subject: Subject, one: Touchpoint, rng: np.random.Generator) -> tuple[Found, Found]:
    """Moments at which the touchpoint was met, and comparable ones without it."""
    at = met_by(subject, one)
    quick = (subject.since[at] >= 0) & (subject.since[at] <= PAUSE)
    stream = not one.is_outcome and quick.mean() >= STREAM and not subject.log.date_only
    if stream:
        at = at[quick]
    met = _judged(subject, subject.who[at], *_before(subject, at, stream), rng)
    if stream or one.is_outcome:
        others = _otherwise(subject, one) if one.is_outcome else _next_steps(subject, at, rng)
        return met, _judged(subject, subject.who[others], *_before(subject, others, stream), rng)
    free = _judged(subject, *_pauses(subject, at, rng), rng)
    for _ in range(DRAWS):
        if len(free.label) >= MOST_FREE:
            break
        more = _judged(subject, *_pauses(subject, at, rng), rng)
        free = Found(_joined(free.rows, more.rows), np.concatenate([free.label, more.label]))
    return met, free


def _before(subject: Subject, at: Ints, stream: bool) -> tuple[Ints, Ints]:
    """What was known before some events, and where the outcome window begins.

    In a stream both are the step before: how soon the next one came says which it was, and it
    may be the outcome itself. Elsewhere the window begins after the event.
    """
    when = subject.log.event_time[at]
    before = when - subject.since[at]
    return (before, before) if stream else (when - 1, when)


def _next_steps(subject: Subject, at: Ints, rng: np.random.Generator) -> Ints:
    """Other events that came as soon, drawn so that they followed the same kinds of events.

    Where the touchpoint could not have come, nobody is comparable.
    """
    quick = (subject.since >= 0) & (subject.since <= PAUSE)
    quick[at] = False
    others = np.flatnonzero(quick)
    others = others[~np.isin(subject.moment[others], subject.moment[at])]
    codes = subject.log.event.codes
    often = np.bincount(codes[at - 1], minlength=len(subject.log.event.levels))
    there = np.bincount(codes[others - 1], minlength=len(often))
    rate = np.divide(often, there, out=np.zeros(len(often)), where=there > 0)
    share = rate * min(2 * MOST_FREE / max(len(at), 1), 1 / max(rate.max(), 1e-12))
    chosen = rng.random(len(others)) < share[codes[others - 1]]
    return np.asarray(others[chosen])


def _pauses(subject: Subject, at: Ints, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Moments as long after an event as those of a touchpoint are, with no other in between:
    whose, up to when things are known, and where the outcome window begins.

    Every event is drawn alike: a draw by customer would make those with many events later, such
    as who stays, rarer than they are.
    """
    gaps = subject.since[at[subject.since[at] >= 0]]
    drawn = rng.integers(0, subject.log.n_events, CANDIDATES if len(gaps) else 0)
    when = subject.log.event_time[drawn] + (rng.choice(gaps, len(drawn)) if len(gaps) else 0)
    who, still = subject.who[drawn], when <= subject.until[drawn]
    # Where histories count in days, the touchpoint may have come at that very moment.
    met = np.append(subject.log.event_time[at], np.iinfo(np.int64).min)
    still &= met[last_of(subject.who[at], met[:-1], who, when)] != when
    return who[still], when[still] - 1, when[still]


def _judged(
    subject: Subject, who: Ints, before: Ints, begins: Ints, rng: np.random.Generator
) -> Found:
    """Those of some moments of which the problem asks and whose answer is known, and the answer.

    Parameters
    ----------
    before
        Up to when things are known of each moment.
    begins
        The outcome window begins after it.
    """
    drawn = np.sort(rng.permutation(len(who))[:MOST_JUDGED])
    who, before, begins = who[drawn], before[drawn], begins[drawn]
    rows = Rows(who, before, np.full(len(who), subject.end))
    moments = with_windows(subject.problem, rows, subject.log, subject.attributes)
    kept = judge(subject.problem, subject.log, subject.attributes, moments) == IN_COHORT
    if subject.problem.before is not None:
        due = days_to_date(subject.problem, subject.log, subject.attributes, rows)
        assert due is not None
        far = (moments.closes - before) / DAY
        kept &= (due > 0) & (np.nan_to_num(due, nan=np.inf) <= far)
    moments = Moments(moments.rows, moments.opens + (begins - before), moments.closes)
    found = became(subject.problem, subject.log, moments, subject.end, subject.log.date_only)
    chosen = np.flatnonzero(kept & found.known)
    return Found(rows.take(chosen), found.label[chosen])


def _by_rows(subject: Subject, one: Touchpoint, rng: np.random.Generator) -> tuple[Found, Found]:
    """The problem's own rows, by whether the touchpoint was met shortly before the cutoff."""
    rows = subject.labelled.moments.rows
    met = _lately(subject, met_by(subject, one), rows)
    could = ~met & _lately(subject, _otherwise(subject, one), rows) if one.is_outcome else ~met
    early = Rows(rows.customer, rows.cutoff_time - WITHIN, np.full(len(rows), subject.end))
    label = subject.labelled.label
    return Found(early.take(met), label[met]), Found(early.take(could), label[could]).some(
        MOST_JUDGED, rng
    )


def _lately(subject: Subject, at: Ints, rows: Rows) -> Mask:
    """Whether one of some events lies in `(cutoff - WITHIN, cutoff]`."""
    owner, time = subject.who[at], subject.log.event_time[at]
    last = last_of(owner, time, rows.customer, rows.cutoff_time)
    when = np.append(time, np.iinfo(np.int64).min)[last]
    return np.asarray((last >= 0) & (when > rows.cutoff_time - WITHIN))


def _known(subject: Subject, one: Touchpoint, rows: Rows) -> Floats:
    """In which situation somebody is: what happened so far, how lately, and who it is."""
    features, counted = situation(subject, one)
    found = compute(features, subject.log, subject.attributes, rows, threads=1).astype(np.float64)
    found[:, :counted] = np.log1p(np.maximum(found[:, :counted], 0))
    extra = [rows.cutoff_time / DAY]
    if date_of(subject.problem) is not None:
        due = days_to_date(subject.problem, subject.log, subject.attributes, rows)
        assert due is not None
        extra.append(due)
    if not subject.asks_anywhere:
        extra.append(np.log1p(_amount(subject, one, rows)))
    levels = [
        np.asarray(column == level, np.float64)
        for place, feature in enumerate(features)
        if feature.levels
        for column in [found[:, place]]
        for level in range(len(feature.levels))
    ]
    plain = found[:, [place for place, feature in enumerate(features) if not feature.levels]]
    columns = np.column_stack([plain, *extra, *levels, *_last(subject, rows)])
    return np.asarray(columns[:, _moves(columns)])


def _moves(columns: Floats) -> Mask:
    """Columns that are known of somebody and not the same for all."""
    low = np.where(np.isnan(columns), np.inf, columns).min(axis=0)
    high = np.where(np.isnan(columns), -np.inf, columns).max(axis=0)
    moves = high > low
    moves[0] |= not moves.any()
    return np.asarray(moves)


def situation(subject: Subject, one: Touchpoint) -> tuple[list[Feature], int]:
    """The features that are adjusted for; the first so many are counts and days."""
    log, stated = subject.log, subject.attributes
    often = np.bincount(log.event.codes, minlength=len(log.event.levels))
    kinds = [log.event.levels[code] for code in np.argsort(-often, kind="stable")[:MOST_KINDS]]
    if one.event not in kinds:
        kinds.append(one.event)
    counts = [events(kind).count() for kind in kinds]
    counts += [events(kind).count(last) for kind in kinds for last in (days(7),)]
    counts += [events(kind).recency() for kind in kinds]
    counts += [events().count(last) for last in (30 * MINUTE, days(1), days(7), days(28), None)]
    counts += [events().recency(), events().tenure()]
    if one.level is not None and one.what is not None:
        counts.append(events(one.event).having(one.what, one.level).count())
    if one.channel is not None:
        counts.append(events(one.event).having("channel", one.channel).count())
    ignore = subject.business.features.ignore
    numbers = [name for name in log.numbers if name not in ignore]
    filled = sorted(numbers, key=lambda name: (int(np.isnan(log.numbers[name]).sum()), name))
    more = [events().last_number(name) for name in filled[:MOST_NUMBERS]]
    more += [attribute_number(name) for name in stated.numbers if name not in ignore]
    for name, column in stated.categories.items():
        given = np.bincount(column.codes[column.codes != ABSENT], minlength=len(column.levels))
        top = [column.levels[c] for c in np.argsort(-given, kind="stable")[:MOST_ATTRIBUTE_LEVELS]]
        if name not in ignore and 2 <= len(column.levels) <= 50:
            more.append(attribute_level(name, tuple(top)))
    return [*counts, *more], len(counts)


def _last(subject: Subject, rows: Rows) -> list[Floats]:
    """Which kind the last event was, and in which stage: a column each of the commonest."""
    at = last_of(subject.who, subject.log.event_time, rows.customer, rows.cutoff_time)
    kind = np.append(subject.log.event.codes, ABSENT)[at]
    codes, often = np.unique(kind[kind != ABSENT], return_counts=True)
    top = codes[np.argsort(-often, kind="stable")[:MOST_KINDS]]
    stages = [
        np.isin(kind, [subject.log.event.code(name) for name in names]).astype(np.float64)
        for names in subject.business.stages.values()
    ]
    return [*((kind == code).astype(np.float64) for code in top.tolist()), *stages]


def _amount(subject: Subject, one: Touchpoint, rows: Rows) -> Floats:
    """How many other events happened in the `WITHIN` in which it was met or not."""
    later = Rows(rows.customer, rows.cutoff_time + WITHIN, rows.known_time)
    asked = [events().count(WITHIN), events(one.event).count(WITHIN)]
    found = compute(asked, subject.log, subject.attributes, later, threads=1).astype(np.float64)
    return np.asarray(found[:, 0] - found[:, 1])
