"""Spark over buckets beside one process over the same buckets, both measured in this one run.

    make bench-cluster EVENTS=10000000

The log has power-law activity and twelve monthly cutoffs a customer. Both read the same
buckets, compute the same features with the same engine and write the same Parquet, whose
bytes are compared. Spark's start is told beside its work. Read the ratio: machines differ.
"""

import argparse
import hashlib
import platform
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.buckets import Buckets, open_buckets, write_buckets
from features.categorical import Categorical
from features.cluster import DEFAULT_MASTER, OneProcess, Runner, spark
from features.config import Business
from features.durations import DAY, days
from features.event_log import EventLog, empty_log
from features.feature import Feature
from features.language import events
from features.sources import Histories
from training.partitions import bucket_file, fill_bucket, part_file

WINDOWS = (days(7), days(30), days(90), None)
N_CUTOFFS = 12
KINDS = ("click", "login", "order", "refund", "ticket")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--buckets", type=int, help="default: one for every half million events")
    parser.add_argument("--master", default=DEFAULT_MASTER)
    chosen = parser.parse_args()
    business = Business(name="benchmark", events=[{"sql": "select 1"}])
    with tempfile.TemporaryDirectory(prefix="milepost-") as scratch:
        home = Path(scratch)
        start = time.perf_counter()
        log = made_log(chosen.events)
        histories = Histories(log, empty_log(log.customers), (), int(log.event_time.max()), "0")
        write_buckets(business, histories, home / "buckets", chosen.buckets)
        print(f"log made and bucketed in {time.perf_counter() - start:.1f} s")
        buckets = open_buckets(business, home / "buckets")
        n_rows = ask(log, buckets, home / "asked")
        del log, histories
        compare(buckets, home, chosen.master, chosen.events, n_rows)


def compare(buckets: Buckets, home: Path, master: str, n_events: int, n_rows: int) -> None:
    """Build on both, check that they are equal, and print the table."""
    features = catalogue()
    # What is compiled on first use is compiled before anything is timed.
    built(buckets, features, OneProcess(), home, "warm", [0])
    numbers = list(range(len(buckets)))
    alone = built(buckets, features, OneProcess(), home, "alone", numbers)
    start = time.perf_counter()
    with spark(master) as runner:
        runner.each(nothing, list(range(runner.n_slots)))
        started = time.perf_counter() - start
        first = built(buckets, features, runner, home, "first", numbers)
        again = built(buckets, features, runner, home, "again", numbers)
        n_slots = runner.n_slots
    same = digest(home / "alone") == digest(home / "first") == digest(home / "again")
    print(
        f"{n_events:,} events in {len(buckets)} buckets, {n_rows:,} rows, {len(features)} features"
    )
    print(f"equal bit for bit: {'yes' if same else 'NO'}")
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, PyArrow {pa.__version__}, "
          f"pyspark {version('pyspark')}")  # fmt: skip
    print(f"{'buckets read, features computed and written by':<50}{'seconds':>9}{'ratio':>7}")
    table = {
        "one process": alone,
        f"Spark, {n_slots} tasks at a time": first,
        "the same, its Python workers warm": again,
    }
    for name, seconds in table.items():
        print(f"{name:<50}{seconds:9.1f}{seconds / alone:7.2f}")
    print(f"{'Spark, to start and connect':<50}{started:9.1f}")
    if not same:
        raise SystemExit(1)


def nothing(bucket: int) -> int:
    return bucket


def catalogue() -> list[Feature]:
    """About 150 features: counts, sums, extremes, rhythm of each kind of event."""
    chosen: list[Feature] = []
    for name in KINDS:
        some = events(name)
        for last in WINDOWS:
            chosen += [some.count(last), some.days_active(last), some.share(last)]
            chosen += [some.sum("value", last), some.mean("value", last)]
            chosen += [] if last is None else [some.trend(last)]
        chosen += [some.min("value"), some.max("value"), some.last_number("value")]
        chosen += [some.recency(), some.tenure(), some.gap_mean(), some.gap_std(), some.gap_max()]
    return chosen


def made_log(n_events: int) -> EventLog:
    """Events of two years with power-law activity and five kinds, sorted as it is made."""
    rng = np.random.default_rng(1)
    n_customers = max(10, n_events // 100)
    weight = (1 + np.arange(n_customers)) ** -0.8
    who = np.sort(rng.choice(n_customers, n_events, p=weight / weight.sum()))
    when = rng.integers(0, 730 * DAY, n_events)
    order = np.lexsort((when, who))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(who, minlength=n_customers))])
    kind = rng.choice(5, n_events, p=[0.5, 0.2, 0.15, 0.1, 0.05]).astype(np.int32)
    value = np.round(rng.gamma(2, 20, n_events), 2)
    names = tuple(f"c{number:08d}" for number in range(n_customers))
    when = when[order]
    return EventLog(
        names, offsets, when, when, Categorical(kind, KINDS), {"value": value}, {}, {}
    )  # fmt: skip


def ask(log: EventLog, buckets: Buckets, folder: Path) -> int:
    """Every customer at every cutoff, as the rows asked of each bucket; their number."""
    folder.mkdir()
    cutoffs = np.array([(365 + 30 * month) * DAY for month in range(N_CUTOFFS)])
    where = buckets.bucket_of(log.customers)
    ids = pa.array(log.customers, pa.string())
    for bucket in range(len(buckets)):
        who = np.repeat(np.flatnonzero(where == bucket), N_CUTOFFS)
        when = np.tile(cutoffs, len(who) // N_CUTOFFS)
        flat = pa.array(np.zeros(len(who), np.int8))
        columns = {"customer": ids.take(pa.array(who)), "cutoff_time": when, "known_time": when}
        table = pa.table({**columns, "label": flat, "split": flat})
        pq.write_table(table, bucket_file(folder, bucket))
    return log.n_customers * N_CUTOFFS


def built(
    buckets: Buckets,
    features: Sequence[Feature],
    runner: Runner,
    home: Path,
    name: str,
    numbers: Sequence[int],
) -> float:
    """Build a training set with a runner; seconds."""
    (home / name).mkdir()
    start = time.perf_counter()
    runner.each(partial(fill_bucket, buckets, features, home / "asked", home / name), numbers)
    return time.perf_counter() - start


def digest(folder: Path) -> str:
    sha = hashlib.sha256()
    for number in range(len(list(folder.glob("part-*.parquet")))):
        sha.update(part_file(folder, number).read_bytes())
    return sha.hexdigest()


if __name__ == "__main__":
    main()
