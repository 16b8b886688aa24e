"""What histories held: which events, how many a day, which values their properties took.

Takes logs, a part of the customers at a time; gives what a model's contract says it has seen.
Knows nothing about problems, rows or models.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce

import numpy as np

from features.durations import DAY, MISSING_TIME
from features.event_log import EventLog, Ints
from models.seen import Seen, SeenEvent, Values

MOST_LEVELS = 500
"""Levels of a property that are named; with more, any level may come."""


def seen_in(logs: Iterable[tuple[EventLog, EventLog]]) -> Seen:
    """What some histories held: pairs of an event log and an attribute log."""
    return reduce(_both, (_seen(*pair) for pair in logs), Seen())


def _seen(log: EventLog, attributes: EventLog) -> Seen:
    order = np.argsort(log.event.codes, kind="stable")
    names = log.event.levels
    edges = np.searchsorted(log.event.codes[order], np.arange(len(names) + 1))
    who = np.repeat(np.arange(log.n_customers), np.diff(log.offsets))
    events = {}
    for code, name in enumerate(names):
        places = order[edges[code] : edges[code + 1]]
        if len(places):
            values = _values(log, places)
            had = len(np.unique(who[places]))
            events[name] = SeenEvent(len(places), _busiest_day(log, who, places), values, had)
    return Seen(events, _values(attributes, np.arange(attributes.n_events)))


def _busiest_day(log: EventLog, who: Ints, places: Ints) -> int:
    """Events of one customer on one day stand together, for a log is sorted."""
    day = log.event_time[places] // DAY
    new = (np.diff(who[places]) != 0) | (np.diff(day) != 0)
    edges = np.concatenate([[0], 1 + np.flatnonzero(new), [len(places)]])
    return int(np.diff(edges).max())


def _values(log: EventLog, places: Ints) -> Values:
    numbers, levels, times = {}, {}, {}
    for name, column in log.numbers.items():
        found = column[places]
        found = found[~np.isnan(found)]
        if len(found):
            numbers[name] = (float(found.min()), float(found.max()))
    for name, texts in log.categories.items():
        codes = texts.codes[places]
        used = np.unique(codes[codes >= 0]).tolist()
        if used:
            few = len(used) <= MOST_LEVELS
            levels[name] = tuple(texts.levels[code] for code in used) if few else None
    for name, moments in log.times.items():
        given = places[moments[places] != MISSING_TIME]
        if len(given):
            ahead = (moments[given] - log.event_time[given]) / DAY
            times[name] = (float(ahead.min()), float(ahead.max()))
    return Values(numbers, levels, times)


def _both(one: Seen, other: Seen) -> Seen:
    """What two parts of the customers held together."""
    events = dict(one.events)
    for name, event in other.events.items():
        known = events.get(name)
        events[name] = event if known is None else _sum(known, event)
    merged = {name: events[name] for name in sorted(events)}
    return replace(one, events=merged, attributes=_joined(one.attributes, other.attributes))


def _sum(one: SeenEvent, other: SeenEvent) -> SeenEvent:
    return SeenEvent(
        one.n + other.n,
        max(one.busiest_day, other.busiest_day),
        _joined(one.values, other.values),
        one.customers + other.customers,
    )


def _joined(one: Values, other: Values) -> Values:
    levels: dict[str, tuple[str, ...] | None] = dict(one.levels)
    for name, found in other.levels.items():
        known = levels.get(name, ())
        both = None if known is None or found is None else {*known, *found}
        levels[name] = tuple(sorted(both)) if both and len(both) <= MOST_LEVELS else None
    return Values(
        _wider(dict(one.numbers), dict(other.numbers)),
        levels,
        _wider(dict(one.times), dict(other.times)),
    )


def _wider(
    one: dict[str, tuple[float, float]], other: dict[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    for name, (low, high) in other.items():
        at = one.get(name, (low, high))
        one[name] = (min(low, at[0]), max(high, at[1]))
    return one
