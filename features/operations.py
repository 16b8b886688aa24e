"""What the compiled pass is given: names of its operations, and tables of numbers.

`features.program` fills the tables, `features.kernels` and `features.sweep` read them.
"""
# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"

from typing import Any, NamedTuple

from numba import njit

from features.pointers import as_double, as_int64

DAY = 86_400_000_000
MINUTE = 60_000_000
MISSING_TIME = -(2**63)
NEVER = 2**62
"""A moment after every event."""

(
    COUNT, SHARE, TREND, RECENCY, TENURE, SUM, MEAN,
) = WIDE = range(7)  # fmt: skip
"""What is computed of four choices of events at a time (see `features.sweep`)."""

(
    EVENTS_SHARE, DAYS_ACTIVE, LATENESS, GAP_MEAN, GAP_STD, GAP_MAX, GAP_LAST, BURSTINESS,
    BUSIEST_DAY, SESSIONS, SESSION_EVENTS, SESSION_MINUTES, LAST_SUM, STD, SLOPE, ZERO_SHARE, MIN,
    MAX, LAST_NUMBER, LAST_CHANGE, NUMBER_CHANGES, DISTINCT, LAST_LEVEL, LEVEL_SHARE,
    LEVEL_CHANGES, LAST_CODE, PEER_RATE, DAYS_UNTIL, STATED, STAGE_NOW, STAGE_DAYS, STAGE_CHANGES,
    STAGE_JUMPS, STAGE_REGRESSIONS, STAGE_FURTHEST, WEEKDAY, DAY_OF_MONTH, MONTH,
) = range(38)  # fmt: skip
"""What is computed of one choice of events."""


class Columns(NamedTuple):
    """Where a log's columns lie; in Python addresses of C-contiguous arrays, here pointers."""

    offsets: Any
    """int64, like everything that says nothing else."""
    event_time: Any
    recorded_time: Any
    same_time: Any
    """1 where every event was recorded when it happened."""
    numbers: Any
    """Addresses of double columns."""
    codes: Any
    """Addresses of int32 columns."""
    times: Any
    """Addresses of int64 columns."""
    width: Any
    """The most levels of any column of codes."""


class Program(NamedTuple):
    """Features as tables of integers (see `features.program`): addresses, here pointers."""

    n_splits: Any
    splits: Any
    """`(n_splits, 3)`: column of codes, where its row of `split_edges` begins, and where its table
    of the one selection of each code + 1 does, if no event has two: -1 if one may."""
    split_edges: Any
    """For each code + 1: where its selections begin in `split_selections`."""
    split_selections: Any
    condition_edges: Any
    """Further conditions of each selection, `(n_selections + 1,)`."""
    conditions: Any
    """`(n, 2)`: column of codes, and where its table begins; an event passes at 1."""
    tables: Any
    """Small numbers for each code + 1 of a column."""
    n_selections: Any
    """Selection 0 is every event."""
    n_spans: Any
    spans: Any
    """Every window of time that is used: microseconds, 0 for all; the longest first."""
    n_wide: Any
    wide: Any
    """`(n_wide, 4)`: what, the first of four selections or sums, two numbers of spans."""
    sum_edges: Any
    """The sums of each selection, `(n_selections + 1,)`."""
    sum_columns: Any
    """The column of numbers of each sum."""
    n_listed: Any
    """The first so many selections have operations of their own, if any has."""
    most_windows: Any
    """The most windows of any selection."""
    window_edges: Any
    """Windows of each selection, `(n_selections + 1,)`."""
    windows: Any
    """Which span, or minus so many events."""
    operation_edges: Any
    """Operations of each selection, `(n_selections + 1,)`."""
    operations: Any
    """`(n, 5)`: what, which column, first slot, last slot + 1, where its table begins."""
    slots: Any
    """`(n, 3)`: window, another number that some operations need, column."""
    places: Any
    """Where each column's value stands: in the wide operation `place // 4` at `place % 4`, or
    among what is computed one by one at -1 - place."""
    rate_edges: Any
    """Steps of each list of rates."""
    rate_times: Any
    rate_counts: Any
    """`(n, 2)` doubles: known rows, and those of them whose outcome was true."""


class Asked(NamedTuple):
    """The rows that are asked for, and the matrix: addresses and sizes, here pointers."""

    customers: Any
    """Those that have rows."""
    edges: Any
    """Where each one's rows begin in `order`, `(n_customers + 1,)`."""
    order: Any
    """Positions of rows, a customer's together."""
    cutoff: Any
    known: Any
    columns: Any
    """The matrix column of each of the program's."""
    width: Any
    """How many columns the program fills."""
    matrix: Any
    """Its address; C-contiguous."""
    matrix_width: Any
    is_float: Any
    """1 for float32, 0 for float64."""


@njit(error_model="numpy")
def open_columns(a):
    return Columns(
        as_int64(a[0]), as_int64(a[1]), as_int64(a[2]), a[3], as_int64(a[4]), as_int64(a[5]),
        as_int64(a[6]), a[7],
    )  # fmt: skip


@njit(error_model="numpy")
def open_program(a):
    return Program(
        a[0], as_int64(a[1]), as_int64(a[2]), as_int64(a[3]), as_int64(a[4]), as_int64(a[5]),
        as_int64(a[6]), a[7], a[8], as_int64(a[9]), a[10], as_int64(a[11]), as_int64(a[12]),
        as_int64(a[13]), a[14], a[15], as_int64(a[16]), as_int64(a[17]), as_int64(a[18]),
        as_int64(a[19]), as_int64(a[20]), as_int64(a[21]), as_int64(a[22]), as_int64(a[23]),
        as_double(a[24]),
    )  # fmt: skip


@njit(error_model="numpy")
def open_asked(a):
    return Asked(
        as_int64(a[0]), as_int64(a[1]), as_int64(a[2]), as_int64(a[3]), as_int64(a[4]),
        as_int64(a[5]), a[6], a[7], a[8], a[9],
    )  # fmt: skip
