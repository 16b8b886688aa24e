"""Touchpoints: what a score would be without one event of the journey.

Takes a model, a journey and the moment of its score; takes every event out in turn, lets the
engine compute the vector anew and gives the exact change of the score. Many shortened
journeys are computed in one call. Knows nothing about stores or HTTP.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.categorical import Categorical
from features.cutoffs import IN_COHORT, OUTSIDE, judge, with_windows
from features.engine import Rows, compute
from features.event_log import EventLog, Ints
from features.feature import Feature
from features.groups import MEMBER, group_of
from models.contract import Contract
from models.fitted import FittedModel, apart

Floats = NDArray[np.float64]

MOST_TRIED = 1_000
"""Events that are taken out, the newest: the work grows with their number times the journey's.
The customer's page does not look into a longer journey."""
AT_ONCE = 1_000_000
"""Events of shortened journeys that are in memory at once, about a hundred bytes each."""


@dataclass(frozen=True)
class Removal:
    """What taking one event out of the journey does."""

    position: int
    """In the log."""
    points: float | None
    """The score with the event less the score without it, in percentage points: above 0 the event
    raises the score. None where there would be no score without it."""
    outside: str | None = None
    """Why the customer would not be asked about without the event: a stable code."""


def removals(
    model: FittedModel,
    log: EventLog,
    attributes: EventLog,
    cutoff_time: int,
    known_time: int,
    chosen: Iterable[int] | None = None,
) -> list[Removal]:
    """Each event's own influence on the score, the strongest first, newest first among equals.

    First come events without which the customer would not be asked about at all. Events of the
    same content share a result, for the journeys without one or the other are the same.

    Parameters
    ----------
    log, attributes
        One customer's.
    chosen
        Positions of the events that are taken out, of which the newest `MOST_TRIED` are; every
        visible one unless given.
    """
    seen = np.flatnonzero((log.event_time <= cutoff_time) & (log.recorded_time <= known_time))
    wanted = np.arange(len(seen))
    if chosen is not None:
        wanted = np.flatnonzero(np.isin(seen, np.fromiter(chosen, np.int64)))
    wanted = wanted[-MOST_TRIED:]
    if not len(wanted):
        return []
    slim = _slim(log, model.contract)
    same = _first_alike(slim, seen)
    out = np.unique(same[wanted])
    each = len(seen) + sum(group_of(slim, over).n_events for over in slim.groups)
    step = max(1, AT_ONCE // each)
    parts = [
        _without(model, slim, attributes, seen, out[begin : begin + step], cutoff_time, known_time)
        for begin in range(0, len(out), step)
    ]
    points, verdicts = map(np.concatenate, zip(*parts, strict=True))
    found = [
        _removal(int(seen[place]), points[at], int(verdicts[at]))
        for place, at in zip(wanted, np.searchsorted(out, same[wanted]), strict=True)
    ]
    return sorted(
        found,
        key=lambda each: (each.points is not None, -abs(each.points or 0.0), -each.position),
    )


def _removal(position: int, points: float, verdict: int) -> Removal:
    if verdict == IN_COHORT:
        return Removal(position, float(points))
    return Removal(position, None, OUTSIDE[verdict][0])


def _without(
    model: FittedModel,
    log: EventLog,
    attributes: EventLog,
    seen: Ints,
    out: Ints,
    cutoff_time: int,
    known_time: int,
) -> tuple[Floats, NDArray[np.int8]]:
    """Points and verdict without each event of `out`, from one call of the engine.

    The last made-up customer has the whole journey.
    """
    n = len(out) + 1
    journeys, about = _shortened(log, seen, out), _repeated(attributes, n)
    about = replace(about, customers=journeys.customers)
    rows = Rows(np.arange(n), np.full(n, cutoff_time, np.int64), np.full(n, known_time, np.int64))
    problem = model.contract.problem
    moments = with_windows(problem, rows, journeys, about)
    verdicts = judge(problem, journeys, about, moments)
    scores = model.probabilities(compute(model.plan_apart, journeys, about, rows))
    return 100 * (scores[-1] - scores[:-1]), verdicts[:-1]


def _shortened(log: EventLog, seen: Ints, out: Ints) -> EventLog:
    """One made-up customer for each event that is left out, and one for whom none is."""
    m, n = len(seen), len(out)
    places = np.arange(m - 1)
    kept = seen[places[None, :] + (places[None, :] >= out[:, None])]
    order = np.concatenate([kept.ravel(), seen])
    offsets = np.append(np.arange(n + 1) * (m - 1), len(order)).astype(np.int64)
    names = tuple(f"{i:07d}" for i in range(n + 1))
    journeys = log.rows(order, names, offsets)
    for over in log.groups:
        journeys = _with_group(journeys, log, over, seen[out], n + 1)
    return journeys


def _with_group(journeys: EventLog, log: EventLog, over: str, out: Ints, n: int) -> EventLog:
    """The same with a group of its own for every made-up customer, which lacks the event too."""
    accounts, group = log.categories[over], group_of(log, over)
    levels = accounts.levels
    names = tuple(f"{i:07d}{level}" for i in range(n) for level in levels)
    who = np.repeat(np.arange(n, dtype=np.int32), np.diff(journeys.offsets))
    codes = journeys.categories[over].codes
    renamed = np.where(codes >= 0, who * np.int32(len(levels)) + codes, codes)
    place = _places_in_group(log, group, over)
    spans = [np.arange(a, b) for a, b in zip(group.offsets[:-1], group.offsets[1:], strict=True)]
    orders, ids, sizes = [], [], []
    for i in range(n):
        for number, name in enumerate(group.customers):
            span = spans[number]
            if i < len(out) and place[out[i]] >= 0:
                span = span[span != place[out[i]]]
            orders.append(span)
            ids.append(f"{i:07d}{name}")
            sizes.append(len(span))
    order = np.concatenate([np.zeros(0, np.int64), *orders])
    offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)
    made = group.rows(order, tuple(ids), offsets)
    # The property itself keeps its levels, for features read them too.
    column = Categorical(renamed.astype(np.int32), names)
    return replace(
        journeys,
        categories={**journeys.categories, apart(over): column},
        groups={**journeys.groups, apart(over): made},
    )


def _places_in_group(log: EventLog, group: EventLog, over: str) -> Ints:
    """Where each of the customer's events stands in its group's journey, -1 where nowhere."""
    accounts, member = log.categories[over], group.categories[MEMBER]
    mine = member.codes == member.code(log.customers[0])
    found = np.full(log.n_events, -1, np.int64)
    for number, name in enumerate(group.customers):
        low, high = int(group.offsets[number]), int(group.offsets[number + 1])
        there = low + np.flatnonzero(mine[low:high])
        own = np.flatnonzero(accounts.codes == accounts.code(name))
        if len(there) == len(own):
            found[own] = there
    return found


def _repeated(attributes: EventLog, n: int) -> EventLog:
    """The same statements for n made-up customers."""
    m = attributes.n_events
    order = np.tile(np.arange(m), n)
    return attributes.rows(order, tuple(map(str, range(n))), np.arange(n + 1) * m)


def _first_alike(log: EventLog, seen: Ints) -> Ints:
    """For each event the first one of its run of equals, which stand beside each other."""
    same = np.ones(max(len(seen) - 1, 0), dtype=bool)
    for column in log.content:
        values = column[seen]
        new, old = values[1:], values[:-1]
        # NaN is not itself; a missing number equals another one.
        same &= (new == old) | ((new != new) & (old != old))
    starts = np.concatenate([[True], ~same])
    return np.asarray(np.maximum.accumulate(np.where(starts, np.arange(len(seen)), 0)))


def _slim(log: EventLog, contract: Contract) -> EventLog:
    """The log with the columns alone that the model and its problem read."""
    read = {name for feature in contract.features for name in _read(feature)}
    problem = contract.problem
    read |= {problem.before.property} if problem.before else set()
    read |= {problem.outcome.by} if problem.outcome and problem.outcome.by else set()
    grouped = {feature.over for feature in contract.features if feature.over}
    return replace(
        log,
        numbers={name: column for name, column in log.numbers.items() if name in read},
        categories={name: column for name, column in log.categories.items() if name in read},
        times={name: column for name, column in log.times.items() if name in read},
        groups={name: group for name, group in log.groups.items() if name in grouped},
    )


def _read(feature: Feature) -> Iterable[str]:
    yield from (condition.column for condition in feature.where.conditions)
    yield from (name for name in (feature.of, feature.over) if name)
