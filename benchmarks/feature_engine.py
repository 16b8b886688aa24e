"""How fast the feature engine is beside its peers, all measured in this one run.

    make bench-features EVENTS="1000000 10000000"

Every engine starts from the same sorted Arrow columns in memory and ends at the same matrix of
150 features for 12 monthly cutoffs a customer, in a process of its own. Results are checked
equal before a ratio is printed. A peer that is not installed is named; `make bench-peers`
installs them. Read the ratios: machines differ.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from comparison import differences
from peers import ENGINES, OURS, Engine, environment, missing
from watching import Finished, memory_of_machine, watch
from workload import N_CUTOFFS, ONE_EVENTS, columns, mapped

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "features.json"
MEMORY_TARGET = 6 * 2**30
EXPONENT_TARGET = 1.05
LARGE = 2_000_000
"""Events from which a peer runs once."""


def main() -> None:
    chosen = _arguments()
    environments = {"main": Path(sys.executable), "peers": chosen.peers, "pandas2": chosen.pandas2}
    engines = [e for e in ENGINES if chosen.only is None or e.module in (OURS, *chosen.only)]
    found: dict[str, Any] = {"machine": machine(), "sizes": {}}
    with tempfile.TemporaryDirectory(dir=chosen.scratch) as folder:
        for size in sorted(chosen.events):
            earlier = list(found["sizes"].values())
            found["sizes"][size] = one_size(
                size, engines, environments, chosen, Path(folder), earlier
            )
            print(table(size, found["sizes"][size]), flush=True)
        found["one_customer"] = one_customer(engines, environments, Path(folder))
    found["growth"] = growth(found["sizes"])
    print(closing(found))
    RESULTS.parent.mkdir(exist_ok=True)
    chosen.json.write_text(json.dumps(found, indent=1) + "\n")
    results = [row["status"] for rows in found["sizes"].values() for row in rows.values()]
    if any("DIFFERENT" in status for status in results):
        sys.exit("A peer's result differs from ours; its time says nothing.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, of which the best")
    parser.add_argument("--limit", type=int, default=1_200, help="seconds an engine may take")
    parser.add_argument("--only", nargs="*", help="peers' modules, such as peer_polars")
    parser.add_argument("--peers", type=Path, default=environment("peers"))
    parser.add_argument("--pandas2", type=Path, default=environment("pandas2"))
    parser.add_argument("--scratch", type=Path, help="where the columns are written meanwhile")
    parser.add_argument("--json", type=Path, default=RESULTS)
    return parser.parse_args()


def machine() -> dict[str, Any]:
    """What a reader has to know of the machine."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_of_machine() / 2**30, 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def one_size(
    size: int,
    engines: list[Engine],
    environments: dict[str, Path],
    chosen: argparse.Namespace,
    folder: Path,
    earlier: list[dict[str, Any]],
) -> dict[str, Any]:
    """Every engine on a log of so many events."""
    columns_file, truth = folder / "columns.arrow", folder / "ours.npy"
    subprocess.run([sys.executable, HERE / "workload.py", str(size), columns_file], check=True)
    rows: dict[str, Any] = {}
    for engine in engines:
        refused = missing(engine, environments[engine.environment]) or (
            _too_much(engine, size, earlier, chosen.limit)
        )
        if refused:
            rows[engine.name] = {"status": refused}
            continue
        print(f"  {size:,} events: {engine.name}", file=sys.stderr, flush=True)
        ours = engine.module == OURS
        result = truth if ours else folder / "theirs.npy"
        repeat = chosen.repeat if ours or size < LARGE else 1
        rows[engine.name] = _measured(
            engine, environments, columns_file, result, repeat, chosen.limit * repeat
        )
        if rows[engine.name]["status"] == "ran" and not ours:
            rows[engine.name]["status"] = differences(truth, result, engine) or "equal"
    _add_ratios(engines, rows)
    return rows


def _too_much(engine: Engine, size: int, earlier: list[dict[str, Any]], limit: int) -> str | None:
    """Why an engine is not tried at this size, by what it took at the size before."""
    if engine.most is not None and size > engine.most:
        return f"not run above {engine.most:,} events: {engine.why}"
    if engine.module == OURS or not earlier:
        return None
    last = earlier[-1][engine.name]
    if "best" not in last:
        return f"at the size before: {last['status']}"
    factor = size / last["events"]
    memory, seconds = factor * last["peak_memory"], factor * last["best"]
    if memory > 0.9 * memory_of_machine():
        return f"not run: would need about {memory / 2**30:.0f} GiB of memory"
    return f"not run: would take about {seconds:,.0f} s" if seconds > limit else None


def _measured(
    engine: Engine,
    environments: dict[str, Path],
    columns_file: Path,
    result: Path,
    repeat: int,
    limit: int,
) -> dict[str, Any]:
    """Run an engine in its own process; what it printed, and the memory that it took."""
    command = [
        environments[engine.environment], HERE / "measure.py", engine.module, engine.formulation,
        columns_file, "--repeat", str(repeat), "--result", result,
    ]  # fmt: skip
    done = watch([str(part) for part in command], limit, HERE.parent)
    if done.answer is None:
        return {"status": f"failed: {done.why}"}
    return {
        "status": "ran",
        "best": min(done.answer["seconds"]),
        "events": _events(columns_file),
        **done.answer,
        **_memory(done),
    }


def _events(columns_file: Path) -> int:
    return int(mapped(columns_file).num_rows)


def _memory(done: Finished) -> dict[str, int]:
    return {"peak_rss": done.peak_rss, "peak_memory": done.peak_anonymous}


def _add_ratios(engines: list[Engine], rows: dict[str, Any]) -> None:
    """How many times as long as ours each engine took; by the row where it ran a part."""
    ours = next(iter(rows.values()))
    if "best" not in ours:
        raise SystemExit(f"our own engine: {ours['status']}")
    for engine in engines:
        row = rows[engine.name]
        if "best" in row and row["status"] in ("ran", "equal"):
            row["by_the_row"] = engine.by_the_row
            share = ours["n_rows"] / row["n_rows"] if engine.by_the_row else 1
            row["ratio"] = row["best"] / ours["best"] * share
            row["target"] = engine.target


def one_customer(
    engines: list[Engine], environments: dict[str, Path], folder: Path
) -> dict[str, Any]:
    """Median and 99th percentile for one customer's vector, where an engine can be asked so."""
    columns_file, truth = folder / "one.arrow", folder / "one.npy"
    subprocess.run(
        [sys.executable, HERE / "workload.py", str(ONE_EVENTS), columns_file], check=True
    )
    rows: dict[str, Any] = {}
    for engine in {e.module: e for e in engines if e.one}.values():
        for formulation, target in engine.one.items():
            name = f"{engine.label}, {formulation}" if engine.module != OURS else engine.name
            refused = missing(engine, environments[engine.environment])
            if refused:
                rows[name] = {"status": refused}
                continue
            result = truth if engine.module == OURS else folder / "theirs.npy"
            command = [
                environments[engine.environment], HERE / "measure.py", engine.module, formulation,
                columns_file, "--one", "--result", result,
            ]  # fmt: skip
            done = watch([str(part) for part in command], 300, HERE.parent)
            if done.answer is None:
                rows[name] = {"status": f"failed: {done.why}"}
                continue
            same = "equal" if engine.module == OURS else differences(truth, result, engine)
            rows[name] = {"status": same or "equal", "target": target, **done.answer}
            rows[name]["ratio"] = rows[name]["median"] / next(iter(rows.values()))["median"]
    return rows


def growth(sizes: dict[int, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Exponents of time and memory between the smallest and the largest size of each engine."""
    found = {}
    for name in next(iter(sizes.values())):
        ran = [(size, rows[name]) for size, rows in sizes.items() if "best" in rows.get(name, {})]
        if len(ran) > 1:
            (small, first), (large, last) = ran[0], ran[-1]
            step = math.log(large / small)
            found[name] = {
                "from": small,
                "to": large,
                "time": math.log(last["best"] / first["best"]) / step,
                "memory": math.log(last["peak_memory"] / first["peak_memory"]) / step,
            }
    return found


def table(size: int, rows: dict[str, Any]) -> str:
    """One size as a table."""
    first = next((row for row in rows.values() if "n_rows" in row), {"n_rows": 0})
    lines = [
        "",
        f"{size:,} events, {first['n_rows'] // N_CUTOFFS:,} customers, {first['n_rows']:,} rows × "
        f"{len(columns())} features, end to end from sorted Arrow columns",
        f"{'engine':<38}{'seconds':>9}{'ratio':>8}{'target':>8}{'memory':>10}{'RSS':>10}  result",
    ]
    for name, row in rows.items():
        if "ratio" not in row:
            lines.append(f"{name:<38}  {row['status']}")
            continue
        target = "" if row["target"] is None else f"{row['target']:,}"
        unit = " a row" if row["by_the_row"] else ""
        lines.append(
            f"{name:<38}{row['best']:9.3f}{row['ratio']:8,.1f}{target:>8}"
            f"{row['peak_memory'] / 2**20:>6,.0f} MiB{row['peak_rss'] / 2**20:>6,.0f} MiB"
            f"  {row['status']}{unit}"
        )
    return "\n".join(lines)


def closing(found: dict[str, Any]) -> str:
    """One customer, growth, versions and the machine."""
    lines = ["", f"one customer with {ONE_EVENTS} events, in memory",
             f"{'engine':<38}{'median':>12}{'p99':>12}{'ratio':>8}{'target':>8}"]  # fmt: skip
    for name, row in found["one_customer"].items():
        if "median" not in row:
            lines.append(f"{name:<38}  {row['status']}")
            continue
        target = "" if row["target"] is None else f"{row['target']:,}"
        lines.append(
            f"{name:<38}{row['median'] * 1e6:>9,.0f} µs{row['p99'] * 1e6:>9,.0f} µs"
            f"{row['ratio']:8,.0f}{target:>8}  {row['status']}"
        )
    for name, exponents in found["growth"].items():
        lines.append(
            f"growth of {name} from {exponents['from']:,} to {exponents['to']:,} events: time "
            f"^{exponents['time']:.2f}, memory ^{exponents['memory']:.2f}"
        )
    lines += targets(found)
    versions: dict[str, str] = {}
    for rows in [*found["sizes"].values(), found["one_customer"]]:
        for name, row in rows.items():
            for package, number in row.get("versions", {}).items():
                versions[f"{package} {number}"] = name
    m = found["machine"]
    lines += [
        "",
        "seconds: the best run. memory: the most that an engine and its processes took, without "
        "the mapped file; RSS: with it.",
        f"versions: {', '.join(sorted(versions))}",
        f"machine: {m['cores']} cores, {m['memory_gib']} GiB, {m['system']}, Python {m['python']}",
    ]
    return "\n".join(lines)


def targets(found: dict[str, Any]) -> list[str]:
    """What our own memory and growth are beside what they may be."""
    largest = max(found["sizes"])
    memory = found["sizes"][largest][ENGINES[0].name].get("peak_memory", math.inf)
    lines = [
        f"our memory at {largest:,} events: {memory / 2**30:.1f} GiB, "
        f"{_met(memory <= MEMORY_TARGET)} ({MEMORY_TARGET / 2**30:.0f} GiB)"
    ]
    ours = found["growth"].get(ENGINES[0].name)
    if ours is not None:
        met = _met(ours["time"] <= EXPONENT_TARGET)
        lines.append(f"our growth: time ^{ours['time']:.2f}, {met} ({EXPONENT_TARGET})")
    return lines


def _met(met: bool) -> str:
    return "met" if met else "MISSED"


if __name__ == "__main__":
    main()
