"""The one engine: features of any number of (customer, cutoff) rows in one call.

Takes an event log, an attribute log, rows and features; gives a matrix
`(n_rows, n_features)`. A training set, one customer's vector inside a request and a
partition on a cluster are the same call. Knows nothing about labels, models or files.

How it works: a row's visible history is a slice of the sorted log, found by bisection.
For each choice of events the log is compressed to the chosen ones, so that every window
of every row is again a slice; counts are differences of exact integer prefix sums, and
everything else is reduced over the slice alone. No float ever depends on another
customer's rows, which is why a batch equals one row at a time bit for bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.durations import DAY, MISSING_TIME
from features.event_log import ABSENT, Categorical, EventLog, Floats, Ints
from features.language import EVENT, OF_ATTRIBUTE, Feature, Where

BLOCK_EVENTS = 4_000_000
"""Events that rows see, counted once a row, that are worked on at once; memory grows with this
and not with the log."""


@dataclass(frozen=True)
class Rows:
    """The moments at which features are wanted, each array of shape `(n_rows,)`."""

    customer: Ints
    """Positions in the log's list of customers."""
    cutoff_time: Ints
    known_time: Ints
    """What was recorded after this moment is not seen; usually the cutoff."""

    def __len__(self) -> int:
        return len(self.customer)

    def take(self, chosen: Ints | NDArray[np.bool_]) -> "Rows":
        return Rows(self.customer[chosen], self.cutoff_time[chosen], self.known_time[chosen])


def compute(
    features: Sequence[Feature],
    log: EventLog,
    attributes: EventLog,
    rows: Rows,
    progress: Callable[[int, int], None] | None = None,
) -> Floats:
    """Features of every row.

    A feature reads events with `event_time <= cutoff_time` and
    `recorded_time <= known_time`; its window is `(cutoff_time - last, cutoff_time]`.

    Parameters
    ----------
    log, attributes
        Two logs over the same list of customers.
    progress
        Called with (rows done, rows in all) after each block.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_features)
        NaN where a feature is missing.
    """
    if log.customers != attributes.customers:
        raise ValueError("the event log and the attribute log list different customers")
    out = np.full((len(rows), len(features)), np.nan)
    of_events = [j for j, feature in enumerate(features) if feature.kind not in OF_ATTRIBUTE]
    of_customer = [j for j, feature in enumerate(features) if feature.kind in OF_ATTRIBUTE]
    done = 0
    for block in _blocks(log, rows):
        part = rows.take(block)
        _fill(out, block, features, of_events, log, part)
        _fill(out, block, features, of_customer, attributes, part)
        done += len(block)
        if progress is not None:
            progress(done, len(rows))
    return out


def count_visible(log: EventLog, rows: Rows, where: Where, last: int | None) -> Ints:
    """How many chosen events each row sees in its window, shape `(n_rows,)`.

    What cohorts and rules ask, without a feature of its own.
    """
    feature = Feature("count", where, last=last)
    nobody = log.rows(np.zeros(0, np.int64), log.customers, np.zeros_like(log.offsets))
    return compute([feature], log, nobody, rows)[:, 0].astype(np.int64)


def count_between(log: EventLog, where: Where, customer: Ints, after: Ints, until: Ints) -> Ints:
    """How many chosen events each customer has in `(after, until]`, shape `(n_rows,)`.

    What labels ask: `recorded_time` plays no part, the truth counts whenever it was learnt.
    """
    low, high = log.offsets[customer], log.offsets[customer + 1]
    first = _bisect(log.event_time, low, high, after)
    last: Ints = np.maximum(first, _bisect(log.event_time, low, high, until))
    mask = _mask(log, where)
    if mask is None:
        return last - first
    before: Ints = np.concatenate([[0], np.cumsum(mask, dtype=np.int64)])
    return np.asarray(before[last] - before[first])


def _blocks(log: EventLog, rows: Rows) -> list[Ints]:
    """Positions of rows, grouped by customer into blocks of bounded size."""
    order = np.argsort(rows.customer, kind="stable")
    sizes = np.diff(log.offsets)[rows.customer[order]] + 1
    events = np.cumsum(sizes)
    edges = np.flatnonzero(np.diff(events // BLOCK_EVENTS)) + 1
    return [block for block in np.split(order, edges) if len(block)]


def _fill(
    out: Floats,
    block: Ints,
    features: Sequence[Feature],
    columns: Sequence[int],
    log: EventLog,
    rows: Rows,
) -> None:
    """Compute some columns of a block of rows into `out`."""
    if not columns:
        return
    for places, view in _views(log, rows):
        selections: dict[Where, _Selection] = {}
        for column in columns:
            feature = features[column]
            where = feature.where
            if where not in selections:
                selections[where] = _Selection(view, where)
            out[block[places], column] = _value(feature, selections[where], view)


@dataclass(frozen=True)
class _View:
    """Rows and the slice of a log that each of them may see."""

    log: EventLog
    low: Ints
    high: Ints
    cutoff_time: Ints

    def start(self, last: int | None) -> Ints:
        """Position of the first visible event inside the window, shape `(n_rows,)`."""
        if last is None:
            return self.low
        return _bisect(self.log.event_time, self.low, self.high, self.cutoff_time - last)


def _views(log: EventLog, rows: Rows) -> list[tuple[Ints, _View]]:
    """Split rows into those whose visible history is a slice of the log and the others.

    Where an event up to the cutoff was recorded too late, the row gets a copy of the
    history without such events; what is computed from it then follows one path.
    """
    low, end = log.offsets[rows.customer], log.offsets[rows.customer + 1]
    first, last = (int(low.min()), int(end.max())) if len(low) else (0, 0)
    log = _slice(log, first, last)
    low, end = low - first, end - first
    high = _bisect(log.event_time, low, end, rows.cutoff_time)
    newest = _reduce(np.maximum, log.recorded_time, low, high, MISSING_TIME)
    late = newest > rows.known_time
    on_time = np.flatnonzero(~late)
    views = []
    if len(on_time):
        views.append((on_time, _View(log, low[on_time], high[on_time], rows.cutoff_time[on_time])))
    if len(on_time) < len(rows):
        places = np.flatnonzero(late)
        owner, event = _expand(low[places], high[places])
        seen = log.recorded_time[event] <= rows.known_time[places][owner]
        edges = np.concatenate([[0], np.cumsum(np.bincount(owner[seen], minlength=len(places)))])
        copy = log.rows(event[seen], (), edges)
        views.append((places, _View(copy, edges[:-1], edges[1:], rows.cutoff_time[places])))
    return views


def _slice(log: EventLog, first: int, last: int) -> EventLog:
    """A stretch of the log, without copying."""
    if first == 0 and last == log.n_events:
        return log
    part = slice(first, last)
    return EventLog(
        customers=(),
        offsets=np.zeros(1, np.int64),
        event_time=log.event_time[part],
        recorded_time=log.recorded_time[part],
        event=Categorical(log.event.codes[part], log.event.levels),
        numbers={name: column[part] for name, column in log.numbers.items()},
        categories={
            name: Categorical(column.codes[part], column.levels)
            for name, column in log.categories.items()
        },
        times={name: column[part] for name, column in log.times.items()},
    )


class _Selection:
    """The chosen events of a view as flat arrays, and every row's bounds in them."""

    def __init__(self, view: _View, where: Where) -> None:
        self._view = view
        mask = _mask(view.log, where)
        self._chosen = slice(None) if mask is None else np.flatnonzero(mask)
        self._before = (
            None if mask is None else np.concatenate([[0], np.cumsum(mask, dtype=np.int64)])
        )
        """Chosen events before each position of the log; None when all are chosen."""
        self._starts: dict[int | None, Ints] = {}
        self.high = self._place(view.high)

    def _place(self, position: Ints) -> Ints:
        return position if self._before is None else self._before[position]

    def low(self, last: int | None) -> Ints:
        if last not in self._starts:
            self._starts[last] = self._place(self._view.start(last))
        return self._starts[last]

    def count(self, last: int | None = None) -> Ints:
        return self.high - self.low(last)

    @cached_property
    def time(self) -> Ints:
        return self._view.log.event_time[self._chosen]

    def number(self, name: str) -> Floats:
        column = self._view.log.numbers.get(name)
        return np.full(len(self.time), np.nan) if column is None else column[self._chosen]

    def codes(self, name: str) -> tuple[NDArray[np.int32], tuple[str, ...]]:
        column = self._view.log.categories.get(name)
        if column is None:
            return np.full(len(self.time), ABSENT, np.int32), ()
        return column.codes[self._chosen], column.levels

    def moments(self, name: str) -> Ints:
        column = self._view.log.times.get(name)
        return np.full(len(self.time), MISSING_TIME) if column is None else column[self._chosen]

    def last_place(self, valid: NDArray[np.bool_]) -> Ints:
        """Position of each row's last valid chosen event, -1 where there is none."""
        if not len(valid):
            return np.full(len(self.high), -1)
        newest = np.maximum.accumulate(np.where(valid, np.arange(len(valid)), -1))
        place = np.where(self.high > 0, newest[self.high - 1], -1)
        return np.where(place >= self.low(None), place, -1)


def _value(feature: Feature, chosen: _Selection, view: _View) -> Floats:
    """One feature of every row of a view."""
    match feature.kind:
        case "count":
            return chosen.count(feature.last).astype(np.float64)
        case "days_active":
            return _days_active(chosen, feature.last)
        case "share":
            everything = view.high - view.start(feature.last)
            return _divide(chosen.count(feature.last), everything)
        case "trend":
            assert feature.last is not None
            return _divide(chosen.count(feature.last), chosen.count(2 * feature.last))
        case "recency" | "tenure" | "lateness":
            return _since(feature.kind, chosen, view)
        case "gap_mean" | "gap_std" | "gap_max" | "gap_last":
            return _gaps(feature.kind, chosen)
        case "sum" | "mean" | "min" | "max":
            assert feature.of is not None
            return _aggregate(feature.kind, chosen, chosen.number(feature.of), feature.last)
        case "distinct":
            assert feature.of is not None
            return _distinct(chosen, chosen.codes(feature.of)[0], feature.last)
        case "last_number" | "attribute_number":
            assert feature.of is not None
            numbers = chosen.number(feature.of)
            return _at(numbers, chosen.last_place(~np.isnan(numbers)))
        case "last_level" | "attribute_level":
            return _last_level(feature, chosen)
        case "days_until" | "attribute_days" | "stated":
            assert feature.of is not None
            moments = chosen.moments(feature.of)
            place = chosen.last_place(moments != MISSING_TIME)
            read = chosen.time if feature.kind == "stated" else moments
            last = read[place] if len(read) else np.zeros(len(place), np.int64)
            ahead = (last - view.cutoff_time) / DAY
            return np.where(place >= 0, -ahead if feature.kind == "stated" else ahead, np.nan)
    raise ValueError(f"the engine knows no {feature.kind}")


def _since(kind: str, chosen: _Selection, view: _View) -> Floats:
    """Days from the last (or first) chosen event to the cutoff."""
    n = chosen.count()
    time = chosen.time if len(chosen.time) else np.zeros(1, np.int64)
    place = chosen.low(None) if kind == "tenure" else chosen.high - 1
    elapsed = (view.cutoff_time - time[np.where(n > 0, place, 0)]) / DAY
    value = np.where(n > 0, elapsed, np.nan)
    return value if kind != "lateness" else _divide(value, _gaps("gap_mean", chosen))


def _gaps(kind: str, chosen: _Selection) -> Floats:
    """Statistics of the days between consecutive chosen events of a row."""
    low, high = chosen.low(None), chosen.high
    n = high - low
    time = chosen.time if len(chosen.time) else np.zeros(1, np.int64)
    gap = np.diff(time, prepend=time[:1]) / DAY
    """Days since the event before; the first of a customer is never read."""
    newest = np.where(n > 0, high - 1, 0)
    if kind == "gap_last":
        return np.where(n > 1, gap[newest], np.nan)
    if kind == "gap_max":
        return _reduce(np.maximum, gap, low + 1, high, np.nan)
    oldest = np.where(n > 0, low, 0)
    mean = _divide((time[newest] - time[oldest]) / DAY, n - 1)
    if kind == "gap_mean":
        return mean
    owner, place = _expand(low + 1, high)
    deviation = (gap[place] - mean[owner]) ** 2
    edges = np.concatenate([[0], np.cumsum(np.maximum(n - 1, 0))])
    total = _reduce(np.add, deviation, edges[:-1], edges[1:], 0.0)
    return np.sqrt(_divide(total, n - 2))


def _aggregate(kind: str, chosen: _Selection, numbers: Floats, last: int | None) -> Floats:
    """Sum, mean or an extreme of the numbers that are not missing."""
    low, high = chosen.low(last), chosen.high
    valid = ~np.isnan(numbers)
    if kind in ("min", "max"):
        ufunc, neutral = (np.minimum, np.inf) if kind == "min" else (np.maximum, -np.inf)
        value = _reduce(ufunc, np.where(valid, numbers, neutral), low, high, neutral)
        return np.where(np.isinf(value), np.nan, value)
    total = _reduce(np.add, np.where(valid, numbers, 0.0), low, high, 0.0)
    if kind == "sum":
        return total
    before = np.concatenate([[0], np.cumsum(valid, dtype=np.int64)])
    return _divide(total, before[high] - before[low])


def _distinct(chosen: _Selection, codes: NDArray[np.int32], last: int | None) -> Floats:
    """How many different levels each row sees."""
    owner, place = _expand(chosen.low(last), chosen.high)
    level = codes[place].astype(np.int64)
    present = level != ABSENT
    width = int(level.max(initial=0)) + 1
    pairs = np.unique(owner[present] * width + level[present])
    return np.bincount(pairs // width, minlength=len(chosen.high)).astype(np.float64)


def _days_active(chosen: _Selection, last: int | None) -> Floats:
    """How many different days each row sees; the chosen events are in order of time."""
    low, high = chosen.low(last), chosen.high
    day = chosen.time // DAY
    new = np.ones(len(day), dtype=np.int64)
    new[1:] = day[1:] != day[:-1]
    before = np.concatenate([[0], np.cumsum(new)])
    some = high > low
    return np.where(some, before[high] - before[np.where(some, low + 1, high)] + 1, 0).astype(float)


def _last_level(feature: Feature, chosen: _Selection) -> Floats:
    """Position of the last level in the feature's list; an unlisted level is missing."""
    assert feature.of is not None
    if feature.of == EVENT:
        raise ValueError("the last level of an event's own name is not a property")
    codes, levels = chosen.codes(feature.of)
    place = chosen.last_place(codes != ABSENT)
    position = {level: float(i) for i, level in enumerate(feature.levels)}
    table = np.array([*(position.get(level, np.nan) for level in levels), np.nan])
    return table[np.where(place >= 0, codes[place] if len(codes) else ABSENT, ABSENT)]


def _mask(log: EventLog, where: Where) -> NDArray[np.bool_] | None:
    """Which events of a log are chosen; None for all."""
    if where.column is None:
        return None
    column = log.event if where.column == EVENT else log.categories.get(where.column)
    if column is None:
        return np.zeros(log.n_events, dtype=bool)
    codes = [column.code(level) for level in where.levels]
    return column.codes == codes[0] if len(codes) == 1 else np.isin(column.codes, codes)


def _bisect(times: Ints, low: Ints, high: Ints, moment: Ints) -> Ints:
    """For each row, the first position in its slice whose time is after `moment`."""
    low, high = low.copy(), high.copy()
    if len(low) == 1:
        stop = int(high[0])
        return low + np.searchsorted(times[int(low[0]) : stop], moment, side="right")
    while True:
        open_ = low < high
        if not open_.any():
            return low
        middle = (low + high) // 2
        go_right = times[np.where(open_, middle, 0)] <= moment
        low = np.where(open_ & go_right, middle + 1, low)
        high = np.where(open_ & ~go_right, middle, high)


def _reduce(
    ufunc: np.ufunc, values: NDArray[np.generic], low: Ints, high: Ints, empty: float
) -> NDArray[np.float64]:
    """Reduce `values[low:high]` of every row, each over its own slice alone."""
    some = high > low
    out = np.full(len(low), empty, dtype=values.dtype)
    if some.any():
        edges = np.empty(2 * int(some.sum()), dtype=np.int64)
        edges[0::2], edges[1::2] = low[some], high[some]
        out[some] = ufunc.reduceat(np.append(values, values[:1]), edges)[::2]
    return out


def _expand(low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """All pairs of (row, position inside its slice), as two flat arrays."""
    length = np.maximum(high - low, 0)
    owner = np.repeat(np.arange(len(low)), length)
    first = np.cumsum(length) - length
    return owner, np.arange(len(owner)) - first[owner] + low[owner]


def _at(values: Floats, place: Ints) -> Floats:
    """Values at positions, NaN at -1."""
    padded = np.append(values, np.nan)
    return padded[place]


def _divide(above: NDArray[np.generic], below: NDArray[np.generic]) -> Floats:
    """Division that is missing where the divisor is not above zero."""
    with np.errstate(invalid="ignore", divide="ignore"):
        quotient: Floats = np.asarray(above, np.float64) / np.asarray(below, np.float64)
    return np.where(np.asarray(below) > 0, quotient, np.nan)
