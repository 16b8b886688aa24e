"""Evidence: the events of a journey that a feature's value rests on.

Takes a feature, a journey and a moment; gives positions in the log, newest first and bounded.
All other events could be taken away and the value would be the same. Knows nothing about
models, ids of events or stores.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.categorical import ABSENT, Categorical
from features.durations import DAY, MISSING_TIME
from features.event_log import EventLog, Ints
from features.feature import EVENT, Condition, Feature, Where
from features.groups import MEMBER, group_of
from features.kinds import ATTRIBUTES, EVENTS, MOMENT
from features.program import accepted

MOST = 20
"""Positions that are named; the rest is counted."""

LAST = frozenset(
    {
        "recency", "last_number", "last_level", "peer_rate", "days_until", "stated",
        "attribute_number", "attribute_level", "attribute_days", "attribute_peer_rate",
    }
)  # fmt: skip
"""Kinds that rest on the last event that has what they read."""

STEPS = frozenset({"changes", "level_changes"})


@dataclass(frozen=True)
class Evidence:
    """Where the events of a feature stand."""

    source: str
    """`events`, `attributes`, or `moment` where nothing is read but the time."""
    positions: tuple[int, ...] = ()
    """In the log of the source, newest first; at most as many as were asked for."""
    total: int = 0
    """How many there are, those of other members of a group among them."""


def evidence(
    feature: Feature,
    log: EventLog,
    attributes: EventLog,
    cutoff_time: int,
    known_time: int,
    most: int = MOST,
    customer: int = 0,
    seen: Ints | None = None,
) -> Evidence:
    """The events that a feature rests on, as of a moment.

    Parameters
    ----------
    log, attributes
        Two logs over the same customers.
    most
        How many positions to give.
    customer
        Whose journey, by its place in the log.
    seen
        What `visible` gives of `log`, where several features are asked about.
    """
    if feature.source == MOMENT:
        return Evidence(MOMENT)
    if feature.over is not None:
        return _of_group(feature, log, cutoff_time, known_time, most, customer)
    source = attributes if feature.source == ATTRIBUTES else log
    if seen is None or source is not log:
        seen = visible(source, cutoff_time, known_time, customer)
    found = _positions(feature, source, cutoff_time, seen)
    return Evidence(feature.source, tuple(found[::-1][:most].tolist()), len(found))


def _of_group(
    feature: Feature, log: EventLog, cutoff_time: int, known_time: int, most: int, customer: int
) -> Evidence:
    """Events of everybody in the group; the customer's own ones by their places in its log."""
    accounts = log.categories.get(feature.over or "")
    if accounts is None:
        return Evidence(EVENTS)
    low, high = int(log.offsets[customer]), int(log.offsets[customer + 1])
    seen = visible(log, cutoff_time, known_time, customer)
    named = seen[accounts.codes[seen] != ABSENT]
    if not len(named):
        return Evidence(EVENTS)
    code, group = accounts.codes[named[-1]], group_of(log, feature.over or "")
    place = group.index(accounts.levels[code])
    if place is None:
        return Evidence(EVENTS)
    seen_there = visible(group, cutoff_time, known_time, place)
    found = _positions(feature, group, cutoff_time, seen_there)
    begin, end = int(group.offsets[place]), int(group.offsets[place + 1])
    member = group.categories[MEMBER]
    mine = begin + np.flatnonzero(member.codes[begin:end] == member.code(log.customers[customer]))
    own = low + np.flatnonzero(accounts.codes[low:high] == code)
    if len(mine) != len(own):
        return Evidence(EVENTS, (), len(found))
    told = own[np.isin(mine, found)]
    return Evidence(EVENTS, tuple(told[::-1][:most].tolist()), len(found))


def _positions(feature: Feature, log: EventLog, cutoff_time: int, seen: Ints) -> Ints:
    """Positions of the events, ascending; `seen` are those that could be read."""
    if feature.kind == "share":
        return _window(feature, log, seen, cutoff_time, feature.last)
    chosen = _chosen(feature.where, log, seen)
    if feature.kind == "trend":
        return _window(feature, log, chosen, cutoff_time, 2 * (feature.last or 0))
    if feature.stages:
        return _of_stages(feature, log, chosen, cutoff_time)
    if feature.kind in STEPS:
        return _steps(feature, log, chosen, cutoff_time)
    inside = _window(feature, log, chosen, cutoff_time, feature.last)
    having = inside if feature.of is None else inside[_having(feature, log, inside)]
    if feature.kind in LAST or not len(having):
        return having[-1:]
    narrow = NARROWED.get(feature.kind)
    return having if narrow is None else narrow(feature, log, having)


def visible(log: EventLog, cutoff_time: int, known_time: int, customer: int = 0) -> Ints:
    """Positions of a customer's events that had happened and were known, ascending."""
    low, high = int(log.offsets[customer]), int(log.offsets[customer + 1])
    happened, recorded = log.event_time[low:high], log.recorded_time[low:high]
    return low + np.flatnonzero((happened <= cutoff_time) & (recorded <= known_time))


def _chosen(where: Where, log: EventLog, seen: Ints) -> Ints:
    """Those of some events that fulfil every condition."""
    for condition in where.conditions:
        column = _column(condition, log)
        if column is None:
            return seen[:0]
        codes = column.codes[seen]
        if len(condition.levels) == 1 and not condition.contains:
            seen = seen[codes == column.code(condition.levels[0])]
        else:
            seen = seen[accepted(column, Where((condition,), "one"))[codes + 1] == 1]
    return seen


def _column(condition: Condition, log: EventLog) -> Categorical | None:
    return log.event if condition.column == EVENT else log.categories.get(condition.column)


def _window(
    feature: Feature, log: EventLog, some: Ints, cutoff_time: int, last: int | None
) -> Ints:
    """Those in the feature's window: of time, or the last so many."""
    if feature.events is not None:
        return some[-feature.events :]
    return some if last is None else some[log.event_time[some] > cutoff_time - last]


def _having(feature: Feature, log: EventLog, some: Ints) -> NDArray[np.bool_]:
    """Which of some events carry the property."""
    of = feature.of or ""
    if of in log.numbers:
        return ~np.isnan(log.numbers[of][some])
    if of in log.categories:
        return np.asarray(log.categories[of].codes[some] != ABSENT)
    if of in log.times:
        return np.asarray(log.times[of][some] != MISSING_TIME)
    return np.zeros(len(some), dtype=bool)


def _values(feature: Feature, log: EventLog, some: Ints) -> NDArray[Any]:
    of = feature.of or ""
    return (log.numbers[of] if of in log.numbers else log.categories[of].codes)[some]


def _steps(feature: Feature, log: EventLog, chosen: Ints, cutoff_time: int) -> Ints:
    """Events of the window whose property changed, and the one before each."""
    having = chosen[_having(feature, log, chosen)]
    inside = _window(feature, log, having, cutoff_time, feature.last)
    if not len(having):
        return having
    values = _values(feature, log, having)
    changed = 1 + np.flatnonzero(values[1:] != values[:-1])
    changed = changed[changed >= len(having) - len(inside)]
    return np.asarray(having[np.unique(np.concatenate([changed - 1, changed]))])


def _of_stages(feature: Feature, log: EventLog, chosen: Ints, cutoff_time: int) -> Ints:
    """Events that say where the journey stands, or by which it moved."""
    place = {name: i for i, (_, names) in enumerate(feature.stages) for name in names}
    table = np.array([place.get(level, -1) for level in log.event.levels], np.int64)
    stage = table[log.event.codes[chosen]] if len(chosen) else np.zeros(0, np.int64)
    path, stage = chosen[stage >= 0], stage[stage >= 0]
    if not len(path) or feature.kind == "stage_now":
        return path[-1:]
    if feature.kind == "stage_furthest":
        return np.asarray(path[stage == stage.max()][-1:])
    moved = 1 + np.flatnonzero(stage[1:] != stage[:-1])
    if feature.kind == "stage_days":
        return path[moved[-1:] if len(moved) else [0]]
    inside = len(path) - len(_window(feature, log, path, cutoff_time, feature.last))
    moved = moved[moved >= inside]
    return path[max(moved[0] - 1, 0) :] if len(moved) else path[:0]


def _last_two(feature: Feature, log: EventLog, some: Ints) -> Ints:  # noqa: ARG001
    return some[-2:]


def _first(feature: Feature, log: EventLog, some: Ints) -> Ints:  # noqa: ARG001
    return some[:1]


def _longest_pause(feature: Feature, log: EventLog, some: Ints) -> Ints:  # noqa: ARG001
    if len(some) < 2:
        return some
    longest = int(np.diff(log.event_time[some]).argmax())
    return some[longest : longest + 2]


def _busiest_day(feature: Feature, log: EventLog, some: Ints) -> Ints:  # noqa: ARG001
    days, which, n = np.unique(log.event_time[some] // DAY, return_inverse=True, return_counts=True)
    return np.asarray(some[which == len(days) - 1 - int(n[::-1].argmax())])


def _smallest(feature: Feature, log: EventLog, some: Ints) -> Ints:
    values = _values(feature, log, some)
    return np.asarray(some[values == values.min()][-1:])


def _largest(feature: Feature, log: EventLog, some: Ints) -> Ints:
    values = _values(feature, log, some)
    return np.asarray(some[values == values.max()][-1:])


NARROWED: dict[str, Callable[[Feature, EventLog, Ints], Ints]] = {
    "gap_last": _last_two,
    "last_change": _last_two,
    "tenure": _first,
    "gap_max": _longest_pause,
    "busiest_day": _busiest_day,
    "min": _smallest,
    "max": _largest,
}
"""Kinds that rest on a few of the events that they read."""
