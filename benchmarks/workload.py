"""The journeys and the features that every engine of the benchmark gets.

    python benchmarks/workload.py EVENTS FILE

writes an Arrow IPC file (of one customer when EVENTS is 200) with the columns `customer` (text),
`event_time` (microseconds UTC), `event` (text) and `value`, sorted by customer and time. Needs
NumPy and pyarrow alone, so that peers which can't live beside the project's own versions read
the same file. Knows nothing about any engine.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

DAY = 86_400_000_000
"""Microseconds."""

KINDS = ("browse", "search", "purchase", "email", "ticket", "return")
KIND_SHARES = (0.45, 0.2, 0.15, 0.1, 0.06, 0.04)
WINDOWS = (7, 30, 90, 365, None)
"""Days before the cutoff; None reads from the beginning."""
TRENDS = (7, 30, 90)
"""Days; a trend compares this window with twice its length."""
SPANS = (7, 14, 30, 60, 90, 180, 365, None)
"""Every length of time that a window or a trend needs."""

BEGIN = 19_358 * DAY
"""2023-01-01."""
LENGTH = 730
"""Days of history."""
N_CUTOFFS = 12
CUTOFFS = tuple(BEGIN + (365 + 30 * month) * DAY for month in range(N_CUTOFFS))
ONE_CUTOFF = CUTOFFS[0]
"""When the single customer is asked about."""
EVENTS_A_CUSTOMER = 100
ONE_EVENTS = 200
"""Events of the single customer."""


@dataclass(frozen=True)
class Column:
    """One column of the matrix: a family over one kind of event and perhaps a window."""

    family: str
    """`count`, `sum`, `mean`, `share`, `trend`, `recency` or `tenure`."""
    kind: str
    days: int | None = None

    @property
    def exact(self) -> bool:
        """Whether it is a whole number that every engine must agree on to the last bit."""
        return self.family == "count"


def columns() -> list[Column]:
    """The 150 columns in order: 25 a kind of event."""
    chosen = []
    for kind in KINDS:
        for family in ("count", "sum", "mean", "share"):
            chosen += [Column(family, kind, days) for days in WINDOWS]
        chosen += [Column("trend", kind, days) for days in TRENDS]
        chosen += [Column("recency", kind), Column("tenure", kind)]
    return chosen


def made(n_events: int, seed: int = 1) -> pa.Table:
    """Two years of events with power-law activity, sorted by customer and time.

    Values are multiples of a quarter, so that every order of adding gives the same sum and all
    engines can be held to 1e-9. One event in a thousand stands on midnight, where windows end.
    """
    rng = np.random.default_rng(seed)
    n_customers = max(10, n_events // EVENTS_A_CUSTOMER)
    weight = (1 + rng.permutation(n_customers)) ** -0.8
    counts = 1 + rng.multinomial(max(0, n_events - n_customers), weight / weight.sum())
    who = np.repeat(np.arange(n_customers, dtype=np.int32), counts)
    second = rng.integers(0, LENGTH * 86_400, len(who))
    midnight = rng.random(len(who)) < 0.001
    second[midnight] -= second[midnight] % 86_400
    order = np.argsort(who.astype(np.int64) * LENGTH * 86_400 + second, kind="stable")
    event = rng.choice(len(KINDS), len(who), p=KIND_SHARES).astype(np.int32)
    value = np.round(rng.gamma(2, 20, len(who)) * 4) / 4
    names = pa.array([f"c{number:08d}" for number in range(n_customers)])
    return pa.table(
        {
            "customer": names.take(pa.array(who)),  # sorted as it is
            "event_time": pa.array(BEGIN + second[order] * 1_000_000),
            "event": pa.array(KINDS).take(pa.array(event)),
            "value": pa.array(value),
        }
    )


def one_customer(n_events: int = ONE_EVENTS, seed: int = 2) -> pa.Table:
    """One customer's history."""
    rng = np.random.default_rng(seed)
    second = np.sort(rng.integers(0, 360 * 86_400, n_events))
    event = rng.choice(len(KINDS), n_events, p=KIND_SHARES)
    return pa.table(
        {
            "customer": pa.array(["c1"] * n_events),
            "event_time": pa.array(BEGIN + second * 1_000_000),
            "event": pa.array(KINDS).take(pa.array(event)),
            "value": pa.array(np.round(rng.gamma(2, 20, n_events) * 4) / 4),
        }
    )


def written(table: pa.Table, path: Path) -> None:
    """Write a table as one record batch of an Arrow IPC file."""
    batch = table.combine_chunks()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_table(batch)


def mapped(path: Path) -> pa.Table:
    """The table of an Arrow IPC file, mapped into memory without a copy."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def main() -> None:
    n_events, path = int(sys.argv[1]), Path(sys.argv[2])
    written(made(n_events) if n_events > ONE_EVENTS else one_customer(), path)


if __name__ == "__main__":
    main()
