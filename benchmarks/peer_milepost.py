"""Our own engine, behind the same interface as its peers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from workload import CUTOFFS, ONE_CUTOFF, Column, columns

from features.durations import days
from features.engine import Rows, compute
from features.event_log import EventLog, build_log, empty_log
from features.feature import Feature
from features.language import events
from features.program import prepare

PACKAGES = ("numpy", "numba", "pyarrow")


def load(table: pa.Table) -> pa.Table:
    """The Arrow columns in memory."""
    return table


def engine(table: pa.Table) -> np.ndarray:
    """Sort the columns into a log, and compute every customer at every cutoff."""
    log = logged(table)
    customer = np.repeat(np.arange(log.n_customers), len(CUTOFFS))
    cutoff = np.tile(np.array(CUTOFFS), log.n_customers)
    return compute(wanted(), log, empty_log(log.customers), Rows(customer, cutoff, cutoff))


def logged(table: pa.Table) -> EventLog:
    """The event log of the columns."""
    return build_log(
        table["customer"],
        table["event_time"].to_numpy(),
        table["event"],
        numbers={"value": table["value"].to_numpy()},
    )


def wanted() -> list[Feature]:
    """The columns of the benchmark in the feature language."""
    return [_feature(column) for column in columns()]


def _feature(column: Column) -> Feature:
    some = events(column.kind)
    last = None if column.days is None else days(column.days)
    given: tuple[Any, ...] = (last,)
    if column.family in ("sum", "mean"):
        given = ("value", last)
    elif column.family in ("recency", "tenure"):
        given = ()
    feature: Feature = getattr(some, column.family)(*given)
    return feature


def one(table: pa.Table) -> Callable[[], np.ndarray]:
    """The same call on one customer's log, with everything prepared that a service prepares."""
    log, features = logged(table), prepare(wanted())
    nobody, cutoff = empty_log(log.customers), np.array([ONE_CUTOFF])
    rows = Rows(np.zeros(1, np.int64), cutoff, cutoff)
    return lambda: compute(features, log, nobody, rows)


FORMULATIONS = {"milepost": engine}
ONE = {"milepost": one}
