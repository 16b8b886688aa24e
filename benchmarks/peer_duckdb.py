"""DuckDB SQL: daily tiles, buckets, range joins and as-of joins on cumulative sums."""

from collections.abc import Callable

import duckdb
import numpy as np
import peer_sql
import pyarrow as pa
from workload import CUTOFFS, DAY, KINDS, ONE_CUTOFF, SPANS, WINDOWS, columns

PACKAGES = ("duckdb", "numpy")


def load(table: pa.Table) -> pa.Table:
    """The Arrow columns in memory."""
    return table


def matrix(found: duckdb.DuckDBPyRelation | duckdb.DuckDBPyConnection) -> np.ndarray:
    """A result as floats, NaN where null."""
    arrays = found.fetchnumpy()
    out = np.empty((len(arrays["f0"]), len(arrays)))
    for place, values in enumerate(arrays.values()):
        out[:, place] = np.ma.filled(values, np.nan)
    return out


def _connected(table: pa.Table) -> duckdb.DuckDBPyConnection:
    """A database in memory with the columns as its table `log`."""
    duck = duckdb.connect()
    duck.register("arrow", table)
    # An enum of six kinds compares faster than text does.
    duck.execute(f"create type kind as enum ({', '.join(repr(kind) for kind in KINDS)})")
    duck.execute(
        "create temp table log as select customer, event_time, event::kind as event, value "
        "from arrow"
    )
    return duck


def _runner(query: str) -> Callable[[pa.Table], np.ndarray]:
    def run(table: pa.Table) -> np.ndarray:
        with _connected(table) as duck:
            return matrix(duck.execute(query))

    return run


def _one(query: str) -> Callable[[pa.Table], Callable[[], np.ndarray]]:
    def ready(table: pa.Table) -> Callable[[], np.ndarray]:
        duck = _connected(table)
        return lambda: matrix(duck.execute(query))

    return ready


def as_of() -> str:
    """As-of joins of every window's edge with running totals."""
    running = ", ".join(
        f"count(*) filter (event = '{kind}') over w as n_{kind}, "
        f"sum(value) filter (event = '{kind}') over w as s_{kind}, "
        f"min(event_time) filter (event = '{kind}') over w as first_{kind}, "
        f"max(event_time) filter (event = '{kind}') over w as last_{kind}"
        for kind in KINDS
    )
    cutoffs = ", ".join(map(str, CUTOFFS))
    edges = ", ".join(str((days or 0) * DAY) for days in (*SPANS[:-1], None))
    base = []
    for kind in KINDS:
        base += [_at(f"first_{kind}", 0), _at(f"last_{kind}", 0)]
        for prefix, lengths in (("n", SPANS), ("s", WINDOWS)):
            now = f"max({prefix}_{kind}) filter (edge = 0)"
            for days in lengths:
                then = f"max({prefix}_{kind}) filter (edge = {(days or 0) * DAY})"
                total = now if days is None else f"{now} - coalesce({then}, 0)"
                if prefix == "n" and days is not None:
                    total = f"nullif({total}, 0)"
                base.append(f"{total} as {prefix}_{kind}_{days}")
    wanted = ", ".join(
        f"{peer_sql.expression(column)} as f{i}" for i, column in enumerate(columns())
    )
    return f"""
with running as (
  select customer, event_time, {running} from log
  window w as (partition by customer order by event_time)
), edges as (
  select customer, cutoff, edge, cutoff - edge as event_time
  from (select distinct customer from log),
       (select unnest([{cutoffs}]) as cutoff), (select unnest([{edges}]) as edge)
), r as (
  select customer, cutoff, {", ".join(base)}
  from edges asof left join running using (customer, event_time) group by customer, cutoff
)
select {wanted} from r order by customer, cutoff"""


def _at(name: str, edge: int) -> str:
    return f"max({name}) filter (edge = {edge}) as {name}"


FORMULATIONS = {
    "daily tiles": _runner(peer_sql.tiles()),
    "buckets": _runner(peer_sql.buckets()),
    "range join": _runner(peer_sql.range_join()),
    "as-of joins": _runner(as_of()),
}

ONE = {
    "buckets": _one(peer_sql.buckets([ONE_CUTOFF])),
    "a query of its own": _one(peer_sql.one_customer(ONE_CUTOFF)),
}
"""For one customer: the query of the training set, and one written for the purpose."""
