"""Polars: as-of joins of every window's edge with running totals."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import polars as pl
import pyarrow as pa
from workload import CUTOFFS, DAY, KINDS, ONE_CUTOFF, SPANS, WINDOWS, Column, columns

PACKAGES = ("polars", "numpy")


def load(table: pa.Table) -> pa.Table:
    """The Arrow columns in memory."""
    return table


def as_of(table: pa.Table) -> np.ndarray:
    """One as-of join an edge; differences of totals are the windows."""
    return _as_of(pl.from_arrow(table), CUTOFFS)


def _as_of(frame: pl.DataFrame, cutoffs: Sequence[int]) -> np.ndarray:
    log = frame.lazy().select(pl.col("customer").rle_id().alias("who"), "event_time", *_prepared())
    log = log.select("who", "event_time", *_running()).collect()
    who = pl.DataFrame({"who": pl.arange(0, log["who"][-1] + 1, eager=True, dtype=pl.UInt32)})
    rows = who.join(pl.DataFrame({"cutoff": cutoffs}), how="cross")
    now = _joined(rows, log, 0, "n", "s", "first", "last").rename(
        {f"n_{k}": f"n_{k}_None" for k in KINDS}
    )
    parts = [now.rename({f"s_{k}": f"s_{k}_None" for k in KINDS})]
    for days in SPANS[:-1]:
        wanted = ("n", "s") if days in WINDOWS else ("n",)
        found = _joined(rows, log, days * DAY, *wanted)
        parts.append(found.rename({name: f"{name}_{days}" for name in found.columns}))
    wide = pl.concat([rows, *parts], how="horizontal").lazy().with_columns(_differences())
    return (
        wide.select(_expression(c).alias(str(i)) for i, c in enumerate(columns()))
        .collect()
        .to_numpy()
    )


def _prepared() -> Iterator[pl.Expr]:
    for kind in KINDS:
        chosen = pl.col("event") == kind
        yield chosen.cast(pl.Int64).alias(f"n_{kind}")
        yield pl.when(chosen).then("value").otherwise(0.0).alias(f"s_{kind}")
        yield pl.when(chosen).then("event_time").alias(f"last_{kind}")


def _running() -> Iterator[pl.Expr]:
    for kind in KINDS:
        yield pl.col(f"n_{kind}").cum_sum().over("who")
        yield pl.col(f"s_{kind}").cum_sum().over("who")
        yield pl.col(f"last_{kind}").forward_fill().over("who")
        yield pl.col(f"last_{kind}").min().over("who").alias(f"first_{kind}")


def _joined(rows: pl.DataFrame, log: pl.DataFrame, back: int, *prefixes: str) -> pl.DataFrame:
    """The running totals of every row as they stood `back` microseconds before its cutoff."""
    wanted = [f"{prefix}_{kind}" for prefix in prefixes for kind in KINDS]
    edges = rows.select("who", (pl.col("cutoff") - back).alias("event_time"))
    # Both sides are sorted by construction; checking it would cost as much as the join.
    joined = edges.join_asof(
        log.select("who", "event_time", *wanted), on="event_time", by="who", check_sortedness=False
    )
    return joined.select(wanted)


def _differences() -> Iterator[pl.Expr]:
    for kind in KINDS:
        for prefix, lengths in (("n", SPANS), ("s", WINDOWS)):
            now = pl.col(f"{prefix}_{kind}_None").fill_null(0)
            yield now
            for days in lengths[:-1]:
                name = f"{prefix}_{kind}_{days}"
                yield (now - pl.col(name).fill_null(0)).alias(name)
        first = pl.col(f"first_{kind}")
        yield pl.when(first <= pl.col("cutoff")).then(first)


def _expression(column: Column) -> pl.Expr:
    n = pl.col(f"n_{column.kind}_{column.days}") if column.days in SPANS else None
    if column.family == "count":
        return n.cast(pl.Float64)
    if column.family == "sum":
        return pl.col(f"s_{column.kind}_{column.days}")
    if column.family == "mean":
        return pl.col(f"s_{column.kind}_{column.days}") / n
    if column.family == "share":
        return n / pl.sum_horizontal(f"n_{kind}_{column.days}" for kind in KINDS)
    if column.family == "trend":
        return n / pl.col(f"n_{column.kind}_{2 * column.days}")
    at = "last" if column.family == "recency" else "first"
    return (pl.col("cutoff") - pl.col(f"{at}_{column.kind}")) / DAY


FORMULATIONS = {"as-of joins": as_of}


def _one_as_of(table: pa.Table) -> Callable[[], np.ndarray]:
    frame = pl.from_arrow(table)
    return lambda: _as_of(frame, [ONE_CUTOFF])


def _one_grouped(table: pa.Table) -> Callable[[], np.ndarray]:
    """One group-by over the kinds; shares and means in NumPy."""
    frame = pl.from_arrow(table)
    time = pl.col("event_time")
    near = {days: time > (ONE_CUTOFF - (days or 10**5) * DAY) for days in SPANS}
    wanted = [near[days].sum().alias(f"n_{days}") for days in SPANS]
    wanted += [pl.col("value").filter(near[days]).sum().alias(f"s_{days}") for days in WINDOWS]
    wanted += [time.max().alias("last"), time.min().alias("first")]
    query = frame.lazy().filter(time <= ONE_CUTOFF).group_by("event").agg(wanted)

    def call() -> np.ndarray:
        rows = {row["event"]: row for row in query.collect().iter_rows(named=True)}
        counts = {d: sum(row[f"n_{d}"] for row in rows.values()) for d in WINDOWS}
        return np.array([[_from_group(c, rows.get(c.kind), counts) for c in COLUMNS]])

    return call


COLUMNS = columns()


def _from_group(column: Column, row: dict | None, counts: dict[int | None, int]) -> float:
    """A column from what was found of its kind."""
    if column.family in ("recency", "tenure"):
        end = "last" if column.family == "recency" else "first"
        return (ONE_CUTOFF - row[end]) / DAY if row else np.nan
    n = row[f"n_{column.days}"] if row else 0
    if column.family == "count":
        return n
    total = row[f"s_{column.days}"] if row and column.family in ("sum", "mean") else 0.0
    if column.family == "sum":
        return total
    above, below = {
        "mean": (total, n),
        "share": (n, counts.get(column.days, 0)),
        "trend": (n, row[f"n_{2 * (column.days or 0)}"] if row and column.family == "trend" else 0),
    }[column.family]
    return above / below if below else np.nan


ONE = {"as-of joins": _one_as_of, "a query of its own": _one_grouped}
"""For one customer: the query of the training set, and one written for the purpose."""
