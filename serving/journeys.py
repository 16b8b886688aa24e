"""One stored customer's journey, as the engine reads it.

Takes rows of the store, in the order of its key, and a model's contract; gives an event log
with exactly the contract's columns, equal to what `build_log` makes of the same rows. Knows
nothing about where rows are kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, NamedTuple

import msgspec
import numpy as np

from features.categorical import ABSENT, Categorical
from features.durations import MISSING_TIME, parse_moment
from features.event_log import CATEGORY, LARGEST, NUMBER, TIME, EventLog, Ints, ties


class Row(NamedTuple):
    """A row of the store; the order of the fields is that of the columns that are read."""

    event_time: int
    recorded_time: int
    event: str
    event_id: str
    properties: str
    """A JSON object."""


@dataclass(frozen=True)
class Journey:
    """One customer's history, alone in its logs."""

    log: EventLog
    attributes: EventLog
    ids: tuple[str, ...] = ()
    """Ids of the stored events, aligned with the log's rows; "" where an event has none."""
    unread: tuple[str, ...] = ()
    """Properties of which a stored value is of another kind than in training and so counts as
    missing, such as "property value"."""

    @property
    def n_events(self) -> int:
        return self.log.n_events


class Columns:
    """Decodes the properties of rows into columns of declared kinds, all rows in one call."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self.numbers = sorted(name for name, kind in kinds.items() if kind == NUMBER)
        self.texts = sorted(name for name, kind in kinds.items() if kind == CATEGORY)
        self.times = sorted(name for name, kind in kinds.items() if kind == TIME)
        names = [*self.numbers, *self.texts, *self.times]
        absent: list[Any] = [nan] * len(self.numbers)
        absent += [None] * (len(names) - len(self.numbers))
        types = [float] * len(self.numbers) + [str | None] * (len(names) - len(self.numbers))
        fields = [
            (f"p{i}", types[i], msgspec.field(name=names[i], default=absent[i]))
            for i in range(len(names))
        ]
        self.names, self._absent = names, absent
        self._row = msgspec.defstruct("Properties", fields, gc=False)
        self._decode = msgspec.json.Decoder(list[self._row]).decode  # type: ignore[name-defined]

    def read(self, properties: Sequence[str]) -> "Read":
        """Columns of the rows' properties, each a JSON object."""
        unread: set[str] = set()
        if not self.names or not properties:
            columns: list[tuple[Any, ...]] = [() for _ in self.names]
        else:
            text = f"[{','.join(properties)}]"
            try:
                rows = map(msgspec.structs.astuple, self._decode(text))
            except msgspec.ValidationError:
                rows = map(tuple, self._one_by_one(text, unread))
            columns = list(zip(*rows, strict=True))
        return self._read(columns, len(properties), unread)

    def _one_by_one(self, text: str, unread: set[str]) -> list[list[Any]]:
        """The same where a value is of another kind: it is missing, and its name is told."""
        out = []
        for row in msgspec.json.decode(text):
            values = []
            for i, name in enumerate(self.names):
                value = row.get(name, self._absent[i])
                wanted: tuple[type, ...] = (float, int) if i < len(self.numbers) else (str,)
                if value is not None and not isinstance(value, wanted):
                    unread.add(name)
                    value = self._absent[i]
                values.append(value)
            out.append(values)
        return out

    def _read(self, columns: list[tuple[Any, ...]], n: int, unread: set[str]) -> "Read":
        first, second = len(self.numbers), len(self.numbers) + len(self.texts)
        numbers = np.array(columns[:first], np.float64).reshape(first, n)
        if first and n and np.nanmax(np.abs(numbers), initial=0.0) > LARGEST:
            numbers[np.abs(numbers) > LARGEST] = nan
        times = {}
        for name, column in zip(self.times, columns[second:], strict=True):
            times[name] = _moments(column, name, unread)
        return Read(
            dict(zip(self.numbers, numbers, strict=True)),
            {
                name: categorical(column)
                for name, column in zip(self.texts, columns[first:second], strict=True)
            },
            times,
            unread,
        )


class Read(NamedTuple):
    """Decoded columns, and the properties that hold values of another kind."""

    numbers: dict[str, np.ndarray[Any, np.dtype[np.float64]]]
    categories: dict[str, Categorical]
    times: dict[str, Ints]
    unread: set[str]


def categorical(column: Sequence[str | None]) -> Categorical:
    """A short column of text as codes into sorted levels."""
    found = set(column)
    found.discard(None)
    levels = tuple(sorted(found))  # type: ignore[type-var]
    rank: dict[str | None, int] = {level: code for code, level in enumerate(levels)}
    rank[None] = ABSENT
    codes = np.fromiter(map(rank.__getitem__, column), np.int32, len(column))
    return Categorical(codes, levels)  # type: ignore[arg-type]


def _moments(column: Sequence[str | None], name: str, unread: set[str]) -> Ints:
    """A column of times as microseconds; text that is no time is missing, and told."""
    known: dict[str | None, int] = {None: MISSING_TIME}
    for text in set(column):
        if text is not None:
            try:
                known[text] = parse_moment(text)
            except (ValueError, OverflowError):
                known[text] = MISSING_TIME
                unread.add(name)
    return np.fromiter(map(known.__getitem__, column), np.int64, len(column))


def log_of(
    customer: str, rows: Sequence[Row], columns: Columns
) -> tuple[EventLog, tuple[str, ...], set[str]]:
    """The log of one customer's rows, which come in the order of their time.

    Returns
    -------
    log
    ids : tuple of str, length n_rows
        The id of each event of the log.
    unread
        Properties with a value of another kind.
    """
    happened, recorded, event, ids, properties = zip(*rows, strict=True) if rows else ((),) * 5
    read = columns.read(properties)
    log = EventLog(
        (customer,),
        np.array([0, len(rows)], np.int64),
        np.array(happened, np.int64),
        np.array(recorded, np.int64),
        categorical(event),
        read.numbers,
        read.categories,
        read.times,
    )
    n_ties = int(np.count_nonzero(log.event_time[1:] == log.event_time[:-1]))
    if n_ties:
        places, source = ties(log, n_ties)
        if len(places):
            order = np.arange(len(rows))
            order[places] = source
            log = log.rows(order, log.customers, log.offsets)
            ids = tuple(map(ids.__getitem__, order.tolist()))
    return log, ids, read.unread
