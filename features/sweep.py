"""Counts, sums, means, shares and trends over windows of time, of all choices of events at once.

One walk over a customer's visible events keeps totals of every choice (a selection): how many,
when last, and sums of numbers. Wherever a window of some row begins or ends, the totals as they
stood are kept; a window's count or sum is the difference between two such records, four
selections an instruction. Sums are compensated (two doubles, after Dekker, 1971) and run in the
order of the customer's events, so they depend on nothing but those.

A record is a row of doubles: of each selection its count, then when its last event was (an
int64), of each sum how many values it has, then their sum, then its rounding error. Both lists
are filled up to a multiple of four.
"""
# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"
# ruff: noqa: SIM109

from typing import Any, NamedTuple

from numba import njit

from features.operations import COUNT, DAY, MEAN, RECENCY, SHARE, TENURE, TREND
from features.pointers import (
    after,
    as_address,
    as_double,
    as_int32,
    as_int64,
    doubles_after,
    four_times,
    put,
    since,
    take,
    where_any,
)


class Marks(NamedTuple):
    """The moments at which windows of some rows begin or end, and the totals at each."""

    moment: Any
    """Ascending, each once."""
    owner: Any
    """Which places of `at` a moment belongs to; needed while they are sorted."""
    at: Any
    """`(n_spans + 1, stride)`: the moment at which each span of each row begins; in the last row
    the cutoffs themselves."""
    record: Any
    """Where the record of each moment begins."""
    seen: Any
    """How many events had happened."""
    begin: Any
    """As `at`: where the record begins."""
    records: Any
    """Doubles."""
    first: Any
    """When the first event of each selection was."""
    stride: Any


@njit(error_model="numpy")
def four_up(n):
    """The next multiple of four."""
    return (n + 3) // 4 * 4


@njit(error_model="numpy")
def lanes_of(program):
    """Selections, filled up."""
    return four_up(program.n_selections)


@njit(error_model="numpy")
def sums_of(program):
    """Sums, filled up."""
    return four_up(program.sum_edges[program.n_selections])


@njit(error_model="numpy")
def record_size(program):
    """How many doubles a record has."""
    return 2 * lanes_of(program) + 3 * sums_of(program)


@njit(error_model="numpy")
def mark(cutoff, rows, program, marks):
    """List the moments at which windows of rows begin or end; gives how many there are.

    Rows ascend by their cutoffs, so each span's moments do too, and the lists are merged.
    """
    n = 0
    for w in range(program.n_spans + 1):
        length = program.spans[w] if w < program.n_spans else 0
        if w < program.n_spans and length == 0:
            continue
        i, to = n - 1, n + rows - 1
        for r in range(rows - 1, -1, -1):
            moment = cutoff[r] - length
            while i >= 0 and marks.moment[i] > moment:
                marks.moment[to] = marks.moment[i]
                marks.owner[to] = marks.owner[i]
                i -= 1
                to -= 1
            marks.moment[to] = moment
            marks.owner[to] = w * marks.stride + r
            to -= 1
        n += rows
    found = -1
    for i in range(n):
        moment = marks.moment[i]
        if found < 0 or moment != marks.moment[found]:
            found += 1
            marks.moment[found] = moment
        marks.at[marks.owner[i]] = found
    return found + 1


@njit(error_model="numpy")
def passes(event, selection, columns, program):
    """Whether an event fulfils a selection's further conditions."""
    for c in range(program.condition_edges[selection], program.condition_edges[selection + 1]):
        codes = as_int32(columns.codes[program.conditions[2 * c]])
        if program.tables[program.conditions[2 * c + 1] + codes[event] + 1] != 1:
            return False
    return True


@njit(error_model="numpy")
def _count(k, event, moment, columns, program, marks, lanes, sums):
    """Add an event to a selection's running totals."""
    running = marks.records
    n = running[k]
    if n == 0:
        marks.first[k] = moment
    running[k] = n + 1.0
    as_int64(as_address(running))[lanes + k] = moment
    _add_up(k, event, columns, program, marks, lanes, sums)


@njit(error_model="numpy")
def _add_up(k, event, columns, program, marks, lanes, sums):
    """Add an event's numbers to a selection's running sums."""
    running = marks.records
    for j in range(program.sum_edges[k], program.sum_edges[k + 1]):
        value = as_double(columns.numbers[program.sum_columns[j]])[event]
        if value == value:
            at = 2 * lanes + j
            high = running[at + sums]
            total = high + value
            part = total - high
            running[at] += 1.0
            running[at + sums] = total
            running[at + 2 * sums] += (high - (total - part)) + (value - part)


@njit(error_model="numpy")
def walk(columns, program, marks, n_marks, start, listed, event, time, m):
    """Walk the `m` visible events and keep the totals at each mark.

    `event` lists where they stand in the log if `listed`; else they are those from `start` on.
    """
    size = record_size(program)
    lanes, sums = lanes_of(program), sums_of(program)
    codes, table = as_int32(0), program.tables
    simple = program.n_splits == 1 and program.splits[2] >= 0
    if simple:
        codes = as_int32(columns.codes[program.splits[0]])
        table = after(program.tables, program.splits[2] + 1)
    for j in range(2 * size):
        marks.records[j] = 0.0
    record, p = size, 0
    some, last = program.sum_edges[1] > 0, as_int64(as_address(marks.records))
    for e in range(n_marks):
        moment = marks.moment[e]
        if p < m and time[p] <= moment:
            while p < m and time[p] <= moment:
                q = event[p] if listed else start + p
                if simple:
                    k = table[codes[q]]
                    if k >= 0:
                        _count(k, q, time[p], columns, program, marks, lanes, sums)
                else:
                    _classify(q, time[p], columns, program, marks, lanes, sums)
                if some:
                    _add_up(0, q, columns, program, marks, lanes, sums)
                p += 1
            marks.first[0] = time[0]
            marks.records[0] = float(p)
            last[lanes] = time[p - 1]
            record += size
            for j in range(0, size, 4):
                put(marks.records, record + j, take(marks.records, j))
        marks.record[e] = record
        marks.seen[e] = p
    return p


@njit(error_model="numpy")
def _classify(event, moment, columns, program, marks, lanes, sums):
    """Add an event to the totals of the selections that it belongs to."""
    for g in range(program.n_splits):
        code = as_int32(columns.codes[program.splits[3 * g]])[event]
        edge = program.splits[3 * g + 1] + 1 + code
        for j in range(program.split_edges[edge], program.split_edges[edge + 1]):
            k = program.split_selections[j]
            if passes(event, k, columns, program):
                _count(k, event, moment, columns, program, marks, lanes, sums)


@njit(error_model="numpy")
def find_records(rows, program, marks):
    """Where the record of each span of each row begins; that of all time begins at nothing."""
    size = record_size(program)
    for w in range(program.n_spans + 1):
        for r in range(w * marks.stride, w * marks.stride + rows):
            if w < program.n_spans and program.spans[w] == 0:
                marks.begin[r] = size
            else:
                marks.begin[r] = marks.record[marks.at[r]]


@njit(error_model="numpy")
def wide(cutoff, rows, program, marks, out):
    """Compute the wide operations: of operation `o` and row `r` four values, at
    `out[4 * (o * stride + r)]`."""
    for o in range(program.n_wide):
        what, k = program.wide[4 * o], program.wide[4 * o + 1]
        now = after(marks.begin, program.n_spans * marks.stride)
        then = after(marks.begin, program.wide[4 * o + 2] * marks.stride)
        to = doubles_after(out, 4 * o * marks.stride)
        if what == TREND:
            before = after(marks.begin, program.wide[4 * o + 3] * marks.stride)
            _trends(k, now, then, before, rows, marks.records, to)
        elif what == RECENCY or what == TENURE:
            _elapsed(what, k, cutoff, now, rows, program, marks, to)
        elif what == COUNT or what == SHARE:
            _counts(what, k, now, then, rows, marks.records, to)
        else:
            _sums(what, k, now, then, rows, program, marks.records, to)


@njit(error_model="numpy")
def _counts(what, k, now, then, rows, records, out):
    if what == COUNT:
        for r in range(rows):
            put(out, 4 * r, take(records, now[r] + k) - take(records, then[r] + k))
        return
    for r in range(rows):
        every = four_times(records[now[r]] - records[then[r]])
        n = take(records, now[r] + k) - take(records, then[r] + k)
        put(out, 4 * r, where_any(every, n / every))


@njit(error_model="numpy")
def _trends(k, now, then, before, rows, records, out):
    for r in range(rows):
        n = take(records, now[r] + k)
        longer, n = n - take(records, before[r] + k), n - take(records, then[r] + k)
        put(out, 4 * r, where_any(longer, n / longer))


@njit(error_model="numpy")
def _elapsed(what, k, cutoff, now, rows, program, marks, out):
    """Days since the last or first event."""
    day, lanes = four_times(float(DAY)), lanes_of(program)
    last = as_int64(as_address(marks.records))
    for r in range(rows):
        if what == RECENCY:
            days = since(cutoff[r], last, now[r] + lanes + k) / day
        else:
            days = since(cutoff[r], marks.first, k) / day
        put(out, 4 * r, where_any(take(marks.records, now[r] + k), days))


@njit(error_model="numpy")
def _sums(what, k, now, then, rows, program, records, out):
    """Sums and means; `k` is the first of four sums."""
    lanes, sums = lanes_of(program), sums_of(program)
    k += 2 * lanes
    for r in range(rows):
        a, b = now[r] + k, then[r] + k
        total = take(records, a + sums) - take(records, b + sums)
        total = total + (take(records, a + 2 * sums) - take(records, b + 2 * sums))
        if what == MEAN:
            n = take(records, a) - take(records, b)
            total = where_any(n, total / n)
        put(out, 4 * r, total)
