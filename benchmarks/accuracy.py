"""How well models rank that were trained with nothing but a `journey.toml`.

    make bench-accuracy DATA=folder
    python benchmarks/accuracy.py a/journey.toml b/journey.toml

trains every problem of every file as `python -m training train` does, and prints it beside the
base rate, the best single rule, an untuned LightGBM on counts, recency and sums of value that
was fitted on the same rows, and what others have published. Where a simulation wrote
`truth.parquet` beside its data, the true probability is ranked on the same test rows. Knows
nothing about any single data set: what is published stands in accuracy/published.toml.
"""

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any

from simple_model import recency_and_frequency
from true_probability import true_scores

from features.config import Business, read_config
from features.cutoffs import resolve
from features.errors import MilepostError
from features.sources import Histories, read_histories
from training.engines import InProcess
from training.labels import label_rows
from training.run import train
from training.splits import split_rows

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PUBLISHED = HERE / "accuracy" / "published.toml"
RESULTS = HERE / "results" / "accuracy.json"
DATA = ROOT.parent / "shared" / "data"
SIMULATED = ROOT / "examples" / "saas" / "journey.toml"
"""Its data are made by `python -m features simulate`, with the true probabilities."""
OWN = ("cdnow", "cdnow_sample", "online_retail")
SETS = [
    *(HERE / "accuracy" / name / "journey.toml" for name in OWN),
    ROOT / "examples" / "grocery" / "journey.toml",
    SIMULATED,
]
"""What is run when no file is named."""


def main() -> None:
    chosen = _arguments()
    published = tomllib.loads(PUBLISHED.read_text())
    rows = []
    print(HEADING)
    with tempfile.TemporaryDirectory() as scratch:
        for config in chosen.configs or SETS:
            if config.resolve() == SIMULATED and config.exists():
                config = simulated(config, chosen.customers, Path(scratch))
            for row in one_file(config, chosen, published):
                rows.append(row)
                print(line(row), flush=True)
    print(closing())
    found = {"seeds": chosen.seeds, "versions": _versions(), "rows": rows}
    chosen.json.parent.mkdir(exist_ok=True)
    chosen.json.write_text(json.dumps(found, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", nargs="*", type=Path, metavar="CONFIG")
    parser.add_argument("--data", type=Path, default=DATA, help="where the own sets' data lie")
    parser.add_argument("--seeds", type=int, nargs="+", help="the problem's own unless given")
    parser.add_argument("--customers", type=int, default=60_000, help="of the simulated business")
    parser.add_argument("--json", type=Path, default=RESULTS)
    return parser.parse_args()


def simulated(config: Path, customers: int, scratch: Path) -> Path:
    """A copy of a simulated business's file beside data that were made for it now."""
    folder = scratch / config.parent.name
    command = ["-m", "features", "simulate", str(folder / "data"), "--customers", str(customers)]
    subprocess.run([sys.executable, *command], check=True, cwd=ROOT, stdout=sys.stderr)
    shutil.copy(config, folder / config.name)
    return folder / config.name


def one_file(
    config: Path, chosen: argparse.Namespace, published: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """A row for each problem of a file, or one that says why there is none."""
    if not config.exists():
        yield {"set": config.resolve().parent.name, "skipped": "there is no such journey.toml here"}
        return
    try:
        business = read_config(config)
        known = published.get(business.name, {})
        if "data" in known:
            business = business.model_copy(update={"folder": _folder(chosen.data / known["data"])})
        histories = read_histories(business)
    except (MilepostError, FileNotFoundError) as error:
        name = config.resolve().parent.name
        yield {"set": name, "skipped": str(error)}
        return
    for name in business.problems:
        row: dict[str, Any] = {"set": f"{business.name}: {name}"}
        try:
            row |= one_problem(business, name, histories, chosen.seeds)
        except MilepostError as error:
            row["skipped"] = str(error)
        yield {**row, "published": known.get(name)}


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise FileNotFoundError(f"no folder {path.name!r} in the data folder (DATA=folder)")
    return path.resolve()


def one_problem(
    business: Business, name: str, histories: Histories, seeds: list[int] | None
) -> dict[str, Any]:
    """Train as the product does, once a seed, and judge the others on the same rows."""
    problem = business.problem(name)
    results = []
    for seed in seeds or [problem.seed]:
        again = problem.model_copy(update={"seed": seed})
        seeded = business.model_copy(update={"problems": {**business.problems, name: again}})
        with tempfile.TemporaryDirectory() as workspace:
            engine = InProcess(histories, _say)
            results.append(train(seeded, name, engine, Path(workspace), _say))
    resolved = resolve(problem, histories.log, histories.attributes)
    labelled, log = label_rows(business, resolved, histories)
    split = split_rows(resolved, labelled, log.customers)
    attributes = histories.attributes.aligned(log.customers)
    rule = next((b for b in results[0].verdict.found if b.name == "best_rule"), None)
    first = results[0].metrics
    return {
        "n_train": len(results[0].ready.split.train),
        "n_test": first.n,
        "base_rate": first.base_rate,
        "ours": _pair([(r.metrics.auroc, r.metrics.average_precision) for r in results]),
        "ece": mean(r.metrics.ece for r in results),
        "calibration_slope": mean(r.metrics.calibration_slope for r in results),
        "by_gap": {
            group.level: [group.judgement.metrics.auroc, group.judgement.metrics.average_precision]
            for group in results[0].verdict.by_gap
            if group.judgement is not None
        },
        "gate": [reason.code for reason in results[0].decision.reasons],
        "rounds": [r.n_trees for r in results],
        "n_features": len(results[0].ready.features),
        "fit_seconds": [r.seconds["fit"] for r in results],
        "best_rule": None if rule is None else _pair([(rule.auroc, rule.average_precision)]),
        "rule": None if rule is None else rule.says,
        "rfm": recency_and_frequency(business, log, attributes, labelled, split),
        "truth": true_scores(business.folder, name, log, labelled, split),
        "split": split.how,
    }  # fmt: skip


def _pair(found: list[tuple[float, float]]) -> dict[str, Any]:
    """Means over the seeds, and each seed where there are several."""
    auroc, precision = zip(*found, strict=True)
    pair: dict[str, Any] = {"auroc": mean(auroc), "average_precision": mean(precision)}
    if len(found) > 1:
        pair["each"] = [list(both) for both in found]
    return pair


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


HEADING = (
    f"{'':<26}{'test':>8}{'base':>7}{'ours':>13}{'best rule':>13}{'RFM':>13}{'truth':>13}"
    f"{'published':>13}  above"
)


def line(row: dict[str, Any]) -> str:
    """One problem: AUROC/average precision of each, which of the others ours is above, how well
    it is calibrated, what the gate says, and how it is at each gap."""
    if "skipped" in row:
        return f"{row['set']:<26}  skipped: {row['skipped']}"
    others = ("best_rule", "rfm", "truth", "published")
    cells = "".join(f"{_cell(row[name]):>13}" for name in ("ours", *others))
    above = [
        f"{'' if _above(row['ours'], row[name]) else 'NOT '}{name.replace('_', ' ')}"
        for name in ("best_rule", "rfm", "published")
        if row[name]
    ]
    if row["truth"]:
        gap = max(row["truth"][key] - row["ours"][key] for key in ("auroc", "average_precision"))
        above.append(f"{gap:.3f} below the truth")
    end = f"  {', '.join(above)}; error {row['ece']:.3f}, slope {row['calibration_slope']:.2f}"
    end += f"; gate {', '.join(row['gate']) or 'passed'}"
    if row["by_gap"]:
        gaps = (f"{level} {auroc:.3f}/{ap:.3f}" for level, (auroc, ap) in row["by_gap"].items())
        end += f"; by gap {', '.join(gaps)}"
    if row["published"]:
        end += f" ({row['published']['source']})"
    return f"{row['set']:<26}{row['n_test']:8,}{row['base_rate']:7.1%}{cells}{end}"


def _cell(pair: dict[str, Any] | None) -> str:
    if not pair:
        return "–"
    precision = pair.get("average_precision")
    return f"{pair['auroc']:.3f}/" + ("–" if precision is None else f"{precision:.3f}")


def _above(ours: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(
        ours[key] > other[key]
        for key in ("auroc", "average_precision")
        if other.get(key) is not None
    )


def closing() -> str:
    """What the table's words mean."""
    return (
        "\neach cell: AUROC/average precision on the test rows. RFM: an untuned LightGBM on "
        "counts, recency and sums of\nvalue, fitted on the same rows (train and validation). "
        "truth: the simulation's own probability. error, slope: calibration on the test rows.\n"
        f"versions: {', '.join(f'{name} {number}' for name, number in _versions().items())}"
    )


def _versions() -> dict[str, str]:
    found = {name: version(name) for name in ("lightgbm", "numpy", "scikit-learn")}
    return {"Python": platform.python_version(), **found}


if __name__ == "__main__":
    main()
