"""From features to the tables of integers that the compiled pass reads.

`prepare` settles, once a model, which choices of events, windows and operations a list of
features calls for; `Part.bind` looks up the levels of one log, and remembers the answer for
the next log that has the same levels. Small logs, such as a request's, are read in the plan's own
codes, so that they share one answer. Knows nothing about rows or cutoffs.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from features import operations
from features.categorical import ABSENT, Categorical
from features.event_log import EventLog, Ints, address
from features.feature import EVENT, Condition, Feature, Where, words
from features.kinds import ATTRIBUTES, CATEGORY, EVENTS, KINDS, MOMENT, NUMBER, STAGES, TIME
from features.operations import Columns, Program
from features.vocabulary import Vocabulary

ALL = 0
"""The window of everything so far."""

WIDE = {
    "count": operations.COUNT,
    "share": operations.SHARE,
    "trend": operations.TREND,
    "recency": operations.RECENCY,
    "tenure": operations.TENURE,
    "sum": operations.SUM,
    "mean": operations.MEAN,
}
"""What the compiled pass calls the kinds that it computes of four choices at a time, except over
the latest events."""

OPERATIONS = {
    "share": operations.EVENTS_SHARE,
    "sum": operations.LAST_SUM,
    "mean": operations.LAST_SUM,
    "changes": operations.NUMBER_CHANGES,
    **{
        kind: getattr(operations, kind.upper())
        for kind in KINDS
        if kind not in WIDE and hasattr(operations, kind.upper())
    },
    "attribute_number": operations.LAST_NUMBER,
    "attribute_level": operations.LAST_LEVEL,
    "attribute_days": operations.DAYS_UNTIL,
    "attribute_peer_rate": operations.PEER_RATE,
}
"""What it calls the others."""

LANES = 4
"""Choices that are worked on at once."""

SMALL = 20_000
"""Events of a log for which it is worth to change its codes rather than the program: tables for
other levels take about 1.5 ms, a million codes that are changed 1 ms."""

Name = TypeVar("Name", str, int)

Table = tuple[dict[str, int], int]
"""The number of each level that is named, and that of a missing one; others have -1."""


@dataclass
class _Selection:
    """One choice of events: its windows and what is computed of it alone."""

    where: Where
    windows: list[int] = field(default_factory=list)
    operations: dict[tuple[int, int, int, int], list[tuple[int, int, int]]] = field(
        default_factory=dict
    )
    """Slots by (what, column, table, number of a feature without windows)."""
    wide: list["_Wide"] = field(default_factory=list)
    sums: list[int] = field(default_factory=list)
    """The columns of numbers that are added up."""

    def window(self, window: int) -> int:
        """The number of a window: a span's number, or minus so many events."""
        return _place(self.windows, window)

    @property
    def shape(self) -> tuple[object, ...]:
        """What stands together with its like, so that operations have four to work on."""
        return not self.operations, sorted((w.what, w.span, w.other) for w in self.wide)


@dataclass(frozen=True)
class _Wide:
    """One feature that is computed of four choices at a time."""

    what: int
    span: int
    """Microseconds, 0 for all."""
    other: int
    column: int
    """Of numbers, -1 without."""
    local: int
    """The feature's place."""


class Part:
    """The features that read one log: the customer's events, attributes, or a group's events."""

    def __init__(self, source: str, over: str | None) -> None:
        self.source = source
        self.over = over
        self.columns: list[int] = []
        """The matrix column of each feature of this part."""
        self._spans: list[int] = []
        self._numbers: list[str] = []
        self._codes: list[str] = []
        self._times: list[str] = []
        self._tables: list[tuple[int, Table]] = []
        """For each table: the column of codes whose levels it is about, and its numbers."""
        self._rate_lists: list[tuple[tuple[int, ...], NDArray[np.float64]]] = []
        self._selections: dict[Where, _Selection] = {Where(): _Selection(Where())}
        self._bound: tuple[list[tuple[str, ...]], Bound] | None = None
        self._own: tuple[list[Vocabulary], Bound] | None = None

    def add(self, feature: Feature, column: int) -> None:
        """Take up a feature; `column` is its place in the matrix."""
        local = len(self.columns)
        self.columns.append(column)
        chosen = self._selections.setdefault(feature.where, _Selection(feature.where))
        if feature.kind in WIDE and feature.events is None:
            self._add_wide(feature, chosen, local)
            return
        span = feature.last or ALL
        _place(self._spans, span)
        window, other = chosen.window(span if feature.events is None else -feature.events), 0
        what = OPERATIONS[feature.kind]
        if feature.kind == "share":
            assert feature.events is not None
            other = feature.events
        elif feature.kind == "mean":
            other = 1
        alone = -1 if KINDS[feature.kind].windows else local
        key = (what, self._column(feature), self._table(feature), alone)
        chosen.operations.setdefault(key, []).append((window, other, local))

    def _add_wide(self, feature: Feature, chosen: _Selection, local: int) -> None:
        span, column = feature.last or ALL, self._column(feature)
        other = 2 * span if feature.kind == "trend" else ALL
        if column >= 0:
            _place(chosen.sums, column)
        for length in (span, other):
            _place(self._spans, length)
        chosen.wide.append(_Wide(WIDE[feature.kind], span, other, column, local))

    @cached_property
    def matrix_columns(self) -> Ints:
        """`columns` as the compiled pass reads them, once every feature is there."""
        return np.array(self.columns, np.int64)

    @cached_property
    def columns_address(self) -> int:
        """Where `matrix_columns` lie."""
        return address(self.matrix_columns)

    def _column(self, feature: Feature) -> int:
        reads = KINDS[feature.kind].reads
        if reads == STAGES:
            return _place(self._codes, EVENT)
        if reads not in (NUMBER, CATEGORY, TIME):
            return -1
        assert feature.of is not None
        names = {NUMBER: self._numbers, CATEGORY: self._codes, TIME: self._times}[reads]
        return _place(names, feature.of)

    def _table(self, feature: Feature) -> int:
        """The number of the table that a feature looks levels up in, -1 without one."""
        if feature.stages:
            position = {e: i for i, (_, members) in enumerate(feature.stages) for e in members}
            return self._new_table(EVENT, (position, ABSENT))
        if feature.levels:
            position = {level: i for i, level in enumerate(feature.levels)}
            return self._new_table(feature.of or "", (position, ABSENT))
        if not feature.rates:
            return -1
        first = len(self._rate_lists)
        for rates in feature.rates:
            counts = np.array([rates.n, rates.positive], np.float64).T
            self._rate_lists.append((rates.known_time, counts))
        place = {rates.level: first + i for i, rates in enumerate(feature.rates)}
        everybody = place[None]
        levels = {level: at for level, at in place.items() if level is not None}
        return self._new_table(feature.of or "", (levels, everybody))

    def _new_table(self, column: str, table: Table) -> int:
        self._tables.append((_place(self._codes, column), table))
        return len(self._tables) - 1

    def bind(self, log: EventLog) -> "tuple[Bound, Bound]":
        """The program for a log's levels, and where the log's columns lie.

        A short log keeps the answer: a journey that a service holds is asked about again.
        """
        found = log.laid.get(self)
        if found is None:
            found = self._bind(log)
            if log.n_events <= SMALL:
                log.laid[self] = found
        bound: tuple[Bound, Bound] = found
        return bound

    def _bind(self, log: EventLog) -> "tuple[Bound, Bound]":
        columns = [_categorical(log, name) for name in self._code_names]
        levels = [column.levels for column in columns]
        bound = self._bound
        if bound is None or any(a is not b for a, b in zip(bound[0], levels, strict=True)):
            small = self._in_own_codes(columns) if log.n_events <= SMALL else None
            if small is not None:
                return small[0], self._lay(log, small[1])
            bound = (levels, self._program(levels))
            self._bound = bound
        return bound[1], self._lay(log, columns)

    def _in_own_codes(
        self, columns: Sequence[Categorical]
    ) -> "tuple[Bound, list[Categorical]] | None":
        """The program for the plan's own codes, and a log's columns in them.

        None where the log has too many levels that the plan does not name, or the plan looks
        into texts, of which every log has its own.
        """
        if not self._names_levels:
            return None
        if self._own is None:
            words = [Vocabulary(named) for named in self._named()]
            self._own = words, self._program([each.levels for each in words])
        words, program = self._own
        recoded = [each.recoded(column) for each, column in zip(words, columns, strict=True)]
        found = [column for column in recoded if column is not None]
        return (program, found) if len(found) == len(recoded) else None

    @cached_property
    def _names_levels(self) -> bool:
        """Whether conditions and tables name all levels that they ask for, and no code is asked
        for itself."""
        last_code = any(
            key[0] == operations.LAST_CODE and key[2] < 0
            for chosen in self._selections.values()
            for key in chosen.operations
        )
        return not last_code and not any(
            condition.contains for where in self._selections for condition in where.conditions
        )

    def _named(self) -> list[set[str]]:
        """The levels of each column of codes that the plan names."""
        found: list[set[str]] = [set() for _ in self._code_names]
        for column, (numbers, _) in self._tables:
            found[column].update(numbers)
        for where in self._selections:
            for condition in where.conditions:
                found[self._codes.index(condition.column)].update(condition.levels)
        return found

    @cached_property
    def _code_names(self) -> list[str]:
        """The columns of codes, once every feature is there: those of conditions come last."""
        for where in self._selections:
            for condition in where.conditions:
                _place(self._codes, condition.column)
        return self._codes

    def _lay(self, log: EventLog, columns: Sequence[Categorical]) -> "Bound":
        n = log.n_events
        base = [_whole(log.offsets), _whole(log.event_time), _whole(log.recorded_time)]
        same = log.recorded_time is log.event_time
        numbers = [
            np.ascontiguousarray(log.numbers[name], np.float64)
            if name in log.numbers
            else np.full(n, np.nan)
            for name in self._numbers
        ]
        codes = [np.ascontiguousarray(column.codes, np.int32) for column in columns]
        times = [
            _whole(log.times[name]) if name in log.times else np.full(n, operations.MISSING_TIME)
            for name in self._times
        ]
        columns_of = [*numbers, *codes, *times]
        pointers = np.array([address(column) for column in columns_of], np.int64)
        begin = address(pointers)
        places = (begin, begin + 8 * len(numbers), begin + 8 * (len(numbers) + len(codes)))
        width = max((len(column.levels) for column in columns), default=0)
        found = Columns._make([*map(address, base), same, *places, width])
        return Bound(np.array(found, np.int64), (base, columns_of, pointers))

    def _program(self, levels: Sequence[tuple[str, ...]]) -> "Bound":
        """The tables of integers for these levels."""
        tables, starts = self._joined([_numbers(table, levels[at]) for at, table in self._tables])
        everything, *others = self._selections.values()
        selections = [everything, *sorted(others, key=lambda chosen: chosen.shape)]
        spans = sorted(self._spans, reverse=True)
        windows, listed, slots = _flatten(selections, spans, starts)
        wide, places = _widen(selections, spans, len(self.columns))
        wheres = [chosen.where for chosen in selections]
        conditions, condition_edges, tables = self._conditions(wheres, levels, tables)
        splits, split_edges, split_selections, tables = self._splits(wheres, levels, tables)
        times = [t for known_time, _ in self._rate_lists for t in known_time]
        counts = [c for _, c in self._rate_lists]
        window_edges = _edges(len(s.windows) for s in selections)
        arrays = {
            "splits": splits,
            "split_edges": split_edges,
            "split_selections": split_selections,
            "condition_edges": condition_edges,
            "conditions": conditions,
            "tables": tables,
            "spans": np.array(spans, np.int64),
            "wide": wide,
            "sum_edges": _edges(len(s.sums) for s in selections),
            "sum_columns": np.array([c for s in selections for c in s.sums], np.int64),
            "window_edges": window_edges,
            "windows": windows,
            "operation_edges": _edges(len(s.operations) for s in selections),
            "operations": listed,
            "slots": slots,
            "places": places,
            "rate_edges": _edges(len(known_time) for known_time, _ in self._rate_lists),
            "rate_times": np.array(times, np.int64),
            "rate_counts": np.ascontiguousarray(np.concatenate(counts or [np.zeros((0, 2))])),
        }
        found = Program(
            n_splits=len(splits),
            n_selections=len(selections),
            most_windows=int(np.diff(window_edges).max(initial=1)),
            n_spans=len(spans),
            n_wide=len(wide),
            n_listed=max((k + 1 for k, s in enumerate(selections) if s.operations), default=0),
            **{name: address(array) for name, array in arrays.items()},
        )
        return Bound(np.array(found, np.int64), (arrays,))

    @staticmethod
    def _joined(tables: Sequence[Ints]) -> tuple[Ints, Ints]:
        starts = _edges(len(table) for table in tables)
        return (np.concatenate(tables) if tables else np.zeros(0, np.int64)), starts

    def _splits(
        self, wheres: Sequence[Where], levels: Sequence[tuple[str, ...]], tables: Ints
    ) -> tuple[Ints, Ints, Ints, Ints]:
        """For each column that a first condition reads: the selections of each code.

        Where no code has two of them and none has further conditions, a table says which it is.
        """
        further = {k for k, where in enumerate(wheres) if len(where.conditions) > 1}
        by_column: dict[int, list[tuple[Ints, int]]] = {}
        for k, where in enumerate(wheres):
            if where.conditions:
                first = where.conditions[0]
                column = self._codes.index(first.column)
                accepted = np.flatnonzero(_accepts(first, levels[column]))
                by_column.setdefault(column, []).append((accepted, k))
        splits, edges, chosen = [], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        n_edges = n_chosen = 0
        for column, pairs in by_column.items():
            codes = np.concatenate([accepted for accepted, _ in pairs])
            which = np.concatenate([np.full(len(accepted), k) for accepted, k in pairs])
            order = np.argsort(codes, kind="stable")
            per_code = np.bincount(codes, minlength=len(levels[column]) + 1)
            alone = -1
            if per_code.max(initial=0) <= 1 and further.isdisjoint(k for _, k in pairs):
                alone = len(tables)
                only = np.full(len(per_code), -1, np.int64)
                only[codes] = which
                tables = np.concatenate([tables, only])
            splits.append((column, n_edges, alone))
            edges.append(n_chosen + _edges(per_code.tolist()))
            chosen.append(which[order])
            n_edges += len(edges[-1])
            n_chosen += len(codes)
        return (
            np.array(splits, np.int64).reshape(-1, 3),
            np.concatenate(edges),
            np.concatenate(chosen).astype(np.int64),
            tables,
        )

    def _conditions(
        self, wheres: Sequence[Where], levels: Sequence[tuple[str, ...]], tables: Ints
    ) -> tuple[Ints, Ints, Ints]:
        """The conditions of each selection beyond its first, and the tables with theirs."""
        found: list[tuple[int, int]] = []
        blocks, begin = [tables], len(tables)
        for where in wheres:
            for condition in where.conditions[1:]:
                column = self._codes.index(condition.column)
                blocks.append(_accepts(condition, levels[column]).astype(np.int64))
                found.append((column, begin))
                begin += len(blocks[-1])
        edges = _edges(max(len(where.conditions) - 1, 0) for where in wheres)
        return np.array(found, np.int64).reshape(-1, 2), edges, np.concatenate(blocks)


@dataclass(frozen=True)
class Bound:
    """Addresses and sizes for the compiled pass, and what they point at, kept alive."""

    fields: Ints
    alive: tuple[object, ...]


@dataclass(frozen=True)
class Plan:
    """A list of features, ready to be computed of any log; make it once a model."""

    features: tuple[Feature, ...]
    parts: tuple[Part, ...]


def prepare(features: Sequence[Feature], stated: Collection[int] = ()) -> Plan:
    """Settle which choices of events, windows and operations a list of features calls for.

    Parameters
    ----------
    stated
        Places in `features` of those that read events elsewhere, and here the attribute log.
    """
    parts: dict[tuple[str, str | None], Part] = {}
    for column, feature in enumerate(features):
        source = EVENTS if feature.source == MOMENT else feature.source
        source = ATTRIBUTES if column in stated else source
        key = (source, feature.over)
        parts.setdefault(key, Part(*key)).add(feature, column)
    return Plan(tuple(features), tuple(parts.values()))


def last_code(column: str) -> Part:
    """A part with one column: the code of the last level of a category, NaN without one."""
    part = Part(EVENTS, None)
    part.columns.append(0)
    everything = part._selections[Where()]
    part._spans.append(ALL)
    key = (operations.LAST_CODE, _place(part._codes, column), -1, 0)
    everything.operations[key] = [(everything.window(ALL), 0, 0)]
    return part


def accepted(column: Categorical, where: Where) -> Ints:
    """1 for each code + 1 of a column that a choice with one condition takes, else 0."""
    return _accepts(where.conditions[0], column.levels).astype(np.int64)


def _place(names: list[Name], name: Name) -> int:
    if name not in names:
        names.append(name)
    return names.index(name)


def _categorical(log: EventLog, name: str) -> Categorical:
    """A column of codes; one without a value where the log has none of that name."""
    if name == EVENT:
        return log.event
    found = log.categories.get(name)
    return Categorical(np.full(log.n_events, ABSENT, np.int32), ()) if found is None else found


def _numbers(table: Table, levels: tuple[str, ...]) -> Ints:
    """A table's number for each code + 1 of a column with these levels."""
    numbers, absent = table
    out = np.full(len(levels) + 1, -1, np.int64)
    out[0] = absent
    for level, number in numbers.items():
        at = bisect_left(levels, level)
        if at < len(levels) and levels[at] == level:
            out[at + 1] = number
    return out


def _accepts(condition: Condition, levels: tuple[str, ...]) -> NDArray[np.bool_]:
    """Whether each code + 1 fulfils a condition; a missing level never does."""
    out = np.zeros(len(levels) + 1, dtype=bool)
    if condition.contains:
        index = _word_index(levels)
        for word in condition.levels:
            out[index.get(word, [])] = True
        return out
    for level in condition.levels:
        at = bisect_left(levels, level)
        if at < len(levels) and levels[at] == level:
            out[at + 1] = True
    return out


@lru_cache(maxsize=2)
def _word_index(levels: tuple[str, ...]) -> dict[str, list[int]]:
    """The codes + 1 of the texts in which each word stands."""
    index: dict[str, list[int]] = {}
    for code, text in enumerate(levels, start=1):
        for word in words(text):
            index.setdefault(word, []).append(code)
    return index


def _flatten(
    selections: Sequence[_Selection], spans: list[int], starts: Ints
) -> tuple[Ints, Ints, Ints]:
    """Windows, operations and slots of all selections, one after the other.

    Operations that read one column stand together, so that it is gathered once.
    """
    windows: list[int] = []
    found: list[tuple[int, ...]] = []
    slots: list[tuple[int, ...]] = []
    for chosen in selections:
        windows += [window if window < 0 else spans.index(window) for window in chosen.windows]
        for key in sorted(chosen.operations, key=_reading):
            what, column, table, _ = key
            begin = len(slots)
            slots += chosen.operations[key]
            start = int(starts[table]) if table >= 0 else -1
            found.append((what, column, begin, len(slots), start))
    return (
        np.array(windows, np.int64),
        np.array(found, np.int64).reshape(-1, 5),
        np.array(slots, np.int64).reshape(-1, 3),
    )


def _reading(key: tuple[int, int, int, int]) -> tuple[object, ...]:
    """Operations in order of the column that they read."""
    return key[0] >= operations.LAST_SUM, key[1], key


def _widen(selections: Sequence[_Selection], spans: list[int], n_columns: int) -> tuple[Ints, Ints]:
    """The operations on four selections or sums at a time, and where each column's value is."""
    found: dict[tuple[int, int, int, int], int] = {}
    places = -1 - np.arange(n_columns)
    n_sums = 0
    for k, chosen in enumerate(selections):
        for each in chosen.wide:
            lane = k if each.column < 0 else n_sums + chosen.sums.index(each.column)
            first = lane // LANES * LANES
            key = (each.what, first, spans.index(each.span), spans.index(each.other))
            at = found.setdefault(key, len(found))
            places[each.local] = LANES * at + lane - first
        n_sums += len(chosen.sums)
    return np.array(list(found), np.int64).reshape(-1, 4), places.astype(np.int64)


def _edges(counts: "Sequence[int] | Iterator[int]") -> Ints:
    return np.concatenate([[0], np.cumsum(list(counts), dtype=np.int64)]).astype(np.int64)


def _whole(array: Ints) -> Ints:
    return np.ascontiguousarray(array, np.int64)
