"""Featuretools: deep feature synthesis with cutoff times, over a small share of the customers.

It is measured by the row, because a whole log would take hours: the customers that it computes
are drawn evenly, and it holds the events of these alone, which is kinder than the truth.
"""

import warnings
from dataclasses import dataclass

import featuretools as ft
import numpy as np
import pandas as pd
import pyarrow as pa
from featuretools.primitives import Count, Sum, TimeSinceFirst, TimeSinceLast
from share import chosen
from workload import CUTOFFS, KINDS, SPANS, WINDOWS, Column, columns

PACKAGES = ("featuretools", "pandas")


@dataclass(frozen=True)
class Loaded:
    """An entity set, and the (customer, cutoff) rows that are asked of it."""

    entities: ft.EntitySet
    cutoffs: pd.DataFrame


def load(table: pa.Table) -> Loaded:
    """The chosen customers' events as an entity set."""
    warnings.simplefilter("ignore")
    frame = table.to_pandas()
    people = frame["customer"].unique()
    people = people[chosen(len(people))]
    frame = frame[frame["customer"].isin(people)].reset_index(drop=True)
    frame["event_time"] = pd.to_datetime(frame["event_time"], unit="us")
    entities = ft.EntitySet("log")
    entities.add_dataframe(
        pd.DataFrame({"customer": people}),
        "customers",
        index="customer",
        logical_types={"customer": "Categorical"},
    )
    entities.add_dataframe(
        frame,
        "events",
        index="id",
        make_index=True,
        time_index="event_time",
        logical_types={"customer": "Categorical", "event": "Categorical"},
    )
    entities.add_relationship("customers", "customer", "events", "customer")
    entities.add_interesting_values(dataframe_name="events", values={"event": list(KINDS)})
    cutoffs = pd.DataFrame(
        {
            "customer": np.repeat(people, len(CUTOFFS)),
            "time": pd.to_datetime(np.tile(np.array(CUTOFFS), len(people)), unit="us"),
        }
    )
    return Loaded(entities, cutoffs)


def dfs(loaded: Loaded) -> np.ndarray:
    """A synthesis a training window; shares and trends follow from counts."""
    found = {days: _synthesis(loaded, days) for days in SPANS}

    def column(c: Column) -> np.ndarray:
        where = f"events WHERE event = {c.kind}"
        if c.family in ("recency", "tenure"):
            name = "TIME_SINCE_LAST" if c.family == "recency" else "TIME_SINCE_FIRST"
            return found[None][f"{name}(events.event_time WHERE event = {c.kind})"] / 86_400
        n = found[c.days][f"COUNT({where})"].fillna(0)
        if c.family == "count":
            return n
        if c.family == "share":
            return n / sum(
                found[c.days][f"COUNT(events WHERE event = {kind})"].fillna(0) for kind in KINDS
            )
        if c.family == "trend":
            return n / found[2 * (c.days or 0)][f"COUNT({where})"]
        total = found[c.days][f"SUM(events.value WHERE event = {c.kind})"].fillna(0)
        return total if c.family == "sum" else total / n

    return np.column_stack([np.asarray(column(c), dtype=float) for c in columns()])


def _synthesis(loaded: Loaded, days: int | None) -> pd.DataFrame:
    """What one training window yields, with the rows in the order of the cutoffs."""
    primitives = [Count()]
    if days in WINDOWS:
        primitives.append(Sum())
    if days is None:
        primitives += [TimeSinceLast(), TimeSinceFirst()]
    found, _ = ft.dfs(
        entityset=loaded.entities,
        target_dataframe_name="customers",
        cutoff_time=loaded.cutoffs,
        agg_primitives=primitives,
        where_primitives=primitives,
        trans_primitives=[],
        training_window=None if days is None else ft.Timedelta(days, "d"),
        cutoff_time_in_index=True,
        max_depth=1,
    )
    order = pd.MultiIndex.from_frame(loaded.cutoffs[["customer", "time"]])
    return found.reindex(order)


FORMULATIONS = {"DFS with cutoff times": dfs}
