"""The benchmark's features in SQL, for every engine that speaks it.

Takes cutoffs; gives queries over a view `log` (customer, event_time, event, value) that yield
the columns of `workload.columns()` for every customer and cutoff, in order. The formulations
differ in what they add up first:

- `tiles`: events become one row a customer, kind and day; windows add tiles;
- `buckets`: every event falls, for each cutoff, into the shortest span that holds it; windows
  add buckets;
- `range_join`: every cutoff is joined with all events before it, and aggregates filter.

Days are counted as `(midnight - 1 d, midnight]`, because windows are half-open and end at the
cutoff; so tiles are exact here, where all cutoffs are midnights.
"""

from collections.abc import Callable, Sequence

from workload import CUTOFFS, DAY, KINDS, SPANS, WINDOWS, Column, columns

TILES = f"""
select customer, event, day, count(*) as n, sum(value) as s,
       min(event_time) as first_time, max(event_time) as last_time
from (select *, event_time + ({DAY} - 1) - (event_time + ({DAY} - 1)) % {DAY} as day from log)
group by customer, event, day"""

EVENTS = """
select customer, event, event_time as day, 1 as n, value as s,
       event_time as first_time, event_time as last_time
from log"""


def tiles(cutoffs: Sequence[int] = CUTOFFS) -> str:
    """Daily tiles, joined with the cutoffs after them."""
    return _joined(TILES, cutoffs)


def range_join(cutoffs: Sequence[int] = CUTOFFS) -> str:
    """Events, joined with the cutoffs after them."""
    return _joined(EVENTS, cutoffs)


def buckets(cutoffs: Sequence[int] = CUTOFFS) -> str:
    """Events in spans before each cutoff, added up by kind and span."""
    bounds = [days for days in SPANS if days is not None]
    steps = " ".join(
        f"when day > cutoff - {days * DAY} then {place}" for place, days in enumerate(bounds)
    )
    inner = f"""
select customer, cutoff, event, bucket, sum(n) as n, sum(s) as s,
       min(first_time) as first_time, max(last_time) as last_time
from (select *, case {steps} else {len(bounds)} end as bucket
      from ({EVENTS}) e cross join ({_rows(cutoffs)}) c where day <= cutoff)
group by customer, cutoff, event, bucket"""
    return _finished(inner, cutoffs, lambda days: f"bucket <= {SPANS.index(days)}")


def one_customer(cutoff: int) -> str:
    """A query for one customer alone: nothing to group, nothing to join."""
    found = f"select {cutoff} as cutoff, * from ({EVENTS}) e where day <= {cutoff}"
    wanted = ", ".join(f"{expression(c, 'cutoff')} as f{i}" for i, c in enumerate(columns()))
    base = ", ".join(_aggregates(_inside))
    return f"select {wanted} from (select {cutoff} as cutoff, {base} from ({found}) i) a"


def _rows(cutoffs: Sequence[int]) -> str:
    return " union all ".join(f"select {cutoff} as cutoff" for cutoff in cutoffs)


def _inside(days: int) -> str:
    return f"day > cutoff - {days * DAY}"


def _joined(source: str, cutoffs: Sequence[int]) -> str:
    inner = f"select * from ({source}) t cross join ({_rows(cutoffs)}) c where day <= cutoff"
    return _finished(inner, cutoffs, _inside)


def _finished(inner: str, cutoffs: Sequence[int], inside: Callable[[int], str]) -> str:
    """Aggregate rows with `n`, `s`, `first_time` and `last_time` into the matrix."""
    base = ", ".join(_aggregates(inside))
    wanted = ", ".join(f"{expression(column)} as f{i}" for i, column in enumerate(columns()))
    return f"""
select {wanted}
from (select * from (select distinct customer from log) w cross join ({_rows(cutoffs)}) c) r
left join (select customer, cutoff, {base} from ({inner}) i group by customer, cutoff) a
     on r.customer = a.customer and r.cutoff = a.cutoff
order by r.customer, r.cutoff"""


def _aggregates(inside: Callable[[int], str]) -> list[str]:
    """Sums and extremes a kind and span, as `n_`, `s_`, `first_` and `last_`."""
    base = []
    for kind in KINDS:
        for name, lengths in (("n", SPANS), ("s", WINDOWS)):
            for days in lengths:
                near = "" if days is None else f" and {inside(days)}"
                chosen = f"filter (where event = '{kind}'{near})"
                base.append(f"sum({name}) {chosen} as {name}_{kind}_{days}")
        base.append(f"min(first_time) filter (where event = '{kind}') as first_{kind}")
        base.append(f"max(last_time) filter (where event = '{kind}') as last_{kind}")
    return base


def expression(column: Column, cutoff: str = "r.cutoff") -> str:
    """A column of the matrix from `n_`, `s_`, `first_` and `last_`."""
    n = f"n_{column.kind}_{column.days}"
    if column.family == "count":
        return _double(f"coalesce({n}, 0)")
    if column.family == "sum":
        return _double(f"coalesce(s_{column.kind}_{column.days}, 0)")
    if column.family == "mean":
        return f"{_double(f's_{column.kind}_{column.days}')} / {n}"
    if column.family in ("recency", "tenure"):
        end = "last" if column.family == "recency" else "first"
        return f"{_double(f'{cutoff} - {end}_{column.kind}')} / {DAY}"
    if column.family == "share":
        every = " + ".join(f"coalesce(n_{kind}_{column.days}, 0)" for kind in KINDS)
        return f"{_double(f'coalesce({n}, 0)')} / nullif({every}, 0)"
    both = f"n_{column.kind}_{2 * (column.days or 0)}"
    return f"{_double(f'coalesce({n}, 0)')} / {both}"


def _double(text: str) -> str:
    return f"cast({text} as double)"
