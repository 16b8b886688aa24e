"""The compiled pass: every feature of every row, a customer at a time.

Takes addresses of flat columns, a program (see `features.program`) and rows in order of
their customers; fills a matrix. Knows nothing about names, features or logs.

What can be computed of four choices of events at a time, is, in `features.sweep`. For the rest a
customer's visible events are split once into the choices that features read; each choice
is then a short run of times, and every window of every row is a slice of it. Counts are
differences of integer prefix sums, sums of differences of compensated ones (two doubles, after
Dekker, 1971), extremes come from a stack of the values that a newer one has not beaten, distinct
levels from a list in order of last use. Time grows with events plus rows × features, also where
one customer has a million of both; a row to which an event came too late walks its customer's
history anew, together with the rows that miss the same events. Nothing depends on another
customer, on other rows or on events that a row may not see, so a batch equals one row bit for bit.

A million events, 18 million cells, milliseconds of CPU: 14 walking events and cutoffs, 14 wide
operations, 17 writing, of which some 5 are the pages of a fresh matrix. Tried and left out:
running totals in the newest record itself, whose copy then holds up the next event (40 instead of
15 for the walk).
"""
# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call, call-arg"
# ruff: noqa: SIM109

from hashlib import sha256
from inspect import getsource
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from features import operations, pointers, sweep
from features.operations import (
    BURSTINESS,
    BUSIEST_DAY,
    DAY,
    DAY_OF_MONTH,
    DAYS_ACTIVE,
    DISTINCT,
    EVENTS_SHARE,
    GAP_LAST,
    GAP_MAX,
    GAP_MEAN,
    GAP_STD,
    LAST_CHANGE,
    LAST_CODE,
    LAST_NUMBER,
    LAST_SUM,
    LATENESS,
    LEVEL_CHANGES,
    LEVEL_SHARE,
    MAX,
    MIN,
    MINUTE,
    MISSING_TIME,
    NEVER,
    NUMBER_CHANGES,
    PEER_RATE,
    SESSION_EVENTS,
    SESSION_MINUTES,
    SESSIONS,
    SLOPE,
    STAGE_CHANGES,
    STAGE_DAYS,
    STAGE_FURTHEST,
    STAGE_JUMPS,
    STAGE_NOW,
    STAGE_REGRESSIONS,
    STATED,
    STD,
    WEEKDAY,
    ZERO_SHARE,
    open_asked,
    open_columns,
    open_program,
)  # fmt: skip
from features.pointers import (
    after,
    as_double,
    as_float,
    as_int32,
    as_int64,
    doubles_after,
)
from features.sweep import Marks, find_records, four_up, mark, passes, record_size, walk, wide

SESSION_PAUSE = 30 * MINUTE
"""A pause between two events that is longer than this many microseconds ends a session."""

PRIOR_ROWS = 20.0
"""A level's rate is mixed with that of all levels as if so many rows had the latter."""

ROOMY = 100_000
"""Lists of up to so many places get them without counting what they will hold."""

CHUNK_ROWS = 256
"""Rows of one customer that are worked on at once, at least."""

CHUNKS = 16
"""As often as this at most a customer's events are walked, where rows are no more than events:
its rows are worked on in chunks that grow with its events. The memory of a chunk does too, but no
faster than that of the events."""

FEW_EVENTS = 1_000
"""Of so many events different levels are counted by walking a list of them; of more by a tree."""

SCANNED = 16
"""Windows are scanned for the earliest record while all of them hold at most so many events for
each row and event; where they hold more, a tree of minima is asked."""

NAN = np.nan

SOURCES = sha256("".join(map(getsource, (operations, pointers, sweep))).encode()).hexdigest()
"""Numba looks at this file alone when it decides whether a compiled copy on the disk is still
good, so that what stands in others becomes part of the copy's key."""


class Chosen(NamedTuple):
    """The chosen events of a customer, and the rows that read them."""

    n: Any
    time: Any
    place: Any
    """Position of each in the customer's visible events."""
    before: Any
    """How many chosen ones stand before each visible event, and before their end."""
    event: Any
    """Position of each visible event in the log."""
    rows: Any
    cutoff: Any
    known: Any
    high: Any
    """How many chosen events each row sees."""
    low: Any
    """`(n_windows, stride)`: the first one inside each window, a row each."""
    all_high: Any
    """How many events of any kind each row sees."""
    span_low: Any
    """`(n_spans, stride)`: the first of them inside each span."""
    stride: Any
    """The most rows: so many places has each column of the customer's own small matrix."""


class Scratch(NamedTuple):
    """Memory for one customer's events, reused by the next: int64 and double pointers."""

    a: Any
    b: Any
    c: Any
    d: Any
    e: Any
    f: Any
    g: Any
    h: Any
    i: Any
    j: Any
    last: Any
    older: Any
    newer: Any


class Room(NamedTuple):
    """All memory for one customer, reused by the next."""

    scratch: Any
    marks: Any
    event: Any
    """The visible events, and when they happened."""
    all_time: Any
    time: Any
    """When the chosen ones did, and how many stand before each visible one."""
    before: Any
    values: Any
    """The chosen events' numbers or codes."""
    codes: Any
    found: Any
    """What wide operations gave (see `features.sweep`), and what the others did."""
    single: Any
    cutoff: Any
    """Of the rows that are worked on."""
    known: Any
    seen: Any
    """Rows that see every event up to their cutoff, and the others."""
    late: Any
    all_high: Any
    """See `Chosen`."""
    high: Any
    low: Any
    span_low: Any
    base: Any
    """Where each column's first value is in `found`, and its column of the matrix."""
    to: Any
    first: Any
    """Where the list of each selection begins, and its length."""
    size: Any
    stride: Any
    """The most rows."""


# ---- exact arithmetic with two doubles ----


@njit(error_model="numpy")
def _two_sum(a, b):
    """a + b as a sum and its rounding error."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@njit(error_model="numpy")
def _two_product(a, b):
    """a × b as a product and its rounding error."""
    p = a * b
    x = 134217729.0 * a
    ah = x - (x - a)
    al = a - ah
    y = 134217729.0 * b
    bh = y - (y - b)
    bl = b - bh
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


@njit(error_model="numpy")
def _add(h, lo, x, y):
    """(h + lo) + (x + y), as two doubles."""
    s, e = _two_sum(h, x)
    return _two_sum(s, e + (lo + y))


@njit(error_model="numpy")
def _multiply(h, lo, x, y):
    """(h + lo) × (x + y), as two doubles."""
    p, e = _two_product(h, x)
    return _two_sum(p, e + (h * y + lo * x))


@njit(error_model="numpy")
def _between(high, low, start, end):
    """The sum of a slice from compensated prefix sums, as two doubles."""
    return _add(high[end], low[end], -high[start], -low[start])


# ---- how often, how recently, in what rhythm ----


@njit(error_model="numpy")
def _divide(above, below):
    return above / below if below > 0 else NAN


@njit(error_model="numpy")
def _event_shares(v, slots, begin, end, out):
    """Shares of the latest events of any kind."""
    for k in range(begin, end):
        w, other, column = slots[3 * k], slots[3 * k + 1], slots[3 * k + 2]
        for r in range(v.rows):
            first = max(0, v.all_high[r] - other)
            low = max(v.low[w * v.stride + r], v.before[first])
            out[column * v.stride + r] = _divide(
                float(v.high[r] - low), float(v.all_high[r] - first)
            )


@njit(error_model="numpy")
def _pauses(what, v, slots, begin, out):
    """The last pause, and how long the present one is against the usual one."""
    column = slots[3 * begin + 2]
    for r in range(v.rows):
        n = v.high[r]
        value = NAN
        if n > 1:
            last, first = v.time[n - 1], v.time[0]
            if what == GAP_LAST:
                value = (last - v.time[n - 2]) / DAY
            else:
                value = _divide((v.cutoff[r] - last) / DAY, (last - first) / DAY / (n - 1))
        out[column * v.stride + r] = value


@njit(error_model="numpy")
def _gap_means(v, slots, begin, end, out):
    for k in range(begin, end):
        w, column = slots[3 * k], slots[3 * k + 2]
        for r in range(v.rows):
            low, n = v.low[w * v.stride + r], v.high[r] - v.low[w * v.stride + r]
            out[column * v.stride + r] = (
                (v.time[low + n - 1] - v.time[low]) / DAY / (n - 1) if n > 1 else NAN
            )


@njit(error_model="numpy")
def _gaps(what, v, slots, begin, out):
    """Spread and extreme of all pauses (Welford, 1962), and the most events on one day."""
    column = slots[3 * begin + 2]
    p, n = 0, 0.0
    mean = spread = longest = 0.0
    today, busiest = 0, 0
    for r in range(v.rows):
        while p < v.high[r]:
            if p > 0:
                gap = (v.time[p] - v.time[p - 1]) / DAY
                n += 1.0
                step = gap - mean
                mean += step / n
                spread += step * (gap - mean)
                longest = max(longest, gap)
                same = v.time[p] // DAY == v.time[p - 1] // DAY
                today = today + 1 if same else 1
            else:
                today = 1
            busiest = max(busiest, today)
            p += 1
        value = NAN
        if what == BUSIEST_DAY:
            value = float(busiest)
        elif what == GAP_MAX and n > 0:
            value = longest
        elif n > 1:
            deviation = np.sqrt(spread / (n - 1))
            if what == GAP_STD:
                value = deviation
            elif what == BURSTINESS:
                value = (deviation - mean) / (deviation + mean) if deviation + mean > 0 else NAN
        out[column * v.stride + r] = value


@njit(error_model="numpy")
def _runs(what, v, slots, begin, end, out, s):
    """Days and sessions: runs of events; a window cuts the run that it begins in."""
    starts, inside = s.a, s.b
    starts[0] = inside[0] = 0
    for p in range(v.n):
        new = 1
        within = 0
        if p > 0:
            if what == DAYS_ACTIVE:
                new = int(v.time[p] // DAY != v.time[p - 1] // DAY)
            else:
                pause = v.time[p] - v.time[p - 1]
                new = int(pause > SESSION_PAUSE)
                within = 0 if new else pause
        starts[p + 1] = starts[p] + new
        inside[p + 1] = inside[p] + within
    for k in range(begin, end):
        w, column = slots[3 * k], slots[3 * k + 2]
        for r in range(v.rows):
            low, high = v.low[w * v.stride + r], v.high[r]
            runs = starts[high] - starts[low + 1] + 1 if high > low else 0
            if what == DAYS_ACTIVE or what == SESSIONS:
                out[column * v.stride + r] = runs
            elif what == SESSION_EVENTS:
                out[column * v.stride + r] = _divide(float(high - low), float(runs))
            elif runs:
                out[column * v.stride + r] = (inside[high] - inside[low + 1]) / MINUTE / runs
            else:
                out[column * v.stride + r] = NAN


# ---- numbers ----


@njit(error_model="numpy")
def _sums(v, x, slots, begin, end, out, s):
    """Sums, and means where a slot's other number is 1."""
    n, high_sum, low_sum = s.a, s.e, s.f
    n[0] = 0
    high_sum[0] = low_sum[0] = 0.0
    for p in range(v.n):
        value = x[p]
        present = value == value
        n[p + 1] = n[p] + present
        if present:
            total, error = _two_sum(high_sum[p], value)
            high_sum[p + 1] = total
            low_sum[p + 1] = low_sum[p] + error
        else:
            high_sum[p + 1] = high_sum[p]
            low_sum[p + 1] = low_sum[p]
    for k in range(begin, end):
        w, mean, column = slots[3 * k], slots[3 * k + 1], slots[3 * k + 2]
        for r in range(v.rows):
            low, high = v.low[w * v.stride + r], v.high[r]
            total = (high_sum[high] - high_sum[low]) + (low_sum[high] - low_sum[low])
            if mean:
                total = _divide(total, float(n[high] - n[low]))
            out[column * v.stride + r] = total


@njit(error_model="numpy")
def _spreads(v, x, slots, begin, end, out, s):
    """Standard deviations, from exact sums of values and squares."""
    n, sh, sl, qh, ql = s.a, s.e, s.f, s.g, s.h
    n[0] = 0
    sh[0] = sl[0] = qh[0] = ql[0] = 0.0
    for p in range(v.n):
        value = x[p] if x[p] == x[p] else 0.0
        n[p + 1] = n[p] + (x[p] == x[p])
        sh[p + 1], sl[p + 1] = _add(sh[p], sl[p], value, 0.0)
        square, error = _two_product(value, value)
        qh[p + 1], ql[p + 1] = _add(qh[p], ql[p], square, error)
    for k in range(begin, end):
        w, column = slots[3 * k], slots[3 * k + 2]
        for r in range(v.rows):
            low, high = v.low[w * v.stride + r], v.high[r]
            m = float(n[high] - n[low])
            value = NAN
            if m > 1:
                a, b = _between(sh, sl, low, high)
                c, d = _between(qh, ql, low, high)
                a, b = _multiply(a, b, a, b)
                c, d = _multiply(c, d, m, 0.0)
                c, d = _add(c, d, -a, -b)
                value = np.sqrt(max(c, 0.0) / m / (m - 1.0))
            out[column * v.stride + r] = value


@njit(error_model="numpy")
def _slopes(v, x, slots, begin, end, out, s):
    """Least-squares slopes: sums of time, its square, the value and their product, exact."""
    th, tl, uh, ul, vh, vl, wh, wl = s.e, s.f, s.g, s.h, s.i, s.j, s.c, s.d
    n, following = s.a, s.b
    n[0] = 0
    th[0] = tl[0] = uh[0] = ul[0] = vh[0] = vl[0] = wh[0] = wl[0] = 0.0
    for p in range(v.n):
        q = p + 1
        th[q], tl[q], uh[q], ul[q] = th[p], tl[p], uh[p], ul[p]
        vh[q], vl[q], wh[q], wl[q], n[q] = vh[p], vl[p], wh[p], wl[p], n[p]
        if x[p] == x[p]:
            day = (v.time[p] - v.time[0]) / DAY
            n[q] += 1
            th[q], tl[q] = _add(th[p], tl[p], day, 0.0)
            square, error = _two_product(day, day)
            uh[q], ul[q] = _add(uh[p], ul[p], square, error)
            vh[q], vl[q] = _add(vh[p], vl[p], x[p], 0.0)
            square, error = _two_product(day, x[p])
            wh[q], wl[q] = _add(wh[p], wl[p], square, error)
    following[v.n] = v.n
    for p in range(v.n - 1, -1, -1):
        following[p] = p if x[p] == x[p] else following[p + 1]
    for k in range(begin, end):
        w, column = slots[3 * k], slots[3 * k + 2]
        p, newest = 0, -1
        for r in range(v.rows):
            low, high = v.low[w * v.stride + r], v.high[r]
            m = float(n[high] - n[low])
            out[column * v.stride + r] = NAN
            while p < high:
                if x[p] == x[p]:
                    newest = p
                p += 1
            if m > 1 and v.time[newest] > v.time[following[low]]:
                a, b = _between(th, tl, low, high)
                c, d = _between(uh, ul, low, high)
                e, f = _between(vh, vl, low, high)
                g, h = _between(wh, wl, low, high)
                c, d = _multiply(c, d, m, 0.0)
                g, h = _multiply(g, h, m, 0.0)
                e, f = _multiply(e, f, a, b)
                a, b = _multiply(a, b, a, b)
                below, _ = _add(c, d, -a, -b)
                above, _ = _add(g, h, -e, -f)
                if below > 0:
                    out[column * v.stride + r] = above / below


@njit(error_model="numpy")
def _zero_shares(v, x, slots, begin, end, out, s):
    n, zeros = s.a, s.b
    n[0] = zeros[0] = 0
    for p in range(v.n):
        n[p + 1] = n[p] + (x[p] == x[p])
        zeros[p + 1] = zeros[p] + (x[p] == 0.0)
    for k in range(begin, end):
        w, column = slots[3 * k], slots[3 * k + 2]
        for r in range(v.rows):
            low, high = v.low[w * v.stride + r], v.high[r]
            out[column * v.stride + r] = _divide(
                float(zeros[high] - zeros[low]), float(n[high] - n[low])
            )


@njit(error_model="numpy")
def _extremes(what, v, x, slots, begin, end, out, s):
    """Smallest or largest value: a stack of the values that no newer one has beaten."""
    sign = 1.0 if what == MAX else -1.0
    at, held = s.a, s.e
    p = top = 0
    for r in range(v.rows):
        while p < v.high[r]:
            value = sign * x[p]
            if value == value:
                while top > 0 and held[top - 1] <= value:
                    top -= 1
                held[top] = value
                at[top] = p
                top += 1
            p += 1
        for k in range(begin, end):
            edge = v.low[slots[3 * k] * v.stride + r]
            value = NAN
            if top > 0 and at[top - 1] >= edge:
                low, high = 0, top - 1
                while low < high:
                    middle = (low + high) // 2
                    if at[middle] >= edge:
                        high = middle
                    else:
                        low = middle + 1
                value = sign * held[low]
            out[slots[3 * k + 2] * v.stride + r] = value


@njit(error_model="numpy")
def _last_numbers(what, v, x, slots, begin, out):
    """The last value, or its step from the one before."""
    column = slots[3 * begin + 2]
    p = 0
    last = before = NAN
    for r in range(v.rows):
        while p < v.high[r]:
            if x[p] == x[p]:
                before = last
                last = x[p]
            p += 1
        out[column * v.stride + r] = last if what == LAST_NUMBER else last - before


@njit(error_model="numpy")
def _number_changes(v, x, slots, begin, end, out, s):
    changed = s.a
    changed[0] = 0
    last = NAN
    for p in range(v.n):
        step = 0
        if x[p] == x[p]:
            step = int(last == last and x[p] != last)
            last = x[p]
        changed[p + 1] = changed[p] + step
    _slices(changed, v, slots, begin, end, out)


@njit(error_model="numpy")
def _slices(before, v, slots, begin, end, out):
    """Differences of an integer prefix sum."""
    for k in range(begin, end):
        w, column = slots[3 * k], slots[3 * k + 2]
        for r in range(v.rows):
            out[column * v.stride + r] = before[v.high[r]] - before[v.low[w * v.stride + r]]


# ---- categories ----


@njit(error_model="numpy")
def _distinct(v, codes, slots, begin, end, out, s):
    """Different levels: a list of levels in order of last use, walked to the window's edge."""
    last, older, newer = s.last, s.older, s.newer
    head, total, p = -1, 0, 0
    for r in range(v.rows):
        while p < v.high[r]:
            code = codes[p]
            if code >= 0 and code != head:
                if last[code] >= 0:
                    up, down = newer[code], older[code]
                    older[up] = down
                    if down >= 0:
                        newer[down] = up
                else:
                    total += 1
                older[code] = head
                if head >= 0:
                    newer[head] = code
                head = code
            if code >= 0:
                last[code] = p
            p += 1
        for k in range(begin, end):
            edge = v.low[slots[3 * k] * v.stride + r]
            found = total
            if edge > 0:
                found, at = 0, head
                while at >= 0 and last[at] >= edge:
                    found += 1
                    at = older[at]
            out[slots[3 * k + 2] * v.stride + r] = found
    while head >= 0:
        last[head] = -1
        head = older[head]


@njit(error_model="numpy")
def _distinct_of_many(v, codes, slots, begin, end, out, s):
    """The same where a window may hold very many levels: a tree (Fenwick, 1994) over the events
    counts those at which a level was used last."""
    last, tree, size = s.last, s.a, v.n + 1
    for q in range(size):
        tree[q] = 0
    p = 0
    for r in range(v.rows):
        while p < v.high[r]:
            code = codes[p]
            if code >= 0:
                q = last[code] + 1
                while 0 < q < size:
                    tree[q] -= 1
                    q += q & -q
                last[code] = p
                q = p + 1
                while q < size:
                    tree[q] += 1
                    q += q & -q
            p += 1
        for k in range(begin, end):
            found, q = 0, v.high[r]
            while q > 0:
                found += tree[q]
                q -= q & -q
            q = v.low[slots[3 * k] * v.stride + r]
            while q > 0:
                found -= tree[q]
                q -= q & -q
            out[slots[3 * k + 2] * v.stride + r] = found
    for q in range(p):
        if codes[q] >= 0:
            last[codes[q]] = -1


@njit(error_model="numpy")
def _last_levels(what, v, codes, tables, table, slots, begin, out):
    """The position of the last level in the feature's list, or its bare code."""
    column = slots[3 * begin + 2]
    p, last = 0, -1
    for r in range(v.rows):
        while p < v.high[r]:
            if codes[p] >= 0:
                last = codes[p]
            p += 1
        value = NAN
        if last >= 0:
            position = last if what == LAST_CODE else tables[table + last + 1]
            value = float(position) if position >= 0 else NAN
        out[column * v.stride + r] = value


@njit(error_model="numpy")
def _level_shares(v, codes, tables, table, slots, begin, end, out, s):
    present, equal = s.a, s.b
    present[0] = equal[0] = 0
    for p in range(v.n):
        present[p + 1] = present[p] + (codes[p] >= 0)
        equal[p + 1] = equal[p] + (tables[table + codes[p] + 1] == 0)
    for k in range(begin, end):
        w, column = slots[3 * k], slots[3 * k + 2]
        for r in range(v.rows):
            low, high = v.low[w * v.stride + r], v.high[r]
            out[column * v.stride + r] = _divide(
                float(equal[high] - equal[low]), float(present[high] - present[low])
            )


@njit(error_model="numpy")
def _level_changes(v, codes, slots, begin, end, out, s):
    changed = s.a
    changed[0] = 0
    last = -1
    for p in range(v.n):
        step = 0
        if codes[p] >= 0:
            step = int(last >= 0 and codes[p] != last)
            last = codes[p]
        changed[p + 1] = changed[p] + step
    _slices(changed, v, slots, begin, end, out)


@njit(error_model="numpy")
def _known_rate(program, which, moment):
    """The counts of a list of rates that hold at a moment: (known, true)."""
    low, high = program.rate_edges[which], program.rate_edges[which + 1]
    first = low
    while low < high:
        middle = (low + high) // 2
        if program.rate_times[middle] <= moment:
            low = middle + 1
        else:
            high = middle
    if low == first:
        return 0.0, 0.0
    return program.rate_counts[2 * low - 2], program.rate_counts[2 * low - 1]


@njit(error_model="numpy")
def _peer_rates(v, codes, program, table, slots, begin, out):
    """The rate of the last level among outcomes known by then, drawn towards that of all.

    A row may be asked long after its cutoff, once its anchor was recorded: what became of others
    after the cutoff is not for it, and its own outcome may be among that.
    """
    column = slots[3 * begin + 2]
    p, last = 0, -1
    for r in range(v.rows):
        while p < v.high[r]:
            if codes[p] >= 0:
                last = codes[p]
            p += 1
        out[column * v.stride + r] = NAN
        if last < 0:
            continue
        which = program.tables[table + last + 1]
        moment = min(v.known[r], v.cutoff[r])
        all_n, all_true = _known_rate(program, program.tables[table], moment)
        if which >= 0 and all_n > 0:
            n, true = _known_rate(program, which, moment)
            if n > 0:
                out[column * v.stride + r] = (true + PRIOR_ROWS * all_true / all_n) / (
                    n + PRIOR_ROWS
                )


# ---- dates and stages ----


@njit(error_model="numpy")
def _dates(what, v, times, slots, begin, out):
    """Days until the last known date, or since it was stated."""
    column = slots[3 * begin + 2]
    p, last = 0, -1
    for r in range(v.rows):
        while p < v.high[r]:
            if times[v.event[v.place[p]]] != MISSING_TIME:
                last = p
            p += 1
        value = NAN
        if last >= 0:
            if what == STATED:
                value = (v.cutoff[r] - v.time[last]) / DAY
            else:
                value = (times[v.event[v.place[last]]] - v.cutoff[r]) / DAY
        out[column * v.stride + r] = value


@njit(error_model="numpy")
def _stages(what, v, codes, tables, table, slots, begin, end, out, s):
    """Where the journey stands among the stages, and how it moved between them."""
    moved = s.a
    moved[0] = 0
    now, now_at, furthest, entered = s.b, s.c, -1, 0
    stage = -1
    far = s.d
    for p in range(v.n):
        found = tables[table + codes[p] + 1]
        step = 0
        if found >= 0:
            if found != stage:
                if stage >= 0:
                    jump = what == STAGE_JUMPS and found > stage + 1
                    back = what == STAGE_REGRESSIONS and found < stage
                    step = int(what == STAGE_CHANGES or jump or back)
                entered = p
            stage = found
            furthest = max(furthest, found)
        moved[p + 1] = moved[p] + step
        now[p], now_at[p], far[p] = stage, float(entered), float(furthest)
    if what == STAGE_CHANGES or what == STAGE_JUMPS or what == STAGE_REGRESSIONS:
        _slices(moved, v, slots, begin, end, out)
        return
    column = slots[3 * begin + 2]
    for r in range(v.rows):
        last = v.high[r] - 1
        value = NAN
        if last >= 0 and now[last] >= 0:
            if what == STAGE_NOW:
                value = float(now[last])
            elif what == STAGE_DAYS:
                value = (v.cutoff[r] - v.time[int(now_at[last])]) / DAY
            else:
                value = far[last] + 1.0
        out[column * v.stride + r] = value


@njit(error_model="numpy")
def _calendar(what, v, slots, begin, out):
    """The cutoff in the calendar (the date from days, after Hinnant, 2013)."""
    column = slots[3 * begin + 2]
    for r in range(v.rows):
        day = v.cutoff[r] // DAY
        if what == WEEKDAY:
            out[column * v.stride + r] = (day + 3) % 7
            continue
        shifted = day + 719468
        of_era = shifted - shifted // 146097 * 146097
        year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
        of_year = of_era - (365 * year + year // 4 - year // 100)
        month = (5 * of_year + 2) // 153
        if what == DAY_OF_MONTH:
            out[column * v.stride + r] = of_year - (153 * month + 2) // 5 + 1
        else:
            out[column * v.stride + r] = month + 3 if month < 10 else month - 9


# ---- the pass ----


@njit(error_model="numpy")
def _operate(o, v, columns, program, x, codes, out, s):  # noqa: C901, PLR0912
    """One operation on the chosen events of one customer: a case a kind."""
    what, column = program.operations[5 * o], program.operations[5 * o + 1]
    begin, end = program.operations[5 * o + 2], program.operations[5 * o + 3]
    table = program.operations[5 * o + 4]
    slots, tables = program.slots, program.tables
    if what == EVENTS_SHARE:
        _event_shares(v, slots, begin, end, out)
    elif what == LATENESS or what == GAP_LAST:
        _pauses(what, v, slots, begin, out)
    elif what == GAP_MEAN:
        _gap_means(v, slots, begin, end, out)
    elif GAP_STD <= what <= BUSIEST_DAY:
        _gaps(what, v, slots, begin, out)
    elif what == DAYS_ACTIVE or SESSIONS <= what <= SESSION_MINUTES:
        _runs(what, v, slots, begin, end, out, s)
    elif what == LAST_SUM:
        _sums(v, x, slots, begin, end, out, s)
    elif what == STD:
        _spreads(v, x, slots, begin, end, out, s)
    elif what == SLOPE:
        _slopes(v, x, slots, begin, end, out, s)
    elif what == ZERO_SHARE:
        _zero_shares(v, x, slots, begin, end, out, s)
    elif MIN <= what <= MAX:
        _extremes(what, v, x, slots, begin, end, out, s)
    elif LAST_NUMBER <= what <= LAST_CHANGE:
        _last_numbers(what, v, x, slots, begin, out)
    elif what == NUMBER_CHANGES:
        _number_changes(v, x, slots, begin, end, out, s)
    elif what == DISTINCT and v.n <= FEW_EVENTS:
        _distinct(v, codes, slots, begin, end, out, s)
    elif what == DISTINCT:
        _distinct_of_many(v, codes, slots, begin, end, out, s)
    elif what == LEVEL_SHARE:
        _level_shares(v, codes, tables, table, slots, begin, end, out, s)
    elif what == LEVEL_CHANGES:
        _level_changes(v, codes, slots, begin, end, out, s)
    elif what == PEER_RATE:
        _peer_rates(v, codes, program, table, slots, begin, out)
    elif what <= LAST_CODE:
        _last_levels(what, v, codes, tables, table, slots, begin, out)
    elif what <= STATED:
        _dates(what, v, as_int64(columns.times[column]), slots, begin, out)
    elif what <= STAGE_FURTHEST:
        _stages(what, v, codes, tables, table, slots, begin, end, out, s)
    else:
        _calendar(what, v, slots, begin, out)


@njit(error_model="numpy")
def _count_matches(event, m, columns, program, size):
    """How long the list of each selection can get."""
    for k in range(1, program.n_listed):
        size[k] = 0
    for g in range(program.n_splits):
        codes = as_int32(columns.codes[program.splits[3 * g]])
        base = program.splits[3 * g + 1] + 1
        for i in range(m):
            edge = base + codes[event[i]]
            for j in range(program.split_edges[edge], program.split_edges[edge + 1]):
                k = program.split_selections[j]
                if k < program.n_listed:
                    size[k] += 1


@njit(error_model="numpy")
def _split(event, m, columns, program, first, size, chosen):  # noqa: C901
    """List the visible events of each selection that has operations of its own; 0 has them all.

    Fills `first` (where each list begins) and `size`, both `(n_listed,)`; gives the lists.
    """
    n_listed = program.n_listed
    for k in range(n_listed):
        size[k] = m
    if n_listed * m > ROOMY:
        _count_matches(event, m, columns, program, size)
    total = 0
    for k in range(n_listed):
        first[k] = total
        total += size[k]
        size[k] = 0
    size[0] = m
    if total > len(chosen):
        chosen = np.empty(2 * total, np.int64)
    for i in range(m):
        chosen[i] = i
    for g in range(program.n_splits):
        codes = as_int32(columns.codes[program.splits[3 * g]])
        base = program.splits[3 * g + 1] + 1
        table = program.splits[3 * g + 2] + 1
        if table > 0:
            for i in range(m):
                k = program.tables[table + codes[event[i]]]
                if 0 <= k < n_listed:
                    chosen[first[k] + size[k]] = i
                    size[k] += 1
            continue
        for i in range(m):
            edge = base + codes[event[i]]
            for j in range(program.split_edges[edge], program.split_edges[edge + 1]):
                k = program.split_selections[j]
                if k < n_listed and passes(event[i], k, columns, program):
                    chosen[first[k] + size[k]] = i
                    size[k] += 1
    return chosen


@njit(error_model="numpy")
def _spans(v, program, marks):
    """Each row's slices of all visible events."""
    for r in range(v.rows):
        v.all_high[r] = marks.seen[marks.at[program.n_spans * marks.stride + r]]
        for w in range(program.n_spans):
            low = 0
            if program.spans[w] > 0:
                low = marks.seen[marks.at[w * marks.stride + r]]
            v.span_low[w * v.stride + r] = low


@njit(error_model="numpy")
def _select(k, v, program, place, n, time, before):
    """The chosen events of selection `k`, given where they stand among all visible ones.

    `before`, the number of chosen ones before each visible event, turns the slices of all
    events into slices of these without another search.
    """
    for q in range(v.n + 1):
        before[q] = 0
    for p in range(n):
        before[place[p] + 1] = 1
        time[p] = v.time[place[p]]
    for q in range(v.n):
        before[q + 1] += before[q]
    for r in range(v.rows):
        v.high[r] = before[v.all_high[r]]
    begin = program.window_edges[k]
    for w in range(program.window_edges[k + 1] - begin):
        span = program.windows[begin + w]
        for r in range(v.rows):
            low = max(0, v.high[r] + span)
            if span >= 0:
                low = before[v.span_low[span * v.stride + r]]
            v.low[w * v.stride + r] = low
    return Chosen(
        n, time, place, before, v.event, v.rows, v.cutoff, v.known, v.high, v.low, v.all_high,
        v.span_low, v.stride,
    )  # fmt: skip


@njit(error_model="numpy")
def _customer(everything, columns, program, room):
    """Every operation on single selections, from the customer's visible events."""
    for k in range(program.n_listed):
        n = room.size[k]
        place = after(everything.place, room.first[k])
        v = _select(k, everything, program, place, n, room.time, room.before)
        number = category = -1
        for o in range(program.operation_edges[k], program.operation_edges[k + 1]):
            what, column = program.operations[5 * o], program.operations[5 * o + 1]
            numeric = LAST_SUM <= what <= NUMBER_CHANGES
            if numeric and column != number:
                source = as_double(columns.numbers[column])
                for p in range(n):
                    room.values[p] = source[v.event[v.place[p]]]
                number = column
            textual = DISTINCT <= what <= PEER_RATE or STAGE_NOW <= what <= STAGE_FURTHEST
            if textual and column != category:
                levels = as_int32(columns.codes[column])
                for p in range(n):
                    room.codes[p] = levels[v.event[v.place[p]]]
                category = column
            _operate(o, v, columns, program, room.values, room.codes, room.single, room.scratch)


@njit(error_model="numpy")
def _sort_rows(order, begin, end, cutoff):
    """Put one customer's rows in order of their cutoffs, in place."""
    ascending = True
    for i in range(begin + 1, end):
        if cutoff[order[i]] < cutoff[order[i - 1]]:
            ascending = False
            break
    if ascending:
        return
    rows, times = np.empty(end - begin, np.int64), np.empty(end - begin, np.int64)
    for i in range(begin, end):
        rows[i - begin] = order[i]
        times[i - begin] = cutoff[order[i]]
    sorted_ = np.argsort(times, kind="mergesort")
    for i in range(begin, end):
        order[i] = rows[sorted_[i - begin]]


@njit(error_model="numpy")
def _lay(program, asked, stride, base, to):
    """Where the first value of each column is among a customer's own, and its matrix column.

    Those of wide operations come first; gives how many they are. Their next row is 4 places on,
    that of the others 1.
    """
    n = n_wide = 0
    for wide_ones in (True, False):
        for j in range(asked.width):
            place = program.places[j]
            if (place >= 0) == wide_ones:
                base[n] = (4 * program.n_wide - 1 - place) * stride
                if wide_ones:
                    base[n] = place // 4 * 4 * stride + place % 4
                    n_wide += 1
                to[n] = asked.columns[j]
                n += 1
    return n_wide


@njit(error_model="numpy")
def _write(n, n_wide, asked, room):
    """Copy one customer's values to their places in the matrix."""
    found, base, to = room.found, room.base, room.to
    for i in range(n):
        begin = asked.order[room.seen[i]] * asked.matrix_width
        if asked.is_float:
            single = as_float(asked.matrix + 4 * begin)
            for j in range(n_wide):
                single[to[j]] = found[base[j] + 4 * i]
            for j in range(n_wide, asked.width):
                single[to[j]] = found[base[j] + i]
        else:
            double = as_double(asked.matrix + 8 * begin)
            for j in range(n_wide):
                double[to[j]] = found[base[j] + 4 * i]
            for j in range(n_wide, asked.width):
                double[to[j]] = found[base[j] + i]


@njit(error_model="numpy")
def _visible(asked, columns, start, stop, begin, end, seen, late):
    """Sort rows into those that see every event up to their cutoff and the others.

    Returns how many there are of each.
    """
    n_seen = n_late = 0
    p, newest = start, MISSING_TIME
    for i in range(begin, end):
        row = asked.order[i]
        if columns.same_time:
            newest = asked.cutoff[row]
        while p < stop and not columns.same_time and columns.event_time[p] <= asked.cutoff[row]:
            newest = max(newest, columns.recorded_time[p])
            p += 1
        if newest <= asked.known[row]:
            seen[n_seen] = i
            n_seen += 1
        else:
            late[n_late] = i
            n_late += 1
    return n_seen, n_late


@njit(error_model="numpy")
def _events_of(columns, start, stop, cutoff, known, every, event, time):
    """List the events that a row may see: of all of them those that were recorded in time."""
    m = 0
    for q in range(start, stop):
        if columns.event_time[q] > cutoff:
            break
        if every or columns.recorded_time[q] <= known:
            event[m] = q
            time[m] = columns.event_time[q]
            m += 1
    return m


@njit(error_model="numpy")
def _take_rows(asked, seen, n, cutoff, known):
    """Copy the moments of some rows; whether the cutoffs are those of the rows before."""
    same = True
    for i in range(n):
        row = asked.order[seen[i]]
        known[i] = asked.known[row]
        if asked.cutoff[row] != cutoff[i]:
            cutoff[i], same = asked.cutoff[row], False
    return same


@njit(error_model="numpy")
def _together(asked, columns, start, stop, late, n_late, turn, seen):
    """Rows to which some event came too late, from `late[turn]` on, that can be worked on at once.

    An event that one of them may see is seen by each later one, and of those up to its cutoff no
    later one sees more: what the last one sees holds for all. Fills `seen`; gives how many.
    """
    n, p, lowest = 0, start, NEVER
    for i in range(turn, n_late):
        row = asked.order[late[i]]
        known = asked.known[row]
        if n > 0 and (known < asked.known[asked.order[seen[n - 1]]] or known >= lowest):
            break
        while p < stop and columns.event_time[p] <= asked.cutoff[row]:
            if columns.recorded_time[p] > known:
                lowest = min(lowest, columns.recorded_time[p])
            p += 1
        seen[n] = late[i]
        n += 1
    return n


@njit(error_model="numpy")
def _chunk(n_events):
    """How many rows of a customer are worked on at once."""
    return max(CHUNK_ROWS, n_events // CHUNKS)


@njit(error_model="numpy")
def _largest(columns, asked, begin, end):
    """The most events of any of some customers, and the most rows that are worked on at once."""
    events = rows = 1
    for g in range(begin, end):
        c = asked.customers[g]
        n = columns.offsets[c + 1] - columns.offsets[c]
        events, rows = (
            max(events, n),
            max(rows, min(asked.edges[g + 1] - asked.edges[g], _chunk(n))),
        )
    return events, rows


@njit(error_model="numpy")
def _count_integers(program, width, n, rows):
    """How many integers a room has for `n - 1` events."""
    n_marks = rows * (program.n_spans + 1)
    of_rows = rows * (6 + program.most_windows + program.n_spans) + 6 * n_marks
    return 6 * n + of_rows + 2 * width + 2 * program.n_listed + four_up(program.n_selections)


@njit(error_model="numpy")
def _count_doubles(program, width, n, rows):
    """How many doubles a room has."""
    n_records = min(rows * (program.n_spans + 1), n) + 2
    return 9 * n + rows * (width + 4 * program.n_wide) + n_records * record_size(program)


@njit(error_model="numpy")
def _furnish(program, width, n, rows, at, x, of_levels, most_levels, codes):
    """Divide memory at addresses among what one customer's events and rows need."""
    w, most, n_marks = 8 * n, program.most_windows, rows * (program.n_spans + 1)
    scratch = Scratch(
        as_int64(at), as_int64(at + w), as_double(x), as_double(x + w), as_double(x + 2 * w),
        as_double(x + 3 * w), as_double(x + 4 * w), as_double(x + 5 * w), as_double(x + 6 * w),
        as_double(x + 7 * w), as_int64(of_levels), as_int64(of_levels + 8 * most_levels + 8),
        as_int64(of_levels + 16 * most_levels + 16),
    )  # fmt: skip
    found = as_double(x + 9 * w)
    single = doubles_after(found, 4 * program.n_wide * rows)
    of_rows = as_int64(at + 6 * w)
    low = after(of_rows, 6 * rows)
    span_low = after(low, most * rows)
    base = after(span_low, program.n_spans * rows)
    first = after(base, 2 * width)
    moments = after(first, 2 * program.n_listed)
    marks = Marks(
        moments, after(moments, n_marks), after(moments, 2 * n_marks), after(moments, 3 * n_marks),
        after(moments, 4 * n_marks), after(moments, 5 * n_marks),
        doubles_after(single, width * rows), after(moments, 6 * n_marks), rows,
    )  # fmt: skip
    return Room(
        scratch, marks, as_int64(at + 2 * w), as_int64(at + 3 * w), as_int64(at + 4 * w),
        as_int64(at + 5 * w), as_double(x + 8 * w), as_int32(codes), found, single, of_rows,
        after(of_rows, rows), after(of_rows, 2 * rows), after(of_rows, 3 * rows),
        after(of_rows, 4 * rows), after(of_rows, 5 * rows), low, span_low, base,
        after(base, width), first, after(first, program.n_listed), rows,
    )  # fmt: skip


@njit(error_model="numpy")
def _answer(asked, columns, program, start, stop, n, late, marked, n_marks, lists, room):
    """Compute `n` rows of one customer; of `late` ones with a list of events of their own.

    `marked` rows before have `n_marks` marks, which are these rows' if the cutoffs are the same:
    customers are mostly asked about at the same moments.
    """
    if not _take_rows(asked, room.seen, n, room.cutoff, room.known) or n != marked:
        n_marks = mark(room.cutoff, n, program, room.marks)
    m, time = stop - start, after(columns.event_time, start)
    if late or program.n_listed > 0:
        m = _events_of(
            columns, start, stop, room.cutoff[n - 1], room.known[n - 1], not late, room.event,
            room.all_time,
        )  # fmt: skip
        time = room.all_time
    walk(columns, program, room.marks, n_marks, start, late, room.event, time, m)
    find_records(n, program, room.marks)
    wide(room.cutoff, n, program, room.marks, room.found)
    if program.n_listed > 0:
        lists = _split(room.event, m, columns, program, room.first, room.size, lists)
        everything = Chosen(
            m, room.all_time, as_int64(lists.ctypes.data), room.before, room.event, n, room.cutoff,
            room.known, room.high, room.low, room.all_high, room.span_low, room.stride,
        )  # fmt: skip
        _spans(everything, program, room.marks)
        _customer(everything, columns, program, room)
    return n_marks, lists


def _compiled(sources: str):
    """The pass; `sources` is part of the key of its compiled copy on the disk."""

    @njit(error_model="numpy", nogil=True, cache=True)
    def fill(columns, program, asked, begin, end):
        """Fill the rows of the customers `begin` to `end` of those asked for.

        Parameters
        ----------
        columns, program, asked : int64 arrays
            The fields of `Columns`, `Program` and `Asked` in their order, addresses for pointers.
            What they point at has to outlive the call.
        """
        columns, program, asked = open_columns(columns), open_program(program), open_asked(asked)
        events, rows = _largest(columns, asked, begin, end)
        n, width = events + 1, asked.width
        integers = np.empty(_count_integers(program, width, n, rows), np.int64)
        doubles = np.empty(_count_doubles(program, width, n, rows))
        levels, codes = np.full(3 * columns.width + 3, -1), np.empty(n, np.int32)
        lists = np.empty(4 * n + 64, np.int64)
        room = _furnish(
            program, width, n, rows, integers.ctypes.data, doubles.ctypes.data,
            levels.ctypes.data, columns.width, codes.ctypes.data,
        )  # fmt: skip
        n_wide = _lay(program, asked, rows, room.base, room.to)
        marked = n_marks = 0
        for g in range(begin, end):
            start = columns.offsets[asked.customers[g]]
            stop = columns.offsets[asked.customers[g] + 1]
            _sort_rows(asked.order, asked.edges[g], asked.edges[g + 1], asked.cutoff)
            size = _chunk(stop - start)
            for chunk in range(asked.edges[g], asked.edges[g + 1], size):
                last = min(chunk + size, asked.edges[g + 1])
                n_seen, n_late = _visible(
                    asked, columns, start, stop, chunk, last, room.seen, room.late
                )
                # First the rows that see every event up to their cutoff, all at once; then those
                # to which some event came too late, as many at once as miss the same ones.
                turn, late = 0, n_seen == 0
                while not late or turn < n_late:
                    if late:
                        n_seen = _together(
                            asked, columns, start, stop, room.late, n_late, turn, room.seen
                        )
                        turn += n_seen
                    n_marks, lists = _answer(
                        asked, columns, program, start, stop, n_seen, late, marked, n_marks,
                        lists, room,
                    )  # fmt: skip
                    marked, late = n_seen, True
                    _write(n_seen, n_wide, asked, room)
        # Said here so that the memory behind the pointers lives until now.
        kept = len(integers) + len(doubles) + len(levels) + len(codes) + len(lists)
        return kept + len(sources)

    return fill


fill = _compiled(SOURCES)


@njit(error_model="numpy", nogil=True, cache=True)
def group_rows(customer, n_customers):
    """Row positions in order of their customers, and where each customer's begin.

    Returns
    -------
    order : int64 (n_rows,)
    edges : int64 (n_customers + 1,)
    """
    n = len(customer)
    edges = np.zeros(n_customers + 1, np.int64)
    for i in range(n):
        edges[customer[i] + 1] += 1
    for c in range(n_customers):
        edges[c + 1] += edges[c]
    at = edges[:-1].copy()
    order = np.empty(n, np.int64)
    for i in range(n):
        c = customer[i]
        order[at[c]] = i
        at[c] += 1
    return order, edges


@njit(error_model="numpy", nogil=True, cache=True)
def first_recorded(log, table, customer, after, until):
    """The earliest `recorded_time` of each row's chosen events in `(after, until]`.

    `log` holds the addresses of a log's offsets, event times, recorded times and codes, and the
    number of its events;
    `table` has 1 for each code + 1 that counts. `NEVER` where there is no such event.
    """
    begins, moments = as_int64(log[0]), as_int64(log[1])
    recorded, levels, n_events = as_int64(log[2]), as_int32(log[3]), log[4]
    n, out = len(customer), np.full(len(customer), NEVER)
    slices, total = np.empty((n, 2), np.int64), 0
    for r in range(n):
        low, high = begins[customer[r]], begins[customer[r] + 1]
        slices[r, 0] = _first_after(moments, low, high, after[r])
        slices[r, 1] = _first_after(moments, slices[r, 0], high, until[r])
        total += slices[r, 1] - slices[r, 0]
    if total > SCANNED * (n + n_events):
        _earliest_of_many(recorded, levels, table, n_events, slices, out)
        return out
    for r in range(n):
        for i in range(slices[r, 0], slices[r, 1]):
            if table[levels[i] + 1] == 1:
                out[r] = min(out[r], recorded[i])
    return out


@njit(error_model="numpy")
def _first_after(moments, low, high, moment):
    """The first place in `[low, high)` whose moment is later; `high` without one."""
    while low < high:
        middle = (low + high) // 2
        if moments[middle] <= moment:
            low = middle + 1
        else:
            high = middle
    return low


@njit(error_model="numpy")
def _earliest_of_many(recorded, levels, table, n_events, slices, out):
    """The earliest record among the chosen events of each slice, from a tree of minima.

    `tree[n_events:]` are the events, and each place before holds the least of two.
    """
    tree = np.full(2 * n_events, NEVER)
    for i in range(n_events):
        if table[levels[i] + 1] == 1:
            tree[n_events + i] = recorded[i]
    for i in range(n_events - 1, 0, -1):
        tree[i] = min(tree[2 * i], tree[2 * i + 1])
    for r in range(len(out)):
        low, high = slices[r, 0] + n_events, slices[r, 1] + n_events
        while low < high:
            if low % 2 == 1:
                out[r] = min(out[r], tree[low])
                low += 1
            if high % 2 == 1:
                high -= 1
                out[r] = min(out[r], tree[high])
            low //= 2
            high //= 2


@njit(error_model="numpy", nogil=True, cache=True)
def order_of(n, codes, times):
    """Whether rows ascend by code and then by time.

    `codes` and `times` are addresses of int32 and int64 columns of length `n`.
    """
    who, when = as_int32(codes), as_int64(times)
    for i in range(1, n):
        if who[i] < who[i - 1] or (who[i] == who[i - 1] and when[i] < when[i - 1]):
            return False
    return True


@njit(error_model="numpy", nogil=True, cache=True)
def order_within(offsets, times):
    """Whether each customer's rows ascend by time, and how many equal the row before.

    `times` is the address of an int64 column, `offsets` int64, where each customer's rows begin.
    """
    when = as_int64(times)
    ties = 0
    for c in range(len(offsets) - 1):
        for i in range(offsets[c] + 1, offsets[c + 1]):
            if when[i] <= when[i - 1]:
                if when[i] < when[i - 1]:
                    return False, ties
                ties += 1
    return True, ties


@njit(error_model="numpy", nogil=True, cache=True)
def tied(offsets, times, places):
    """List the rows that equal the row before or behind in customer and time; gives how many.

    As in `order_within`, whose count of ties says how long `places`, int64, may have to be:
    twice that.
    """
    when = as_int64(times)
    found = 0
    for c in range(len(offsets) - 1):
        newest = offsets[c] - 1
        for i in range(offsets[c] + 1, offsets[c + 1]):
            if when[i] == when[i - 1]:
                if newest < i - 1:
                    places[found] = i - 1
                    found += 1
                places[found] = newest = i
                found += 1
    return found
