"""The whole book beside the usual recipe, in one run.

    python benchmarks/book.py [--customers 1000000] [--trees 300] [--recipe 2000] [--json FILE]

Makes journeys, a model of 300 trees × 31 leaves over 150 features, and buckets; then measures

- cold: the buckets written from the histories, and everybody scored into a Parquet file with the
  five strongest reasons in words, by `python -m serving score` in a process of its own;
- warm: the scoring alone, where the buckets are there;
- the usual recipe on a sample of rows whose features it is given for nothing: a DataFrame,
  `predict_proba` and `shap.TreeExplainer`, without words; rows/s carry over to any number.

Ratios are of wall time in one run; CPU time stands beside it.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from peer_milepost import logged, wanted
from workload import BEGIN, DAY, LENGTH, made

from features.buckets import write_buckets
from features.config import Business
from features.cutoffs import AsOf
from features.durations import days
from features.engine import Rows, compute, count_visible
from features.event_log import EventLog, empty_log
from features.feature import feature_names
from features.language import events
from features.overview import overview
from features.sources import Histories
from models.calibration import Sigmoid
from models.contract import Contract

EVENTS_EACH = 40
END = BEGIN + LENGTH * DAY
HORIZON = 28
FITTED_ON = 20_000
"""Customers whose rows the model is fitted on."""

TOML = """
name = "bench"
[[events]]
sql = "select * from 'events.parquet'"
[stages]
awareness = ["browse", "search"]
decision = ["purchase"]
[problems.churn]
outcome = { silence_of = "purchase" }
horizon = "28d"
every = "7d"
value = { sum = "value", last = "365d" }
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--recipe", type=int, default=2_000, help="rows that the recipe explains")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="milepost-book-") as scratch:
        found = measured(chosen, Path(scratch))
    print(json.dumps(found, indent=1))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")


def measured(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All figures of one run."""
    business = Business(**tomllib.loads(TOML), folder=folder)
    (folder / "journey.toml").write_text(TOML)
    log = journeys(chosen.customers)
    nobody = empty_log(log.customers)
    sample, label = fitting_rows(log)
    booster = fitted(log, sample, label, chosen.trees)
    keep_model(business, booster, log, folder)
    with timed() as cold:
        histories = Histories(log, nobody, (), END, "0" * 64)
        buckets = write_buckets(business, histories, folder / "buckets")
    recipe = usual_recipe(booster, log, chosen.recipe)
    n_events = log.n_events
    del log, histories
    ours = {n: scored(folder, n) for n in chosen.processes}
    best = max(ours.values(), key=lambda one: one["rows_s"])
    return {
        "customers": chosen.customers, "events": n_events, "buckets": len(buckets),
        "recipe": recipe, "ours": ours, "buckets_from_histories": cold,
        "ratio_wall": best["rows_s"] / recipe["rows_s"],
        "ratio_cpu": best["rows_cpu_s"] / recipe["rows_cpu_s"],
        "ratio_wall_cold": 1 / (1 / best["rows_s"] + cold["wall"] / chosen.customers)
        / recipe["rows_s"],
    }  # fmt: skip


def journeys(n_customers: int) -> EventLog:
    """Two years of events with power-law activity."""
    parts, number = [], 0
    while number < n_customers:  # in parts, so that the making needs no more memory than the log
        n = min(250_000, n_customers - number)
        parts.append(thin(n, number))
        number += n
    return logged(pa.concat_tables(parts).combine_chunks())


def thin(n_customers: int, first: int) -> pa.Table:
    """Journeys of about `EVENTS_EACH` events, ids from a number on."""
    table = made(n_customers * 100, seed=first + 1)
    rng = np.random.default_rng(first)
    table = table.filter(pa.array(rng.random(table.num_rows) < EVENTS_EACH / 100))
    who = table["customer"].combine_chunks().dictionary_encode()
    names = pa.array([f"c{first + int(name[1:]):08d}" for name in who.dictionary.to_pylist()])
    return table.set_column(0, "customer", names.take(who.indices))


def fitting_rows(log: EventLog) -> tuple[Rows, np.ndarray]:
    """Customers at one cutoff, and whether they bought nothing in the window after it."""
    customer = np.arange(0, log.n_customers, max(1, log.n_customers // FITTED_ON))
    cutoff = np.full(len(customer), END - days(HORIZON))
    rows = Rows(customer, cutoff, cutoff)
    after = Rows(customer, np.full(len(customer), END), np.full(len(customer), END))
    bought = count_visible(log, after, events("purchase").where, days(HORIZON))
    return rows, (bought == 0).astype(np.int8)


def fitted(log: EventLog, rows: Rows, label: np.ndarray, n_trees: int) -> lgb.Booster:
    matrix = compute(wanted(), log, empty_log(log.customers), rows)
    names = list(feature_names(wanted()))
    data = lgb.Dataset(matrix, label.astype(np.float32), feature_name=names)
    settings = {"objective": "binary", "num_leaves": 31, "verbosity": -1, "learning_rate": 0.03,
                "num_threads": 1, "min_data_in_leaf": 20}  # fmt: skip
    return lgb.train(settings, data, n_trees)


def keep_model(business: Business, booster: lgb.Booster, log: EventLog, folder: Path) -> None:
    """Write the model's files."""
    from models.files import save
    from models.fitted import FittedModel
    from models.trees import trees_from_text

    features = tuple(wanted())
    whole = overview(log, empty_log(log.customers))
    problem = business.problem("churn")
    contract = Contract(
        "bench", "churn", problem, features, whole.event_kinds, whole.attribute_kinds,
        whole.event_names, tuple(1.0 for _ in features),
        tuple(np.linspace(0.01, 0.99, 101).tolist()), 0.5, {},
    )  # fmt: skip
    trees = trees_from_text(booster.model_to_string())
    save(FittedModel(trees, Sigmoid(1.0, 0.0), contract), folder / "model")


def usual_recipe(booster: lgb.Booster, log: EventLog, n_rows: int) -> dict[str, float]:
    """Rows/s of a DataFrame, `predict` and `shap.TreeExplainer`, features given for nothing."""
    import pandas as pd
    import shap

    some = np.arange(0, log.n_customers, max(1, log.n_customers // n_rows))[:n_rows]
    cutoff = np.full(len(some), END)
    matrix = compute(wanted(), log, empty_log(log.customers), Rows(some, cutoff, cutoff))
    explainer = shap.TreeExplainer(booster)
    names = list(feature_names(wanted()))
    with timed() as spent:
        frame = pd.DataFrame(matrix, columns=names)
        booster.predict(frame, num_threads=1)
        values = np.asarray(explainer.shap_values(frame))
        np.argsort(-np.abs(values), axis=1)[:, :5]
    return per_second(len(some), spent)


def scored(folder: Path, n_processes: int) -> dict[str, float]:
    """The scoring in a process of its own: rows/s and the peak memory of its processes."""
    code = (
        "import sys, json, resource, time\n"
        "from pathlib import Path\n"
        "sys.path.insert(0, 'benchmarks')\n"
        "from book import score_here\n"
        f"score_here(Path({str(folder)!r}), {n_processes})\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout.strip().splitlines()[-1])
    return {**per_second(told["rows"], told), "rows": told["rows"], "peak_gib": told["peak_gib"]}


def score_here(folder: Path, n_processes: int) -> None:
    """What `python -m serving score` does between opening the buckets and the file's name."""
    import hashlib

    from features.buckets import open_buckets
    from features.engine import warm_up
    from serving.book import Wish
    from serving.book_files import write_book
    from serving.book_parts import Task, parts, score_buckets

    business = Business(**tomllib.loads(TOML), folder=folder)
    buckets = open_buckets(business, folder / "buckets")
    digest = hashlib.sha256((folder / "model" / "checksums.json").read_bytes()).hexdigest()
    warm_up()
    with tempfile.TemporaryDirectory(dir=folder) as scratch, timed() as spent:
        task = Task(
            buckets, folder / "model", digest, AsOf.then(buckets.end), Wish(5, False), Path(scratch)
        )
        unscored: Counter[str] = score_buckets(task, n_processes, lambda _: None)
        rows = write_book(folder / "book.parquet", parts(task), {})
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    peak = (_own_peak() + (n_processes if n_processes > 1 else 0) * child) / 2**20
    assert rows == pq.read_metadata(folder / "book.parquet").num_rows
    told = {**spent, "rows": rows + sum(unscored.values()), "peak_gib": peak}
    print(json.dumps(told))


def _own_peak() -> int:
    """KiB that this program has held at most; `ru_maxrss` counts those of whoever started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


@contextmanager
def timed() -> Any:
    """Wall and CPU seconds of a block, children's too."""
    spent: dict[str, float] = {}
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)

    def cpu() -> float:
        return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, both))

    wall, before = time.perf_counter(), cpu()
    yield spent
    spent |= {"wall": time.perf_counter() - wall, "cpu": cpu() - before}


def per_second(rows: int, spent: dict[str, float]) -> dict[str, float]:
    return {"rows_s": rows / spent["wall"], "rows_cpu_s": rows / spent["cpu"]}


if __name__ == "__main__":
    main()
