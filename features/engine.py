"""The one engine: features of any number of (customer, cutoff) rows in one call.

Takes an event log, an attribute log, rows and features; gives a matrix
`(n_rows, n_features)`. A training set, one customer's vector inside a request and a
partition on a cluster are the same call. Knows nothing about labels, models or files.

The work is done by one compiled pass over each customer's events and cutoffs
(`features.kernels`). The first call of a process loads the compiled pass from the disk, the
first one on a machine compiles it: call `warm_up` before a service listens.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import kernels
from features.categorical import ABSENT
from features.event_log import EventLog, Floats, Ints, address, build_log, empty_log
from features.feature import EVENT, Feature, Where
from features.groups import group_of, places
from features.kinds import ATTRIBUTES
from features.operations import Asked
from features.program import Part, Plan, accepted, last_code, prepare

BLOCK_CELLS = 8_000_000
"""Cells of the matrix between two reports of progress."""

THREAD_CELLS = 400_000
"""Fewer cells than this are not worth a second thread; a request has one row."""

Matrix = NDArray[np.float32]

NO_FLOAT, NO_DOUBLE = np.empty((0, 0), np.float32), np.empty((0, 0), np.float64)


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
    features: Plan | Sequence[Feature],
    log: EventLog,
    attributes: EventLog,
    rows: Rows,
    progress: Callable[[int, int], None] | None = None,
    threads: int | None = None,
) -> Matrix:
    """Features of every row.

    A feature reads events with `event_time <= cutoff_time` and
    `recorded_time <= known_time`; its window is `(cutoff_time - last, cutoff_time]`.

    Parameters
    ----------
    features
        A plan that `prepare` made, or features; give a plan where the same features are
        computed again and again.
    log, attributes
        Two logs over the same list of customers.
    progress
        Called with (rows done, rows in all) after each block.
    threads
        At most so many; as many as there are cores if None.

    Returns
    -------
    ndarray of float32, shape (n_rows, n_features)
        NaN where a feature is missing. Values are computed in float64 and rounded once, to the
        nearest float32: counts are exact up to 2**24 (16,777,216) and above it off by at most
        one part in 2**24; `compute_exact` keeps them.

    Beside the log and the matrix it takes memory for the order of the rows and for one customer a
    thread, whose rows are worked on in chunks: some numbers a row and a customer, whatever the
    length of the log.
    """
    plan = features if isinstance(features, Plan) else prepare(features)
    out = np.empty((len(rows), len(plan.features)), np.float32)
    _compute(plan, log, attributes, rows, out, NO_DOUBLE, progress, threads)
    return out


def compute_exact(
    features: Plan | Sequence[Feature], log: EventLog, attributes: EventLog, rows: Rows
) -> Floats:
    """The same in float64, where a moment is made of a feature's days or digits are compared."""
    plan = features if isinstance(features, Plan) else prepare(features)
    out = np.empty((len(rows), len(plan.features)), np.float64)
    _compute(plan, log, attributes, rows, NO_FLOAT, out, None, None)
    return out


def count_visible(log: EventLog, rows: Rows, where: Where, last: int | None) -> Ints:
    """How many chosen events each row sees in its window, shape `(n_rows,)`.

    What cohorts and rules ask, without a feature of its own.
    """
    feature = Feature("count", where, last=last)
    return compute_exact([feature], log, empty_log(log.customers), rows)[:, 0].astype(np.int64)


def first_recorded(log: EventLog, where: Where, customer: Ints, after: Ints, until: Ints) -> Ints:
    """When the first chosen event of each customer in `(after, until]` became known.

    What labels ask: an outcome is true whenever it was learnt. `kernels.NEVER` where there is
    no such event. `where` has at most one condition, and that on the event's name.

    Returns
    -------
    ndarray of int64, shape (n_rows,)
        The earliest `recorded_time`.
    """
    column, table = log.event, np.ones(len(log.event.levels) + 1, np.int64)
    if where.conditions:
        if len(where.conditions) > 1 or where.conditions[0].column != EVENT:
            raise ValueError(f"labels choose events by their name, not by {where}")
        table = accepted(column, where)
    kept = [_whole(log.offsets), _whole(log.event_time), _whole(log.recorded_time)]
    codes = np.ascontiguousarray(column.codes, np.int32)
    columns = np.array([*map(address, kept), address(codes), log.n_events], np.int64)
    rows = map(_owned, (customer, after, until))
    return np.asarray(kernels.first_recorded(columns, table, *rows))


def warm_up() -> None:
    """Load or compile the pass, so that no request waits for it."""
    # Two of one time, for ties are put in order.
    log = build_log(["c"] * 2, np.zeros(2, np.int64), ["e"] * 2)
    rows = Rows(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64))
    compute([Feature("count")], log, log, rows)
    compute([Feature("count")], log, log, rows.take(np.zeros(9, np.int64)))
    first_recorded(log, Where(), rows.customer, rows.cutoff_time, rows.cutoff_time)


def _compute(
    plan: Plan,
    log: EventLog,
    attributes: EventLog,
    rows: Rows,
    out_float: Matrix,
    out_double: Floats,
    progress: Callable[[int, int], None] | None,
    threads: int | None,
) -> None:
    if log.customers is not attributes.customers and log.customers != attributes.customers:
        raise ValueError("the event log and the attribute log list different customers")
    if not len(rows):
        return
    lowest = highest = rows.customer[0]
    if len(rows) > 1:
        lowest, highest = rows.customer.min(), rows.customer.max()
    if lowest < 0 or highest >= log.n_customers:
        raise ValueError(f"rows name customers beyond the log's {log.n_customers:,}")
    most = threads or (len(os.sched_getaffinity(0)) if len(rows) > 1 else 1)
    for number, part in enumerate(plan.parts):
        source = attributes if part.source == ATTRIBUTES else log
        report = progress if number == 0 else None
        if part.over is None:
            _run(part, source, rows, out_float, out_double, report, most)
        else:
            _run_group(part, log, rows, out_float, out_double, most)


def _run_group(
    part: Part, log: EventLog, rows: Rows, out_float: Matrix, out_double: Floats, threads: int
) -> None:
    """Fill the columns that read a group's events; missing where the group is not known."""
    assert part.over is not None
    group, place = group_of(log, part.over), np.full(len(rows), ABSENT, np.int64)
    if part.over in log.categories:
        last = np.empty((len(rows), 1))
        _run(last_code(part.over), log, rows, NO_FLOAT, last, None, threads)
        code = np.where(np.isnan(last[:, 0]), ABSENT, last[:, 0]).astype(np.int64)
        place = places(group, log.categories[part.over], code)
    known = place != ABSENT
    if known.any():
        asked = Rows(np.where(known, place, place[known][0]), rows.cutoff_time, rows.known_time)
        _run(part, group, asked, out_float, out_double, None, threads)
    for out in (out_float, out_double):
        if len(out) and not known.all():
            out[np.ix_(~known, part.columns)] = np.nan


def _run(
    part: Part,
    log: EventLog,
    rows: Rows,
    out_float: Matrix,
    out_double: Floats,
    progress: Callable[[int, int], None] | None,
    threads: int,
) -> None:
    """Fill the columns of one part, a block of customers at a time."""
    out = out_float if len(out_float) else out_double
    if len(rows) == 1:
        _run_one(part, log, rows, out)
        _report(progress, 1, 1)
        return
    program, columns = part.bind(log)
    customers, edges, order = _by_customer(rows.customer, log.n_customers)
    # Read where they are: a copy of all rows would be the largest thing that the engine makes.
    times = map(_whole, (rows.cutoff_time, rows.known_time))
    given = (customers, edges, order, *times, part.matrix_columns)
    addresses = map(address, given)
    sizes = (len(part.columns), address(out), out.shape[1], out is out_float)
    asked = np.array(Asked._make([*addresses, *sizes]), np.int64)

    def work(begin: int, end: int) -> None:
        kernels.fill(columns.fields, program.fields, asked, begin, end)

    width = len(part.columns)
    if len(rows) * width <= THREAD_CELLS or threads == 1:
        for begin, end in _blocks(edges, width, BLOCK_CELLS):
            work(begin, end)
            _report(progress, int(edges[end]), len(rows))
    else:
        pieces = list(_blocks(edges, width, max(THREAD_CELLS // 2, 1)))
        with ThreadPoolExecutor(threads) as pool:
            reported = 0
            for (_, end), _done in zip(pieces, pool.map(lambda p: work(*p), pieces), strict=True):
                if (int(edges[end]) - reported) * width >= BLOCK_CELLS or end == len(customers):
                    reported = int(edges[end])
                    _report(progress, reported, len(rows))


def _run_one(part: Part, log: EventLog, rows: Rows, out: Matrix | Floats) -> None:
    """Fill one row, as a request asks for: what takes long there is to say what is asked."""
    program, columns = part.bind(log)
    # The customer, where its rows begin in the order, the order, both times; then `Asked`.
    row = np.empty(6 + len(Asked._fields), np.int64)
    at = address(row)
    row[:] = (
        rows.customer[0], 0, 1, 0, rows.cutoff_time[0], rows.known_time[0],
        at, at + 8, at + 24, at + 32, at + 40, part.columns_address,
        len(part.columns), address(out), out.shape[1], out.itemsize == 4,
    )  # fmt: skip
    kernels.fill(columns.fields, program.fields, row[6:], 0, 1)


def _report(progress: Callable[[int, int], None] | None, done: int, of: int) -> None:
    if progress is not None:
        progress(done, of)


def _by_customer(customer: Ints, n_customers: int) -> tuple[Ints, Ints, Ints]:
    """Customers that have rows, where each one's rows begin in `order`, and `order`."""
    n = len(customer)
    if n * 8 > n_customers:
        order, edges = kernels.group_rows(_owned(customer), n_customers)
        some = np.flatnonzero(np.diff(edges))
        return some, np.append(edges[some], n), order
    order = np.argsort(customer, kind="stable")
    found, first = np.unique(customer[order], return_index=True)
    return found.astype(np.int64), np.append(first, n).astype(np.int64), order


def _blocks(edges: Ints, width: int, cells: int) -> Iterator[tuple[int, int]]:
    """Runs of customers with about so many cells each."""
    n = len(edges) - 1
    if int(edges[-1]) * width <= cells:
        yield 0, n
        return
    marks = np.arange(0, int(edges[-1]) + 1, max(cells // max(width, 1), 1))
    cuts = np.unique(np.append(np.searchsorted(edges, marks), n))
    cuts = np.unique(np.append(0, cuts))
    yield from zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)


def _whole(array: NDArray[Any]) -> Ints:
    return np.ascontiguousarray(array, np.int64)


def _owned(array: NDArray[Any]) -> Ints:
    """The same numbers in an array of the one kind that the compiled functions know."""
    return np.require(array, np.int64, ["C", "W"])
