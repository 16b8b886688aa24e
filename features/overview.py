"""What a part of the histories has to know of the whole.

Takes the event log and the attribute log of all customers; gives a handful of numbers an
event: where its activity begins, whether it repeats, how far the log reaches. With them the
rows and labels of some customers can be found without the others' events, on another
machine too. Knows nothing about problems, files or features.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from features.durations import DAY
from features.event_log import EventLog, Ints

REPEATING_SHARE = 0.01
"""An outcome that more than this share of its customers had twice can happen again."""

STRAY = 1000
"""One event in so many may be older than the beginning, such as a stray date of the year 1."""


@dataclass(frozen=True)
class Overview:
    """Facts about all customers' events; small, and the same whoever reads them."""

    n_events: int
    n_customers: int
    begin: int
    """When activity of any kind begins, microseconds UTC; see `STRAY`."""
    last: int
    """The newest event time, microseconds UTC."""
    date_only: bool
    """Whether every event is dated by its day alone."""
    event_names: tuple[str, ...]
    event_kinds: Mapping[str, str]
    attribute_kinds: Mapping[str, str]
    begins: Mapping[str, int]
    """When the activity of each event begins."""
    repeats: Mapping[str, bool]
    """Whether each event happens to the same customer on more than one day."""

    def begin_of(self, event: str | None) -> int:
        """When the activity of an event begins, or of any event."""
        return self.begin if event is None else self.begins[event]

    def names(self, kind: str) -> list[str]:
        """The properties of events that are of a kind."""
        return [name for name, found in self.event_kinds.items() if found == kind]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Overview":
        return cls(**{**data, "event_names": tuple(data["event_names"])})


def overview(log: EventLog, attributes: EventLog, names: Iterable[str] | None = None) -> Overview:
    """Look over a whole log.

    Parameters
    ----------
    names
        The events whose `begins` and `repeats` are wanted; all of them unless given.
        Names that never occur are left out.
    """
    begins, repeats = {}, {}
    for name, places in _places(log, names):
        begins[name] = _begin(log.event_time[places])
        repeats[name] = _repeats(log, places)
    return Overview(
        n_events=log.n_events,
        n_customers=log.n_customers,
        begin=_begin(log.event_time),
        last=int(log.event_time.max()),
        date_only=log.date_only,
        event_names=log.event.levels,
        event_kinds=log.kinds,
        attribute_kinds=attributes.kinds,
        begins=begins,
        repeats=repeats,
    )


def _places(log: EventLog, names: Iterable[str] | None) -> Iterator[tuple[str, Ints]]:
    """Each event's name and the positions where it stands, ascending."""
    codes = log.event.codes
    if names is not None:
        for name in sorted({*names} & {*log.event.levels}):
            yield name, np.flatnonzero(codes == log.event.code(name))
        return
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(len(log.event.levels) + 1))
    for code, name in enumerate(log.event.levels):
        if edges[code] < edges[code + 1]:
            yield name, order[edges[code] : edges[code + 1]]


def _begin(times: Ints) -> int:
    """When activity has begun: a cohort before that would be a stump."""
    stray = len(times) // STRAY
    return int(np.partition(times, stray)[stray])


def _repeats(log: EventLog, places: Ints) -> bool:
    """Whether more customers than a few had the event on more than one day."""
    who = np.searchsorted(log.offsets, places, side="right") - 1
    day = log.event_time[places] // DAY
    later_day = (who[1:] == who[:-1]) & (day[1:] != day[:-1])
    n_customers = len(np.unique(who))
    return bool(len(np.unique(who[1:][later_day])) > REPEATING_SHARE * n_customers)
