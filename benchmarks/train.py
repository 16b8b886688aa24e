"""How long a training run takes, stage by stage, and how much of it LightGBM itself takes.

    make bench-train
    make bench-train ROWS=1000000

trains every problem of a file from its sources to registered challengers, in a process of its own
and with everything that `python -m training train` does, and prints the seconds of each stage, the
seconds of all calls of `lightgbm.train`, and the ratio of all the rest to them: of the seconds in
which no such call runs, for several run side by side. The target is a ratio of 1.5, or 20 seconds
of all the rest. With `--rows` the data are random journeys that give about so
many training rows with 345 columns. Knows nothing about how good the models are.
"""

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
GROCERY = ROOT / "examples" / "grocery" / "journey.toml"
RESULTS = HERE / "results" / "train.json"
TARGET_RATIO, TARGET_SECONDS = 1.5, 20.0
GIB = 2**30

ROWS_A_CUSTOMER = 26
"""Training rows that a customer of the random journeys has, about."""
EVENTS_A_CUSTOMER = 120
KINDS = ("order", "visit", "ticket")
DAYS = 730
BEGIN = datetime(2023, 1, 1)
JOURNEYS = """
name = "random"

[[events]]
sql = "select * from 'events.parquet'"

[stages]
consideration = ["visit"]
decision = ["order"]
support = ["ticket"]

[problems.silence]
outcome = { silence_of = "order" }
cohort = { active_within = "91d" }
horizon = "28d"
every = "14d"
value = { sum = "value", last = "91d" }
"""


def main() -> None:
    chosen = _arguments()
    if chosen.child is not None:
        print(json.dumps(_train(chosen.config, chosen.child)))
        return
    with tempfile.TemporaryDirectory(prefix="milepost-") as scratch:
        config = chosen.config
        if chosen.rows:
            config = made(Path(scratch), chosen.rows)
        found = _measured(config, Path(scratch) / "workspace")
    found["machine"] = _machine()
    _show(found)
    kept = json.loads(chosen.json.read_text()) if chosen.json.exists() else {}
    kept["rows" if chosen.rows else "grocery"] = found
    chosen.json.parent.mkdir(exist_ok=True)
    chosen.json.write_text(json.dumps(kept, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", nargs="?", type=Path, default=GROCERY, metavar="CONFIG")
    parser.add_argument("--rows", type=int, help="random journeys with about so many training rows")
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--child", type=Path, metavar="WORKSPACE", help=argparse.SUPPRESS)
    return parser.parse_args()


def made(folder: Path, n_rows: int) -> Path:
    """Random journeys of customers who differ in how often they come."""
    rng = np.random.default_rng(5)
    n_customers = max(200, n_rows // ROWS_A_CUSTOMER)
    often = rng.gamma(1.5, EVENTS_A_CUSTOMER / 1.5, n_customers)
    who = np.repeat(np.arange(n_customers), 1 + rng.poisson(often))
    n = len(who)
    ends = rng.uniform(0.5, 1.5, n_customers)[who] * DAYS  # half of them leave on the way
    when = rng.random(n) * DAYS
    kept = when < ends
    seconds = (when[kept] * 86_400).astype("timedelta64[s]")
    who, n = who[kept], int(kept.sum())
    table = pa.table(
        {
            "customer": pa.array(np.char.add("c", who.astype(str))),
            "event_time": pa.array(np.datetime64(BEGIN, "s") + seconds),
            "event": pa.array(np.array(KINDS)[rng.integers(0, len(KINDS), n)]),
            "channel": pa.array(np.array(["web", "app", "shop", "mail"])[rng.integers(0, 4, n)]),
            "value": pa.array(np.round(rng.gamma(2.0, 20.0, n), 2)),
            "wait": pa.array(np.round(rng.exponential(3.0, n), 2)),
        }
    )
    pq.write_table(table, folder / "events.parquet")
    end = BEGIN + timedelta(days=DAYS)
    config = folder / "journey.toml"
    config.write_text(
        JOURNEYS.replace("\n[[events]]", f"extracted_at = {end:%Y-%m-%d}\n\n[[events]]", 1)
    )
    return config


def _measured(config: Path, workspace: Path) -> dict[str, Any]:
    """Train in a process of its own, from its start to its end."""
    command = [sys.executable, str(HERE / "train.py"), str(config), "--child", str(workspace)]
    begun = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    whole = time.perf_counter() - begun
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    inside = sum(found["inside"].values())
    rest = whole - found["covered"]
    return {
        **found,
        "seconds": round(whole, 1),
        "inside_lightgbm_train": round(inside, 1),
        "everything_else": round(rest, 1),
        "ratio": round(rest / inside, 2),
        "reached": rest <= max(TARGET_SECONDS, TARGET_RATIO * inside),
        "peak_gib": round(_peak(), 2),
    }


def _peak() -> float:
    """Most memory that the child held, GiB."""
    unit = 1 if sys.platform == "darwin" else 1_024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / GIB


def _train(config: Path, workspace: Path) -> dict[str, Any]:
    """What the child does; `inside` are the seconds in `lightgbm.train` by problem and stage."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import lightgbm

    from features.config import read_config
    from features.sources import read_histories
    from training.engines import InProcess
    from training.run import train

    begun = time.perf_counter()
    since: list[float] = []
    inside: dict[str, float] = defaultdict(float)
    original = lightgbm.train
    problem = ""
    turn, running, covered = threading.Lock(), [0], [0.0]

    def counted(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        with turn:
            running[0] += 1
            covered[0] -= start if running[0] == 1 else 0
        try:
            return original(*arguments, **named)
        finally:
            end = time.perf_counter()
            with turn:
                running[0] -= 1
                covered[0] += end if running[0] == 0 else 0
            since.append(end - start)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        ended = re.match(r"  (\S.{9,}?) +[\d.]+ s  ", line)
        if ended is not None and since:
            inside[f"{problem}: {ended[1].strip()}"] += sum(since)
            since.clear()

    lightgbm.train = counted
    business = read_config(config)
    engine = InProcess(read_histories(business), say)
    read = time.perf_counter() - begun
    problems = {}
    for problem in business.problems:
        result = train(business, problem, engine, workspace, say, read)
        problems[problem] = {
            "n_train": len(result.ready.split.train),
            "n_columns_fitted": len(result.ready.features),
            "registered": result.logged.version is not None,
            "stages": result.seconds,
        }
        read = 0.0
    inside["unnamed"] += sum(since)
    inside = {k: round(v, 2) for k, v in inside.items() if v}
    return {"problems": problems, "inside": inside, "covered": round(covered[0], 2)}


def _machine() -> dict[str, Any]:
    packages = ("lightgbm", "numpy", "duckdb", "mlflow", "scikit-learn")
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
        "platform": f"{platform.system()} {platform.machine()}",
        **{name: version(name) for name in packages},
    }


def _show(found: dict[str, Any]) -> None:
    print(f"{'problem':<14}{'stage':<14}{'seconds':>9}{'in lightgbm.train':>19}")
    for name, one in found["problems"].items():
        for stage, seconds in one["stages"].items():
            inside = found["inside"].get(f"{name}: {stage}", 0.0)
            print(f"{name:<14}{stage:<14}{seconds:9.1f}{inside:19.1f}")
        print(
            f"{name:<14}{one['n_train']:,} training rows, {one['n_columns_fitted']} columns fitted"
        )
    print(
        f"whole process {found['seconds']} s, of which {found['inside_lightgbm_train']} s in "
        f"lightgbm.train and {found['everything_else']} s elsewhere, ratio {found['ratio']}; "
        f"target {TARGET_RATIO} or {TARGET_SECONDS:.0f} s: "
        f"{'reached' if found['reached'] else 'NOT reached'}; peak {found['peak_gib']} GiB"
    )
    print(", ".join(f"{name} {value}" for name, value in found["machine"].items()))


if __name__ == "__main__":
    main()
