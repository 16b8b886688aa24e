"""Other futures: journeys in which everything that a row must not see is different.

Takes journeys and an edge, the cutoff and known time of a row; gives journeys that agree in
every event with `event_time <= cutoff` and `recorded_time <= known` and differ in all else.
Knows nothing about features or labels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.categorical import Categorical
from features.durations import DAY, MISSING_TIME
from features.event_log import EventLog, Ints, build_log
from training.pipeline import Journeys

Mask = NDArray[np.bool_]

NEW = "~ planted by the audit"
"""An event name and a level that no business has."""

ALWAYS = 2**61
"""A cutoff after everything: then only the recorded time hides."""

MOST_ADDED = 50_000
"""Events that a mutation adds at most; each customer gets at least one if there are fewer."""


@dataclass(frozen=True)
class Edge:
    """What a row may see: `event_time <= cutoff` and `recorded_time <= known`."""

    cutoff: int
    known: int

    def hidden(self, log: EventLog) -> Mask:
        """Which events lie beyond, shape `(n_events,)`."""
        return np.asarray((log.event_time > self.cutoff) | (log.recorded_time > self.known))

    @property
    def beyond(self) -> int:
        """The last moment of which nothing later can be seen."""
        return min(self.cutoff, self.known)


Mutation = Callable[[EventLog, Edge, np.random.Generator], EventLog]


def delete(log: EventLog, edge: Edge, _: np.random.Generator) -> EventLog:
    """Nothing happens beyond the edge."""
    return _kept(log, ~edge.hidden(log))


def edit(log: EventLog, edge: Edge, rng: np.random.Generator) -> EventLog:
    """Every property of every hidden event has another value; absent ones are filled."""
    hidden = edge.hidden(log)
    numbers = {
        name: np.where(hidden, -3 * np.nan_to_num(column) - 1e6, column)
        for name, column in log.numbers.items()
    }
    categories = {name: _other(column, hidden, rng) for name, column in log.categories.items()}
    times = {
        name: np.where(
            hidden, np.where(column == MISSING_TIME, edge.beyond, column) + 1000 * DAY, column
        )
        for name, column in log.times.items()
    }
    return _resorted(replace(log, numbers=numbers, categories=categories, times=times))


def rename(log: EventLog, edge: Edge, rng: np.random.Generator) -> EventLog:
    """Every hidden event is of another kind, some of a kind that never was."""
    return _resorted(replace(log, event=_other(log.event, edge.hidden(log), rng)))


def move(log: EventLog, edge: Edge, rng: np.random.Generator) -> EventLog:
    """Every hidden event happens at another hidden time."""
    hidden = edge.hidden(log)
    later = edge.beyond + 1 + rng.integers(0, 400 * DAY, log.n_events)
    happened = np.where(hidden, later, log.event_time)
    recorded = np.where(hidden, np.maximum(later, edge.known + 1), log.recorded_time)
    return _resorted(replace(log, event_time=happened, recorded_time=recorded))


def add(log: EventLog, edge: Edge, rng: np.random.Generator) -> EventLog:
    """Every customer goes on beyond the edge, from one microsecond after it.

    One in three is planned: recorded in time, though it happens after the cutoff.
    """
    rows, who = _copies(log, rng)
    happened = edge.beyond + 1 + rng.integers(0, 90 * DAY, len(who))
    happened[: 1 + len(who) // 10] = edge.beyond + 1
    recorded = np.maximum(happened, edge.known + 1)
    if edge.cutoff < ALWAYS:
        happened = np.maximum(happened, edge.cutoff + 1)
        recorded = np.where(rng.random(len(who)) < 1 / 3, edge.known, recorded)
    return _with(log, rows, who, happened, recorded, rng)


def back_fill(log: EventLog, edge: Edge, rng: np.random.Generator) -> EventLog:
    """Events are told later that happened before the cutoff, up to its very instant."""
    rows, who = _copies(log, rng)
    happened = edge.beyond - rng.integers(0, 120 * DAY, len(who))
    happened[: 1 + len(who) // 10] = edge.beyond
    recorded = edge.known + 1 + rng.integers(0, 30 * DAY, len(who))
    return _with(log, rows, who, happened, recorded, rng)


MUTATIONS: dict[str, Mutation] = {
    "deleted": delete,
    "edited": edit,
    "renamed": rename,
    "moved": move,
    "added": add,
    "back-filled": back_fill,
}
"""What can be done to events, by what the report says of them."""

RESTATED = "restated"
"""Attributes are changed, added and told later; events stay."""

EVERYTHING = ("edited", "renamed", "moved", "added", "back-filled", RESTATED)
"""One journey with all of these at once; `deleted` would leave the others nothing to change."""


def mutate(journeys: Journeys, edge: Edge, names: tuple[str, ...], seed: int) -> Journeys:
    """Journeys after some mutations, one after the other; what the edge lets through stays."""
    rng = np.random.default_rng(seed)
    log, attributes = journeys.log, journeys.attributes
    for name in names:
        if name != RESTATED:
            log = MUTATIONS[name](log, edge, rng)
        if name in (RESTATED, "deleted"):
            steps = (edit, add, back_fill) if name == RESTATED else (delete,)
            for step in steps:
                attributes = step(attributes, edge, rng)
    return Journeys(log, attributes)


def _kept(log: EventLog, keep: Mask) -> EventLog:
    rows = np.flatnonzero(keep)
    counts = np.bincount(_who(log)[rows], minlength=log.n_customers)
    return log.rows(rows, log.customers, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


def _who(log: EventLog) -> Ints:
    """The customer of each event, shape `(n_events,)`."""
    return np.repeat(np.arange(log.n_customers), np.diff(log.offsets))


def _other(column: Categorical, hidden: Mask, rng: np.random.Generator) -> Categorical:
    """Another level for hidden events; one in five gets a level that never was."""
    levels = (*column.levels, NEW)
    codes = np.where(hidden, (column.codes + 1) % max(len(column.levels), 1), column.codes)
    codes = np.where(hidden & (rng.random(len(codes)) < 0.2), len(column.levels), codes)
    return _sorted_levels(codes.astype(np.int32), levels)


def _sorted_levels(codes: NDArray[np.int32], levels: tuple[str, ...]) -> Categorical:
    text = pa.DictionaryArray.from_arrays(
        pa.array(np.maximum(codes, 0), mask=codes < 0), pa.array(levels, pa.string())
    )
    return Categorical.of(text)


def _text(column: Categorical) -> pa.Array:
    codes = pa.array(np.maximum(column.codes, 0), mask=column.codes < 0)
    return pa.DictionaryArray.from_arrays(codes, pa.array(column.levels, pa.string()))


def _resorted(log: EventLog) -> EventLog:
    """The same rows in order again."""
    return _rebuilt(log, np.arange(log.n_events), _who(log), log.event_time, log.recorded_time)


def _rebuilt(log: EventLog, rows: Ints, who: Ints, happened: Ints, recorded: Ints) -> EventLog:
    """A log of chosen rows, some of them copied, with other customers and times."""
    if not len(rows):
        return log
    customer = pa.DictionaryArray.from_arrays(
        pa.array(who.astype(np.int32)), pa.array(log.customers, pa.string())
    )
    return build_log(
        customer,
        happened,
        _text(log.event.take(rows)),
        recorded,
        {name: column[rows] for name, column in log.numbers.items()},
        {name: _text(column.take(rows)) for name, column in log.categories.items()},
        {name: column[rows] for name, column in log.times.items()},
    ).aligned(log.customers)


def _copies(log: EventLog, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Events to copy and the customers who get them; none of a log without events."""
    if not log.n_events:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    count = min(max(log.n_events // 4, log.n_customers), MOST_ADDED)
    who = np.concatenate([rng.permutation(log.n_customers), np.arange(count)])[:count]
    return rng.integers(0, log.n_events, count), who % log.n_customers


def _with(
    log: EventLog, rows: Ints, who: Ints, happened: Ints, recorded: Ints, rng: np.random.Generator
) -> EventLog:
    """The log and copies of some of its rows, one in five under a name that never was."""
    if not len(rows):
        return log
    all_rows = np.concatenate([np.arange(log.n_events), rows])
    fresh = np.zeros(len(all_rows), dtype=bool)
    fresh[log.n_events :] = rng.random(len(rows)) < 0.2
    codes = np.where(fresh, len(log.event.levels), log.event.codes[all_rows]).astype(np.int32)
    named = replace(
        log.rows(all_rows, log.customers, log.offsets),
        event=_sorted_levels(codes, (*log.event.levels, NEW)),
    )
    return _rebuilt(
        named,
        np.arange(len(all_rows)),
        np.concatenate([_who(log), who]),
        np.concatenate([log.event_time, happened]),
        np.concatenate([log.recorded_time, recorded]),
    )
