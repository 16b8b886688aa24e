"""How fast the feature engine is beside pandas, both measured in this one run.

    make bench-features EVENTS=200000

The log has power-law activity and monthly cutoffs; the results are checked equal before
anything is timed. Read the ratio: machines differ.
"""

import argparse
import platform
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import pandas as pd

from features.durations import DAY, days
from features.engine import Rows, compute
from features.event_log import EventLog, build_log, empty_log
from features.feature import Feature
from features.language import events

WINDOWS = (days(7), days(30), days(90), None)
N_CUTOFFS = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    log = made_log(chosen.events)
    rows = monthly(log)
    names = [(name, last) for name in log.event.levels for last in WINDOWS]
    features = [f for name, last in names for f in family(name, last)]
    ours, seconds = timed(
        lambda: compute(features, log, empty_log(log.customers), rows), chosen.repeat
    )
    theirs, pandas_seconds = timed(lambda: with_pandas(log, names), 1)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    print(f"{chosen.events:,} events, {log.n_customers:,} customers, {len(rows):,} rows, "
          f"{len(features)} features, equal to 1e-9")  # fmt: skip
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, pandas {version('pandas')}")
    print(f"{'engine':<28}{'seconds':>10}{'ratio':>8}")
    print(f"{'milepost':<28}{seconds:10.2f}{1:8.1f}")
    print(
        f"{'pandas, a group-by a cutoff':<28}{pandas_seconds:10.2f}{pandas_seconds / seconds:8.1f}"
    )


def made_log(n_events: int) -> EventLog:
    """Events of two years with power-law activity and five kinds."""
    rng = np.random.default_rng(1)
    n_customers = max(10, n_events // 100)
    weight = (1 + np.arange(n_customers)) ** -0.8
    who = rng.choice(n_customers, n_events, p=weight / weight.sum())
    when = rng.integers(0, 730, n_events) * DAY + rng.integers(0, 86_400, n_events) * 1_000_000
    kind = rng.choice(list("abcde"), n_events, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    value = np.round(rng.gamma(2, 20, n_events), 2)
    names = [f"c{number:07d}" for number in who]
    return build_log(names, when, list(kind), numbers={"value": value})


def cutoffs() -> list[int]:
    return [(365 + 30 * month) * DAY for month in range(N_CUTOFFS)]


def monthly(log: EventLog) -> Rows:
    """Every customer at every cutoff."""
    cutoff = np.repeat(np.array(cutoffs()), log.n_customers)
    return Rows(np.tile(np.arange(log.n_customers), N_CUTOFFS), cutoff, cutoff)


def family(name: str, last: int | None) -> list[Feature]:
    """What is computed for a kind of event and a window."""
    some = events(name)
    return [some.count(last), some.sum("value", last), some.max("value", last)]


def with_pandas(log: EventLog, names: list[tuple[str, int | None]]) -> np.ndarray:
    """The same numbers as most people write them: filter, group, join, a cutoff at a time."""
    who = np.repeat(np.arange(log.n_customers), np.diff(log.offsets))
    frame = pd.DataFrame(
        {"who": who, "time": log.event_time, "value": log.numbers["value"],
         "event": np.array(log.event.levels)[log.event.codes]}
    )  # fmt: skip
    everyone = pd.RangeIndex(log.n_customers)
    blocks = []
    for cutoff in cutoffs():
        columns = []
        past = frame[frame["time"] <= cutoff]
        for name, last in names:
            chosen = past[past["event"] == name]
            if last is not None:
                chosen = chosen[chosen["time"] > cutoff - last]
            found = chosen.groupby("who")["value"].agg(["count", "sum", "max"]).reindex(everyone)
            columns.append(found.fillna({"count": 0, "sum": 0}).to_numpy())
        blocks.append(np.hstack(columns))
    return np.vstack(blocks)


def timed(work: Callable[[], np.ndarray], repeat: int) -> tuple[np.ndarray, float]:
    """The result, and the shortest of some runs in seconds."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return result, best


if __name__ == "__main__":
    main()
