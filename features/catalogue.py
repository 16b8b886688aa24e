"""The default catalogue: the features that a history calls for.

Takes the event log, the attribute log and the business's stages; gives a list of features.
Which events, levels and windows are worth a column is read from what had been recorded by
a given moment, so that a training set's columns do not depend on its future. Knows nothing
about labels or models.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.durations import MISSING_TIME
from features.event_log import Categorical, EventLog
from features.language import (
    EVENT,
    Events,
    Feature,
    attribute_days,
    attribute_level,
    attribute_number,
    events,
    having,
    stage,
)

MAIN_EVENTS = 8
"""The most frequent events get every family of features."""
MORE_EVENTS = 24
"""The next most frequent get counts and recency."""
MIN_EVENTS = 5
"""A rarer event gets no column."""
MIN_SHARE = 0.02
"""An event reads a property that at least this share of such events carries."""
MAX_PROPERTIES = 12
"""Numeric properties an event; the most often filled come first."""
MAX_LEVELS = 30
"""Levels of a category that have a number of their own; rarer ones are missing."""
MAX_SHARED_LEVELS = 6
"""Levels of a category that are counted."""


@dataclass(frozen=True)
class _Known:
    """The log as recorded by a moment, and what a business wants left out."""

    log: EventLog
    seen: NDArray[np.bool_]
    ignore: frozenset[str]

    def frequent(
        self, column: Categorical, most: int, among: NDArray[np.bool_] | None = None
    ) -> list[str]:
        """The most frequent levels of a column, most frequent first, ties by name."""
        chosen = self.seen if among is None else self.seen & among
        codes = column.codes[chosen]
        counts = np.bincount(codes[codes >= 0], minlength=len(column.levels))
        order = np.argsort(-counts, kind="stable")[:most]
        return [column.levels[i] for i in order if counts[i] >= MIN_EVENTS]

    def n_levels(self, column: Categorical) -> int:
        """How many levels of a column had been seen."""
        codes = column.codes[self.seen]
        return len(np.unique(codes[codes >= 0]))

    def filled(self, present: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
        """The share of some events that carry a property."""
        chosen = self.seen & among
        return float(present[chosen].mean()) if chosen.any() else 0.0


def default_catalogue(
    log: EventLog,
    attributes: EventLog,
    stages: Mapping[str, Sequence[str]],
    windows: Sequence[int],
    until: int,
    ignore: Sequence[str] = (),
) -> tuple[Feature, ...]:
    """Features for a history.

    Parameters
    ----------
    windows
        Lengths in microseconds; those that reach beyond the history are left out.
    until
        Only what was recorded up to this moment decides which columns there are.
    ignore
        Properties and attributes that are no feature.
    """
    known = _Known(log, log.recorded_time <= until, frozenset(ignore))
    if not known.seen.any():
        return ()
    span = until - int(log.event_time[known.seen].min())
    lengths: list[int | None] = [length for length in sorted(set(windows)) if length < span]
    lengths.append(None)
    names = known.frequent(log.event, MAIN_EVENTS + MORE_EVENTS)
    chosen: dict[Feature, None] = {}
    if len(names) > 1:
        chosen.update(dict.fromkeys(_rhythm(events(), lengths)))
    for name in names[:MAIN_EVENTS]:
        chosen.update(dict.fromkeys(_main_event(known, name, lengths, alone=len(names) == 1)))
    for name in names[MAIN_EVENTS:]:
        few = events(name)
        chosen.update(dict.fromkeys([*(few.count(last) for last in lengths), few.recency()]))
    chosen.update(dict.fromkeys(_stages(stages, names, lengths)))
    chosen.update(dict.fromkeys(_levels(known, lengths)))
    for name in _kept(known, _seen(known, log.times)):
        chosen.update(dict.fromkeys([events().days_until(name), events().stated(name)]))
    chosen.update(dict.fromkeys(_attributes(attributes, until, known.ignore)))
    return tuple(chosen)


def _seen(known: _Known, columns: Mapping[str, NDArray[Any]]) -> list[str]:
    """Columns of numbers or times of which a value had been recorded."""
    return [
        name
        for name, values in columns.items()
        if ((values == values) & (values != MISSING_TIME) & known.seen).any()  # NaN is not itself
    ]


def _kept(known: _Known, names: Iterable[str]) -> list[str]:
    return [name for name in names if name not in known.ignore]


def _rhythm(some: Events, lengths: Sequence[int | None]) -> Iterator[Feature]:
    """How often, how recently, how regularly."""
    for last in lengths:
        yield some.count(last)
        yield some.days_active(last)
        if last is not None:
            yield some.trend(last)
    yield from (some.recency(), some.tenure(), some.lateness())
    yield from (some.gap_mean(), some.gap_std(), some.gap_max(), some.gap_last())


def _main_event(
    known: _Known, name: str, lengths: Sequence[int | None], alone: bool
) -> Iterator[Feature]:
    """Every family for one kind of event."""
    some, log = events(name), known.log
    among = np.asarray(log.event.codes == log.event.code(name))
    yield from _rhythm(some, lengths)
    if not alone:
        yield from (some.share(last) for last in lengths)
    numbers = {
        of: known.filled(~np.isnan(log.numbers[of]), among) for of in _kept(known, log.numbers)
    }
    often = sorted(numbers, key=lambda of: (-numbers[of], of))[:MAX_PROPERTIES]
    for of in often:
        if numbers[of] < MIN_SHARE:
            continue
        for last in lengths:
            yield from (some.sum(of, last), some.mean(of, last))
        yield from (some.min(of), some.max(of), some.last_number(of))
    for of in _kept(known, log.categories):
        column = log.categories[of]
        if known.filled(column.codes >= 0, among) < MIN_SHARE:
            continue
        yield from (some.distinct(of, last) for last in (lengths[-1], lengths[len(lengths) // 2]))
        levels = known.frequent(column, MAX_LEVELS, among)
        if len(levels) > 1:
            yield some.last_level(of, tuple(sorted(levels)))


def _stages(
    stages: Mapping[str, Sequence[str]], names: Sequence[str], lengths: Sequence[int | None]
) -> Iterator[Feature]:
    """Stages that hold several kinds of event; one kind alone speaks for itself."""
    for name, members in stages.items():
        here = tuple(member for member in members if member in names)
        if len(here) > 1:
            some = stage(name, here)
            yield from (some.count(last) for last in lengths)
            yield from (some.share(last) for last in lengths)
            yield some.recency()


def _levels(known: _Known, lengths: Sequence[int | None]) -> Iterator[Feature]:
    """The frequent levels of each category, channel first among them."""
    for of in _kept(known, known.log.categories):
        column = known.log.categories[of]
        if of == EVENT or not 1 < known.n_levels(column) <= MAX_LEVELS:
            continue
        for level in known.frequent(column, MAX_SHARED_LEVELS):
            some = having(of, level)
            yield from (some.count(last) for last in lengths[-2:])
            yield some.recency()
            yield from (some.share(last) for last in (lengths if of == "channel" else lengths[-1:]))


def _attributes(attributes: EventLog, until: int, ignore: frozenset[str]) -> Iterator[Feature]:
    """What is known of the customers themselves."""
    known = _Known(attributes, attributes.recorded_time <= until, ignore)
    yield from (attribute_number(of) for of in _kept(known, _seen(known, attributes.numbers)))
    for of in _kept(known, attributes.categories):
        levels = known.frequent(attributes.categories[of], MAX_LEVELS)
        if len(levels) > 1:
            yield attribute_level(of, tuple(sorted(levels)))
    yield from (attribute_days(of) for of in _kept(known, _seen(known, attributes.times)))
