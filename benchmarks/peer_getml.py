"""getML FastProp: the transformation alone, after fitting on a small sample.

The columns lie in getML's own engine before the clock starts, which is kinder to it than the
other engines' rules. Its engine is another process, under the Elastic licence.
"""

import re
from dataclasses import dataclass
from typing import Any

import getml
import numpy as np
import pandas as pd
import pyarrow as pa
from workload import BEGIN, CUTOFFS, DAY, KINDS, SPANS, WINDOWS, Column, columns

PACKAGES = ("getml", "numpy")

SAMPLE = 2_000
"""Rows on which the pipelines are fitted; what they compute does not depend on it."""
PART = 1_999_993
"""Rows transformed at once. getML 1.5.1 returns zeros for the last 5,000 rows of a thread that has
a multiple of 5,000 rows, so parts have an odd length."""
AGGREGATION = re.compile(
    r'SELECT (\w+)\( (t2\."(value|day)"|\*) \) AS.*?JOIN "(\w+)__STAGING', re.DOTALL
)
"""What a feature of getML computes, and over which table, as it says in SQL."""


@dataclass(frozen=True)
class Pipeline:
    """A fitted pipeline, the tables that it reads and what its columns are."""

    pipeline: Any
    tables: dict[str, Any]
    meaning: dict[str, int]
    """The column of each aggregation over each table, such as `SUM BROWSE_7`."""


@dataclass(frozen=True)
class Loaded:
    """Everything that a transformation needs, inside getML's engine."""

    windows: Pipeline
    ends: Pipeline
    population: list[Any]
    cutoff_day: np.ndarray


def load(table: pa.Table) -> Loaded:
    """Start the engine, hand it the columns, and fit on a sample."""
    getml.engine.launch(launch_browser=False, quiet=True)
    getml.project.switch("benchmark")
    frame = table.to_pandas()
    frame["day"] = (frame["event_time"] - BEGIN) / DAY
    frame["event_time"] = pd.to_datetime(frame["event_time"], unit="us")
    people = frame["customer"].unique()
    cutoff = np.tile(np.array(CUTOFFS), len(people))
    rows = pd.DataFrame(
        {
            "customer": np.repeat(people, len(CUTOFFS)),
            "cutoff": pd.to_datetime(cutoff, unit="us"),
            "target": np.random.default_rng(1).random(len(cutoff)),
        }
    )
    roles = getml.data.Roles(join_key=["customer"], time_stamp=["cutoff"], target=["target"])
    part = min(PART, len(rows) - 777)
    population = [
        getml.data.DataFrame.from_pandas(rows[begin : begin + part], f"population_{begin}", roles)
        for begin in range(0, len(rows), part)
    ]
    some = rows.sample(min(SAMPLE, len(rows)), random_state=1)
    sample = getml.data.DataFrame.from_pandas(some, "sample", roles)
    # One table for each window: windows that share a table make getML compare them all.
    windows, ends = {}, {}
    for kind in KINDS:
        chosen = frame[frame["event"] == kind]
        for days in SPANS:
            windows[f"{kind}_{days}"] = _table(
                f"{kind}_{days}", chosen, ["value"] * (days in WINDOWS)
            )
        ends[kind] = _table(kind, chosen, ["day"])
    memory = {f"{kind}_{days}": days for kind in KINDS for days in SPANS}
    return Loaded(
        _fitted(sample, windows, memory, ["COUNT", "SUM"]),
        _fitted(sample, ends, dict.fromkeys(KINDS), ["MIN", "MAX"]),
        population,
        (cutoff - BEGIN) / DAY,
    )


def _table(name: str, frame: pd.DataFrame, numbers: list[str]) -> Any:
    roles = getml.data.Roles(join_key=["customer"], time_stamp=["event_time"], numerical=numbers)
    return getml.data.DataFrame.from_pandas(
        frame[["customer", "event_time", *numbers]], name, roles
    )


def _fitted(
    sample: Any, tables: dict[str, Any], memory: dict[str, int | None], aggregation: list[str]
) -> Pipeline:
    """A pipeline that joins every table within its memory, in days."""
    here = sample.to_placeholder("population")
    for name, table in tables.items():
        days = memory[name]
        here.join(
            table.to_placeholder(name),
            on="customer",
            time_stamps=("cutoff", "event_time"),
            memory=None if days is None else getml.data.time.days(days),
        )
    learner = getml.feature_learning.FastProp(
        aggregation=aggregation,
        num_features=10_000,
        loss_function=getml.feature_learning.loss_functions.SquareLoss,
    )
    pipeline = getml.Pipeline(data_model=getml.data.DataModel(here), feature_learners=[learner])
    pipeline.fit(sample, tables, check=False)
    meaning = {}
    for place, feature in enumerate(pipeline.features):
        found = AGGREGATION.search(feature.sql)
        if found:
            meaning[f"{found[1]} {found[4]}"] = place
    return Pipeline(pipeline, tables, meaning)


def fast_prop(loaded: Loaded) -> np.ndarray:
    """Transform every row, and put getML's columns into our order."""
    windows, ends = (
        np.vstack([side.pipeline.transform(part, side.tables) for part in loaded.population])
        for side in (loaded.windows, loaded.ends)
    )

    def count(kind: str, days: int | None) -> np.ndarray:
        return windows[:, loaded.windows.meaning[f"COUNT {kind}_{days}".upper()]]

    def column(c: Column) -> np.ndarray:
        if c.family in ("recency", "tenure"):
            end = "MAX" if c.family == "recency" else "MIN"
            at = ends[:, loaded.ends.meaning[f"{end} {c.kind}".upper()]]
            return np.where(count(c.kind, None) > 0, loaded.cutoff_day - at, np.nan)
        n = count(c.kind, c.days)
        if c.family == "count":
            return n
        if c.family == "share":
            return n / np.sum([count(kind, c.days) for kind in KINDS], axis=0)
        if c.family == "trend":
            return n / count(c.kind, 2 * (c.days or 0))
        total = windows[:, loaded.windows.meaning[f"SUM {c.kind}_{c.days}".upper()]]
        return total if c.family == "sum" else total / n

    with np.errstate(invalid="ignore", divide="ignore"):
        return np.column_stack([column(c) for c in columns()])


FORMULATIONS = {"FastProp, transform": fast_prop}


def close() -> None:
    """Stop getML's engine."""
    getml.engine.shutdown()
