"""The event log: every customer's journey as sorted flat arrays.

Takes columns in any order; gives them sorted by customer, `event_time` and then content,
with an offset a customer, so that a journey is one slice. Knows nothing about files,
cutoffs or features.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ctypes import addressof, c_char
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from features import kernels
from features.categorical import Categorical, Runs, Text
from features.durations import DAY

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NUMBER, CATEGORY, TIME = "number", "category", "time"
"""The kinds of a property."""

STATED = "attributes"
"""What every event of a log of statements is called."""

LONG = 100_000
"""Columns of text of so many rows are worth a thread of their own."""

LARGEST = 1e25
"""A larger number measures nothing and becomes missing, as infinity does; so no sum, square or
slope overflows, in whichever precision it is stored."""

ONCE = 1.01
"""Events that come once a customer, such as signing up, are no more than so many a customer: now
and then one is delivered twice."""


@dataclass(frozen=True)
class EventLog:
    """Journeys as flat columns; event `i` of customer `c` lies in `offsets[c]:offsets[c + 1]`.

    Attributes of customers are an `EventLog` too: each row is one dated statement.
    """

    customers: tuple[str, ...]
    """Sorted ids, shape `(n_customers,)`."""
    offsets: Ints
    """Shape `(n_customers + 1,)`."""
    event_time: Ints
    """When it happened, microseconds UTC, ascending within a customer."""
    recorded_time: Ints
    """When the company could know of it, microseconds UTC."""
    event: Categorical
    numbers: Mapping[str, Floats]
    """Numeric properties; NaN where missing."""
    categories: Mapping[str, Categorical]
    """Text properties, `channel` among them."""
    times: Mapping[str, Ints]
    """Date properties in microseconds UTC; `MISSING_TIME` where missing."""
    groups: "Mapping[str, EventLog]" = field(default_factory=dict)
    """The journeys of groups, by the property that names them; their `customers` are the groups'
    ids. See `features.groups`."""
    laid: WeakKeyDictionary[Any, Any] = field(
        init=False, repr=False, compare=False, default_factory=WeakKeyDictionary
    )
    """Where compiled passes find the columns, by the pass and as long as there is one: a plan that
    is asked again and again about the same journey need not look for them. Addresses mean nothing
    to another process."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "laid"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, laid=WeakKeyDictionary())

    @property
    def n_events(self) -> int:
        return len(self.event_time)

    @property
    def n_customers(self) -> int:
        return len(self.customers)

    @property
    def date_only(self) -> bool:
        """Whether every event is dated by its day alone."""
        return bool((self.event_time % DAY == 0).all())

    @property
    def kinds(self) -> dict[str, str]:
        """Each property's kind: number, category or time."""
        return {
            **dict.fromkeys(self.numbers, NUMBER),
            **dict.fromkeys(self.categories, CATEGORY),
            **dict.fromkeys(self.times, TIME),
        }

    @property
    def content(self) -> list[NDArray[Any]]:
        """What orders events of one customer, most important first; `event_time` leads.

        `recorded_time` comes last, so that events of one moment stand in the same order
        whichever of them arrived first. Of statements it comes first: what was said later
        of the same moment is a correction.
        """
        stated = self.event.levels == (STATED,)
        return [
            self.event_time,
            self.event.codes,
            *((self.recorded_time,) if stated else ()),
            *(self.numbers[name] for name in sorted(self.numbers)),
            *(self.categories[name].codes for name in sorted(self.categories)),
            *(self.times[name] for name in sorted(self.times)),
            *(() if stated else (self.recorded_time,)),
        ]

    def index(self, customer: str) -> int | None:
        """The position of a customer, or None when the log has never heard of it."""
        at = bisect_left(self.customers, customer)
        return at if at < len(self.customers) and self.customers[at] == customer else None

    def rows(self, order: Ints | slice, customers: tuple[str, ...], offsets: Ints) -> "EventLog":
        """A log of chosen rows; `order` must keep each customer's rows together and sorted."""
        happened = self.event_time[order]
        same = self.recorded_time is self.event_time
        return EventLog(
            customers=customers,
            offsets=offsets,
            event_time=happened,
            recorded_time=happened if same else self.recorded_time[order],
            event=self.event.take(order),
            numbers={name: column[order] for name, column in self.numbers.items()},
            categories={name: column.take(order) for name, column in self.categories.items()},
            times={name: column[order] for name, column in self.times.items()},
        )

    def moved(self, to: Ints, source: Ints) -> "EventLog":
        """The same log with the rows `source` at the places `to`."""

        def column(values: NDArray[Any]) -> NDArray[Any]:
            new, old = values[source], values[to]
            if np.array_equal(new, old, equal_nan=values.dtype.kind == "f"):
                return values
            copy = values.copy()
            copy[to] = new
            return copy

        happened = column(self.event_time)
        same = self.recorded_time is self.event_time
        return replace(
            self,
            event_time=happened,
            recorded_time=happened if same else column(self.recorded_time),
            event=replace(self.event, codes=column(self.event.codes)),
            numbers={name: column(values) for name, values in self.numbers.items()},
            categories={
                name: replace(values, codes=column(values.codes))
                for name, values in self.categories.items()
            },
            times={name: column(values) for name, values in self.times.items()},
        )

    def history(self, customer: str) -> "EventLog":
        """One customer's journey as a log of its own; empty when the customer is unknown.

        It carries the journeys of the groups that the customer has been in.
        """
        at = self.index(customer)
        low, high = (0, 0) if at is None else (int(self.offsets[at]), int(self.offsets[at + 1]))
        own = self.rows(slice(low, high), (customer,), np.array([0, high - low], dtype=np.int64))
        return replace(own, groups=self._groups_of(low, high)) if self.groups else own

    def histories(self, customers: Sequence[str]) -> "EventLog":
        """The journeys of some known customers, sorted by their ids."""
        names = tuple(sorted(set(customers)))
        spans = [self.index(name) for name in names]
        low = [int(self.offsets[at]) for at in spans if at is not None]
        high = [int(self.offsets[at + 1]) for at in spans if at is not None]
        order = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
        sizes = np.array([len(part) for part in order], np.int64)
        return self.rows(np.concatenate([np.zeros(0, np.int64), *order]), names, _offsets(sizes))

    def _groups_of(self, low: int, high: int) -> "dict[str, EventLog]":
        """The groups that the events `low` to `high` name."""
        kept = {}
        for name, group in self.groups.items():
            accounts = self.categories[name]
            codes = np.unique(accounts.codes[low:high])
            named = [accounts.levels[code] for code in codes.tolist() if code >= 0]
            kept[name] = group.histories(named)
        return kept

    def aligned(self, customers: tuple[str, ...]) -> "EventLog":
        """The same rows indexed by another sorted list of customers that holds all of these."""
        counts = np.zeros(len(customers), dtype=np.int64)
        place = {customer: i for i, customer in enumerate(customers)}
        counts[[place[customer] for customer in self.customers]] = np.diff(self.offsets)
        return replace(self, customers=customers, offsets=_offsets(counts))


def build_log(
    customer: Text,
    event_time: Ints,
    event: Text,
    recorded_time: Ints | None = None,
    numbers: Mapping[str, Floats] | None = None,
    categories: Mapping[str, Text] | None = None,
    times: Mapping[str, Ints] | None = None,
) -> EventLog:
    """Sort columns into an `EventLog`.

    Rows of one customer at one time are ordered by their content, so that the order in
    which rows arrive changes nothing. Numbers beyond `LARGEST` become missing.

    Parameters
    ----------
    customer, event
        Text, shape `(n_events,)`, without nulls.
    event_time, recorded_time
        Microseconds UTC, shape `(n_events,)`; `recorded_time` is `event_time` when absent.
    numbers, categories, times
        Properties by name, each of shape `(n_events,)`.

    Raises
    ------
    ValueError
        When the columns differ in length.
    """
    who, (what, *texts) = _encoded(customer, event, *(categories or {}).values())
    happened = np.ascontiguousarray(event_time, dtype=np.int64)
    recorded = happened if recorded_time is None else np.ascontiguousarray(recorded_time, np.int64)
    number = {name: _finite(column) for name, column in sorted((numbers or {}).items())}
    category = dict(sorted(zip(categories or {}, texts, strict=True)))
    time = {name: np.asarray(column, np.int64) for name, column in sorted((times or {}).items())}
    _check_lengths(who, happened, what, recorded, number, category, time)
    log = EventLog((), np.zeros(1, np.int64), happened, recorded, what, number, category, time)
    return _sorted(log, who)


def empty_log(customers: tuple[str, ...] = ()) -> EventLog:
    """A log of these customers in which nothing has happened."""
    nothing = np.zeros(0, np.int64)
    offsets = np.zeros(len(customers) + 1, np.int64)
    return replace(build_log([], nothing, []), customers=customers, offsets=offsets)


def come_once(n: int, customers: int) -> bool:
    """Whether so many events of so many customers come once a customer."""
    return 0 < n <= ONCE * customers


def address(array: NDArray[Any]) -> int:
    """Where an array's values lie; the array must outlive the use of it."""
    try:  # a third of the time of NumPy's own way, and a request asks for dozens
        return addressof(c_char.from_buffer(array))  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):  # empty, read-only or with gaps
        return array.ctypes.data


def union(*lists: Iterable[str]) -> tuple[str, ...]:
    """All customers of several lists, sorted."""
    return tuple(sorted(set().union(*lists)))


def _offsets(counts: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def _encoded(customer: Text, *columns: Text) -> tuple[Runs | Categorical, list[Categorical]]:
    """Every column of text as codes, two at a time where they are long."""
    if len(customer) < LONG:
        return _customers(customer), [*map(Categorical.of, columns)]
    with ThreadPoolExecutor(2) as pool:
        who = pool.submit(_customers, customer)
        rest = pool.map(Categorical.of, columns)
        return who.result(), list(rest)


def _customers(column: Text) -> Runs | Categorical:
    found = Runs.of(column)
    return Categorical.of(column) if found is None else found


def _finite(column: Floats) -> Floats:
    values = np.ascontiguousarray(column, dtype=np.float64)
    huge = np.abs(values) > LARGEST
    return np.where(huge, np.nan, values) if huge.any() else values


def _check_lengths(
    who: Runs | Categorical,
    happened: Ints,
    what: Categorical,
    recorded: Ints,
    *properties: Mapping[str, Floats] | Mapping[str, Categorical] | Mapping[str, Ints],
) -> None:
    """Refuse columns of different lengths: the compiled pass would read beyond the shorter one."""
    lengths = {
        "customer": len(who if isinstance(who, Runs) else who.codes),
        "event": len(what.codes),
        "recorded_time": len(recorded),
    }
    for columns in properties:
        for name, column in columns.items():
            lengths[name] = len(column.codes if isinstance(column, Categorical) else column)
    for name, length in lengths.items():
        if length != len(happened):
            raise ValueError(f"{name} has {length} rows, event_time has {len(happened)}")


def _sorted(log: EventLog, who: Runs | Categorical) -> EventLog:
    """Order rows by customer, then by their content, `event_time` first.

    Content decides only between rows of one customer at one time, which are few: the log
    is sorted by customer and time first, unless it is, and only such runs are sorted again.
    """
    if isinstance(who, Runs):
        log = replace(log, customers=who.levels, offsets=who.starts)
        ascending, n_ties = kernels.order_within(who.starts, address(log.event_time))
        if not ascending:
            n_rows = np.diff(who.starts)
            codes = np.repeat(np.arange(len(n_rows), dtype=np.int32), n_rows)
            return _sorted(log, Categorical(codes, who.levels))
    else:
        log = _by_customer_and_time(log, who)
        _, n_ties = kernels.order_within(log.offsets, address(log.event_time))
    if not n_ties:
        return log
    places, rows = ties(log, n_ties)
    return log.moved(places, rows) if len(places) else log


def ties(log: EventLog, n_ties: int) -> tuple[Ints, Ints]:
    """Places of a log sorted by customer and time that content decides, and the rows that go there.

    Parameters
    ----------
    n_ties
        How many rows equal the row before in customer and time.
    """
    places = np.empty(2 * n_ties, np.int64)
    places = places[: kernels.tied(log.offsets, address(log.event_time), places)]
    customer = np.searchsorted(log.offsets, places, "right")
    again = places[np.lexsort([key[places] for key in reversed(log.content)] + [customer])]
    moved = again != places
    return places[moved], again[moved]


def _by_customer_and_time(log: EventLog, who: Categorical) -> EventLog:
    codes, times = np.ascontiguousarray(who.codes), log.event_time
    order: Ints | slice = slice(None)
    if not kernels.order_of(log.n_events, address(codes), address(times)):
        order = np.lexsort((times, codes)).astype(np.int64)
        codes = codes[order]
    # Of sorted codes, so that nothing of the log's length is made.
    offsets = np.searchsorted(codes, np.arange(len(who.levels) + 1, dtype=np.int32))
    return log.rows(order, who.levels, offsets.astype(np.int64))
